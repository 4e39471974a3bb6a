"""All that a run's own page shows, from a fixed number of statements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, desc, select

from planner_provider.decide.model import Decision
from planner_provider.ledger import acts, leases, runs, waiting
from planner_provider.ledger import overview_rows as rows
from planner_provider.ledger.advice import advice
from planner_provider.ledger.overview import Overviews
from planner_provider.ledger.reports import RunReport, Story
from planner_provider.ledger.rows import (
    Act,
    Approval,
    ApprovalAnswer,
    ApprovalRequest,
    ApprovalState,
    Blocker,
    Hold,
    ItemState,
    Lease,
    PlanRun,
    RecordedDecision,
    Throttle,
    Waiting,
)
from planner_provider.ledger.run_now import RunNow
from planner_provider.ledger.schema import ACTS, APPROVAL_ANSWERS, APPROVALS, WORK_ITEMS
from planner_provider.ledger.verdict_marks import VerdictMark

MOST = 200
"""So many decisions and lines of the audit trail are shown."""
MOST_ACTS = 3_000
"""With more acts than that, only those that go on are looked at for advice."""
PROBLEMS = 10
"""So many items that failed are told of each wave."""


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of the audit trail."""

    seq: int
    at: datetime
    plan_id: str | None
    actor: str
    what: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WaveNow:
    """A wave of a rollout, or all items of a step that has none."""

    step: str
    wave: int | None
    counts: Mapping[str, int]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Detail:
    """A run with everything about it."""

    now: RunNow
    advice: tuple[str, ...]
    decisions: tuple[VerdictMark, ...]
    """Newest first."""
    approvals: tuple[Approval, ...]
    """Newest first."""
    held: tuple[Blocker, ...]
    """The locks that it holds."""
    waits: Waiting | None
    throttles: tuple[Throttle, ...]
    waves: tuple[WaveNow, ...]
    audit: tuple[AuditLine, ...]
    """Newest first."""


@dataclass(frozen=True, slots=True)
class LocksNow:
    """Who holds locks and who waits for them."""

    held: tuple[Blocker, ...]
    waiting: tuple[Waiting, ...]
    runs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Plan ID -> DAG id and run id, of all that are named."""


def locks_now(connection: Connection, now: datetime) -> LocksNow:
    """All locks, in a fixed number of statements."""
    held = leases.held(connection, None)
    lined = waiting.lined_up(connection, now)
    names = {one.plan_id: (one.dag_id, one.run_id) for one in held}
    names |= {b.plan_id: (b.dag_id, b.run_id) for item in lined for b in item.blockers}
    missing = [i.waiter.plan_id for i in lined if i.waiter.plan_id not in names]
    if missing:
        from planner_provider.ledger.schema import PLAN_RUNS

        query = select(PLAN_RUNS.c.plan_id, PLAN_RUNS.c.dag_id, PLAN_RUNS.c.run_id)
        for row in connection.execute(query.where(PLAN_RUNS.c.plan_id.in_(missing))):
            names[row.plan_id] = (row.dag_id, row.run_id)
    return LocksNow(held, lined, names)


def detail(overviews: Overviews, plan_id: str, now: datetime) -> Detail | None:
    """A run; ``None`` if there is none with this plan ID."""
    with overviews.reading() as connection:
        run = runs.get(connection, plan_id)
        if run is None:
            return None
        shown, seen = overviews.one(connection, run, now)
        decided = rows.decisions(connection, plan_ids=[plan_id], limit=MOST)
        marks = overviews.marks(connection, decided)
        asked = approvals_of(connection, plan_id)
        held = tuple(b for b in leases.held(connection, None) if b.plan_id == plan_id)
        few = sum(group.count for group in seen.groups) <= MOST_ACTS
        story = Story(
            report=RunReport(run, shown.started_at, None),
            acts=acts.of_run(connection, plan_id) if few else _open_acts(connection, plan_id),
            decisions=tuple(_recorded(row) for row in decided[:1]),
            approvals=tuple(reversed(asked)),
            leases=_leases(run, held),
            waits=seen.waits.waiter if seen.waits else None,
            compiled=None,
        )
        return Detail(
            now=shown,
            advice=advice(story, now),
            decisions=marks,
            approvals=asked,
            held=held,
            waits=seen.waits,
            throttles=tuple(seen.throttles),
            waves=_waves(connection, plan_id, seen.items),
            audit=audit_lines(connection, plan_id=plan_id, limit=MOST),
        )


def audit_lines(connection: Connection, **wanted: Any) -> tuple[AuditLine, ...]:
    """Lines of the audit trail, newest first. See ``overview_rows.audit_rows``."""
    return tuple(
        AuditLine(row.seq, row.at, row.plan_id, row.actor, row.what, row.detail or {})
        for row in rows.audit_rows(connection, **wanted)
    )


def approvals_of(connection: Connection, plan_id: str) -> tuple[Approval, ...]:
    """All approvals that a run asked for, newest first, with their answers."""
    query = select(APPROVALS).where(APPROVALS.c.plan_id == plan_id).order_by(desc(APPROVALS.c.id))
    found = connection.execute(query).all()
    answers: dict[int, list[ApprovalAnswer]] = {}
    said = select(APPROVAL_ANSWERS).where(
        APPROVAL_ANSWERS.c.approval_id.in_([row.id for row in found])
    )
    for row in connection.execute(said.order_by(APPROVAL_ANSWERS.c.id)):
        answers.setdefault(row.approval_id, []).append(
            ApprovalAnswer(
                user=row.user_name, approve=row.approve, reason=row.reason, via=row.via, at=row.at,
                verified=row.verified, source=row.source,
            )
        )  # fmt: skip
    return tuple(
        Approval(
            request=ApprovalRequest(
                plan_id=row.plan_id, task=row.task, digest=row.digest,
                parameters_sha=row.parameters_sha, requester=row.requester,
                asked_at=row.asked_at, expires_at=row.expires_at, rule=row.rule,
            ),
            state=ApprovalState(row.state),
            answers=tuple(answers.get(row.id, ())),
            decision_id=row.decision_id,
            closed_at=row.closed_at,
        )
        for row in found
    )  # fmt: skip


def rule_of(approval: Approval) -> dict[str, Any]:
    """Who may answer, and how many must; empty if it cannot be read."""
    try:
        read = json.loads(approval.request.rule)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _open_acts(connection: Connection, plan_id: str) -> tuple[Act, ...]:
    query = select(ACTS).where(ACTS.c.plan_id == plan_id, ACTS.c.ended_at.is_(None))
    return tuple(acts.act_of(row) for row in connection.execute(query.order_by(ACTS.c.id)))


def _recorded(row: rows.VerdictRow) -> RecordedDecision:
    """A decision without its inputs, which advice does not look at."""
    decision = Decision(
        kind=row.kind, version=0, decided_at=row.decided_at, inputs="", verdict=row.verdict
    )
    return RecordedDecision(row.id, row.plan_id, row.step, row.actor, decision)


def _leases(run: PlanRun, held: Sequence[Blocker]) -> tuple[Lease, ...]:
    if not held:
        return ()
    holds = tuple(Hold(blocker.resource, blocker.mode) for blocker in held)
    return (Lease(0, run.plan_id, held[0].since, None, None, None, holds),)


def _waves(
    connection: Connection, plan_id: str, groups: Sequence[rows.ItemGroup]
) -> tuple[WaveNow, ...]:
    columns = WORK_ITEMS.c
    query = (
        select(columns.step, columns.wave, columns.item, columns.detail)
        .where(columns.plan_id == plan_id, columns.state == ItemState.FAILED.value)
        .order_by(columns.position)
        .limit(MOST)
    )
    problems: dict[tuple[str, int | None], list[str]] = {}
    for row in connection.execute(query):
        told = problems.setdefault((row.step, row.wave), [])
        if len(told) < PROBLEMS:
            told.append(f"{row.item}: {row.detail or 'no reason is known'}")
    counts: dict[tuple[str, int | None], dict[str, int]] = {}
    for group in groups:
        counts.setdefault((group.step, group.wave), {})[group.state.value] = group.count
    return tuple(
        WaveNow(step, wave, by_state, tuple(problems.get((step, wave), ())))
        for (step, wave), by_state in counts.items()
    )
