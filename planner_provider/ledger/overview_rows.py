"""The statements behind the overview: each is one for any number of runs.

``ids`` are the plan IDs that a statement is about.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, desc, func, or_, select

from planner_provider.ledger.rows import ActResult, ActRole, ItemState, Throttle
from planner_provider.ledger.schema import (
    ACTS,
    APPROVALS,
    AUDIT,
    DECISIONS,
    PLAN_RUNS,
    THROTTLES,
    WORK_ITEMS,
)
from planner_provider.ledger.throttles import throttle_of

DECIDING = ("slo_gate", "canary", "window")
"""Kinds of decisions of which the last one says where a run stands."""


# ---- how runs came about


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a run came about. It never changes once it is known."""

    at: datetime | None
    requested_by: str | None


def beginnings(connection: Connection, ids: Collection[str]) -> dict[str, Beginning]:
    """When runs were heard of first, and who asked for them."""
    assessed = case((AUDIT.c.what == "run.assessed", AUDIT.c.seq))
    first = (
        select(
            AUDIT.c.plan_id,
            func.min(AUDIT.c.seq).label("seq"),
            func.min(assessed).label("assessed"),
        )
        .where(AUDIT.c.plan_id.in_(ids))
        .group_by(AUDIT.c.plan_id)
        .subquery()
    )
    query = select(
        AUDIT.c.seq, AUDIT.c.plan_id, AUDIT.c.at, AUDIT.c.detail, first.c.seq.label("of")
    )
    query = query.join(first, AUDIT.c.seq.in_([first.c.seq, first.c.assessed]))
    at: dict[str, datetime] = {}
    by: dict[str, str] = {}
    for row in connection.execute(query.order_by(AUDIT.c.seq)):
        if row.seq == row.of:
            at[row.plan_id] = row.at
        if isinstance(row.detail, dict) and row.detail.get("requester"):
            by[row.plan_id] = str(row.detail["requester"])
    return {plan_id: Beginning(at.get(plan_id), by.get(plan_id)) for plan_id in at}


# ---- what a run does


@dataclass(frozen=True, slots=True)
class ActGroup:
    """The last acts of all mapped parts of a step that are alike in role and result."""

    plan_id: str
    step: str
    """Name in the journal."""
    role: ActRole
    result: ActResult | None
    """``None``: they go on."""
    parked: bool
    """Whether they go on, deferred."""
    count: int
    newest: int
    """Highest id of an act."""
    begun_at: datetime
    """Intent of the first."""
    last_begun_at: datetime
    ended_at: datetime | None
    """End of the last."""
    tries: int
    detail: str | None
    """Of the newest."""


def act_groups(connection: Connection, ids: Collection[str]) -> list[ActGroup]:
    """Where the steps of runs stand, however many parts they are mapped into."""
    columns = ACTS.c
    part = (columns.plan_id, columns.step, columns.role, columns.map_index)
    place = func.row_number().over(partition_by=part, order_by=columns.id.desc())
    parked = case((and_(columns.ended_at.is_(None), columns.parked_at.is_not(None)), 1), else_=0)
    ranked = (
        select(ACTS, parked.label("parked"), place.label("place"))
        .where(columns.plan_id.in_(ids), columns.role != ActRole.CHECK.value)
        .subquery()
    )
    alike = [ranked.c[name] for name in ("plan_id", "step", "role", "result", "parked")]
    detail = func.first_value(ranked.c.detail).over(partition_by=alike, order_by=ranked.c.id.desc())
    last = select(ranked, detail.label("told")).where(ranked.c.place == 1).subquery()
    alike = [last.c[name] for name in ("plan_id", "step", "role", "result", "parked", "told")]
    newest = func.max(last.c.id).label("newest")
    query = (
        select(
            *alike,
            func.count().label("n"),
            newest,
            func.min(last.c.intent_at).label("begun_at"),
            func.max(last.c.intent_at).label("last_begun_at"),
            func.max(last.c.ended_at).label("ended_at"),
            func.max(last.c.try_number).label("tries"),
        )
        .group_by(*alike)
        .order_by(newest)
    )
    return [
        ActGroup(
            plan_id=row.plan_id,
            step=row.step,
            role=ActRole(row.role),
            result=None if row.result is None else ActResult(row.result),
            parked=bool(row.parked),
            count=row.n,
            newest=row.newest,
            begun_at=row.begun_at,
            last_begun_at=row.last_begun_at,
            ended_at=row.ended_at,
            tries=row.tries,
            detail=row.told,
        )
        for row in connection.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class ItemGroup:
    """The items of a step that are in one wave and one state."""

    plan_id: str
    step: str
    wave: int | None
    state: ItemState
    count: int
    begun_at: datetime | None
    ended_at: datetime | None


def item_groups(connection: Connection, ids: Collection[str]) -> list[ItemGroup]:
    """How far the long steps of runs are."""
    columns = WORK_ITEMS.c
    query = (
        select(
            columns.plan_id,
            columns.step,
            columns.wave,
            columns.state,
            func.count().label("n"),
            func.min(columns.started_at).label("begun_at"),
            func.max(columns.ended_at).label("ended_at"),
        )
        .where(columns.plan_id.in_(ids))
        .group_by(columns.plan_id, columns.step, columns.wave, columns.state)
        .order_by(columns.plan_id, columns.step, columns.wave, columns.state)
    )
    return [
        ItemGroup(
            row.plan_id, row.step, row.wave, ItemState(row.state), row.n, row.begun_at, row.ended_at
        )
        for row in connection.execute(query)
    ]


# ---- what was decided, asked, and allowed


@dataclass(frozen=True, slots=True)
class LastDecision:
    """The last decision of a kind about a step of a run."""

    id: int
    plan_id: str
    kind: str


def last_decisions(connection: Connection, ids: Collection[str]) -> list[LastDecision]:
    """The last decision of each kind in ``DECIDING``, of each step, oldest first."""
    newest = func.max(DECISIONS.c.id).label("id")
    query = (
        select(newest, DECISIONS.c.plan_id, DECISIONS.c.kind)
        .where(DECISIONS.c.plan_id.in_(ids), DECISIONS.c.kind.in_(DECIDING))
        .group_by(DECISIONS.c.plan_id, DECISIONS.c.kind, DECISIONS.c.step)
        .order_by(newest)
    )
    return [LastDecision(row.id, row.plan_id, row.kind) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A decision without its inputs."""

    id: int
    plan_id: str
    step: str | None
    actor: str
    kind: str
    decided_at: datetime
    verdict: str
    """JSON."""


_WITHOUT_INPUTS = (
    DECISIONS.c.id,
    DECISIONS.c.plan_id,
    DECISIONS.c.step,
    DECISIONS.c.actor,
    DECISIONS.c.kind,
    DECISIONS.c.decided_at,
    DECISIONS.c.verdict,
)


def verdicts(connection: Connection, decision_ids: Collection[int]) -> list[VerdictRow]:
    """These decisions."""
    query = select(*_WITHOUT_INPUTS).where(DECISIONS.c.id.in_(decision_ids))
    return [VerdictRow(**row._mapping) for row in connection.execute(query)]


def decisions(
    connection: Connection,
    *,
    plan_ids: Collection[str] | None = None,
    dag_ids: Collection[str] | None = None,
    kind: str | None = None,
    step: str | None = None,
    until: int | None = None,
    limit: int = 200,
) -> list[VerdictRow]:
    """Decisions, newest first; ``until`` is the highest id."""
    query = select(*_WITHOUT_INPUTS)
    if plan_ids is not None:
        query = query.where(DECISIONS.c.plan_id.in_(plan_ids))
    if dag_ids is not None:
        query = query.join(PLAN_RUNS, PLAN_RUNS.c.plan_id == DECISIONS.c.plan_id)
        query = query.where(PLAN_RUNS.c.dag_id.in_(sorted(dag_ids)))
    if kind is not None:
        query = query.where(DECISIONS.c.kind == kind)
    if step is not None:
        query = query.where(DECISIONS.c.step == step)
    if until is not None:
        query = query.where(DECISIONS.c.id <= until)
    query = query.order_by(desc(DECISIONS.c.id)).limit(limit)
    return [VerdictRow(**row._mapping) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class OpenApproval:
    """A question to people that nobody has decided yet."""

    plan_id: str
    task: str
    asked_at: datetime
    expires_at: datetime | None


def open_approvals(connection: Connection, ids: Collection[str]) -> list[OpenApproval]:
    """What these runs ask people, oldest first."""
    columns = APPROVALS.c
    query = (
        select(columns.plan_id, columns.task, columns.asked_at, columns.expires_at)
        .where(columns.plan_id.in_(ids), columns.state == "open")
        .order_by(columns.id)
    )
    return [OpenApproval(**row._mapping) for row in connection.execute(query)]


def throttles(connection: Connection, ids: Collection[str]) -> list[Throttle]:
    """The throttles of these runs."""
    query = select(THROTTLES).where(THROTTLES.c.plan_id.in_(ids))
    query = query.order_by(THROTTLES.c.plan_id, THROTTLES.c.name)
    return [throttle_of(row) for row in connection.execute(query)]


def audit_rows(
    connection: Connection,
    *,
    plan_id: str | None = None,
    dag_ids: Collection[str] | None = None,
    before: int | None = None,
    limit: int = 200,
) -> list[Any]:
    """Lines of the audit trail, newest first: ``seq, at, plan_id, actor, what, detail``.

    With ``dag_ids``, those of runs of these DAGs, and those that are about no run.
    """
    columns = AUDIT.c
    query = select(
        columns.seq, columns.at, columns.plan_id, columns.actor, columns.what, columns.detail
    )
    if plan_id is not None:
        query = query.where(columns.plan_id == plan_id)
    if dag_ids is not None:
        own = select(PLAN_RUNS.c.plan_id).where(PLAN_RUNS.c.dag_id.in_(sorted(dag_ids)))
        query = query.where(or_(columns.plan_id.is_(None), columns.plan_id.in_(own)))
    if before is not None:
        query = query.where(columns.seq < before)
    return list(connection.execute(query.order_by(desc(columns.seq)).limit(limit)))
