from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from planner_provider.graph.approvals import ApprovalRule, EscalationRule
from planner_provider.graph.change_summary import ChangeSummary
from planner_provider.operators.approval_text import (
    body_text,
    filled,
    subject_text,
    who_text,
)

UNTIL = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
RULE = ApprovalRule(approvers=("group:sre",), users=("alice",), timeout=timedelta(hours=4))
CHANGE = ChangeSummary(
    plan="shop",
    summary="Release {{ params.version }}",
    owner="team-shop",
    digest="ab" * 32,
    steps=("shift: deploy {{params.version}} with {{ conn.x.password }}",),
    irreversible=("drop: SQL on connection db: DROP TABLE t",),
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("v {{ params.version }}", "v 1.2"),
        ("v {{params.version}}", "v 1.2"),
        ("{{ params.other }}", "{{ params.other }}"),
        ("{{ params.version | upper }}", "{{ params.version | upper }}"),
        ("{{ conn.x.password }}", "{{ conn.x.password }}"),
        ("{{ params.ver…", "{{ params.ver…"),
    ],
)
def test_parameters_are_filled_in_and_nothing_else(text: str, said: str) -> None:
    assert filled(text, {"version": "1.2"}) == said


def test_subject() -> None:
    assert subject_text(CHANGE, "approve", {"version": "1.2"}) == "Approve shop: Release 1.2?"
    assert subject_text(None, "ask", {}) == "Approve ask?"


def test_body_says_what_it_may_cost() -> None:
    def body(change: ChangeSummary) -> str:
        return body_text(
            change, RULE, parameters={}, requester=None, answers_until=UNTIL, risk=None
        )

    costly = CHANGE.model_copy(update={"max_cost": "5 EUR an hour"})
    assert "It may cost at most 5 EUR an hour more than before. Above that it is" in body(costly)
    assert "may cost" not in body(CHANGE)


def test_body_says_what_is_not_undone() -> None:
    body = body_text(
        CHANGE, RULE, parameters={"version": "1\n2" + "x" * 300}, requester=None,
        answers_until=UNTIL, risk=None, message="Look at the graph first.",
    )  # fmt: skip
    assert body.startswith("Look at the graph first.\n\n**Release 1 2xx")
    assert "**Not undone, whatever happens**\n\n- drop: SQL on connection db: DROP TABLE t" in body
    assert "1. shift: deploy 1 2" in body
    assert "{{ conn.x.password }}" in body
    assert "…`" in body
    assert "Risk" not in body


def test_who() -> None:
    later = EscalationRule(after=timedelta(minutes=30), to=("group:leads",), users=("lena",))
    rule = RULE.model_copy(update={"count": 2, "escalations": (later,)})
    assert who_text(rule, "rita", UNTIL) == (
        "2 different people of group:sre must approve (alice), not rita, who started it. Answers "
        "count until 2026-11-23 14:00:00 UTC; one rejection stops it. After 30m, group:leads may "
        "answer as well."
    )
    empty = RULE.model_copy(update={"users": (), "not_requester": False})
    assert "(nobody is in these groups)." in who_text(empty, None, UNTIL)
