"""The overview of all plans and runs, from a fixed number of statements however many there are.

``Overviews`` keeps in memory what cannot change any more: versions of plans, verdicts, how runs
came about. It is made once for a process and is fit for many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine

from planner_provider.ledger import overview_rows as rows
from planner_provider.ledger import run_lists, waiting
from planner_provider.ledger.calendar_changes import in_sight
from planner_provider.ledger.due import DueNow, DuePlans
from planner_provider.ledger.engine import reading
from planner_provider.ledger.overview_rows import Beginning
from planner_provider.ledger.plan_facts import PlanFacts, Plans
from planner_provider.ledger.rows import PlanRun, Throttle
from planner_provider.ledger.run_lists import RunFilter
from planner_provider.ledger.run_now import (
    RunNow,
    Seen,
    Wanted,
    ended_run,
    rollback_failed,
    run_now,
    urgency,
    wanted_of,
)
from planner_provider.ledger.verdict_marks import VerdictMark, mark

RECENT = 50
"""So many runs that ended last are shown."""
WEEK = timedelta(days=7)
REMEMBERED = 20_000
"""So many things that cannot change are kept in memory, of each kind."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values that never change, the oldest forgotten first."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._values: dict[Key, Value] = {}
        self._most = most

    def get(self, key: Key) -> Value | None:
        """The value, if it is kept."""
        return self._values.get(key)

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Those that are not kept."""
        return [key for key in keys if key not in self._values]

    def add(self, values: Mapping[Key, Value]) -> None:
        """Keep them."""
        self._values.update(values)
        while len(self._values) > self._most:
            self._values.pop(next(iter(self._values)), None)


@dataclass(frozen=True, slots=True)
class Board:
    """All plans and runs at one moment."""

    at: datetime = field(compare=False)
    wanted: tuple[Wanted, ...]
    """What needs people, the most urgent first."""
    live: tuple[RunNow, ...]
    """Runs that go on, newest first."""
    due: tuple[DueNow, ...]
    """Plans that will start by themselves, the soonest first."""
    recent: tuple[RunNow, ...]
    """Runs that ended last, newest first, without steps."""
    ended_7d: Mapping[tuple[str, str], int]
    """(DAG id, outcome) -> runs that ended in the last seven days."""


class Overviews:
    """Reads the ledger for people who look at all of it, again and again.

    Every method raises ``UnavailableError`` if the database does not answer.
    """

    def __init__(self, engine: Engine, *, override_users: Collection[str] = ()) -> None:
        self._engine = engine
        self._override_users = tuple(override_users)
        self.plans = Plans()
        self._beginnings: Kept[str, Beginning] = Kept()
        self._marks: Kept[int, VerdictMark] = Kept()
        self._due = DuePlans()
        self._turn = threading.Lock()

    def board(self, now: datetime) -> Board:
        """Everything at this moment."""
        with self._reading() as connection:
            self._refresh(connection)
            live = run_lists.live_runs(connection)
            recent = run_lists.ended_runs(connection, RECENT)
            broken = run_lists.not_put_right(connection, now - WEEK)
            counts = run_lists.ended_counts(connection, now - WEEK)
            changes = in_sight(connection, None, now)
            began = self._began(connection, [*live, *recent])
            seen = self._seen(connection, [run.plan_id for run in live], now)
        shown = [self._run_now(run, began, seen[run.plan_id], now) for run in live]
        wanted = [item for run in shown for item in wanted_of(run, seen[run.run.plan_id])]
        wanted += [item for run in broken if (item := rollback_failed(run)) is not None]
        running = {item.run.key.plan: item.facts for item in shown if item.facts is not None}
        with self._turn:
            due = self._due.due(
                self.plans.newest(), changes,
                override_users=self._override_users, running=running, now=now,
            )  # fmt: skip
        return Board(
            at=now,
            wanted=tuple(sorted(wanted, key=urgency)),
            live=tuple(shown),
            due=due,
            recent=tuple(
                ended_run(run, self._facts(run), began.get(run.plan_id)) for run in recent
            ),
            ended_7d=counts,
        )

    def dag_ids(self) -> frozenset[str]:
        """All DAGs of which there is a run or a plan."""
        with self._reading() as connection:
            self._refresh(connection)
            known = run_lists.known_dags(connection)
        return frozenset(known) | {facts.plan for facts in self.plans.newest()}

    def page(
        self, wanted: RunFilter, limit: int, now: datetime
    ) -> tuple[tuple[RunNow, datetime | None], ...]:
        """A page of runs, newest first, each with its moment in the order.

        Runs that go on come with their steps.
        """
        with self._reading() as connection:
            self._refresh(connection)
            found = run_lists.page_of_runs(connection, wanted, limit)
            began = self._began(connection, [run for run, _ in found])
            live = [run.plan_id for run, _ in found if run.outcome is None]
            seen = self._seen(connection, live, now)
        return tuple(
            (
                ended_run(run, self._facts(run), began.get(run.plan_id))
                if run.outcome is not None
                else self._run_now(run, began, seen[run.plan_id], now),
                moment,
            )
            for run, moment in found
        )

    def one(self, connection: Connection, run: PlanRun, now: datetime) -> tuple[RunNow, Seen]:
        """One run with its steps, also if it has ended."""
        self._refresh(connection)
        began = self._began(connection, [run])
        seen = self._seen(connection, [run.plan_id], now)[run.plan_id]
        return self._run_now(run, began, seen, now), seen

    def marks(
        self, connection: Connection, found: Iterable[rows.VerdictRow]
    ) -> tuple[VerdictMark, ...]:
        """Decisions as lists show them, in the same order."""
        marks = []
        for row in found:
            known = self._marks.get(row.id)
            if known is None:
                known = mark(row)
                self._marks.add({row.id: known})
            marks.append(known)
        return tuple(marks)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees the ledger as it is at one moment."""
        with self._reading() as connection:
            yield connection

    # ---- parts

    def _refresh(self, connection: Connection) -> None:
        with self._turn:
            self.plans.refresh(connection)

    def _facts(self, run: PlanRun) -> PlanFacts | None:
        return self.plans.version(run.key.plan, run.key.digest) or self.plans.of(run.key.plan)

    def _run_now(
        self, run: PlanRun, began: Mapping[str, Beginning], seen: Seen, now: datetime
    ) -> RunNow:
        exact = self.plans.version(run.key.plan, run.key.digest)
        return run_now(run, self._facts(run), exact, began.get(run.plan_id), seen, now)

    def _began(self, connection: Connection, found: Sequence[PlanRun]) -> dict[str, Beginning]:
        ids = [run.plan_id for run in found]
        missing = self._beginnings.missing(ids)
        fresh: dict[str, Beginning] = {}
        if missing:
            fresh = rows.beginnings(connection, missing)
            settled = {r.plan_id for r in found if r.assessed_at is not None or r.outcome}
            self._beginnings.add({name: it for name, it in fresh.items() if name in settled})
        kept = {name: it for name in ids if (it := self._beginnings.get(name)) is not None}
        return fresh | kept

    def _seen(self, connection: Connection, ids: Sequence[str], now: datetime) -> dict[str, Seen]:
        """What the ledger holds of these runs: the same statements for any number of them."""
        groups = _by_run(rows.act_groups(connection, ids))
        items = _by_run(rows.item_groups(connection, ids))
        marks = _by_run(self._last_marks(connection, ids))
        approvals = _by_run(rows.open_approvals(connection, ids))
        throttles = _by_run(rows.throttles(connection, ids))
        waits = {item.waiter.plan_id: item for item in waiting.lined_up(connection, now)}
        return {
            plan_id: Seen(
                groups=groups.get(plan_id, ()),
                items=items.get(plan_id, ()),
                marks=marks.get(plan_id, ()),
                approvals=approvals.get(plan_id, ()),
                throttles=throttles.get(plan_id, ()),
                waits=waits.get(plan_id),
            )
            for plan_id in ids
        }

    def _last_marks(self, connection: Connection, ids: Sequence[str]) -> list[VerdictMark]:
        last = [item.id for item in rows.last_decisions(connection, ids)]
        missing = self._marks.missing(last)
        if missing:
            self._marks.add({row.id: mark(row) for row in rows.verdicts(connection, missing)})
        return [found for id_ in last if (found := self._marks.get(id_)) is not None]

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with reading(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
            yield connection


_OfRun = TypeVar("_OfRun", rows.ActGroup, rows.ItemGroup, VerdictMark, rows.OpenApproval, Throttle)


def _by_run(found: Iterable[_OfRun]) -> dict[str, list[_OfRun]]:
    by_run: dict[str, list[_OfRun]] = {}
    for item in found:
        by_run.setdefault(item.plan_id, []).append(item)
    return by_run
