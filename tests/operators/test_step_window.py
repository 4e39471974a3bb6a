"""A step of a plan by calendar, on the worker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from planner_provider.graph.plan_window import WindowRule
from planner_provider.ledger.rows import ActResult, CalendarChange, ChangeKind
from planner_provider.ledger.windows import WindowClosedError
from planner_provider.operators.acting import Stopped
from planner_provider.operators.finish import RAN_OUT
from planner_provider.operators.plan_ref import Role
from tests.decide.calendars import nights
from tests.operators.plan_runs import NOW, PlanRunCase, database
from tests.operators.test_plan_step import Work

HOUR = timedelta(hours=1)


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    monkeypatch.setenv("AIRFLOW__PLANNER__OVERRIDE_USERS", "alice")
    return PlanRunCase(database(tmp_path)).leased()


def work(case: PlanRunCase, at_end: str = "finish", step: str = "s1", does: object = None) -> Work:
    rule = WindowRule(calendar=nights(), needs=HOUR, at_end=at_end)  # type: ignore[arg-type]
    ref = case.ref(Role.STEP, step)
    return Work(task_id=f"execute.{step}", plan_ref=ref, plan_window=rule, does=does)


def test_a_closed_window_stops_a_step_and_is_on_record(case: PlanRunCase) -> None:
    case.time.seconds = 4 * 3600
    step = work(case)
    with pytest.raises(WindowClosedError, match=r"step s1 did not begin\. Nothing was touched"):
        case.run(step)
    assert (step.times, case.acts()) == (0, ())
    (recorded,) = case.ledger.decisions_of(case.plan_id)
    assert (recorded.step, recorded.decision.kind) == ("s1", "window")
    failed = [e for e in case.ledger.audit_of(case.plan_id) if e.what == "task.failed"]
    assert [e.detail["error"] for e in failed] == ["WindowClosedError"]
    assert "WindowClosedError" in RAN_OUT, "nothing was done: the run has expired"


def test_an_override_from_the_configuration_of_the_worker(
    case: PlanRunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.time.seconds = 4 * 3600
    begins, ends = NOW + 3 * HOUR, NOW + 8 * HOUR
    case.ledger.add_calendar_change(
        CalendarChange(0, "nights", ChangeKind.OVERRIDE, begins, ends, "x", "cli:alice", NOW)
    )
    monkeypatch.setenv("AIRFLOW__PLANNER__OVERRIDE_USERS", "bob")
    with pytest.raises(WindowClosedError):
        case.run(work(case))
    monkeypatch.setenv("AIRFLOW__PLANNER__OVERRIDE_USERS", "bob,alice")
    assert case.run(work(case)) == "result"


def test_the_end_of_the_window_reaches_what_acts(case: PlanRunCase) -> None:
    """The life signs tell it; here the step sees it in one of its pauses."""

    def does(step: Work) -> None:
        case.time.seconds = 4 * 3600
        act = case.acts()[-1]
        said = case.ledger.life_sign(act.id, now=case.time.now())
        assert said is not None
        assert step._acting is not None
        step._acting.tell_to_stop(said)
        step.pause(60)

    with pytest.raises(Stopped, match="The window of calendar nights closed at"):
        case.run(work(case, "abort", does=does))
    assert case.acts()[-1].result is ActResult.UNKNOWN
    run = case.ledger.run(case.plan_id)
    assert run is not None
    assert run.stopped_by == "the end of its window"
