"""What the audit trail comes to: counts, distributions, and one record for each run that ended.

The trail only grows, so a count made from it never falls, also when a run that has ended is cleared
and goes on. Read from its beginning once in a process, then only what is new; every process that
reads the same ledger comes to the same numbers.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from planner_provider.ledger.rows import WINDOW_ENDED, Outcome
from planner_provider.metrics.distributions import Distributions
from planner_provider.metrics.events import Event

log = logging.getLogger(__name__)

MAX_PLANS = 500
"""Plans beyond this many, in the order in which the ledger heard of them, are counted as one."""
OTHER = "other"
KEPT = timedelta(days=63)
"""For how long the record of a run that ended is kept: two months, to compare one with the other.
"""
CHECKS = frozenset({"slo_gate", "coverage", "window", "approval"})
"""Kinds of decisions that say whether a run may begin to act at all."""
GATES = frozenset({"slo_gate", "coverage", "canary"})
"""Kinds of decisions that are made from facts about the world."""


@dataclass(slots=True)
class Open:
    """A run that has not ended, as far as the trail was read."""

    plan_id: str
    plan: str
    run_id: str
    began_at: datetime
    last_at: datetime
    requester: str | None = None
    asked: dict[str, datetime] = field(default_factory=dict)
    """Tasks that wait for approval, and since when."""
    approved_at: datetime | None = None
    queued_at: datetime | None = None
    waited_for_locks: bool = False
    acted_at: datetime | None = None
    checks: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Kind and step -> whether the last decision before the first act said proceed."""
    checks_failed: int = 0
    stopped: bool = False
    """Whether a person stopped it."""
    detected_at: datetime | None = None
    """The first sign that something is wrong."""
    retries: int = 0
    first_slo: int | None = None
    last_slo: int | None = None
    """Ids of the first and the last decision about SLOs."""
    last_cost: int | None = None
    """Id of the last reading of what it costs."""
    error: str | None = None
    """Class of the last error of a task."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that ended, with what is measured about it."""

    plan_id: str
    plan: str
    run_id: str
    requester: str | None
    outcome: Outcome
    reason: str
    began_at: datetime
    ended_at: datetime
    approval: timedelta | None
    """From its approval to its end; ``None`` without an approval."""
    rollback: timedelta | None
    """From the first sign of trouble to the end, if it was rolled back."""
    acted: bool
    waited_for_locks: bool
    checks: int
    checks_failed: int
    retries: int
    first_slo: int | None
    last_slo: int | None
    error: str | None
    last_cost: int | None = None

    @property
    def took(self) -> timedelta:
        """From its beginning to its end."""
        return self.ended_at - self.began_at


@dataclass(frozen=True, slots=True)
class Answered:
    """An approval that was closed."""

    plan_id: str
    plan: str
    task: str
    state: str
    asked_at: datetime
    closed_at: datetime

    @property
    def latency(self) -> timedelta:
        """From the question to its end."""
        return self.closed_at - self.asked_at


class Fold:
    """Takes events, oldest first, and keeps what they come to."""

    def __init__(self, step_kind: Callable[[str, str], str] = lambda _plan, _step: "unknown"):
        self.step_kind = step_kind
        """Plan and step -> name of the step's action."""
        self.transitions: Counter[tuple[str, str]] = Counter()
        self.approvals: Counter[tuple[str, str]] = Counter()
        self.acts: Counter[tuple[str, str, str]] = Counter()
        self.retries: Counter[tuple[str, str]] = Counter()
        self.decisions: Counter[tuple[str, str, str]] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.conflicts: Counter[str] = Counter()
        self.checks: Counter[tuple[str, str]] = Counter()
        self.holds: Counter[str] = Counter()
        self.throttle_sets: Counter[str] = Counter()
        self.times = Distributions()
        self.open: dict[str, Open] = {}
        self.ended: dict[str, Ended] = {}
        self.answered: list[Answered] = []
        self.last_decision: dict[tuple[str, str], tuple[int, datetime]] = {}
        """Plan and kind -> id and time of the newest decision."""
        self.last_of_run: dict[str, tuple[int, datetime]] = {}
        """Plan ID -> id and time of its newest decision about SLOs."""
        self.last_end: dict[tuple[str, str, str], datetime] = {}
        """Label of a plan, outcome, and whether a ``person`` stopped it or it ended by ``itself``
        -> the last time that a run ended so."""
        self.last_success: dict[str, datetime] = {}
        self.last_scheduled_success: dict[str, datetime] = {}
        self.last_seen: dict[str, datetime] = {}
        """Plan -> the last time that anything happened to a run of it."""
        self._names: dict[str, str] = {}
        self._acting: dict[int, tuple[datetime, str, str]] = {}

    def label(self, plan: str) -> str:
        """The plan's name as a label. There are at most ``MAX_PLANS`` of them, and ``other``."""
        known = self._names.get(plan)
        if known is None:
            known = self._names[plan] = plan if len(self._names) < MAX_PLANS else OTHER
        return known

    def take(self, event: Event) -> None:
        """Add an event. Those that mean nothing here are passed over."""
        handler = _HANDLERS.get(event.what)
        if handler is None:
            return
        self.last_seen[event.plan] = event.at
        run = self.open.get(event.plan_id)
        if run is None:
            run = self.open[event.plan_id] = Open(
                event.plan_id, event.plan, event.run_id, event.at, event.at
            )
        run.last_at = event.at
        run.run_id = run.run_id or event.run_id
        try:
            handler(self, event, run)
        except (KeyError, TypeError, ValueError):
            log.warning("An entry %s of run %s cannot be read.", event.what, event.plan_id)

    def forget(self, now: datetime) -> None:
        """Drop records that are too old to be compared with anything."""
        limit = now - KEPT
        self.ended = {k: run for k, run in self.ended.items() if run.ended_at > limit}
        self.answered = [item for item in self.answered if item.closed_at > limit]

    # ---- what each kind of entry means

    def _assessed(self, event: Event, run: Open) -> None:
        run.requester = event.detail.get("requester") or run.requester

    def _asked(self, event: Event, run: Open) -> None:
        run.asked[str(event.detail.get("task"))] = event.at

    def _closed(self, event: Event, run: Open) -> None:
        state = event.what.removeprefix("approval.")
        task = str(event.detail.get("task"))
        self.approvals[self.label(run.plan), state] += 1
        asked_at = run.asked.pop(task, None)
        if state == "granted":
            run.approved_at = event.at
            self.transitions[self.label(run.plan), "approved"] += 1
        if asked_at is None:
            return
        self.answered.append(Answered(run.plan_id, run.plan, task, state, asked_at, event.at))
        self.times.add("approval", (state,), event.at - asked_at)

    def _queued(self, event: Event, run: Open) -> None:
        if run.queued_at is None:
            run.queued_at = event.at
        if not run.waited_for_locks:
            run.waited_for_locks = True
            self.conflicts[self.label(run.plan)] += 1

    def _leased(self, event: Event, run: Open) -> None:
        if run.queued_at is not None:
            self.times.add("lock_wait", (), event.at - run.queued_at)
            run.queued_at = None

    def _began(self, event: Event, run: Open) -> None:
        act, step = int(event.detail.get("act", 0)), str(event.detail.get("step"))
        if act in self._acting:
            return  # it goes on after a deferral
        role = str(event.detail.get("role"))
        kind = self.step_kind(run.plan, step.partition("/")[0])
        self._acting[act] = (event.at, kind, role)
        if int(event.detail.get("try") or 1) > 1:
            run.retries += 1
            self.retries[self.label(run.plan), kind] += 1
        if role == "step" and run.acted_at is None:
            run.acted_at = event.at
            self.transitions[self.label(run.plan), "executing"] += 1
            run.checks_failed = sum(not passed for passed in run.checks.values())
            self.checks[self.label(run.plan), "not_passed"] += run.checks_failed
            self.checks[self.label(run.plan), "passed"] += len(run.checks) - run.checks_failed

    def _act_ended(self, event: Event, run: Open) -> None:
        result = str(event.detail.get("result"))
        self._end_act(event, run, int(event.detail.get("act", 0)), result)

    def _silent(self, event: Event, run: Open) -> None:
        for act in event.detail.get("acts", ()):
            self._end_act(event, run, int(act), "unknown")

    def _end_act(self, event: Event, run: Open, act: int, result: str) -> None:
        began_at, kind, role = self._acting.pop(act, (event.at, "unknown", "step"))
        self.acts[self.label(run.plan), role, result] += 1
        self.times.add("act", (kind, role, result), event.at - began_at)
        if result == "failed" and role != "check":
            self._detect(event, run)

    def _decision(self, event: Event, run: Open) -> None:
        kind, verdict = str(event.detail.get("kind")), str(event.detail.get("verdict"))
        number, step = int(event.detail.get("decision", 0)), event.detail.get("step")
        self.decisions[self.label(run.plan), kind, verdict] += 1
        self.last_decision[run.plan, kind] = (number, event.at)
        if kind in GATES:
            self.last_of_run[run.plan_id] = (number, event.at)
        if kind == "slo_gate":
            run.first_slo = number if run.first_slo is None else run.first_slo
            run.last_slo = number
        if kind == "cost":
            run.last_cost = number
        if kind in CHECKS and run.acted_at is None:
            run.checks[kind, str(step or "")] = verdict == "proceed"
        if verdict == "roll_back":
            self._detect(event, run)

    def _decided(self, event: Event, run: Open) -> None:
        if event.detail.get("course") == "undo":
            self._detect(event, run)

    def _aborted(self, event: Event, run: Open) -> None:
        run.stopped = not str(event.detail.get("reason") or "").startswith(WINDOW_ENDED)
        self._detect(event, run)

    def _detect(self, event: Event, run: Open) -> None:
        if run.acted_at is not None and run.detected_at is None:
            run.detected_at = event.at

    def _failed(self, event: Event, run: Open) -> None:
        run.error = str(event.detail.get("error"))
        self.errors[self.label(run.plan), run.error] += 1
        if run.error == "LocksHeldError" and not run.waited_for_locks:
            run.waited_for_locks = True
            self.conflicts[self.label(run.plan)] += 1

    def _held(self, event: Event, run: Open) -> None:
        self.holds[self.label(run.plan)] += 1

    def _throttle(self, event: Event, run: Open) -> None:
        self.throttle_sets[self.label(run.plan)] += 1

    def _finished(self, event: Event, run: Open) -> None:
        outcome = Outcome(event.detail["outcome"])
        plan, at = self.label(run.plan), event.at
        self.transitions[plan, outcome.value] += 1
        self.last_end[plan, outcome.value, "person" if run.stopped else "itself"] = at
        self.times.add("run", (outcome.value,), at - run.began_at)
        approval = at - run.approved_at if run.approved_at else None
        if approval is not None and outcome is Outcome.SUCCEEDED:
            self.times.add("completion", (), approval)
        undone = outcome is Outcome.ROLLED_BACK and run.detected_at is not None
        rollback = at - run.detected_at if undone and run.detected_at else None
        if rollback is not None:
            self.times.add("rollback", (), rollback)
        if outcome is Outcome.SUCCEEDED:
            self.last_success[run.plan] = at
            if run.run_id.startswith("scheduled__"):
                self.last_scheduled_success[run.plan] = at
        self.ended[run.plan_id] = Ended(
            plan_id=run.plan_id,
            plan=run.plan,
            run_id=run.run_id,
            requester=run.requester,
            outcome=outcome,
            reason=str(event.detail.get("reason") or ""),
            began_at=run.began_at,
            ended_at=at,
            approval=approval,
            rollback=rollback,
            acted=run.acted_at is not None,
            waited_for_locks=run.waited_for_locks,
            checks=len(run.checks) if run.acted_at is not None else 0,
            checks_failed=run.checks_failed,
            retries=run.retries,
            first_slo=run.first_slo,
            last_slo=run.last_slo,
            error=run.error,
            last_cost=run.last_cost,
        )
        del self.open[run.plan_id]
        self.last_of_run.pop(run.plan_id, None)


_HANDLERS: dict[str, Callable[[Fold, Event, Open], None]] = {
    "run.assessed": Fold._assessed,
    "approval.asked": Fold._asked,
    "approval.granted": Fold._closed,
    "approval.rejected": Fold._closed,
    "approval.expired": Fold._closed,
    "approval.cancelled": Fold._closed,
    "lease.queued": Fold._queued,
    "lease.taken": Fold._leased,
    "act.began": Fold._began,
    "act.ended": Fold._act_ended,
    "act.silent": Fold._silent,
    "decision.made": Fold._decision,
    "run.decided": Fold._decided,
    "run.failing": lambda fold, event, run: fold._detect(event, run),
    "run.aborted": Fold._aborted,
    "task.failed": Fold._failed,
    "run.held": Fold._held,
    "throttle.set": Fold._throttle,
    "run.finished": Fold._finished,
}
