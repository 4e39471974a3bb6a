"""At which openings a plan starts by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from planner_provider.decide.openings import PUNCTUAL, Openings, without_freezes
from planner_provider.graph.calendars import PlanCalendar, Source
from tests.decide.calendars import nights, once, source, utc

HOUR = timedelta(hours=1)


def test_the_next_opening() -> None:
    found = Openings(nights())
    assert found.due(utc("2026-06-01T12:00"), None) == utc("2026-06-01T20:00")
    assert found.due(utc("2026-12-01T12:00"), None) == utc("2026-12-01T21:00")


def test_over_the_changes_of_the_clock() -> None:
    found = Openings(nights())
    last, starts = utc("2026-03-27T00:00"), []
    for _ in range(3):
        last = found.after(last) or last
        starts.append(last)
    assert starts == [
        utc("2026-03-27T21:00"),
        utc("2026-03-28T21:00"),
        utc("2026-03-29T20:00"),
    ]


@pytest.mark.parametrize(
    ("now", "catch_up", "expected"),
    [
        ("2026-06-01T20:00", "latest", "2026-06-01T20:00"),
        ("2026-06-01T20:00", "none", "2026-06-01T20:00"),
        ("2026-06-01T20:04", "none", "2026-06-01T20:00"),
        ("2026-06-01T20:06", "none", "2026-06-02T20:00"),
        ("2026-06-01T22:59", "latest", "2026-06-01T20:00"),
        ("2026-06-01T23:01", "latest", "2026-06-02T20:00"),
        ("2026-06-02T00:30", "latest", "2026-06-02T20:00"),
    ],
)
def test_an_opening_that_was_missed(now: str, catch_up: str, expected: str) -> None:
    found = Openings(nights(), HOUR, catch_up)  # type: ignore[arg-type]
    assert found.due(utc(now), utc("2026-05-20T20:00")) == utc(expected)
    assert found.due(utc(now), None) == utc(expected)


def test_one_start_an_opening() -> None:
    found = Openings(nights(), HOUR)
    assert found.due(utc("2026-06-01T21:00"), utc("2026-06-01T20:00")) == utc("2026-06-02T20:00")


def test_a_start_that_lies_ahead_is_not_made_again() -> None:
    found = Openings(nights(), HOUR)
    assert found.due(utc("2026-06-01T12:00"), utc("2026-06-01T20:00")) == utc("2026-06-02T20:00")


def test_a_freeze_within_an_opening_makes_no_second_one() -> None:
    found = Openings(nights(once("2026-06-01T21:00", 2 * HOUR)), timedelta(minutes=30))
    first = found.due(utc("2026-06-01T12:00"), None)
    assert first == utc("2026-06-01T20:00")
    assert found.due(utc("2026-06-01T23:10"), first) == utc("2026-06-02T20:00")


def test_an_opening_that_begins_frozen() -> None:
    found = Openings(nights(once("2026-06-01T19:00", 2 * HOUR)), HOUR)
    assert found.due(utc("2026-06-01T12:00"), None) == utc("2026-06-01T21:00")
    assert found.due(utc("2026-06-01T20:30"), None) == utc("2026-06-01T21:00")
    assert found.due(utc("2026-06-01T21:00"), utc("2026-05-31T20:00")) == utc("2026-06-01T21:00")


def test_an_opening_in_which_the_work_does_not_fit_is_left_out() -> None:
    frozen = once("2026-06-01T20:30", timedelta(hours=3, minutes=10))
    found = Openings(nights(frozen), HOUR)
    assert found.due(utc("2026-06-01T12:00"), None) == utc("2026-06-02T20:00")


def test_the_cutoff_counts() -> None:
    found = Openings(nights(cutoff=3 * HOUR), timedelta(minutes=1))
    assert found.due(utc("2026-06-01T20:59"), None) == utc("2026-06-01T20:00")
    assert found.due(utc("2026-06-01T21:00"), None) == utc("2026-06-02T20:00")


def test_a_calendar_that_has_ended() -> None:
    window = source("2026-01-01T22:00", "FREQ=DAILY;COUNT=2", duration="PT4H")
    calendar = PlanCalendar(name="x", timezone="UTC", windows=(window,))
    assert Openings(calendar).due(utc("2026-06-01T00:00"), None) is None


def test_a_calendar_that_never_closes_has_no_openings() -> None:
    window = source("2020-01-01T00:00", "FREQ=DAILY", duration="P1D")
    calendar = PlanCalendar(name="x", timezone="UTC", windows=(window,))
    assert Openings(calendar).after(utc("2026-06-01T00:00")) is None


def test_freezes_are_left_out_at_every_level() -> None:
    freeze = once("2026-06-01T19:00", HOUR)
    inner = nights(freeze)
    outer = nights(freeze, requires=(inner,)).model_copy(
        update={"windows": (Source(label="", calendar=inner),)}
    )
    bare = without_freezes(outer)
    assert (bare.freezes, bare.requires[0].freezes) == ((), ())
    assert bare.windows[0].calendar is not None
    assert bare.windows[0].calendar.freezes == ()


def test_punctual_is_less_than_any_window() -> None:
    assert timedelta(0) < PUNCTUAL < timedelta(minutes=15)


def test_a_freeze_that_is_added_to_an_opening_that_has_its_run_makes_no_second_one() -> None:
    frozen = nights(once("2026-06-01T19:00", 2 * HOUR))
    found = Openings(frozen, HOUR)
    assert found.due(utc("2026-06-01T20:30"), utc("2026-06-01T20:00")) == utc("2026-06-02T20:00")
