"""A run's own page, for one user: from what the ledger holds to what is shown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from planner_provider.decide.throttle.kept import Kept
from planner_provider.ledger.approval_answers import problems
from planner_provider.ledger.rows import Approval, Blocker, Throttle, Waiting
from planner_provider.ledger.run_detail import AuditLine, Detail, LocksNow, rule_of
from planner_provider.web import links, rows
from planner_provider.web.access import Access
from planner_provider.web.models import (
    ApprovalRow,
    AuditRow,
    LockRow,
    RunDetail,
    SaidRow,
    ThrottleRow,
    WaveRow,
)


def run_detail(found: Detail, access: Access) -> RunDetail:
    """A run that the user may read."""
    record, key = found.now.run, found.now.run.key
    facts = found.now.facts
    parts = (record.trace_parent or "").split("-")
    trace_id = parts[1] if len(parts) == 4 else None
    held = [_held(blocker, access) for blocker in found.held]
    waits = _waiting(found.waits, key.dag_id, access) if found.waits is not None else []
    return RunDetail(
        row=rows.run(found.now, access),
        runbook=facts.runbook if facts else None,
        advice=found.advice,
        parameters=dict(record.parameters),
        expires_at=record.expires_at,
        held_by=record.held_by,
        held_reason=record.held_reason,
        abort_reason=record.abort_reason,
        decisions=tuple(rows.decision(item) for item in found.decisions),
        approvals=tuple(_approval(item, key.dag_id, key.run_id) for item in found.approvals),
        locks=(*held, *waits),
        throttles=tuple(_throttle(item) for item in found.throttles),
        waves=tuple(
            WaveRow(
                step=item.step, wave=item.wave, counts=dict(item.counts), problems=item.problems
            )
            for item in found.waves
        ),
        audit=audit(found.audit) if key.dag_id in access.audits else (),
        airflow_url=links.run(key.dag_id, key.run_id),
        trace_id=trace_id,
        trace_url=links.trace(trace_id),
        calendar=facts.calendar.name if facts and facts.calendar else None,
    )


def audit(lines: Iterable[AuditLine]) -> tuple[AuditRow, ...]:
    """Lines of the audit trail."""
    return tuple(
        AuditRow(
            seq=line.seq,
            at=line.at,
            plan_id=line.plan_id,
            actor=line.actor,
            what=line.what,
            detail=_told(line),
        )
        for line in lines
    )


def _told(line: AuditLine) -> dict[str, Any]:
    """The details, without the names of other runs: not everybody may read those."""
    told = dict(line.detail)
    if isinstance(told.get("behind"), list):
        told["behind"] = len(told["behind"])
    return told


def locks(found: LocksNow, access: Access) -> list[LockRow]:
    """All locks; runs that the user may not read are not named.

    Resources that only such runs hold or want are not shown at all.
    """
    shown = [(one.dag_id, one.resource, _held(one, access)) for one in found.held]
    for item in found.waiting:
        dag_id = found.runs.get(item.waiter.plan_id, ("", ""))[0]
        shown += [(dag_id, row.resource, row) for row in _waiting(item, dag_id, access)]
    concerns = {resource for dag_id, resource, _ in shown if access.reads(dag_id)}
    return [row for _, resource, row in shown if resource in concerns]


def _held(blocker: Blocker, access: Access) -> LockRow:
    seen = access.reads(blocker.dag_id)
    return LockRow(
        resource=blocker.resource,
        mode=blocker.mode.value,
        plan_id=blocker.plan_id if seen else None,
        dag_id=blocker.dag_id if seen else None,
        since=blocker.since,
        waiting=False,
    )


def _waiting(waits: Waiting, dag_id: str, access: Access) -> list[LockRow]:
    waiter, seen = waits.waiter, access.reads(dag_id)
    behind: dict[str, list[str]] = {}
    for blocker in waits.blockers:
        if seen and access.reads(blocker.dag_id):
            behind.setdefault(blocker.resource, []).append(blocker.plan_id)
    return [
        LockRow(
            resource=hold.resource,
            mode=hold.mode.value,
            plan_id=waiter.plan_id if seen else None,
            dag_id=dag_id if seen else None,
            since=waiter.since,
            waiting=True,
            behind=tuple(behind.get(hold.resource, ())),
        )
        for hold in waiter.holds
    ]


def _approval(item: Approval, dag_id: str, run_id: str) -> ApprovalRow:
    request = item.request
    is_open = item.state.value == "open"
    found = problems(item, datetime.now(UTC))
    return ApprovalRow(
        task_id=request.task,
        state=item.state.value,
        asked_at=request.asked_at,
        expires_at=request.expires_at,
        requester=request.requester,
        rule=rule_of(item),
        answers=tuple(
            SaidRow(
                user=answer.user,
                approve=answer.approve,
                reason=answer.reason,
                via=answer.via,
                at=answer.at,
                problem=problem,
            )
            for answer, problem in zip(item.answers, found, strict=True)
        ),
        url=links.required_actions(dag_id, run_id, request.task) if is_open else None,
    )


def _throttle(item: Throttle) -> ThrottleRow:
    kept = Kept.read(item.state)
    said = kept.told or None
    if kept.paused is not None:
        said = f"Paused by {kept.paused.who}: {kept.paused.reason}"
    elif kept.blocked:
        said = kept.blocked
    return ThrottleRow(
        name=item.name,
        limit=item.limit,
        minimum=item.minimum,
        maximum=item.maximum,
        changed_by=item.changed_by,
        changed_at=item.changed_at,
        said=said,
    )
