"""A long time that is worked out at once is the same as its parts, one by one."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from planner_provider.decide.windows import expand
from planner_provider.decide.windows.engine import CHUNK
from planner_provider.decide.windows.local_time import SECOND, instant, moment
from planner_provider.decide.windows.spans import merge
from planner_provider.decide.windows.timeline import Timeline
from tests.decide.windows.brute import BruteCalendar
from tests.decide.windows.mutants import forget
from tests.decide.windows.worlds import plan_calendar_of, worlds

LONG = st.integers(1, 4 * 365).map(lambda days: timedelta(days=days, hours=7))
World = tuple[BruteCalendar, datetime]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(), LONG, st.sets(st.integers(0, 24), max_size=4))
def test_a_long_time_is_the_sum_of_its_chunks(
    world: World, length: timedelta, known: set[int]
) -> None:
    note(repr(world))
    brute, start = world
    calendar, changes = plan_calendar_of(brute)
    first, end = instant(start) // CHUNK, start + length
    last = instant(end) // CHUNK
    forget()
    edges = [start, *(moment(number * CHUNK) for number in range(first + 1, last + 1)), end]
    pieces = [
        (instant(one.start), instant(one.end))
        for number in range(len(edges) - 1)
        for one in expand(calendar, edges[number], edges[number + 1], changes)
    ]
    forget()
    for number in sorted(known):  # some chunks are known before
        expand(
            calendar, moment((first + number) * CHUNK), moment((first + number) * CHUNK + SECOND)
        )
    at_once = expand(calendar, start, end, changes)
    assert [(instant(one.start), instant(one.end)) for one in at_once] == list(merge(pieces))
    assert expand(calendar, start, end, changes) == at_once


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(), LONG)
def test_the_short_cut_of_bare_rules_changes_nothing(world: World, length: timedelta) -> None:
    note(repr(world))
    brute, around = world
    calendar, _ = plan_calendar_of(brute)
    bare = {"exdate": (), "rdate": (), "valid_from": None, "valid_until": None}
    for source in calendar.windows + calendar.freezes:
        for window in source.windows:
            usual = {"gap": "before", "fold": "first", "until_local": None, "duration": "PT26H"}
            rule = window.rrule or "FREQ=DAILY"
            kept = ";".join(part for part in rule.split(";") if not part.startswith("UNTIL"))
            line = Timeline(window.model_copy(update={**bare, **usual, "rrule": kept}))
            assert line._bare is not None
            start, end = instant(around), instant(around + length)
            found = line.between(start, end)
            line._bare = None
            assert found == line.between(start, end)
