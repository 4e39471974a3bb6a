"""Asking for an approval, and what the answers do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped

from planner_provider.ledger.rows import (
    ApprovalState,
)
from tests.operators.approval_cases import Case, case, rule, waits
from tests.operators.plan_runs import NOW

__all__ = ["case"]


def test_it_asks_and_waits(case: Case) -> None:
    arguments = waits(case.assessed().go(case.operator()))
    [asked] = case.asked
    assert asked["options"] == ["Approve", "Reject"]
    assert asked["subject"] == "Approve checkout-release: Release checkout?"
    for part in (
        "version `abababab`", case.plan_id, "`version` = `1.2.3`",
        "1. shift: PUT /weight on sandbox", "- service://checkout (exclusive)",
        "1. shift: PUT /weight back", "Risk: ", "budget left: not known",
        "group:sre must approve (alice, bob), not rita, who started it", "14:00" , "runbook",
    ):  # fmt: skip
        assert part in asked["body"].replace("02:00:00", "14:00"), part
    assert asked["params"]["reason"]["schema"]["type"] == "string"
    assert asked["assigned_users"] is None
    assert arguments["due_at"] == (NOW + timedelta(hours=4)).isoformat()
    assert arguments["known"] == "open 0"
    assert arguments["not_before"] == (NOW + timedelta(seconds=4)).isoformat()
    assert not arguments["recovers"]
    assert case.approval.state is ApprovalState.OPEN


def test_assigned_users_leave_out_the_requester(case: Case) -> None:
    case.assessed().go(case.operator(rule=rule(users=("alice", "rita")), assign=True))
    assert case.asked[0]["assigned_users"] == [{"id": "alice", "name": "alice"}]


def test_approved(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    case.later(minutes=5)
    result = case.go(operator, case.says("alice", reason="fine"))
    assert result["state"] == "granted"
    assert result["by"] == ["alice"]
    assert case.approval.state is ApprovalState.GRANTED
    [answer] = case.approval.answers
    assert (answer.user, answer.reason, answer.verified) == ("alice", "fine", True)
    assert answer.source == "approve try 1: alice"
    assert len(case.asked) == 1
    again = case.go(case.operator(), try_number=2)
    assert again["state"] == "granted"
    assert len(case.asked) == 1, "cleared, it still holds"


def test_an_answer_that_does_not_count_is_kept_and_asked_again(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    waits(case.go(operator, case.says("carol")))
    waits(case.go(operator, case.says("7", name="rita")))
    waits(case.go(operator, case.says("")))
    assert [a.user for a in case.approval.answers] == ["carol", "rita", "nobody"]
    assert len(case.asked) == 4
    for said in ("they are no approver", "they started the run", "nothing proves that"):
        assert said in case.audit()
    assert case.approval.state is ApprovalState.OPEN


def test_an_answer_that_came_while_the_task_ran(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    said = case.says("bob", at=case.time.now().isoformat())
    assert case.go(operator, {"response": said})["state"] == "granted"


def test_rejected_skips_what_follows(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        case.go(operator, case.says("bob", approve=False, reason="freeze"))
    assert list(skipped.value.tasks) == ["follows"]
    assert case.approval.state is ApprovalState.REJECTED
    assert "saying: freeze" in case.audit()
    assert case.last["ti"].pushed["approval"]["state"] == "rejected"


def test_rejected_fails_where_it_should(case: Case) -> None:
    operator = case.operator(fail_on_reject=True)
    case.assessed().go(operator)
    with pytest.raises(AirflowFailException, match="Nothing was touched"):
        case.go(operator, case.says("bob", approve=False))


def test_the_time_is_over(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    case.later(hours=4)
    with pytest.raises(AirflowFailException, match="The time for answers was over"):
        case.go(operator, {"due": "x"})
    assert case.approval.state is ApprovalState.EXPIRED
    assert "ExpiredError" in case.audit()


def test_the_time_of_the_run_bounds_it(case: Case) -> None:
    arguments = waits(case.assessed(expires=timedelta(hours=1)).go(case.operator()))
    assert arguments["due_at"] == (NOW + timedelta(hours=1)).isoformat()
    assert case.approval.request.expires_at == NOW + timedelta(hours=1)


def test_time_counts_from_the_first_start(case: Case) -> None:
    case.assessed().go(case.operator())
    case.later(hours=3)
    arguments = waits(case.go(case.operator(), try_number=2))
    assert arguments["due_at"] == (NOW + timedelta(hours=4)).isoformat()
    assert arguments["recovers"], "an answer to the earlier try is looked for first"
    assert len(case.asked) == 1
    waits(case.go(case.operator(), {"ask": True}, try_number=2))
    assert len(case.asked) == 2


def test_an_answer_to_an_earlier_question_is_none(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    with pytest.raises(DownstreamTasksSkipped):
        case.go(operator, case.says("bob", approve=False))
    old = case.says("alice")
    case.later(minutes=10)
    waits(case.go(case.operator(), try_number=2))
    waits(case.go(case.operator(), {"response": old}, try_number=2))
    assert case.approval.answers == ()
    assert case.approval.state is ApprovalState.OPEN


def test_slots_keep_the_answer_of_each(case: Case) -> None:
    two = rule(count=2, users=("alice", "bob"))
    first, second = (
        case.operator(task_id=f"approve_{n}", approval="approve", slot=n, slots=2, rule=two)
        for n in (1, 2)
    )
    case.assessed()
    waits(case.go(first))
    waits(case.go(second))
    assert case.go(second, case.says("alice"))["state"] == "open"
    waits(case.go(first, case.says("alice")))
    assert case.go(first, case.says("bob"))["state"] == "granted"


def test_the_last_slot_goes_on_asking_while_more_are_needed(case: Case) -> None:
    case.requester = None
    two = rule(count=2, users=("alice", "bob", "chen"))
    first, second = (
        case.operator(task_id=f"approve_{n}", approval="approve", slot=n, slots=2, rule=two)
        for n in (1, 2)
    )
    case.assessed()
    case.go(first)
    case.go(second)
    waits(case.go(first, case.says("alice")))
    waits(case.go(second, case.says("bob")))
    assert case.go(first, case.says("chen"))["state"] == "granted"
    assert case.go(second, {"changed": True})["state"] == "granted"
