from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from planner_provider.graph.approvals import ApprovalRule
from planner_provider.ledger.approval_answers import problems
from planner_provider.ledger.rows import (
    Approval,
    ApprovalAnswer,
    ApprovalRequest,
    ApprovalState,
)

ASKED = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RULE = ApprovalRule(
    approvers=("group:leads",), users=("ann", "ben", "kim"), timeout=timedelta(hours=1)
)
REQUEST = ApprovalRequest(
    plan_id="shop-1", task="approve", digest="d", parameters_sha="p", requester="ben",
    asked_at=ASKED, expires_at=None, rule=RULE.model_dump_json(exclude_defaults=True),
)  # fmt: skip


def answer(user: str, minutes: float, *, verified: bool = True) -> ApprovalAnswer:
    at = ASKED + timedelta(minutes=minutes)
    return ApprovalAnswer(user, True, None, "airflow", at, verified, "test")


def approval(*answers: ApprovalAnswer) -> Approval:
    return Approval(REQUEST, ApprovalState.OPEN, answers)


def test_who_counts_and_why_others_do_not() -> None:
    found = problems(
        approval(
            answer("ben", 1), answer("zoe", 2), answer("kim", 3, verified=False), answer("ann", 4),
            answer("ann", 5), answer("kim", 61),
        ),
        ASKED + timedelta(minutes=70),
    )  # fmt: skip
    assert found == (
        "they started the run themselves.",
        "they are no approver.",
        "nothing proves that it is theirs.",
        None,
        "they have answered before.",
        "the time for answers was over at 2026-11-23 13:00:00 UTC.",
    )


def test_a_grant_is_void_when_the_run_may_begin_no_more() -> None:
    request = replace(REQUEST, expires_at=ASKED + timedelta(minutes=3))
    item = Approval(request, ApprovalState.OPEN, (answer("ann", 2), answer("kim", 4)))
    assert problems(item, ASKED + timedelta(minutes=9))[0] is None
    assert "12:03:00" in (problems(item, ASKED + timedelta(minutes=9))[1] or "")


def test_where_the_rule_cannot_be_read_nothing_is_said() -> None:
    item = replace(approval(answer("ben", 1)), request=replace(REQUEST, rule="{}"))
    assert problems(item, ASKED) == (None,)
