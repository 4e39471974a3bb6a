"""What makes an approval void, and who may not give it."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from planner_provider.ledger.rows import (
    ApprovalState,
)
from planner_provider.operators.plan_ref import Role
from tests.operators.approval_cases import Case, case, waits
from tests.operators.plan_runs import NOW

__all__ = ["case"]


def test_an_abort_cancels(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    case.ledger.request_abort(case.plan_id, actor="cli", reason=None, now=NOW)
    with pytest.raises(AirflowFailException, match="stopped by a person"):
        case.go(operator, {"abort": "x"})
    assert case.approval.state is ApprovalState.CANCELLED
    assert "AbortedError" in case.audit()


def test_another_version(case: Case) -> None:
    case.assessed().go(case.operator())
    changed = case.operator(plan_ref=case.ref(Role.FRAME, digest="cd" * 32))
    with pytest.raises(AirflowFailException, match="The plan was changed"):
        case.go(changed, case.says("alice"))
    assert case.approval.state is ApprovalState.CANCELLED


def test_other_parameters(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    case.parameters["version"] = "6.6.6"
    with pytest.raises(AirflowFailException, match="not those that were asked about"):
        case.go(operator, case.says("alice"))
    assert case.approval.state is ApprovalState.CANCELLED


def test_a_run_that_was_never_assessed(case: Case) -> None:
    with pytest.raises(AirflowFailException, match="was never assessed"):
        case.go(case.operator())


def test_an_unknown_requester_needs_one_more(case: Case) -> None:
    case.requester = None
    operator = case.operator()
    case.assessed().go(operator)
    waits(case.go(operator, case.says("alice")))
    assert case.go(operator, case.says("bob"))["by"] == ["alice", "bob"]


def test_the_schedule_is_no_requester(case: Case) -> None:
    case.requester, case.kind = None, "scheduled"
    operator = case.operator()
    case.assessed().go(operator)
    assert case.go(operator, case.says("alice"))["state"] == "granted"
