"""What goes on now: runs, approvals, queues, throttles, notices. One statement for each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from planner_provider.ledger.notices import WAITING, NoticeState
from planner_provider.ledger.rows import ActRole, ApprovalState, Course
from planner_provider.ledger.schema import (
    ACTS,
    APPROVALS,
    AUDIT_HEAD,
    LEASE_QUEUE,
    LEASES,
    NOTICES,
    PLAN_RUNS,
    SLOTS,
    THROTTLES,
)

STATES = (
    "held", "stopping", "rolling_back", "approval", "locks", "failing", "acting", "waiting",
    "running",
)  # fmt: skip
"""What a run that goes on is doing. The first that fits is its state."""


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that has not ended."""

    plan_id: str
    plan: str
    run_id: str
    state: str
    assessed_at: datetime | None
    held_at: datetime | None
    held_by: str | None
    held_reason: str | None


@dataclass(frozen=True, slots=True)
class OpenApproval:
    """A question that nobody has answered yet."""

    plan_id: str
    plan: str
    task: str
    asked_at: datetime
    requester: str | None


@dataclass(frozen=True, slots=True)
class ThrottleNow:
    """How much may go on at once, and does."""

    plan: str
    name: str
    limit: float
    minimum: float
    maximum: float
    used: int


@dataclass(frozen=True, slots=True)
class Present:
    """The ledger at one moment."""

    created: Mapping[str, int]
    """Plan -> how many runs were ever written down."""
    live: tuple[LiveRun, ...]
    approvals: tuple[OpenApproval, ...]
    """Oldest first."""
    queued: Mapping[str, datetime]
    """Plan ID of a run that waits for locks -> since when."""
    throttles: tuple[ThrottleNow, ...]
    notices: Mapping[tuple[str, str], int]
    """Plan and state -> how many notices wait, or were lost."""
    audit_entries: int


def look(connection: Connection) -> Present:
    """Read it. The number of statements does not depend on what is in the ledger."""
    queued = {
        row.plan_id: row.since
        for row in connection.execute(select(LEASE_QUEUE.c.plan_id, LEASE_QUEUE.c.since))
    }
    approvals = _approvals(connection)
    acting = _acting(connection)
    undoing = _undoing(connection)
    asking = {item.plan_id for item in approvals}
    runs = connection.execute(
        select(
            PLAN_RUNS.c.plan_id,
            PLAN_RUNS.c.plan,
            PLAN_RUNS.c.run_id,
            PLAN_RUNS.c.assessed_at,
            PLAN_RUNS.c.abort_at,
            PLAN_RUNS.c.failing_at,
            PLAN_RUNS.c.held_at,
            PLAN_RUNS.c.held_by,
            PLAN_RUNS.c.held_reason,
        ).where(PLAN_RUNS.c.outcome.is_(None))
    ).all()
    live = []
    for row in runs:
        roles = acting.get(row.plan_id, set())
        holds = {
            "held": row.held_at is not None,
            "stopping": row.abort_at is not None,
            "rolling_back": row.plan_id in undoing or "undo" in roles,
            "approval": row.plan_id in asking,
            "locks": row.plan_id in queued,
            "failing": row.failing_at is not None,
            "acting": bool(roles & {"step", "check"}),
            "waiting": "parked" in roles,
            "running": True,
        }
        state = next(name for name in STATES if holds[name])
        live.append(
            LiveRun(
                row.plan_id, row.plan, row.run_id, state, row.assessed_at, row.held_at,
                row.held_by, row.held_reason,
            )
        )  # fmt: skip
    created = select(PLAN_RUNS.c.plan, func.count()).group_by(PLAN_RUNS.c.plan)
    head = connection.execute(select(AUDIT_HEAD.c.seq)).scalar_one_or_none()
    return Present(
        created={row[0]: row[1] for row in connection.execute(created)},
        live=tuple(live),
        approvals=approvals,
        queued=queued,
        throttles=_throttles(connection),
        notices=_notices(connection),
        audit_entries=head or 0,
    )


def _approvals(connection: Connection) -> tuple[OpenApproval, ...]:
    query = (
        select(
            APPROVALS.c.plan_id, PLAN_RUNS.c.plan, APPROVALS.c.task, APPROVALS.c.asked_at,
            APPROVALS.c.requester,
        )
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == APPROVALS.c.plan_id)
        .where(PLAN_RUNS.c.outcome.is_(None), APPROVALS.c.state == ApprovalState.OPEN.value)
        .order_by(APPROVALS.c.asked_at)
    )  # fmt: skip
    return tuple(OpenApproval(*row) for row in connection.execute(query))


def _acting(connection: Connection) -> dict[str, set[str]]:
    query = (
        select(ACTS.c.plan_id, ACTS.c.role, ACTS.c.parked_at)
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == ACTS.c.plan_id)
        .where(PLAN_RUNS.c.outcome.is_(None), ACTS.c.ended_at.is_(None))
    )
    found: dict[str, set[str]] = {}
    for plan_id, role, parked_at in connection.execute(query):
        undo = role == ActRole.UNDO.value
        what = role if parked_at is None or undo else "parked"
        found.setdefault(plan_id, set()).add(what)
    return found


def _undoing(connection: Connection) -> frozenset[str]:
    query = (
        select(LEASES.c.plan_id)
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == LEASES.c.plan_id)
        .where(
            PLAN_RUNS.c.outcome.is_(None),
            LEASES.c.released_at.is_(None),
            LEASES.c.course == Course.UNDO.value,
        )
    )
    return frozenset(connection.execute(query).scalars())


def _notices(connection: Connection) -> dict[tuple[str, str], int]:
    query = (
        select(PLAN_RUNS.c.plan, NOTICES.c.state, func.count())
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == NOTICES.c.plan_id)
        .where(NOTICES.c.state.in_([*WAITING, NoticeState.LOST.value]))
        .group_by(PLAN_RUNS.c.plan, NOTICES.c.state)
    )
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def _throttles(connection: Connection) -> tuple[ThrottleNow, ...]:
    held = (
        select(SLOTS.c.plan_id, SLOTS.c.name, func.count())
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == SLOTS.c.plan_id)
        .where(PLAN_RUNS.c.outcome.is_(None))
        .group_by(SLOTS.c.plan_id, SLOTS.c.name)
    )
    used = Counter({(row[0], row[1]): row[2] for row in connection.execute(held)})
    query = (
        select(
            PLAN_RUNS.c.plan, THROTTLES.c.plan_id, THROTTLES.c.name, THROTTLES.c.current,
            THROTTLES.c.minimum, THROTTLES.c.maximum,
        )
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == THROTTLES.c.plan_id)
        .where(PLAN_RUNS.c.outcome.is_(None))
        .order_by(THROTTLES.c.plan_id, THROTTLES.c.name)
    )  # fmt: skip
    return tuple(
        ThrottleNow(
            row.plan, row.name, row.current, row.minimum, row.maximum, used[row.plan_id, row.name]
        )
        for row in connection.execute(query)
    )
