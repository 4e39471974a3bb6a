"""Answers from elsewhere than Airflow, and approvals outside of the frame."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped

from planner_provider.errors import UnavailableError
from planner_provider.hooks.tickets import TicketAnswer, TicketWatch
from planner_provider.ledger.rows import (
    ActResult,
    ApprovalAnswer,
    Hold,
)
from planner_provider.operators import approval_case
from planner_provider.operators.approval import RejectedError
from planner_provider.operators.plan_ref import Role
from planner_provider.sensors.approval import ApprovalSensor
from planner_provider.triggers.approval import fingerprint
from tests.operators.approval_cases import Case, case, waits
from tests.operators.plan_runs import NOW

__all__ = ["case"]


def link(user: str, **values: Any) -> ApprovalAnswer:
    base = {"approve": True, "reason": None, "via": "link", "at": NOW, "verified": True,
            "source": "chat"}  # fmt: skip
    return ApprovalAnswer(user=user, **{**base, **values})


def test_an_answer_that_others_wrote_into_the_ledger(case: Case) -> None:
    operator = case.operator()
    arguments = waits(case.assessed().go(operator))
    case.ledger.record_answer(case.plan_id, "approve", link("bob"), "chat", NOW)
    assert fingerprint(case.approval) != arguments["known"]
    assert case.go(operator, {"changed": True})["by"] == ["bob"]


def test_unverified_it_approves_nothing(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    case.ledger.record_answer(case.plan_id, "approve", link("bob", verified=False), "chat", NOW)
    case.ledger.record_answer(case.plan_id, "approve", link("alice", via="fax"), "chat", NOW)
    arguments = waits(case.go(operator, {"changed": True}))
    assert arguments["known"] == "open 2"
    assert len(case.asked) == 1


WATCH = TicketWatch(via="jira", connection="jira", issue="{{ params.version }}", approve="label:go")


def ticket(user: str, **values: Any) -> TicketAnswer:
    base = {"account": "a", "approve": True, "at": NOW, "verified": True, "source": "jira SHOP-1"}
    return TicketAnswer(user=user, **{**base, **values})


def test_a_ticket_approves(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = [None]
    seen: list[str] = []

    def read(watch: TicketWatch) -> Any:
        seen.append(watch.issue)
        if isinstance(said[0], Exception):
            raise said[0]
        return said[0]

    monkeypatch.setattr(approval_case, "read_ticket", read)
    sensor = case.operator(ApprovalSensor, tickets=[WATCH])
    arguments = waits(case.assessed().go(sensor))
    assert seen == ["1.2.3"]
    assert arguments["ti_id"] is None
    assert '"issue":"1.2.3"' in arguments["tickets"][0]
    assert case.asked == [], "a sensor asks nobody"
    said[0] = UnavailableError("no answer")
    arguments = waits(case.go(sensor, {"changed": True}))
    assert arguments["tickets_known"] == ""
    assert arguments["not_before"] == (NOW + timedelta(seconds=30)).isoformat()
    said[0] = ticket("alice", at=NOW - timedelta(days=1))
    waits(case.go(sensor, {"changed": True}))
    said[0] = ticket("jira:5b10")
    waits(case.go(sensor, {"changed": True}))
    assert case.approval.answers[-1].user == "jira:5b10"
    said[0] = ticket("alice")
    assert case.go(sensor, {"changed": True})["by"][-1] == "alice"
    assert case.approval.answers[-1].via == "jira"


def test_a_sensor_waits_for_what_another_task_asks(case: Case) -> None:
    sensor = case.operator(ApprovalSensor, task_id="watch", rule=None, of="approve",
                           timeout=timedelta(hours=1))  # fmt: skip
    case.assessed()
    assert waits(case.go(sensor))["known"] == "none"
    operator = case.operator()
    case.go(operator)
    assert waits(case.go(sensor, {"changed": True}))["known"] == "open 0"
    case.go(operator, case.says("alice"))
    assert case.go(sensor, {"changed": True})["by"] == ["alice"]


def test_a_sensor_ends_with_the_rejection_that_it_finds(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    with pytest.raises(DownstreamTasksSkipped):
        case.go(operator, case.says("bob", approve=False, reason="no"))
    sensor = case.operator(
        ApprovalSensor, task_id="watch", rule=None, of="approve", fail_on_reject=True
    )
    with pytest.raises(AirflowFailException, match="was rejected by bob: no"):
        case.go(sensor)


def test_a_sensor_does_not_wait_for_ever(case: Case) -> None:
    sensor = case.operator(ApprovalSensor, task_id="watch", rule=None, of="approve",
                           timeout=timedelta(hours=1))  # fmt: skip
    case.assessed().go(sensor)
    case.later(minutes=59)
    assert waits(case.go(sensor, try_number=2))["due_at"] == (NOW + timedelta(hours=1)).isoformat()
    case.later(minutes=1)
    with pytest.raises(AirflowFailException, match="was not granted by"):
        case.go(sensor, {"due": "x"})


def test_as_a_step_it_is_done_only_when_granted(case: Case) -> None:
    case.assessed(approvals=())
    case.ledger.take_lease(case.plan_id, [Hold("x")], actor="t", now=NOW)
    operator = case.operator(plan_ref=case.ref(Role.STEP, "ask"))
    waits(case.go(operator))
    [act] = case.acts()
    assert act.is_open
    assert act.parked_at is not None
    with pytest.raises(RejectedError):
        case.go(operator, case.says("bob", approve=False))
    assert case.acts()[-1].result is ActResult.FAILED


def test_by_hand_it_needs_no_ledger(case: Case) -> None:
    made = {"plan_ref": None, "rule": None, "change": None}
    operator = case.operator(**made, approvers=["alice", "user:bob"], count=2, body="Go on?")
    arguments = waits(case.go(operator))
    assert (arguments["plan_id"], arguments["known"]) == (None, None)
    assert case.asked[0]["subject"] == "Approve approve?"
    assert case.asked[0]["body"] == "Go on?"
    waits(case.go(operator, case.says("alice")))
    waits(case.go(operator, case.says("alice")))
    assert case.go(operator, case.says("bob"))["state"] == "granted"
    assert case.go(case.operator(**made, approvers=["bob"]), try_number=2)["state"] == "granted"
