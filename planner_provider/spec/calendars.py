"""Whether a calendar's windows are ever long enough for what is asked of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from planner_provider.spec.base import Model
from planner_provider.spec.kinds import Calendar, Window
from planner_provider.spec.subject import Subject
from planner_provider.spec.values import format_duration

_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_CHANGE_OF_CLOCK = timedelta(hours=2)
"""More than any zone moves its clock, so that no window is called too short wrongly."""


def check_calendar(subject: Subject, calendar: Model) -> None:
    """Report a cutoff that leaves no window in which work could start."""
    if not isinstance(calendar, Calendar):
        return
    spec = calendar.spec
    longest = longest_window(spec.windows)
    if longest is not None and spec.combine == "any" and spec.cutoff >= longest:
        subject.report(
            "PLN411", ("spec", "cutoff"),
            f"no work can ever start: the longest window has {format_duration(longest)}",
            "lower `cutoff` or lengthen a window",
        )  # fmt: skip


def longest_window(windows: Iterable[Window]) -> timedelta | None:
    """An upper bound of the length of one window, ``None`` if windows may join to longer ones."""
    listed = list(windows)
    if len(listed) != 1 or listed[0].rdate:
        return None
    lengths = list(_lengths(listed[0]))
    if not lengths or (listed[0].rrule and lengths[0] >= _gap(listed[0].rrule)):
        return None
    return lengths[0]


def _gap(rrule: str) -> timedelta:
    """Least time between two occurrences of a rule."""
    frequency = re.search(r"FREQ=(\w+)", rrule, re.IGNORECASE)
    if frequency and frequency.group(1).upper() == "HOURLY":
        return timedelta(hours=1)
    if re.search(r"BYHOUR|BYMINUTE|BYSECOND", rrule, re.IGNORECASE):
        return timedelta(minutes=1)
    return timedelta(hours=20)


def _lengths(window: Window) -> Iterator[timedelta]:
    if window.duration is not None:
        found = _DURATION.fullmatch(window.duration)
        if found:
            weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
            exact = timedelta(hours=hours, minutes=minutes, seconds=seconds)
            nominal = timedelta(weeks=weeks, days=days)
            yield exact + nominal + (_CHANGE_OF_CLOCK if nominal else timedelta(0))
    elif window.until_local is not None:
        start = datetime.fromisoformat(window.dtstart)
        hour, minute = map(int, window.until_local.split(":"))
        end = start.replace(hour=hour, minute=minute, second=0)
        length = end - start if end > start else end - start + timedelta(days=1)
        yield length + _CHANGE_OF_CLOCK
