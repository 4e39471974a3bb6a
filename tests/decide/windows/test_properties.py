"""The window engine beside a slow one that shares no code with it, over random calendars."""

from __future__ import annotations

from datetime import datetime

from hypothesis import HealthCheck, given, note, settings

from tests.decide.windows.brute import BruteCalendar
from tests.decide.windows.worlds import clock_worlds, disagreement, worlds


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds())
def test_it_says_what_the_slow_engine_says(world: tuple[BruteCalendar, datetime]) -> None:
    note(repr(world))
    assert disagreement(*world) is None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(clock_worlds())
def test_it_says_the_same_when_the_clock_is_moved(world: tuple[BruteCalendar, datetime]) -> None:
    note(repr(world))
    assert disagreement(*world) is None
