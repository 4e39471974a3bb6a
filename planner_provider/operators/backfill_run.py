"""A backfill at work: begins partitions under a limit, watches their runs, and counts how they end.

All that is known of a partition is in the ledger before Airflow is asked for anything, so that
whoever goes on after a crash sees what was meant to be done, and looks whether it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from planner_provider.decide.partitions import (
    FAILED,
    SUCCESS,
    Tally,
    TargetRun,
    Way,
    allowed_errors,
    choose,
    places,
    poll_seconds,
    progress,
    rate_of,
)
from planner_provider.errors import PlannerError, UnavailableError
from planner_provider.hooks.airflow_api import ACTIVE, AirflowApi, NewRun, TargetDag
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.operators.backfill_items import BackfillItems, date_of
from planner_provider.operators.backfill_work import BackfillEnd, BackfillWork
from planner_provider.operators.clock import Clock

log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=10)
"""How long Airflow's API may be away before the step fails."""
HOLD_SECONDS = 5.0
"""Time between two tries while it is away."""
SOMEBODY_ELSES = "somebody else made its run meanwhile"


class Limiter(Protocol):
    """What says how many partitions may be under way."""

    def tick(self, now: datetime, running: int, completed: int) -> int:
        """The limit from now on."""
        ...

    def why_none(self) -> str:
        """Why nothing may begin, where the limit is 0."""
        ...


class BackfillRun:
    """Works through the items of a backfill that are in the ledger.

    Args:
        work: what is to be done.
        api: the Airflow that it is done in.
        ledger: where it is kept.
        limiter: says how many partitions may be under way.
        clock: time.
        pause: how to wait; raises when the task must stop.
    """

    def __init__(
        self,
        work: BackfillWork,
        api: AirflowApi,
        ledger: Ledger,
        *,
        limiter: Limiter,
        clock: Clock,
        pause: Callable[[float], None],
    ) -> None:
        self.work = work
        self.api = api
        self._dag: TargetDag
        self.limiter = limiter
        self.clock = clock
        self.pause = pause
        self.items = BackfillItems(ledger, work, clock)
        self.allowed = allowed_errors(self.tally.total, work.max_errors)
        self._limit: int | None = None
        self._held: str | None = None
        self._theirs: dict[str, str] = {}
        self._told_theirs: dict[str, str] = {}
        self._states: dict[str, str] = {}
        self._took: float | None = None
        self._told = ""
        self._warned = False

    def go(self) -> BackfillEnd:
        """Work until nothing is left, or too much has failed and what is in flight has ended."""
        self._redo_failed()
        next_look = self.clock.monotonic()
        away_since: float | None = None
        recovered = False
        while True:
            try:
                if not recovered:
                    self._recover()
                    recovered = True
                self._watch()
                if self.clock.monotonic() >= next_look:
                    next_look = self.clock.monotonic() + self.work.every
                    self._look()
                self._ask()
                self._begin()
            except UnavailableError as error:
                now = self.clock.monotonic()
                away_since = now if away_since is None else away_since
                if now - away_since > PATIENCE.total_seconds():
                    raise
                log.warning("Nothing is begun and nothing seen: %s", error)
                recovered = False
                self.pause(HOLD_SECONDS)
                continue
            away_since = None
            self._tell()
            if self.is_over:
                return self._settle()
            left = max(0.05, next_look - self.clock.monotonic())
            self.pause(min(poll_seconds(self._took), left))

    @property
    def tally(self) -> Tally:
        """Where it stands."""
        return self.items.tally

    @property
    def too_many_failed(self) -> bool:
        """Whether no partition may begin any more."""
        return self.tally.failed > self.allowed

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to begin and nothing in flight."""
        return not self.tally.running and (self.too_many_failed or not self.tally.waiting)

    def in_flight(self) -> tuple[str, ...]:
        """Ids of the runs that are under way."""
        return tuple(str(item.facts["run"]) for item in self.items.of(ItemState.ACTING))

    def stop(self) -> None:
        """Mark the runs that are under way as failed, as well as it goes."""
        for item in self.items.of(ItemState.ACTING):
            run_id = str(item.facts["run"])
            try:
                self.api.fail_run(self.work.dag_id, run_id)
            except PlannerError as error:
                log.warning("Run %s could not be stopped: %s", run_id, error)
            else:
                log.info("Run %s was stopped.", run_id)
                self._move(item, ItemState.WAITING, f"run {run_id} was stopped with the plan's run")

    # ---- what happens again and again

    def _look(self) -> None:
        """See how the DAG is, and how much of it others run."""
        self._dag = self.api.dag(self.work.dag_id)
        active = self.api.count_active(self.work.dag_id)
        self._others_active = max(0, active - len(self._states))
        self._theirs.clear()

    def _ask(self) -> None:
        """Ask how many may run: the throttle, and the DAG's own limit."""
        dag = self._dag
        running = sum(state == "running" for state in self._states.values())
        ended = self.tally.done + self.tally.failed
        allowed = self.limiter.tick(self.clock.now(), running, ended)
        self._held = self._obstacle(dag) or (None if allowed else self.limiter.why_none())
        self._limit = places(
            allowed,
            max_active_runs=dag.max_active_runs,
            others=self._others_active,
            scheduled=dag.next_interval is not None,
        )
        if self._limit < allowed and not self._warned:
            self._warned = True
            log.warning(
                "DAG '%s' has max_active_runs %s, and %d runs of others are under way or queued: "
                "at most %d of this backfill's run at once, where the throttle allows %d.",
                dag.dag_id, dag.max_active_runs, self._others_active, self._limit, allowed,
            )  # fmt: skip

    def _obstacle(self, dag: TargetDag) -> str | None:
        if dag.is_paused:
            return f"DAG '{dag.dag_id}' is paused, and Airflow starts no run of it"
        if dag.is_stale or dag.has_import_errors:
            return f"the file of DAG '{dag.dag_id}' is gone or cannot be imported"
        return None

    def _watch(self) -> None:
        acting = self.items.of(ItemState.ACTING)
        if not acting:
            self._states.clear()
            return
        dates = [date_of(item) for item in acting]
        active = {
            run.run_id: run
            for run in self.api.runs(self.work.dag_id, min(dates), max(dates), states=ACTIVE)
        }
        self._states.clear()
        for item in acting:
            run_id = str(item.facts["run"])
            run = active.get(run_id) or self.api.run(self.work.dag_id, run_id)
            if run is not None and not run.has_ended:
                self._states[item.item] = run.state
            else:
                self._ended(item, run)

    def _ended(self, item: WorkItem, run: TargetRun | None) -> None:
        if run is not None and run.state == SUCCESS:
            if run.started_at and run.ended_at:
                took = (run.ended_at - run.started_at).total_seconds()
                self._took = took if self._took is None else 0.7 * self._took + 0.3 * took
            self._move(item, ItemState.DONE, f"run {run.run_id} succeeded")
            return
        failures = int(item.facts.get("failures", 0)) + 1
        what = f"run {item.facts['run']} " + ("was deleted" if run is None else "failed")
        if failures < self.work.attempts:
            detail = f"{what} at try {failures} of {self.work.attempts}"
            self._move(item, ItemState.WAITING, detail, failures=failures)
            log.warning("Partition %s: %s; it is tried again.", item.item, detail)
            return
        self._move(item, ItemState.FAILED, what, failures=failures)
        log.warning("Partition %s: %s.", item.item, what)

    def _begin(self) -> None:
        if self._held or self._limit is None:
            return
        for item in self.items.of(ItemState.WAITING):
            if self._held or self.too_many_failed or self.tally.running >= self._limit:
                return
            if item.item not in self._theirs:
                self.pause(0)
                self._begin_one(item)

    def _begin_one(self, item: WorkItem) -> None:
        if item.facts.get("fresh"):  # there was no run: Airflow says if there is one meanwhile
            self._make(item, "it has no run")
            return
        if (others := self.items.claim(item)) is not None:
            self._wait_for(item, others)
            return
        run = self.api.run_at(self.work.dag_id, date_of(item))
        choice = choose(run, self.work.reprocess, failed_here=self._is_ours(item, run))
        match choice.way:
            case Way.MAKE:
                self._make(item, choice.why)
            case Way.SKIP:
                self._move(item, ItemState.SKIPPED, choice.why)
            case Way.WAIT:
                self.items.give_back(item)
                self._wait_for(item, choice.why)
            case Way.CLEAR if run is not None:
                facts = {"way": Way.CLEAR.value, "run": run.run_id, "before": _stamp(run)}
                self._ask_or_hold(item, choice.why, facts)

    def _make(self, item: WorkItem, why: str) -> None:
        run_id = self.work.run_id(date_of(item))
        facts = {"way": Way.MAKE.value, "run": run_id, "before": None, "fresh": False}
        if not self._ask_or_hold(item, why, facts):
            self._move(item, ItemState.WAITING, SOMEBODY_ELSES, run=None, fresh=False)

    def _ask_or_hold(self, item: WorkItem, why: str, facts: dict[str, Any]) -> bool:
        """Begin an item, or begin nothing more as the run is held; ``False`` as of `_ask_for`."""
        began = self.items.begin(item, why, **facts)
        if began is not None:
            return self._ask_for(began)
        self._held = self.limiter.why_none()
        self.items.give_back(item)
        return True

    def _wait_for(self, item: WorkItem, why: str) -> None:
        self._theirs[item.item] = why
        if self._told_theirs.get(item.item) != why:
            self._told_theirs[item.item] = why
            log.info("Partition %s waits: %s.", item.item, why)

    def _ask_for(self, item: WorkItem) -> bool:
        """Make or clear the run of an item; ``False`` if somebody else made one."""
        run_id, dag_id = str(item.facts["run"]), self.work.dag_id
        if item.facts["way"] == Way.CLEAR:
            self.api.clear_run(dag_id, run_id, self.work.note)
        else:
            new = NewRun(
                run_id=run_id,
                logical_date=date_of(item),
                interval_end=datetime.fromisoformat(str(item.facts["end"])),
                conf=self.work.conf,
                note=self.work.note,
            )
            if not self.api.make_run(dag_id, new) and self.api.run(dag_id, run_id) is None:
                return False
        self._states[item.item] = "queued"
        return True

    # ---- going on where another process stopped

    def _recover(self) -> None:
        """Look whether what was begun did reach Airflow; ask again for what did not."""
        for item in self.items.of(ItemState.ACTING):
            run = self.api.run_at(self.work.dag_id, date_of(item))
            if run is not None and run.run_id != item.facts["run"]:
                self._move(item, ItemState.WAITING, f"run {run.run_id} is somebody else's")
                continue
            never_cleared = (
                run is not None
                and item.facts["way"] == Way.CLEAR
                and run.has_ended
                and _stamp(run) == item.facts["before"]
            )
            if (run is None and item.facts["way"] == Way.MAKE) or never_cleared:
                log.info("Partition %s was meant to begin, and had not; it begins now.", item.item)
                again = self.items.begin(item, item.detail or "")
                if again is None:
                    self._move(item, ItemState.WAITING, self.limiter.why_none())
                elif not self._ask_for(again):
                    self._move(item, ItemState.WAITING, SOMEBODY_ELSES)

    def _redo_failed(self) -> None:
        """What failed for good is done again when the step is: by a person who cleared it."""
        again = [i for i in self.items.of(ItemState.FAILED) if i.facts.get("settled")]
        for item in again:
            self._move(item, ItemState.WAITING, "tried again", failures=0, settled=False)
        if again:
            log.info(
                "%d partitions that failed are done again; what is done stays done.", len(again)
            )

    def _settle(self) -> BackfillEnd:
        failed = self.items.of(ItemState.FAILED)
        for item in failed:
            self._move(item, ItemState.FAILED, item.detail or "failed", settled=True)
        now = self.clock.now()
        return BackfillEnd(
            tally=self.tally,
            allowed=self.allowed,
            failed=tuple(item.item for item in failed),
            seconds=(now - self.items.begun).total_seconds(),
        )

    @staticmethod
    def _is_ours(item: WorkItem, run: TargetRun | None) -> bool:
        """Whether the run is one that this backfill began, and that ended."""
        return run is not None and run.run_id == item.facts.get("run") and run.state == FAILED

    def _move(self, item: WorkItem, state: ItemState, detail: str, **facts: Any) -> WorkItem:
        if state is not ItemState.ACTING:
            self._states.pop(item.item, None)
        return self.items.move(item, state, detail, **facts)

    # ---- what people read

    def _tell(self) -> None:
        held = self._held or self._only_others()
        key = f"{self.tally}{self._limit}{held}"
        if key == self._told:
            return
        self._told = key
        rate = rate_of(self.items.ends(), self.items.begun, self.clock.now())
        log.info("%s", progress(self.tally, limit=self._limit, rate=rate, held=held))

    def _only_others(self) -> str | None:
        if self.too_many_failed:
            return f"{self.tally.failed} failed, {self.allowed} may; waiting for what runs"
        if self.tally.waiting and self.tally.waiting == len(self._theirs):
            return next(iter(self._theirs.values()))
        return None


def _stamp(run: TargetRun) -> str | None:
    """What tells one try of a run from the next."""
    return run.ended_at.isoformat() if run.ended_at else None
