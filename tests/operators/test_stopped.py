"""A step that failed for good is told to the ledger; what waits is told why it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator

from planner_provider.errors import AbortedError, FailingRunError
from planner_provider.operators.plan_ref import Role
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.stopped import note_failure, stop_told, stopped_error
from tests.operators.plan_runs import NOW, PLAN, RUN_ID, PlanRunCase, database

EVENT = {"abort": "2026-11-23T23:00:00+01:00"}


class Work(PlanStepMixin, BaseOperator):
    """Does nothing."""


class Counted(Work):
    """One of many, of which some may fail."""

    failure_ends_run = False


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    return PlanRunCase(database(tmp_path)).pinned()


def failed(case: PlanRunCase, kind: type[Work] = Work, step: str = "s1") -> None:
    task = kind(task_id=step, plan_ref=case.ref(Role.STEP, step))
    note_failure({**case.context(step), "task": task})  # type: ignore[arg-type]


def test_a_step_that_fails_for_good_is_told(case: PlanRunCase) -> None:
    failed(case)
    run = case.ledger.run_of(PLAN, RUN_ID)
    assert run is not None
    assert run.failing_steps == ("s1",)


def test_where_failures_are_counted_the_run_goes_on(case: PlanRunCase) -> None:
    failed(case, Counted)
    assert case.ledger.open_stops() == {}


def test_only_steps_tell_and_what_else_is_called_stays(case: PlanRunCase) -> None:
    def mine(context: Any) -> None: ...

    def callbacks(role: Role, **more: Any) -> Any:
        task = Work(task_id="t", plan_ref=case.ref(role, "t"), **more)
        return list(task.on_failure_callback)

    assert callbacks(Role.STEP) == [note_failure]
    assert callbacks(Role.STEP, on_failure_callback=mine) == [note_failure, mine]
    assert callbacks(Role.STEP, on_failure_callback=[mine]) == [note_failure, mine]
    assert callbacks(Role.UNDO) == []
    assert list(Work(task_id="t").on_failure_callback) == []


def test_an_abort_is_told_with_its_reason(case: PlanRunCase) -> None:
    failed(case)
    case.ledger.request_abort(case.plan_id, actor="cli:ada", reason="wrong version", now=NOW)
    error = stopped_error(case.plan_id, EVENT, "the gate stays closed")
    assert isinstance(error, AbortedError)
    assert str(error) == (
        "A person stopped this run at 22:00:00 UTC (wrong version), so the gate stays closed."
    )


def test_a_failing_run_is_no_abort(case: PlanRunCase) -> None:
    failed(case)
    error = stopped_error(case.plan_id, EVENT, "the gate stays closed")
    assert isinstance(error, FailingRunError)
    assert "Step s1 of this run failed for good" in str(error)


def test_outside_of_plans_the_event_says_when() -> None:
    assert "at 22:00:00 UTC" in str(stopped_error(None, EVENT, "it ends"))
    assert stop_told(EVENT)
    assert not stop_told({"due": "now"})
    assert not stop_told(None)
