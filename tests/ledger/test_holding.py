"""A run that a person holds: nothing begins, nothing that acts is cut off."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

import pytest

from planner_provider.errors import NoAuthorityError
from planner_provider.graph.calendars import PlanCalendar, PlanWindow, Source
from planner_provider.graph.plan_window import WindowRule
from planner_provider.ledger import Ledger
from planner_provider.ledger.acts import Permit
from planner_provider.ledger.rows import (
    ActResult,
    ActRole,
    Course,
    ItemState,
    Outcome,
    PlanRun,
    WorkItem,
)
from tests.ledger.cases import NOW, Run, later


@pytest.fixture
def run(ledger: Ledger) -> Run:
    run = Run(ledger).pin(ttl=3600)
    run.lease()
    return run


def hold(run: Run, at: float = 1, who: str = "ada", reason: str = "Lag rises.") -> PlanRun | None:
    return run.ledger.hold_run(run.key.plan_id, actor=who, reason=reason, now=later(at))


def resume(run: Run, at: float = 9, reason: str | None = None) -> PlanRun | None:
    return run.ledger.resume_run(run.key.plan_id, actor="bo", reason=reason, now=later(at))


def known(run: Run) -> PlanRun:
    found = run.ledger.run(run.key.plan_id)
    assert found is not None
    return found


def finish(run: Run) -> None:
    run.ledger.finish_run(run.key, Outcome.ROLLED_BACK, "why", actor="t", now=later(20))


def audited(run: Run) -> list[str]:
    return [entry.what for entry in run.ledger.audit_of(run.key.plan_id)]


class TestWhatBegins:
    def test_no_step_begins_until_it_is_resumed(self, run: Run) -> None:
        hold(run)
        answer = run.begin("s1", at=later(5))
        assert (answer.permit, answer.act) == (Permit.HELD, None)
        assert answer.why == "ada holds this run since 2026-03-29 01:00:00 UTC: Lag rises"
        assert run.ledger.acts_of(run.key.plan_id) == ()
        resume(run)
        assert run.begin("s1", at=later(10)).permit is Permit.GRANTED

    def test_what_acts_goes_on(self, run: Run) -> None:
        acting = run.begin("s1")
        hold(run)
        assert acting.act is not None
        assert run.ledger.life_sign(acting.act.id, now=later(5)) is None
        assert run.end(acting)
        assert run.begin("s2", after=("s1",)).permit is Permit.HELD

    def test_what_was_deferred_goes_on(self, run: Run) -> None:
        parked = run.begin("bake").act
        assert parked is not None
        run.ledger.park_act(parked.id, now=later(0))
        hold(run)
        assert run.begin("bake", resumes=True, at=later(5)).permit is Permit.GRANTED

    def test_what_failed_is_not_tried_again(self, run: Run) -> None:
        run.do("s1", ActResult.FAILED)
        hold(run)
        assert run.begin("s1", try_number=2).permit is Permit.HELD

    def test_what_belongs_to_something_that_has_begun_goes_on(self, run: Run) -> None:
        hold(run)
        assert run.begin("fleet/wave-1/drain", held_up=False).permit is Permit.GRANTED

    def test_what_is_done_is_done(self, run: Run) -> None:
        run.do("s1")
        hold(run)
        assert run.begin("s1", try_number=2).permit is Permit.ALREADY_DONE

    def test_checks_and_undoing_are_not_held(self, run: Run) -> None:
        run.do("s1")
        hold(run)
        assert run.begin("verify", ActRole.CHECK).permit is Permit.GRANTED
        run.wind_up(Course.UNDO)
        assert run.begin("s1", ActRole.UNDO).permit is Permit.GRANTED

    @pytest.mark.parametrize("why", ["stopped", "failing", "late"])
    def test_a_refusal_comes_before_a_hold(self, run: Run, why: str) -> None:
        hold(run)
        run_key = (run.key.dag_id, run.key.run_id)
        if why == "stopped":
            run.ledger.record_abort(*run_key, actor="t", now=later(2))
        elif why == "failing":
            run.ledger.record_failing(*run_key, "other", actor="t", now=later(2))
        with pytest.raises(NoAuthorityError):
            run.begin("s1", at=later(3600 if why == "late" else 3))


class TestWhenToAskAgain:
    def test_at_the_end_of_the_ttl(self, run: Run) -> None:
        hold(run)
        assert run.begin("s1").ask_at == later(3600)

    def test_when_the_window_ends_that_the_next_step_needs(self, ledger: Ledger) -> None:
        run = Run(ledger).pin()
        run.lease()
        hold(run)
        assert run.begin("s1", window=window(needs=timedelta(hours=1))).ask_at == at_hour(4)
        assert run.begin("s1", window=window("stop_after_step")).ask_at == at_hour(5)

    @pytest.mark.parametrize(
        ("at_end", "step", "asked"),
        [
            ("finish", "s2", None),
            ("stop_after_step", "s2", 5),
            ("stop_after_step", "s1/w25", None),
            ("abort", "s1/w25", 5),
        ],
    )
    def test_once_something_has_begun(
        self, ledger: Ledger, at_end: str, step: str, asked: int | None
    ) -> None:
        run = Run(ledger).pin()
        run.lease()
        run.do("s1/w5", window=window(at_end))
        hold(run)
        answer = run.begin(step, window=window(at_end)).ask_at
        assert answer == (None if asked is None else at_hour(asked))

    def test_without_any_limit_there_is_none(self, ledger: Ledger) -> None:
        run = Run(ledger).pin()
        run.lease()
        hold(run)
        assert run.begin("s1").ask_at is None


class TestItems:
    def begin(self, run: Run, item: str = "a") -> str | None:
        return run.ledger.begin_item(run.key.plan_id, "fill", item, now=later(5), detail="d")

    def test_none_begins_while_it_is_held(self, run: Run) -> None:
        run.ledger.add_items(WorkItem(run.key.plan_id, "fill", name, 1) for name in "ab")
        assert self.begin(run, "a") is None
        hold(run)
        assert (self.begin(run, "b") or "").startswith("ada holds this run since")
        resume(run)
        assert self.begin(run, "b") is None
        items = run.ledger.items_of(run.key.plan_id, "fill")
        assert [(item.state, item.tries) for item in items] == [(ItemState.ACTING, 1)] * 2

    def test_outside_of_plans_nobody_holds(self, ledger: Ledger) -> None:
        ledger.add_items([WorkItem("dag:x:y", "fill", "a", 1)])
        assert ledger.begin_item("dag:x:y", "fill", "a", now=NOW) is None


def test_what_asks_after_the_hold_was_written_never_begins(run: Run) -> None:
    """Many at once, while somebody holds it: whoever asks after that is told no."""
    done, began = threading.Event(), []

    def steps(name: str) -> None:
        for number in range(400):
            late = done.is_set()
            answer = run.begin(f"{name}{number}")
            began.append((late, answer.permit))
            if answer.permit is Permit.HELD:
                return

    threads = [threading.Thread(target=steps, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    hold(run)
    done.set()
    for thread in threads:
        thread.join()
    assert (True, Permit.GRANTED) not in began
    assert [permit for _, permit in began].count(Permit.HELD) == 3


class TestTheRecord:
    def test_who_and_why_and_when(self, run: Run) -> None:
        held = hold(run)
        assert held is not None
        assert (held.held_at, held.held_by, held.held_reason) == (later(1), "ada", "Lag rises.")
        assert run.ledger.held_runs() == {run.key.plan_id}
        resumed = resume(run, reason="Lag is gone.")
        assert resumed is not None
        assert (resumed.held_at, resumed.held_by, resumed.held_reason) == (None, None, None)
        assert run.ledger.held_runs() == frozenset()
        first, second = run.ledger.audit_of(run.key.plan_id)[-2:]
        assert (first.what, first.actor, first.detail) == (
            "run.held", "ada", {"reason": "Lag rises."},
        )  # fmt: skip
        assert (second.what, second.actor) == ("run.resumed", "bo")
        assert second.detail["reason"] == "Lag is gone."
        assert second.detail["held_by"] == "ada"

    def test_twice_is_once(self, run: Run) -> None:
        hold(run)
        again = hold(run, at=3, who="bo", reason="other")
        assert again is not None
        assert (again.held_by, again.held_at) == ("ada", later(1))
        resume(run)
        resume(run)
        assert audited(run)[-2:] == ["run.held", "run.resumed"]

    def test_of_a_run_that_is_not_known(self, run: Run) -> None:
        assert run.ledger.hold_run("no-such", actor="a", reason="r", now=NOW) is None
        assert run.ledger.resume_run("no-such", actor="a", reason="r", now=NOW) is None

    @pytest.mark.parametrize("how", ["ended", "stopped"])
    def test_what_ends_anyway_is_not_held(self, run: Run, how: str) -> None:
        if how == "ended":
            finish(run)
        else:
            run.ledger.request_abort(run.key.plan_id, actor="t", reason="r", now=later(1))
        left = hold(run)
        assert left is not None
        assert left.held_at is None
        assert "run.held" not in audited(run)

    def test_the_end_of_the_run_ends_the_hold(self, run: Run) -> None:
        hold(run)
        finish(run)
        assert known(run).held_at is None
        assert run.ledger.held_runs() == frozenset()

    def test_assessing_or_locking_again_does_not(self, run: Run) -> None:
        hold(run)
        run.pin(ttl=3600)
        run.lease()
        assert known(run).held_by == "ada"
        assert run.begin("s1").permit is Permit.HELD


def at_hour(hour: int) -> datetime:
    return NOW.replace(hour=hour, minute=0, second=0, microsecond=0)


def window(at_end: str = "finish", needs: timedelta | None = None) -> WindowRule:
    """Open each day from 0 to 5 o'clock."""
    daily = PlanWindow(
        timezone="UTC", dtstart="2026-01-01T00:00:00", rrule="FREQ=DAILY", duration="PT5H"
    )
    calendar = PlanCalendar(
        name="nights", timezone="UTC", windows=(Source(label="nights", windows=(daily,)),)
    )
    return WindowRule(calendar=calendar, needs=needs, at_end=at_end)
