"""Runs of plans: bound to a version, given a time to live, ended with an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select, update

from planner_provider.errors import SupersededError
from planner_provider.ledger.authority import abort_refusal, version_refusal
from planner_provider.ledger.rows import Outcome, PlanRun, RunKey
from planner_provider.ledger.schema import PLAN_RUNS

NOT_FAILING: dict[str, Any] = {"failing_at": None, "failing_steps": []}
NOT_HELD: dict[str, Any] = {"held_at": None, "held_by": None, "held_reason": None}


def find(connection: Connection, dag_id: str, run_id: str, *, lock: bool = False) -> PlanRun | None:
    """The run as the ledger knows it. With ``lock`` nobody else changes it until the end."""
    query = select(PLAN_RUNS).where(PLAN_RUNS.c.dag_id == dag_id, PLAN_RUNS.c.run_id == run_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else run_of(row)


def get(connection: Connection, plan_id: str, *, lock: bool = False) -> PlanRun | None:
    """The run with this plan ID."""
    query = select(PLAN_RUNS).where(PLAN_RUNS.c.plan_id == plan_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else run_of(row)


@dataclass(frozen=True, slots=True)
class Binding:
    """What a run is bound to when it is assessed."""

    expires_at: datetime | None
    parameters: Mapping[str, Any]
    approvals: tuple[str, ...] = ()
    parameters_sha: str = ""


def pin(connection: Connection, key: RunKey, bound: Binding, now: datetime) -> PlanRun:
    """Bind a run to a version, or find that it is. Raises ``SupersededError`` for another one.

    If it had ended, it is under way again: its outcome and an abort are history. A hold stays: only
    a person ends it, and `finish`. Raises ``AbortedError`` if a person stopped it and it has not
    ended since.
    """
    known = ensure(connection, key)
    aborted = abort_refusal(known)
    if aborted:
        raise aborted
    connection.execute(
        update(PLAN_RUNS)
        .where(PLAN_RUNS.c.plan_id == known.plan_id)
        .values(
            assessed_at=now,
            expires_at=bound.expires_at,
            parameters=dict(bound.parameters),
            approvals=list(bound.approvals),
            parameters_sha=bound.parameters_sha,
            abort_at=None,
            abort_reason=None,
            outcome=None,
            reason=None,
            finished_at=None,
            **NOT_FAILING,
            **({} if known.outcome is None else NOT_HELD),
        )
    )
    run = get(connection, key.plan_id)
    if run is None:
        raise AssertionError("the run was written above")
    return run


def ensure(connection: Connection, key: RunKey) -> PlanRun:
    """Find the run, or write it down as not assessed. Raises ``SupersededError``."""
    known = find(connection, key.dag_id, key.run_id, lock=True)
    if known is not None:
        superseded: SupersededError | None = version_refusal(key.digest, known)
        if superseded:
            raise superseded
        return known
    connection.execute(
        PLAN_RUNS.insert().values(
            plan_id=key.plan_id,
            plan=key.plan,
            dag_id=key.dag_id,
            run_id=key.run_id,
            digest=key.digest,
            parameters={},
        )
    )
    return PlanRun(key, None, None, {}, None, None, None, None)


def set_outcome(
    connection: Connection, plan_id: str, outcome: Outcome, reason: str, now: datetime
) -> None:
    """Write how it ended, over what may stand there. A hold ends with the run."""
    connection.execute(
        update(PLAN_RUNS)
        .where(PLAN_RUNS.c.plan_id == plan_id)
        .values(outcome=outcome.value, reason=reason, finished_at=now, **NOT_HELD)
    )


def reopen(connection: Connection, plan_id: str) -> None:
    """The run is under way again: what it ended with before is history."""
    connection.execute(
        update(PLAN_RUNS)
        .where(PLAN_RUNS.c.plan_id == plan_id, PLAN_RUNS.c.outcome.is_not(None))
        .values(
            outcome=None,
            reason=None,
            finished_at=None,
            abort_at=None,
            abort_reason=None,
            **NOT_FAILING,
            **NOT_HELD,
        )
    )


def set_abort(connection: Connection, plan_id: str, reason: str | None, now: datetime) -> None:
    """Write down that a person stopped the run."""
    connection.execute(
        update(PLAN_RUNS)
        .where(PLAN_RUNS.c.plan_id == plan_id)
        .values(abort_at=now, abort_reason=reason)
    )


def set_trace(connection: Connection, plan_id: str, trace_parent: str) -> None:
    """Keep the trace of a run, unless one is kept."""
    connection.execute(
        update(PLAN_RUNS)
        .where(PLAN_RUNS.c.plan_id == plan_id, PLAN_RUNS.c.trace_parent.is_(None))
        .values(trace_parent=trace_parent)
    )


def set_hold(connection: Connection, plan_id: str, who: str, reason: str, now: datetime) -> None:
    """Write down that a person holds the run."""
    connection.execute(
        update(PLAN_RUNS)
        .where(PLAN_RUNS.c.plan_id == plan_id)
        .values(held_at=now, held_by=who, held_reason=reason)
    )


def end_hold(connection: Connection, plan_id: str) -> None:
    """Nobody holds the run any more."""
    connection.execute(update(PLAN_RUNS).where(PLAN_RUNS.c.plan_id == plan_id).values(**NOT_HELD))


def held(connection: Connection) -> tuple[str, ...]:
    """The runs that are under way and held."""
    query = select(PLAN_RUNS.c.plan_id).where(
        PLAN_RUNS.c.held_at.is_not(None), PLAN_RUNS.c.outcome.is_(None)
    )
    return tuple(connection.execute(query).scalars())


def set_failing(connection: Connection, run: PlanRun, step: str, now: datetime) -> bool:
    """A step has failed for good. ``False`` if that is known already."""
    if step in run.failing_steps:
        return False
    connection.execute(
        update(PLAN_RUNS)
        .where(PLAN_RUNS.c.plan_id == run.plan_id)
        .values(failing_at=run.failing_at or now, failing_steps=[*run.failing_steps, step])
    )
    return True


def begins_again(connection: Connection, run: PlanRun, step: str) -> None:
    """A step that had failed for good is tried again: a person cleared its task."""
    left = [other for other in run.failing_steps if other != step]
    if len(left) < len(run.failing_steps):
        connection.execute(
            update(PLAN_RUNS)
            .where(PLAN_RUNS.c.plan_id == run.plan_id)
            .values(failing_steps=left, failing_at=run.failing_at if left else None)
        )


def open_stops(connection: Connection) -> dict[str, datetime]:
    """The runs that a person stopped, or that are failing, and that have not ended since."""
    since = func.coalesce(PLAN_RUNS.c.abort_at, PLAN_RUNS.c.failing_at)
    query = select(PLAN_RUNS.c.plan_id, since.label("since")).where(
        since.is_not(None),
        or_(PLAN_RUNS.c.outcome.is_(None), PLAN_RUNS.c.finished_at < since),
    )
    return {row.plan_id: row.since for row in connection.execute(query)}


def run_of(row: Row[Any]) -> PlanRun:
    """A run from its row."""
    return PlanRun(
        key=RunKey(row.plan_id, row.plan, row.dag_id, row.run_id, row.digest),
        assessed_at=row.assessed_at,
        expires_at=row.expires_at,
        parameters=row.parameters,
        abort_at=row.abort_at,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        reason=row.reason,
        finished_at=row.finished_at,
        approvals=tuple(row.approvals),
        parameters_sha=row.parameters_sha,
        abort_reason=row.abort_reason,
        failing_at=row.failing_at,
        failing_steps=tuple(row.failing_steps),
        held_at=row.held_at,
        held_by=row.held_by,
        held_reason=row.held_reason,
        trace_parent=row.trace_parent,
    )
