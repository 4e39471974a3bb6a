"""Occurrences near a query are those that dateutil finds from the start on."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile

import pytest
from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner_provider.decide.windows.local_time import naive, wall
from planner_provider.decide.windows.recurrence import Recurrence
from planner_provider.spec.recurrence import parse_rule
from tests.decide.windows.worlds import rules

HORIZON = datetime(2045, 1, 1)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rule=rules(),
    count=st.sampled_from(["", "", ";COUNT=1", ";COUNT=7", ";COUNT=150"]),
    start=st.datetimes(datetime(2015, 1, 1), datetime(2020, 1, 1)),
    ahead=st.integers(-40, 1500),
    length=st.integers(1, 400),
)
def test_it_finds_what_dateutil_finds(
    rule: str, count: str, start: datetime, ahead: int, length: int
) -> None:
    start = start.replace(second=0, microsecond=0)
    first = start + timedelta(days=ahead)
    last = first + timedelta(days=length)
    week_start = "" if "WKST" in rule else ";WKST=MO"
    # UNTIL ends a rule that would be sought in vain for ever.
    end = "" if count else f";UNTIL={last:%Y%m%dT%H%M%S}"
    try:
        all_of_it = rrulestr(rule + week_start + count + end, dtstart=start)
    except ValueError:  # hours that an interval never meets
        all_of_it = iter(())
    expected = [
        at for at in takewhile(lambda at: at < min(last, HORIZON), all_of_it) if at >= first
    ]
    found = Recurrence(parse_rule(rule + count), wall(start)).between(wall(first), wall(last))
    assert [naive(value) for value in found] == expected


@pytest.mark.parametrize(
    ("rule", "day"),
    [
        ("FREQ=DAILY", datetime(2028, 12, 31)),
        ("FREQ=YEARLY;BYMONTH=1,2;BYMONTHDAY=-1", datetime(2028, 2, 29)),
        ("FREQ=YEARLY;BYMONTH=3,4;BYMONTHDAY=1", datetime(2027, 3, 1)),
        ("FREQ=YEARLY;BYMONTH=3,4;BYMONTHDAY=1", datetime(2028, 3, 1)),
    ],
)
def test_a_day_at_the_edge_of_what_a_rule_names_is_found_alone(rule: str, day: datetime) -> None:
    start = wall(datetime(2020, 1, 1, 23, 59, 59))
    found = Recurrence(parse_rule(rule), start).between(wall(day), wall(day + timedelta(days=1)))
    assert [naive(value) for value in found] == [day.replace(hour=23, minute=59, second=59)]


def test_a_numbered_and_a_plain_weekday_are_both_meant() -> None:
    rule = parse_rule("FREQ=MONTHLY;BYDAY=MO,2TU")
    start = wall(datetime(2026, 1, 1))
    found = Recurrence(rule, start).between(start, wall(datetime(2026, 2, 1)))
    assert [naive(value).day for value in found] == [5, 12, 13, 19, 26]
