"""What people ask of the ledger: what ran, who holds what, what the audit trail says.

Reads only: it makes no database, upgrades none, and leaves every row as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, desc, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from planner_provider.errors import MisconfiguredError, UnavailableError
from planner_provider.ledger import acts, approvals, compiled, decisions, leases, runs, waiting
from planner_provider.ledger.audit_check import Finding, Noted, check
from planner_provider.ledger.audit_rows import read_head, read_rows
from planner_provider.ledger.contention import claims, in_the_way, strongest
from planner_provider.ledger.engine import make_engine, reading, shown
from planner_provider.ledger.rows import (
    Act,
    Approval,
    AuditEntry,
    Blocker,
    CompiledPlan,
    Course,
    Hold,
    Lease,
    Mode,
    Outcome,
    PlanRun,
    RecordedDecision,
    Waiter,
    Waiting,
)
from planner_provider.ledger.schema import (
    APPROVALS,
    AUDIT,
    LEASE_QUEUE,
    LEASE_RESOURCES,
    LEASES,
    PLAN_RUNS,
)
from planner_provider.ledger.upgrade import require_schema, schema_version


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run and what the audit trail adds to it."""

    run: PlanRun
    started_at: datetime | None
    """When it was heard of first."""
    requested_by: str | None
    """The user who started it, where Airflow knew when the run was assessed."""

    @property
    def took(self) -> timedelta | None:
        """From its start to its end; ``None`` while it goes on, or if it never began."""
        if self.started_at is None or self.run.finished_at is None:
            return None
        return self.run.finished_at - self.started_at

    @property
    def started_by(self) -> str:
        """Who started it: a user, or what Airflow's name for the run says."""
        if self.requested_by:
            return self.requested_by
        kind, separator, _ = self.run.key.run_id.partition("__")
        known = {
            "manual": "a person",
            "scheduled": "the schedule",
            "backfill": "a backfill",
            "asset_triggered": "an asset",
        }
        return known.get(kind, "not known") if separator else "not known"


@dataclass(frozen=True, slots=True)
class Story:
    """All that is on record about a run. Every tuple is oldest first."""

    report: RunReport
    acts: tuple[Act, ...]
    decisions: tuple[RecordedDecision, ...]
    approvals: tuple[Approval, ...]
    leases: tuple[Lease, ...]
    waits: Waiter | None
    """Its place in the queue for locks."""
    compiled: CompiledPlan | None
    """The plan as it was compiled; ``None`` if only another version of it is kept."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease that is not given back, and the run that holds it."""

    lease: Lease
    run: PlanRun


@dataclass(frozen=True, slots=True)
class Locked:
    """Who holds locks and who waits for them, at one moment."""

    held: tuple[HeldLease, ...]
    """Oldest first."""
    waiting: tuple[Waiting, ...]
    """In order of arrival, each with what is in its way."""
    silent: tuple[Waiter, ...]
    """In the queue too, but they give no signs of life, so others overtake them."""


class Reports:
    """A ledger that exists, to be read.

    Every method raises ``UnavailableError`` if the database does not answer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Reports:
        """Open a ledger. Raises ``MisconfiguredError`` if it is not there, empty, or too old."""
        _require_file(url)
        engine = make_engine(url)
        with _answers(engine):
            if schema_version(engine) is None:
                raise MisconfiguredError(
                    f"The database at {shown(engine.url)} has no ledger in it. The first run of a "
                    "plan makes it; or this is another database than the planner's."
                )
            require_schema(engine, upgrade=False)
        return cls(engine)

    @property
    def place(self) -> str:
        """The URL without its password."""
        return shown(self._engine.url)

    # ---- runs

    def runs(
        self,
        *,
        plan: str | None = None,
        since: datetime | None = None,
        outcome: Outcome | None = None,
        unfinished: bool = False,
        limit: int = 20,
    ) -> tuple[RunReport, ...]:
        """Runs, newest first. A run that was cleared counts from when it went on."""
        moment = func.coalesce(PLAN_RUNS.c.assessed_at, PLAN_RUNS.c.finished_at)
        query = select(PLAN_RUNS.c.plan_id).order_by(desc(moment), PLAN_RUNS.c.plan_id)
        if plan is not None:
            query = query.where(PLAN_RUNS.c.plan == plan)
        if since is not None:
            query = query.where((moment >= since) | PLAN_RUNS.c.outcome.is_(None))
        if outcome is not None:
            query = query.where(PLAN_RUNS.c.outcome == outcome.value)
        if unfinished:
            query = query.where(PLAN_RUNS.c.outcome.is_(None))
        with self._reading() as connection:
            ids = connection.execute(query.limit(limit)).scalars().all()
            return tuple(_report(connection, plan_id) for plan_id in ids)

    def run(self, plan_id: str) -> RunReport | None:
        """One run by its plan ID."""
        with self._reading() as connection:
            if runs.get(connection, plan_id) is None:
                return None
            return _report(connection, plan_id)

    def plan_ids(self, prefix: str, limit: int = 6) -> tuple[str, ...]:
        """The plan IDs that begin so; one that is equal stands alone."""
        query = (
            select(PLAN_RUNS.c.plan_id)
            .where(PLAN_RUNS.c.plan_id.startswith(prefix, autoescape=True))
            .order_by(desc(func.coalesce(PLAN_RUNS.c.assessed_at, PLAN_RUNS.c.finished_at)))
            .limit(limit)
        )
        with self._reading() as connection:
            if runs.get(connection, prefix) is not None:
                return (prefix,)
            return tuple(connection.execute(query).scalars())

    def story(self, plan_id: str) -> Story | None:
        """All that is on record about a run."""
        tasks = select(APPROVALS.c.task).where(APPROVALS.c.plan_id == plan_id).distinct()
        with self._reading() as connection:
            if runs.get(connection, plan_id) is None:
                return None
            report = _report(connection, plan_id)
            found = [
                approvals.find(connection, plan_id, task)
                for task in sorted(connection.execute(tasks).scalars())
            ]
            kept = compiled.last(connection, report.run.key.plan)
            return Story(
                report=report,
                acts=acts.of_run(connection, plan_id),
                decisions=decisions.of_run(connection, plan_id),
                approvals=tuple(item for item in found if item is not None),
                leases=tuple(item.lease for item in _held(connection, LEASES.c.plan_id == plan_id)),
                waits=waiting.find(connection, plan_id),
                compiled=kept if kept and kept.digest == report.run.key.digest else None,
            )

    def decision(self, decision_id: int) -> RecordedDecision | None:
        """The decision with this id."""
        with self._reading() as connection:
            return decisions.find(connection, decision_id)

    def vouches_for(self, recorded: RecordedDecision) -> bool | None:
        """Whether the audit trail has this decision, to the byte; ``None`` if it says nothing."""
        query = select(AUDIT.c.detail).where(
            AUDIT.c.plan_id == recorded.plan_id, AUDIT.c.what == "decision.made"
        )
        with self._reading() as connection:
            for detail in connection.execute(query).scalars():
                if detail.get("decision") == recorded.id:
                    said = detail.get("sha256")
                    return (
                        None if said is None else said == decisions.fingerprint(recorded.decision)
                    )
        return None

    # ---- locks

    def locked(self, now: datetime) -> Locked:
        """Who holds what, and who waits for it."""
        with self._reading() as connection:
            lined = waiting.lined_up(connection, now)
            alive = {item.waiter.plan_id for item in lined}
            queued = connection.execute(
                select(LEASE_QUEUE.c.plan_id).order_by(LEASE_QUEUE.c.ticket)
            ).scalars()
            silent = [waiting.find(connection, plan_id) for plan_id in queued.all()]
            return Locked(
                held=_held(connection, LEASES.c.released_at.is_(None)),
                waiting=lined,
                silent=tuple(w for w in silent if w is not None and w.plan_id not in alive),
            )

    def in_the_way(self, holds: Sequence[Hold], now: datetime) -> tuple[Blocker, ...]:
        """What is held or waited for now and keeps a new run from these; a forecast."""
        with self._reading() as connection:
            others = list(leases.held(connection, [hold.resource for hold in holds]))
            for item in waiting.lined_up(connection, now):
                run = runs.get(connection, item.waiter.plan_id)
                others += claims(item.waiter, (run.key.dag_id, run.key.run_id) if run else ("", ""))
        return in_the_way(strongest(holds), others, plan_id="")

    # ---- audit

    def audit(
        self, plan_id: str | None = None, since: datetime | None = None
    ) -> tuple[AuditEntry, ...]:
        """Entries of the audit trail, oldest first."""
        query = select(AUDIT).order_by(AUDIT.c.seq)
        if plan_id is not None:
            query = query.where(AUDIT.c.plan_id == plan_id)
        if since is not None:
            query = query.where(AUDIT.c.at >= since)
        with self._reading() as connection:
            return tuple(AuditEntry(**row._mapping) for row in connection.execute(query))

    def audit_head(self) -> Noted | None:
        """The last row that was written, by the record of the head; ``None`` without one."""
        with self._reading() as connection:
            return read_head(connection)

    def check_audit(self, noted: Noted | None = None) -> Finding:
        """Walk the whole trail, as it was at one moment."""
        with self._reading() as connection:
            return check(lambda: read_rows(connection), read_head(connection), noted)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _answers(self._engine), reading(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
            yield connection


@contextmanager
def _answers(engine: Engine) -> Iterator[None]:
    """Turn what a database says that is broken, or is none, into ``UnavailableError``."""
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
        raise UnavailableError(
            f"The ledger at {shown(engine.url)} cannot be read: {said[0]}"
        ) from error
    except (SQLAlchemyError, ValueError) as error:
        raise UnavailableError(
            f"The ledger at {shown(engine.url)} holds something that cannot be read: {error}"
        ) from error


def _require_file(url: str) -> None:
    try:
        parsed = make_url(url)
    except ArgumentError:
        return  # make_engine says so better
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        return
    if not Path(str(parsed.database)).is_file():
        raise MisconfiguredError(f"There is no ledger at {shown(parsed)}.")


def _report(connection: Connection, plan_id: str) -> RunReport:
    run = runs.get(connection, plan_id)
    if run is None:
        raise AssertionError("the run was found in this transaction")
    query: Select[Any] = (
        select(AUDIT.c.at).where(AUDIT.c.plan_id == plan_id).order_by(AUDIT.c.seq).limit(1)
    )
    first = connection.execute(query).one_or_none()
    assessed = select(AUDIT.c.detail).where(
        AUDIT.c.plan_id == plan_id, AUDIT.c.what == "run.assessed"
    )
    detail = connection.execute(assessed.order_by(AUDIT.c.seq).limit(1)).scalar_one_or_none()
    by = detail.get("requester") if isinstance(detail, dict) else None
    return RunReport(run, first.at if first else run.assessed_at, by)


def _held(connection: Connection, condition: Any) -> tuple[HeldLease, ...]:
    query = select(LEASES).where(condition).order_by(LEASES.c.generation)
    found = []
    for row in connection.execute(query).all():
        holds = connection.execute(
            select(LEASE_RESOURCES)
            .where(LEASE_RESOURCES.c.generation == row.generation)
            .order_by(LEASE_RESOURCES.c.resource)
        )
        run = runs.get(connection, row.plan_id)
        if run is not None:
            found.append(HeldLease(_lease(row, holds.all()), run))
    return tuple(found)


def _lease(row: Row[Any], holds: Sequence[Row[Any]]) -> Lease:
    return Lease(
        generation=row.generation,
        plan_id=row.plan_id,
        taken_at=row.taken_at,
        closing_at=row.closing_at,
        course=None if row.course is None else Course(row.course),
        released_at=row.released_at,
        holds=tuple(Hold(held.resource, Mode(held.mode)) for held in holds),
    )
