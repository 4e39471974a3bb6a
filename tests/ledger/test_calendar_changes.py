"""Freezes and overrides in the ledger, and the steps that they hold up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from planner_provider.decide.replay import replay
from planner_provider.errors import NoAuthorityError
from planner_provider.graph.plan_window import WindowRule
from planner_provider.ledger import Ledger
from planner_provider.ledger.acts import Permit
from planner_provider.ledger.calendar_changes import may_lift
from planner_provider.ledger.rows import (
    ActResult,
    ActRole,
    CalendarChange,
    ChangeKind,
    Claim,
    Course,
    Hold,
    RunKey,
)
from planner_provider.ledger.windows import WindowClosedError
from tests.decide.calendars import nights, utc

HOUR = timedelta(hours=1)
OPEN = utc("2026-06-01T20:30")
"""Within the window of that night, which ends at midnight UTC."""
CLOSED = utc("2026-06-02T00:10")
KEY = RunKey("p-1", "p", "p", "run-1", "d" * 64)
ALICE = ("alice",)


class Case:
    def __init__(self, url: str) -> None:
        self.ledger = Ledger(url)
        self.rule = WindowRule(calendar=nights(), needs=HOUR)
        self.begin_run()

    def begin_run(self) -> None:
        self.ledger.pin_run(KEY, expires_at=None, parameters={}, actor="t", now=OPEN)
        self.ledger.take_lease(KEY.plan_id, [Hold("plan://p")], actor="t", now=OPEN)

    def begin(self, step: str, now: datetime, role: ActRole = ActRole.STEP, **more: Any) -> Any:
        claim = Claim(
            KEY.dag_id, KEY.run_id, KEY.digest, role, step, window=self.rule,
            override_users=ALICE, **more,
        )  # fmt: skip
        return self.ledger.begin_act(claim, now=now)

    def done(self, step: str, now: datetime, **more: Any) -> None:
        begun = self.begin(step, now, **more)
        assert begun.permit is Permit.GRANTED
        self.ledger.end_act(begun.act, ActResult.DONE, None, actor="t", now=now)

    def change(self, kind: ChangeKind, who: str = "cli:alice", **more: Any) -> CalendarChange:
        change = CalendarChange(
            0,
            more.pop("calendar", "nights"),
            kind,
            more.pop("begins", OPEN - HOUR),
            more.pop("ends", OPEN + 24 * HOUR),
            "an incident",
            who,
            OPEN,
        )
        return self.ledger.add_calendar_change(change)

    def live(self, **more: Any) -> Any:
        calendar = more.pop("calendar", self.rule.calendar)
        return self.ledger.live_changes(calendar, override_users=ALICE, now=more.pop("now", OPEN))

    def ends(self, at_end: str) -> None:
        self.rule = self.rule.model_copy(update={"at_end": at_end})


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(f"sqlite:///{tmp_path / 'planner.db'}")


# ---- what people write


def test_a_freeze_is_written_down_and_audited(case: Case) -> None:
    added = case.change(ChangeKind.FREEZE, "cli:bob")
    assert case.ledger.calendar_changes_of("nights") == (added,)
    assert case.ledger.calendar_changes_of("days") == ()
    assert case.ledger.calendar_changes_of() == (added,)
    entry = case.ledger.audit_of()[-1]
    assert (entry.what, entry.actor, entry.plan_id) == ("calendar.freeze", "cli:bob", None)
    assert entry.detail["reason"] == "an incident"
    assert [freeze.who for freeze in case.live().freezes] == ["cli:bob"]


def test_a_freeze_counts_for_calendars_that_need_the_frozen_one(case: Case) -> None:
    case.change(ChangeKind.FREEZE, calendar="company")
    company = nights().model_copy(update={"name": "company"})
    assert case.live().freezes == ()
    needing = case.rule.calendar.model_copy(update={"requires": (company,)})
    assert len(case.live(calendar=needing).freezes) == 1


def test_an_override_of_a_needed_calendar_opens_nothing(case: Case) -> None:
    case.change(ChangeKind.OVERRIDE, calendar="company")
    company = nights().model_copy(update={"name": "company"})
    needing = case.rule.calendar.model_copy(update={"requires": (company,)})
    assert case.live(calendar=needing).overrides == ()


def test_an_override_counts_only_from_those_who_may(case: Case) -> None:
    case.change(ChangeKind.OVERRIDE, "cli:mallory")
    assert case.live().overrides == ()
    case.change(ChangeKind.OVERRIDE, "cli:alice")
    assert [one.who for one in case.live().overrides] == ["cli:alice"]


def test_what_is_taken_back_counts_no_more(case: Case) -> None:
    freeze = case.change(ChangeKind.FREEZE, "cli:bob")
    override = case.change(ChangeKind.OVERRIDE)
    for change in (freeze, override):
        done = case.ledger.withdraw_calendar_change(change.id, actor="cli:alice", now=OPEN)
        assert done is not None
        assert (done.withdrawn_at, done.withdrawn_by) == (OPEN, "cli:alice")
    assert (case.live().freezes, case.live().overrides) == ((), ())
    again = case.ledger.withdraw_calendar_change(freeze.id, actor="cli:eve", now=CLOSED)
    assert again is not None
    assert again.withdrawn_by == "cli:alice"
    assert [entry.what for entry in case.ledger.audit_of()].count("calendar.withdrawn") == 2
    assert case.ledger.withdraw_calendar_change(99, actor="x", now=OPEN) is None


def test_somebody_elses_freeze_stays_when_the_wrong_person_takes_it_back(case: Case) -> None:
    freeze = case.change(ChangeKind.FREEZE, "cli:bob")
    assert may_lift(freeze, "cli:bob", ())
    assert not may_lift(freeze, "cli:mallory", ALICE)
    case.ledger.withdraw_calendar_change(freeze.id, actor="cli:mallory", now=OPEN)
    assert len(case.live().freezes) == 1


# ---- what steps are told


def test_a_step_acts_in_its_window(case: Case) -> None:
    assert case.begin("a", OPEN).permit is Permit.GRANTED


@pytest.mark.parametrize("at", [CLOSED, utc("2026-06-01T23:30"), utc("2026-06-01T12:00")])
def test_the_first_step_needs_a_window_that_is_long_enough(case: Case, at: datetime) -> None:
    with pytest.raises(WindowClosedError) as refused:
        case.begin("a", at)
    assert isinstance(refused.value, NoAuthorityError)
    assert case.ledger.acts_of(KEY.plan_id) == ()
    decision = refused.value.decision
    assert decision is not None
    assert replay(decision).equal


def test_the_refusal_says_what_when_and_what_next(case: Case) -> None:
    with pytest.raises(WindowClosedError) as refused:
        case.begin("restart", CLOSED)
    assert str(refused.value) == (
        "The window of calendar nights closed at Tue 02:00 Europe/Berlin (00:00 UTC); step restart "
        "did not begin. Nothing was touched. Next opening with 1h: Tue 22:00 Europe/Berlin (20:00 "
        "UTC). Start a new run then, or `planner calendar override nights --until ... --reason "
        "...`."
    )


@pytest.mark.parametrize(
    ("at_end", "goes_on"), [("finish", True), ("stop_after_step", False), ("abort", False)]
)
def test_a_later_step_after_the_end(case: Case, at_end: str, goes_on: bool) -> None:
    case.ends(at_end)
    case.done("a", OPEN)
    if goes_on:
        assert case.begin("b", CLOSED).permit is Permit.GRANTED
    else:
        with pytest.raises(WindowClosedError, match="What was done before it is undone"):
            case.begin("b", CLOSED)


@pytest.mark.parametrize(
    ("at_end", "goes_on"), [("finish", True), ("stop_after_step", True), ("abort", False)]
)
@pytest.mark.parametrize("step", ["a", "a/w25"])
def test_the_step_that_runs_is_tried_again_after_the_end(
    case: Case, at_end: str, goes_on: bool, step: str
) -> None:
    case.ends(at_end)
    begun = case.begin(step, OPEN)
    case.ledger.end_act(begun.act, ActResult.FAILED, "no", actor="t", now=OPEN)
    if goes_on:
        assert case.begin(step, CLOSED, try_number=2).permit is Permit.GRANTED
    else:
        with pytest.raises(WindowClosedError):
            case.begin(step, CLOSED, try_number=2)


@pytest.mark.parametrize(
    ("at_end", "goes_on"), [("finish", True), ("stop_after_step", True), ("abort", False)]
)
def test_a_step_that_was_deferred_over_the_end(case: Case, at_end: str, goes_on: bool) -> None:
    case.ends(at_end)
    begun = case.begin("a", OPEN)
    case.ledger.park_act(begun.act.id, now=OPEN)
    if goes_on:
        assert case.begin("a", CLOSED, resumes=True).permit is Permit.GRANTED
    else:
        with pytest.raises(WindowClosedError):
            case.begin("a", CLOSED, resumes=True)


@pytest.mark.parametrize("at_end", ["finish", "stop_after_step", "abort"])
def test_a_freeze_between_two_steps_stops_the_second(case: Case, at_end: str) -> None:
    case.ends(at_end)
    case.done("a", OPEN)
    case.change(ChangeKind.FREEZE)
    with pytest.raises(WindowClosedError, match=r"frozen until .* by cli:alice \(an incident\)"):
        case.begin("b", OPEN + timedelta(minutes=1))


def test_an_override_lets_a_step_begin(case: Case) -> None:
    case.change(ChangeKind.FREEZE)
    case.change(ChangeKind.OVERRIDE, begins=CLOSED - HOUR, ends=CLOSED + 2 * HOUR)
    assert case.begin("a", CLOSED).permit is Permit.GRANTED


def test_undoing_is_never_held_up(case: Case) -> None:
    case.ends("abort")
    case.done("a", OPEN)
    case.change(ChangeKind.FREEZE)
    lease = case.ledger.close_lease(KEY.plan_id, now=CLOSED)
    assert lease is not None
    case.ledger.record_course(
        KEY.plan_id, lease.generation, Course.UNDO, detail={}, actor="t", now=CLOSED
    )
    begun = case.begin("a", CLOSED, ActRole.UNDO)
    assert begun.permit is Permit.GRANTED
    assert case.ledger.life_sign(begun.act.id, now=CLOSED) is None


def test_a_run_that_is_taken_up_again_after_the_end_does_not_act(case: Case) -> None:
    """Cleared the next day: what was begun under the earlier locks is not the work that runs."""
    case.done("a", OPEN)
    lease = case.ledger.close_lease(KEY.plan_id, now=OPEN)
    assert lease is not None
    case.ledger.release_lease(KEY.plan_id, actor="t", now=OPEN)
    case.begin_run()
    with pytest.raises(WindowClosedError):
        case.begin("b", CLOSED, after=("a",))
    assert case.begin("a", CLOSED).permit is Permit.ALREADY_DONE


# ---- the end of a window that ends the run


def test_what_acts_is_told_to_stop_at_the_end(case: Case) -> None:
    case.ends("abort")
    begun = case.begin("a", OPEN)
    assert case.ledger.life_sign(begun.act.id, now=CLOSED - 2 * HOUR) is None
    said = case.ledger.life_sign(begun.act.id, now=CLOSED)
    assert said is not None
    assert said.startswith("The window of calendar nights closed at Tue 02:00 Europe/Berlin")
    run = case.ledger.run(KEY.plan_id)
    assert run is not None
    assert (run.abort_at, run.stopped_by) == (CLOSED, "the end of its window")
    entry = case.ledger.audit_of(KEY.plan_id)[-1]
    assert (entry.what, entry.actor) == ("run.aborted", "window:nights")


def ended_by_trigger(case: Case) -> tuple[str, ...]:
    return case.ledger.end_windows(CLOSED)


@pytest.mark.parametrize("freeze", [False, True])
def test_what_waits_is_stopped_at_the_end(case: Case, freeze: bool) -> None:
    case.ends("abort")
    begun = case.begin("a", OPEN)
    case.ledger.park_act(begun.act.id, now=OPEN)
    assert case.ledger.end_windows(OPEN) == ()
    at = CLOSED
    if freeze:
        case.change(ChangeKind.FREEZE)
        at = OPEN + timedelta(minutes=1)
    assert case.ledger.end_windows(at) == (KEY.plan_id,)
    assert case.ledger.open_stops() == {KEY.plan_id: at}
    assert case.ledger.end_windows(at) == ()


@pytest.mark.parametrize("at_end", ["finish", "stop_after_step"])
def test_other_runs_outlast_their_window(case: Case, at_end: str) -> None:
    case.ends(at_end)
    begun = case.begin("a", OPEN)
    assert case.ledger.life_sign(begun.act.id, now=CLOSED) is None
    assert case.ledger.end_windows(CLOSED) == ()


@pytest.mark.parametrize(
    "wind_up",
    [
        lambda case: case.ledger.close_lease(KEY.plan_id, now=OPEN),
        lambda case: case.ledger.release_lease(KEY.plan_id, actor="t", now=OPEN),
    ],
    ids=["being wound up", "ended"],
)
def test_a_run_that_is_over_is_not_stopped(case: Case, wind_up: Callable[[Case], Any]) -> None:
    case.ends("abort")
    case.done("a", OPEN)
    wind_up(case)
    assert case.ledger.end_windows(CLOSED) == ()
    run = case.ledger.run(KEY.plan_id)
    assert run is not None
    assert run.abort_at is None
