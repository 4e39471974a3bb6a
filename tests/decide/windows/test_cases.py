"""The written cases, and what else the engine promises: bounded searches, live changes, words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from planner_provider.decide.replay import decide, replay
from planner_provider.decide.windows import (
    Change,
    Changes,
    WindowInputs,
    earliest_start,
    expand,
    interval_at,
    next_opening,
    openings,
    why,
)
from planner_provider.decide.windows.cases import check_cases
from planner_provider.graph.calendars import PlanCalendar, inline_calendar
from planner_provider.spec.calendar_kind import Freeze, Window
from planner_provider.spec.catalog import Catalog
from planner_provider.spec.window_cases import read_cases

TESTS = Path(__file__).parents[2]


def calendar(*windows: dict, freezes: tuple[dict, ...] = (), **more) -> PlanCalendar:
    found = inline_calendar(
        "nights",
        more.pop("timezone", "UTC"),
        tuple(Window.model_validate(window) for window in windows),
        tuple(Freeze.model_validate(freeze) for freeze in freezes),
    )
    return found.model_copy(update=more)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


NIGHTS = calendar({"days": "daily", "from": "22:00", "to": "02:00"})


@pytest.mark.parametrize("name", ["window_cases.yaml", "window_cases_more.yaml"])
def test_all_cases_pass(name: str) -> None:
    file, problems = read_cases(name, (TESTS / name).read_bytes())
    assert problems == ()
    assert file is not None
    results = check_cases(file, Catalog())
    assert [result for result in results if not result.passed] == []
    assert len(results) >= 14


def test_work_that_never_fits_is_told_so_and_remembered() -> None:
    assert earliest_start(NIGHTS, at("2026-01-01T00:00Z"), timedelta(hours=5)) is None
    assert earliest_start(NIGHTS, at("2026-01-02T00:00Z"), timedelta(hours=5)) is None
    opened = Changes(
        overrides=(Change(start=at("2026-01-03T02:00Z"), end=at("2026-01-03T09:00Z")),)
    )
    start = earliest_start(NIGHTS, at("2026-01-02T00:00Z"), timedelta(hours=5), opened)
    assert start == at("2026-01-02T22:00Z"), "the override goes on where the window ends"


def test_a_calendar_that_is_always_open_has_no_second_opening() -> None:
    always = calendar({"days": "daily", "from": "00:00", "to": "00:00"})
    assert next_opening(always, at("2026-01-01T00:00Z")) is None
    around = interval_at(always, at("2026-01-01T00:00Z"))
    assert around is not None
    assert around.length > timedelta(days=1000)


def test_openings_follow_each_other_over_the_edges_of_what_is_kept() -> None:
    found = openings(NIGHTS, at("2026-01-01T22:00Z"))
    starts = [next(found).start for _ in range(400)]
    assert starts[0] == at("2026-01-02T22:00Z")
    assert {later - sooner for sooner, later in pairwise(starts)} == {timedelta(days=1)}
    inclusive = next_opening(NIGHTS, at("2026-01-01T22:00Z"), inclusive=True)
    assert inclusive is not None
    assert inclusive.start == at("2026-01-01T22:00Z")


def test_a_required_calendar_must_be_open_too_and_its_cutoff_counts() -> None:
    office = calendar(
        {"days": "daily", "from": "21:00", "to": "23:30"}, cutoff=timedelta(minutes=30)
    )
    both = NIGHTS.model_copy(update={"requires": (office,)})
    found = expand(both, at("2026-01-01T12:00Z"), at("2026-01-02T12:00Z"))
    assert [(one.start, one.end) for one in found] == [
        (at("2026-01-01T22:00Z"), at("2026-01-01T23:30Z"))
    ]
    assert earliest_start(both, at("2026-01-01T23:00Z")) == at("2026-01-02T22:00Z")
    assert "'nights' must be open as well" in why(both, at("2026-01-02T00:30Z")).text


def test_holidays_are_whole_days_of_the_zone() -> None:
    frozen = calendar(
        {"days": "daily", "from": "00:00", "to": "00:00"},
        freezes=({"holidays": "DE-BY"},),
        timezone="Europe/Berlin",
    )
    found = expand(frozen, at("2027-01-05T00:00Z"), at("2027-01-08T00:00Z"))
    assert [(one.start, one.end) for one in found] == [
        (at("2027-01-05T00:00Z"), at("2027-01-05T23:00Z")),
        (at("2027-01-06T23:00Z"), at("2027-01-08T00:00Z")),
    ]
    assert "Epiphany" in why(frozen, at("2027-01-06T12:00Z")).text


@pytest.mark.parametrize(
    ("moment", "codes"),
    [
        ("2026-01-01T23:00Z", ["window"]),
        ("2026-01-02T01:30Z", ["cutoff", "window"]),
        ("2026-01-02T12:00Z", ["no_window"]),
        ("2026-01-03T23:00Z", ["freeze", "window"]),
        ("2026-01-04T23:00Z", ["live_freeze", "window"]),
        ("2026-01-05T12:00Z", ["override", "no_window"]),
    ],
)
def test_why_names_what_decides_first(moment: str, codes: list[str]) -> None:
    frozen = calendar(
        {"days": "daily", "from": "22:00", "to": "02:00"},
        freezes=({"from": "2026-01-03", "to": "2026-01-03", "reason": "fair"},),
        cutoff=timedelta(hours=1),
    )
    changes = Changes(
        freezes=(Change(start=at("2026-01-04T20:00Z"), end=at("2026-01-05T00:00Z"), who="bo"),),
        overrides=(Change(start=at("2026-01-05T11:00Z"), end=at("2026-01-05T14:00Z"), who="al"),),
    )
    found = why(frozen, at(moment), changes)
    assert [cause.kind.value for cause in found.causes] == codes
    assert found.is_open == (codes[0] in {"window", "cutoff", "override"})
    assert found.may_start == (codes[0] in {"window", "override"})
    if codes[0] == "freeze":
        assert found.causes[0].text.endswith("fair.")


def test_the_verdict_holds_goes_on_and_replays() -> None:
    now = datetime(2026, 1, 2, 1, 30, tzinfo=UTC)
    short = calendar({"days": "daily", "from": "22:00", "to": "02:00"}, cutoff=timedelta(hours=1))
    verdict, record = decide(WindowInputs(now=now, calendar=short))
    assert [reason.code for reason in verdict.reasons] == ["cutoff", "window", "next_start"]
    assert not verdict.passes
    assert replay(record).equal
    assert decide(WindowInputs(now=now, calendar=short, asked="go_on"))[0].passes
    long = WindowInputs(now=now - timedelta(hours=2), calendar=short, work=timedelta(hours=3))
    assert [reason.code for reason in decide(long)[0].reasons] == [
        "too_short", "window", "next_start",
    ]  # fmt: skip
    never = WindowInputs(now=now, calendar=short, work=timedelta(hours=9))
    assert decide(never)[0].reasons[-1].code == "never"


def test_equal_calendars_share_what_was_worked_out() -> None:
    from planner_provider.decide.windows.engine import engine_of

    again = PlanCalendar.from_json(NIGHTS.to_json())
    assert again == NIGHTS
    assert engine_of(again) is engine_of(NIGHTS)
