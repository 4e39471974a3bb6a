"""Approvals: what was asked, who said what, and how it was decided."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from planner_provider.ledger import decisions, runs
from planner_provider.ledger.rows import (
    Approval,
    ApprovalAnswer,
    ApprovalRequest,
    ApprovalState,
)
from planner_provider.ledger.schema import APPROVAL_ANSWERS, APPROVALS


def find(connection: Connection, plan_id: str, task: str) -> Approval | None:
    """The last approval that the task asked for."""
    row = _last(connection, plan_id, task)
    return None if row is None else _approval(connection, row)


def of_tasks(
    connection: Connection, plan_id: str, tasks: Iterable[str]
) -> dict[str, Approval | None]:
    """The last approval of each task; ``None`` for those that never asked."""
    return {task: find(connection, plan_id, task) for task in tasks}


def open_(connection: Connection, request: ApprovalRequest, now: datetime) -> tuple[Approval, bool]:
    """Ask, unless the same was asked already and is open, or granted and not void.

    Gives the approval and whether it is a new one. One for another version, for other parameters,
    or past its time is closed as cancelled.
    """
    runs.get(connection, request.plan_id, lock=True)
    last = _last(connection, request.plan_id, request.task)
    if last is not None:
        asked = _approval(connection, last)
        same = (asked.request.digest, asked.request.parameters_sha) == (
            request.digest,
            request.parameters_sha,
        )
        void = asked.request.expires_at is not None and now >= asked.request.expires_at
        if same and not void and asked.state in {ApprovalState.OPEN, ApprovalState.GRANTED}:
            return asked, False
        if asked.state is ApprovalState.OPEN:
            _set_state(connection, last.id, ApprovalState.CANCELLED, None, now)
    connection.execute(
        APPROVALS.insert().values(
            plan_id=request.plan_id,
            task=request.task,
            digest=request.digest,
            parameters_sha=request.parameters_sha,
            requester=request.requester,
            asked_at=request.asked_at,
            expires_at=request.expires_at,
            rule=request.rule,
            state=ApprovalState.OPEN.value,
        )
    )
    return Approval(request, ApprovalState.OPEN), True


def answer(connection: Connection, plan_id: str, task: str, given: ApprovalAnswer) -> str:
    """Write an answer down; give "answered", "known" or "closed".

    An answer to what is not open is not kept here.
    """
    row = _last(connection, plan_id, task, lock=True)
    if row is None or row.state != ApprovalState.OPEN.value:
        return "closed"
    own = [
        kept
        for kept in _answers(connection, row.id)
        if (kept.user, kept.via) == (given.user, given.via)
    ]
    if own and own[-1].approve == given.approve:
        return "known"
    connection.execute(
        APPROVAL_ANSWERS.insert().values(
            approval_id=row.id,
            user_name=given.user,
            approve=given.approve,
            reason=given.reason,
            via=given.via,
            at=given.at,
            verified=given.verified,
            source=given.source,
        )
    )
    return "answered"


def close(
    connection: Connection,
    plan_id: str,
    task: str,
    state: ApprovalState,
    decision_id: int | None,
    now: datetime,
) -> bool:
    """Close what is open. ``False`` if nothing is.

    Raises ``ValueError`` for a grant without a recorded decision of this run that says so.
    """
    if state is ApprovalState.OPEN:
        raise ValueError("an approval is not closed by opening it")
    if state is ApprovalState.GRANTED:
        made = None if decision_id is None else decisions.find(connection, decision_id)
        if made is None or made.plan_id != plan_id or not made.decision.outcome.passes:
            raise ValueError(
                f"the approval of {task} in {plan_id} is granted only by a recorded decision of "
                f"this run that says `proceed`; decision {decision_id} is none"
            )
    row = _last(connection, plan_id, task, lock=True)
    if row is None or row.state != ApprovalState.OPEN.value:
        return False
    _set_state(connection, row.id, state, decision_id, now)
    return True


def _last(
    connection: Connection, plan_id: str, task: str, *, lock: bool = False
) -> Row[Any] | None:
    query = (
        select(APPROVALS)
        .where(APPROVALS.c.plan_id == plan_id, APPROVALS.c.task == task)
        .order_by(APPROVALS.c.id.desc())
        .limit(1)
    )
    return connection.execute(query.with_for_update() if lock else query).one_or_none()


def _set_state(
    connection: Connection,
    approval_id: int,
    state: ApprovalState,
    decision_id: int | None,
    now: datetime,
) -> None:
    connection.execute(
        update(APPROVALS)
        .where(APPROVALS.c.id == approval_id)
        .values(state=state.value, decision_id=decision_id, closed_at=now)
    )


def _answers(connection: Connection, approval_id: int) -> tuple[ApprovalAnswer, ...]:
    query = (
        select(APPROVAL_ANSWERS)
        .where(APPROVAL_ANSWERS.c.approval_id == approval_id)
        .order_by(APPROVAL_ANSWERS.c.id)
    )
    return tuple(
        ApprovalAnswer(
            user=row.user_name,
            approve=row.approve,
            reason=row.reason,
            via=row.via,
            at=row.at,
            verified=row.verified,
            source=row.source,
        )
        for row in connection.execute(query)
    )


def _approval(connection: Connection, row: Row[Any]) -> Approval:
    return Approval(
        request=ApprovalRequest(
            plan_id=row.plan_id,
            task=row.task,
            digest=row.digest,
            parameters_sha=row.parameters_sha,
            requester=row.requester,
            asked_at=row.asked_at,
            expires_at=row.expires_at,
            rule=row.rule,
        ),
        state=ApprovalState(row.state),
        answers=_answers(connection, row.id),
        decision_id=row.decision_id,
        closed_at=row.closed_at,
    )
