"""What a step asks before it acts: the run's parameters, and the SLOs that guard it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planner_provider.errors import CheckFailedError, NoAuthorityError
from planner_provider.graph.approvals import parameters_digest
from planner_provider.ledger.rows import Hold, RunKey
from planner_provider.operators.plan_ref import Role
from tests.hooks.test_arm_counts import slo
from tests.operators.plan_runs import DIGEST, NOW, PLAN, RUN_ID, PlanRunCase, database
from tests.operators.test_plan_step import Work

GIVEN = {"version": "1.5.0"}


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    made = PlanRunCase(database(tmp_path))
    key = RunKey(made.plan_id, PLAN, PLAN, RUN_ID, DIGEST)
    made.ledger.pin_run(
        key, expires_at=None, parameters=GIVEN, parameters_sha=parameters_digest(GIVEN),
        actor="t", now=NOW,
    )  # fmt: skip
    made.ledger.take_lease(made.plan_id, [Hold(f"plan://{PLAN}")], actor="t", now=NOW)
    return made


def work(case: PlanRunCase, **more: Any) -> Work:
    return Work(task_id="execute.s1", plan_ref=case.ref(Role.STEP, "s1"), **more)


def test_a_step_acts_with_the_parameters_that_were_assessed(case: PlanRunCase) -> None:
    assert case.run(work(case), params=GIVEN) == "result"


@pytest.mark.parametrize("changed", [{"version": "6.6.6"}, {}, {**GIVEN, "more": 1}])
def test_a_step_does_not_act_with_other_parameters(
    case: PlanRunCase, changed: dict[str, Any]
) -> None:
    step = work(case)
    with pytest.raises(NoAuthorityError, match="parameters of the run were changed"):
        case.run(step, params=changed)
    assert (step.times, case.acts()) == (0, ())


def test_guards_are_asked_before_the_intent(
    case: PlanRunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def breached(slos: Any, budget: Any, **more: Any) -> None:
        asked.append((slos, more["step"], more["plan_id"], case.acts()))
        raise CheckFailedError("an SLO is breached")

    monkeypatch.setattr("planner_provider.operators.guard.check_guards", breached)
    step = work(case, guard_slos=(slo(),))
    with pytest.raises(CheckFailedError, match="breached"):
        case.run(step, params=GIVEN)
    assert asked == [((slo(),), "s1", case.plan_id, ())]
    assert (step.times, case.acts()) == (0, ())


def test_a_step_that_is_done_is_not_held_up_by_its_guards(
    case: PlanRunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breached(*_: Any, **__: Any) -> None:
        raise CheckFailedError("an SLO is breached")

    case.run(work(case), params=GIVEN)
    monkeypatch.setattr("planner_provider.operators.guard.check_guards", breached)
    again = work(case, guard_slos=(slo(),))
    case.run(again, params=GIVEN, try_number=2)
    assert (again.times, len(case.acts())) == (0, 1)


def test_a_step_without_guards_asks_nothing(
    case: PlanRunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("planner_provider.operators.guard.check_guards", never)
    assert case.run(work(case), params=GIVEN) == "result"
