"""Tasks of a run that a person holds: they wait without a worker, and then begin from the start."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import BaseTrigger

from planner_provider.errors import NoAuthorityError
from planner_provider.ledger.acts import Permit
from planner_provider.ledger.rows import ActResult, Course
from planner_provider.operators import plan_step
from planner_provider.operators.held import AFTER_HOLD
from planner_provider.operators.plan_ref import Role
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.triggers.hold import HoldTrigger
from tests.operators.plan_runs import NOW, PlanRunCase, database


class Theirs(BaseOperator):
    """An operator of somebody else: it defers itself once, and keeps what it did."""

    def __init__(self, *, defers: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.defers = defers
        self.did: list[str] = []

    def execute(self, context: Any) -> str:
        self.did.append("execute")
        if self.defers:
            self.defer(trigger=Never(), method_name="later")
        return "done"

    def later(self, context: Any, event: Any = None) -> str:
        self.did.append("later")
        return "done later"


class Never(BaseTrigger):
    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "x", {}

    async def run(self) -> Any:
        yield None


class Guarded(PlanStepMixin, Theirs):
    """As ``foreign.guarded`` makes them."""


class Case(PlanRunCase):
    def hold(self, reason: str = "Lag rises.") -> None:
        self.ledger.hold_run(self.plan_id, actor="ada", reason=reason, now=self.time.now())

    def resume(self) -> None:
        self.ledger.resume_run(self.plan_id, actor="ada", reason=None, now=self.time.now())

    def step(self, step: str = "s1", role: Role = Role.STEP, **more: Any) -> Guarded:
        return Guarded(task_id=f"execute.{step}", plan_ref=self.ref(role, step), **more)

    def deferred(self, operator: Guarded, try_number: int = 1) -> TaskDeferred:
        with pytest.raises(TaskDeferred) as deferred:
            self.run(operator, try_number)
        return deferred.value

    def go_on(self, operator: Guarded, deferred: TaskDeferred, event: Any = None) -> Any:
        """Resume a task as the task runner does."""
        object.__setattr__(operator, "clock", self.time.clock)
        ExecutorSafeguard.tracker.set(operator)
        context: Any = self.context(operator.task_id)
        return operator.resume_execution(
            deferred.method_name, {**(deferred.kwargs or {}), "event": event}, context
        )


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    case = Case(database(tmp_path))
    case.leased()
    return case


def test_it_waits_and_then_begins_from_the_start(case: Case) -> None:
    case.hold()
    operator = case.step()
    deferred = case.deferred(operator)
    trigger = deferred.trigger
    assert isinstance(trigger, HoldTrigger)
    assert (trigger.plan_id, trigger.ask_at) == (case.plan_id, None)
    assert trigger.not_before > (NOW + timedelta(seconds=3)).isoformat()
    assert deferred.timeout is None
    assert (operator.did, case.acts()) == ([], ())
    case.resume()
    assert case.go_on(operator, deferred, {"resumed": True}) == "done"
    assert operator.did == ["execute"]
    assert [(act.try_number, act.result) for act in case.acts()] == [(1, ActResult.DONE)]


def test_a_hint_of_the_trigger_is_not_believed(case: Case) -> None:
    case.hold()
    operator = case.step()
    deferred = case.deferred(operator)
    with pytest.raises(TaskDeferred):
        case.go_on(operator, deferred, {"resumed": True})
    assert operator.did == []


@pytest.mark.parametrize("how", ["stopped", "failing", "wound up"])
def test_what_ends_the_run_ends_the_wait(case: Case, how: str) -> None:
    case.hold()
    operator = case.step()
    deferred = case.deferred(operator)
    if how == "stopped":
        case.ledger.request_abort(case.plan_id, actor="t", reason="x", now=NOW)
    elif how == "failing":
        run = case.ledger.run(case.plan_id)
        assert run is not None
        case.ledger.record_failing(run.key.dag_id, run.key.run_id, "s0", actor="t", now=NOW)
    else:
        case.winding_up(Course.UNDO)
    with pytest.raises(NoAuthorityError, match="Nothing was touched"):
        case.go_on(operator, deferred, {"abort": NOW.isoformat()})
    assert operator.did == []


def test_what_defers_itself_is_not_held_half_way(case: Case) -> None:
    operator = case.step(defers=True)
    own = case.deferred(operator)
    assert own.method_name == "later"
    case.hold()
    assert case.go_on(operator, own) == "done later"
    assert operator.did == ["execute", "later"]


def test_what_defers_itself_begins_after_a_hold_as_well(case: Case) -> None:
    case.hold()
    operator = case.step(defers=True)
    held = case.deferred(operator)
    assert held.method_name == AFTER_HOLD
    case.resume()
    with pytest.raises(TaskDeferred) as own:
        case.go_on(operator, held)
    assert own.value.method_name == "later"
    (act,) = case.acts()
    assert act.parked_at is not None
    assert case.go_on(operator, own.value) == "done later"
    assert [act.result for act in case.acts()] == [ActResult.DONE]


def test_a_later_try_waits_too(case: Case) -> None:
    class Fails(Guarded):
        def act(self, context: Any) -> Any:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        case.run(Fails(task_id="execute.s1", plan_ref=case.ref(Role.STEP, "s1")))
    case.hold()
    case.deferred(case.step(), try_number=2)


def test_undoing_and_checking_are_not_held(case: Case) -> None:
    case.run(case.step())
    case.hold()
    assert case.run(case.step("verify", Role.CHECK)) == "done"
    case.winding_up(Course.UNDO)
    assert case.run(case.step("s1", Role.UNDO)) == "done"


def test_guards_are_asked_when_it_begins(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "planner_provider.operators.guard.check_guards", lambda *_, **more: asked.append("asked")
    )
    operator = case.step()
    object.__setattr__(operator, "guard_slos", ("slo",))
    case.hold()
    deferred = case.deferred(operator)
    assert asked == []
    case.resume()
    case.go_on(operator, deferred)
    assert (asked, operator.did) == (["asked"], ["execute"])


def test_a_hold_between_the_guards_and_the_begin_counts(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "planner_provider.operators.guard.check_guards", lambda *_, **more: case.hold()
    )
    operator = case.step()
    object.__setattr__(operator, "guard_slos", ("slo",))
    case.deferred(operator)
    assert operator.did == []


def test_a_try_that_may_still_act_is_waited_for_first(case: Case) -> None:
    operator = case.step()
    claim = operator._claim(operator.plan_ref, case.context("execute.s1"), resumes=False)  # type: ignore[arg-type]
    lost = case.ledger.begin_act(claim, now=case.time.now())
    assert lost.permit is Permit.GRANTED
    case.hold()
    case.deferred(operator, try_number=2)
    (act,) = case.acts()
    assert act.result is ActResult.UNKNOWN, "it was silent, and nothing was begun in its place"


def test_the_marker_is_no_method() -> None:
    """Else Airflow could call it instead of asking again."""
    assert not hasattr(plan_step.PlanStepMixin, AFTER_HOLD)
