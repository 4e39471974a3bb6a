"""Reads a ledger for metrics and reports: all of its trail once, then only what is new."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from planner_provider.errors import MisconfiguredError
from planner_provider.ledger.engine import make_engine, reading, shown
from planner_provider.ledger.schema import COMPILED_PLANS, DECISIONS
from planner_provider.ledger.upgrade import require_schema
from planner_provider.metrics import events
from planner_provider.metrics.events import Position
from planner_provider.metrics.evidence import (
    Budget,
    CostChange,
    Evidence,
    budgets,
    burnt,
    cost_change,
    evidence,
)
from planner_provider.metrics.fold import Ended, Fold
from planner_provider.metrics.plans import PlanFacts, plan_facts, stale_since
from planner_provider.metrics.present import Present, look

RECENT = timedelta(hours=1)
"""How old the newest decision of a plan may be to say something about its inputs now."""
STALE_KEPT = timedelta(minutes=10)
"""For how long it is not worked out again since when a plan is stale."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What metrics and reports are made from. ``fold`` changes with the next reading."""

    at: datetime
    fold: Fold
    present: Present
    plans: Mapping[str, PlanFacts]
    newest: tuple[Evidence, ...]
    """The newest decision of each plan and kind that was made not long ago."""
    live: Mapping[str, Evidence]
    """Plan ID of a run that goes on -> its newest decision about SLOs or a canary."""
    burnt: Mapping[str, float]
    """Plan ID of a run that ended -> share of an error budget that went during it."""
    costs: Mapping[str, CostChange]
    """Plan ID of a run that ended -> what it cost before and after."""
    stale_since: Mapping[str, datetime]
    """Plan that starts by itself -> since when it must have succeeded."""

    def is_stale(self, plan: str) -> bool:
        """Whether the plan starts by itself and has not succeeded for too long."""
        limit = self.stale_since.get(plan)
        facts = self.plans.get(plan)
        if limit is None or facts is None or facts.compiled_at >= limit:
            return False
        success = self.fold.last_success.get(plan)
        return success is None or success < limit


@dataclass(slots=True)
class _Known:
    """What was read from one trail."""

    fold: Fold
    position: Position = field(default_factory=Position)
    evidence: dict[int, Evidence] = field(default_factory=dict)
    budgets: dict[int, tuple[Budget, ...]] = field(default_factory=dict)
    costs: dict[int, CostChange | None] = field(default_factory=dict)
    plans: dict[str, PlanFacts] = field(default_factory=dict)
    stale: dict[tuple[str, str], tuple[datetime, datetime | None]] = field(default_factory=dict)


class MetricsReader:
    """One ledger. May be used by several threads, one after the other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._known = self._fresh()
        self._checked = False

    @classmethod
    def open(cls, url: str) -> MetricsReader:
        """A ledger that exists, or will when it is read. Raises ``MisconfiguredError``."""
        return cls(make_engine(url))

    def read(self, now: datetime) -> Snapshot:
        """Read what is new. Raises ``UnavailableError`` or ``MisconfiguredError``."""
        with self._lock:
            if not self._checked:
                _require_file(self._engine)
                require_schema(self._engine, upgrade=False)
                self._checked = True
            with reading(self._engine) as connection:
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql(
                        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                    )
                try:
                    return self._read(connection, now)
                except BaseException:
                    self._known = self._fresh()  # half of it may be counted
                    raise

    def _read(self, connection: Connection, now: datetime) -> Snapshot:
        if not events.holds(connection, self._known.position):
            self._known = self._fresh()  # another ledger stands in its place
        known = self._known
        self._read_plans(connection)
        end = events.last(connection)
        for event in events.between(connection, known.position, end):
            known.fold.take(event)
        known.position = end
        known.fold.forget(now)
        present = look(connection)
        newest = {number for number, at in known.fold.last_decision.values() if now - at <= RECENT}
        alive = {run.plan_id for run in present.live}
        live = {
            plan_id: number
            for plan_id, (number, _) in known.fold.last_of_run.items()
            if plan_id in alive
        }
        self._read_evidence(connection, newest | set(live.values()))
        spent = self._burnt(connection, known.fold.ended.values())
        return Snapshot(
            at=now,
            fold=known.fold,
            present=present,
            plans=dict(known.plans),
            newest=tuple(known.evidence[n] for n in sorted(newest) if n in known.evidence),
            live={p: known.evidence[n] for p, n in live.items() if n in known.evidence},
            burnt=spent,
            costs=self._costs(connection, known.fold.ended.values()),
            stale_since=self._stale(now),
        )

    def _fresh(self) -> _Known:
        def kind(plan: str, step: str) -> str:
            facts = self._known.plans.get(plan)
            return facts.kinds.get(step, "unknown") if facts else "unknown"

        return _Known(Fold(kind))

    def _read_plans(self, connection: Connection) -> None:
        columns = COMPILED_PLANS.c
        there = {
            plan: (digest, at)
            for plan, digest, at in connection.execute(
                select(columns.plan, columns.digest, columns.compiled_at)
            )
        }
        plans = self._known.plans
        new = [
            plan
            for plan, (digest, at) in there.items()
            if plan not in plans or (plans[plan].digest, plans[plan].compiled_at) != (digest, at)
        ]
        query = select(columns.plan, columns.graph).where(columns.plan.in_(new))
        for plan, graph in connection.execute(query):
            plans[plan] = plan_facts(plan, *there[plan], graph)
        for gone in plans.keys() - there.keys():
            del plans[gone]

    def _read_evidence(self, connection: Connection, wanted: set[int]) -> None:
        known = self._known.evidence
        columns = DECISIONS.c
        query = select(
            columns.id, columns.plan_id, columns.kind, columns.decided_at, columns.inputs,
            columns.verdict,
        ).where(columns.id.in_(wanted - known.keys()))  # fmt: skip
        for row in connection.execute(query):
            known[row.id] = evidence(*row)
        for gone in known.keys() - wanted:
            del known[gone]

    def _burnt(self, connection: Connection, ended: Iterable[Ended]) -> dict[str, float]:
        """M6 of each run: two decisions about its SLOs, the first and the last."""
        runs = [run for run in ended if run.first_slo != run.last_slo]
        wanted = {number for run in runs for number in (run.first_slo, run.last_slo) if number}
        known = self._known.budgets
        query = select(DECISIONS.c.id, DECISIONS.c.verdict).where(
            DECISIONS.c.id.in_(wanted - known.keys())
        )
        for number, verdict in connection.execute(query):
            known[number] = budgets(verdict)
        for gone in known.keys() - wanted:
            del known[gone]
        found = {
            run.plan_id: burnt(known.get(run.first_slo or 0, ()), known.get(run.last_slo or 0, ()))
            for run in runs
        }
        return {plan_id: share for plan_id, share in found.items() if share is not None}

    def _costs(self, connection: Connection, ended: Iterable[Ended]) -> dict[str, CostChange]:
        """M7 of each run that acted: what was read before its first change, and at its end."""
        runs = {run.plan_id: run.last_cost for run in ended if run.acted and run.last_cost}
        wanted, known = set(runs.values()), self._known.costs
        query = select(DECISIONS.c.id, DECISIONS.c.verdict).where(
            DECISIONS.c.id.in_(wanted - known.keys())
        )
        for number, verdict in connection.execute(query):
            known[number] = cost_change(verdict)
        for gone in known.keys() - wanted:
            del known[gone]
        found = {plan_id: known.get(number) for plan_id, number in runs.items()}
        return {plan_id: change for plan_id, change in found.items() if change is not None}

    def _stale(self, now: datetime) -> dict[str, datetime]:
        known = self._known.stale
        for facts in self._known.plans.values():
            key = (facts.plan, facts.digest)
            last = known.get(key)
            if last is None or not timedelta(0) <= now - last[0] < STALE_KEPT:
                known[key] = (now, stale_since(facts, now))
        current = {(facts.plan, facts.digest) for facts in self._known.plans.values()}
        for gone in known.keys() - current:
            del known[gone]
        return {plan: since for (plan, _), (_, since) in known.items() if since is not None}


def _require_file(engine: Engine) -> None:
    """Looking must not make an empty database."""
    url = engine.url
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise MisconfiguredError(f"There is no ledger at {shown(url)}.")
