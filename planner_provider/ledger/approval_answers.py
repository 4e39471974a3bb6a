"""Which answers to an approval count, by its record alone."""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from planner_provider.decide.approval import Answer, ApprovalInputs, judge_answers
from planner_provider.graph.approvals import ApprovalRule
from planner_provider.ledger.rows import Approval

SAID = "does not count: "


def problems(item: Approval, now: datetime) -> tuple[str | None, ...]:
    """Of each answer, why it does not count; ``None`` if it does.

    ``None`` too where the record of the rule cannot be read: then nothing is known of any.
    """
    request = item.request
    try:
        rule = ApprovalRule.model_validate_json(request.rule)
        answers = tuple(
            Answer.model_validate(answer, from_attributes=True) for answer in item.answers
        )
    except ValidationError:
        return (None,) * len(item.answers)
    until = request.asked_at + rule.timeout
    judged = judge_answers(
        ApprovalInputs(
            now=item.closed_at or now,
            task=request.task,
            rule=rule,
            asked_at=request.asked_at,
            answers_until=min(until, request.expires_at) if request.expires_at else until,
            requester=request.requester,
            asked_digest=request.digest,
            digest=request.digest,
            asked_parameters=request.parameters_sha,
            parameters=request.parameters_sha,
            answers=answers,
        )
    )
    return tuple(
        one.problem.text.partition(SAID)[2] if one.problem is not None else None for one in judged
    )
