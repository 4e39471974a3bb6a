"""A step that failed for good: no other begins, until it is tried again or the run is anew."""

from __future__ import annotations

import pytest

from planner_provider.errors import NoAuthorityError
from planner_provider.ledger import Ledger
from planner_provider.ledger.acts import Permit
from planner_provider.ledger.rows import ActResult, ActRole, Course
from tests.ledger.cases import Run, later


@pytest.fixture
def run(ledger: Ledger) -> Run:
    run = Run(ledger).pin()
    run.lease()
    run.do("bad", ActResult.FAILED)
    return run


def fail(run: Run, step: str = "bad", at: float = 1) -> bool:
    return run.ledger.record_failing(run.key.dag_id, run.key.run_id, step, actor="t", now=later(at))


def test_no_other_step_begins(run: Run) -> None:
    fail(run)
    with pytest.raises(NoAuthorityError, match="Step bad failed for good at 01:00:00 UTC"):
        run.begin("other")
    assert run.ledger.open_stops() == {run.key.plan_id: later(1)}


def test_what_was_deferred_may_go_on_to_its_own_end(run: Run) -> None:
    parked = run.begin("other").act
    assert parked is not None
    run.ledger.park_act(parked.id, now=later(1))
    fail(run, at=2)
    assert run.begin("other", resumes=True).permit is Permit.GRANTED


def test_the_undoing_is_not_held_up(run: Run) -> None:
    fail(run)
    run.wind_up(Course.UNDO)
    assert run.begin("bad", ActRole.UNDO).permit is Permit.GRANTED


def test_the_step_itself_may_be_tried_again_and_then_the_others_may_begin(run: Run) -> None:
    fail(run)
    run.end(run.begin("bad"))
    assert run.ledger.open_stops() == {}
    assert run.begin("other").permit is Permit.GRANTED


def test_of_two_that_failed_both_must_be_tried_again(run: Run) -> None:
    run.do("worse", ActResult.FAILED)
    fail(run)
    fail(run, "worse", at=2)
    run.end(run.begin("worse"))
    with pytest.raises(NoAuthorityError, match="Step bad failed"):
        run.begin("other")
    run.end(run.begin("bad"))
    assert run.begin("other").permit is Permit.GRANTED


def test_a_run_that_is_assessed_anew_has_not_failed(run: Run) -> None:
    fail(run)
    run.pin()
    found = run.ledger.run(run.key.plan_id)
    assert found is not None
    assert (found.failing_at, found.failing_steps) == (None, ())


def test_it_is_said_once_and_only_of_runs_that_are_known(run: Run) -> None:
    assert fail(run)
    assert not fail(run, at=5)
    assert not run.ledger.record_failing("nobody", "nothing", "bad", actor="t", now=later(1))
    assert [entry.what for entry in run.ledger.audit_of()].count("run.failing") == 1
