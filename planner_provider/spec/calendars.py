"""What a calendar says that cannot work, and the events of the files that it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from planner_provider.spec.base import Model
from planner_provider.spec.calendar_kind import Calendar, Window
from planner_provider.spec.companions import Companion
from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.located import Problem
from planner_provider.spec.recurrence import Rule, parse_rule
from planner_provider.spec.subject import Subject, as_mapping
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from planner_provider.spec.ics import ImportedEvent

_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_CHANGE_OF_CLOCK = timedelta(hours=2)
"""More than any zone moves its clock, so that no window is called too short wrongly."""
_DAYS_OF_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def check_calendar(subject: Subject, calendar: Model) -> None:
    """Report what can never be: work that no window is long enough for, days that do not exist."""
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
    for path, window in _all_windows(calendar):
        problem = _never(window) if window.rrule is not None else None
        if problem is not None:
            subject.report("PLN413", (*path, "rrule"), problem, "correct the rule")
    for index, freeze in enumerate(spec.freezes):
        if freeze.holidays is not None:
            _check_holidays(subject, ("spec", "freezes", index, "holidays"), freeze.holidays)


def import_events(
    subject: Subject,
    companion: Companion,
    text: str,
    into: dict[tuple[str, str], tuple[ImportedEvent, ...]],
) -> None:
    """Read the events of an iCalendar file that a calendar names, and note what is wrong there."""
    from planner_provider.spec.ics import IcsError, parse_ics

    entry: object = subject.data
    for part in companion.path[:-1]:
        entry = entry[part]  # type: ignore[index]
    zone = as_mapping(entry).get("timezone") or subject.spec.get("timezone")
    if not isinstance(zone, str) or not _is_zone(zone):
        zone = "UTC"  # which is reported as such
    try:
        events = parse_ics(text, zone)
    except IcsError as error:
        subject.add(
            Problem(
                "PLN313", companion.path,
                f"the file '{companion.file}' cannot be used: {error}",
                "mend the file, or export it anew",
            )
        )  # fmt: skip
        return
    if not events and companion.path[1] == "windows":
        subject.add(
            Problem(
                "PLN313", companion.path,
                f"the file '{companion.file}' holds no event, so there is no window",
                "name a file with events",
            )
        )  # fmt: skip
    into[companion.file, zone] = events


def longest_window(windows: Iterable[Window]) -> timedelta | None:
    """An upper bound of the length of one window, ``None`` if windows may join to longer ones."""
    listed = list(windows)
    if len(listed) != 1 or listed[0].rdate or listed[0].ics is not None:
        return None
    lengths = list(_lengths(listed[0]))
    if not lengths or lengths[0] >= _gap(listed[0]):
        return None
    return lengths[0]


def _gap(window: Window) -> timedelta:
    """Least time between two occurrences of a window."""
    if window.dtstart is not None and window.rrule is None:
        return timedelta.max
    rule = parse_rule(window.rrule) if window.rrule else Rule(freq="DAILY")
    if rule.freq == "HOURLY":
        return timedelta(hours=1)
    if rule.by_hour or rule.by_minute or rule.by_second:
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
        return
    ends = window.until_local or window.to
    if ends is not None:
        start = datetime.fromisoformat(window.dtstart or f"2026-01-01T{window.from_}")
        hour, minute = map(int, ends.split(":"))
        end = start.replace(hour=hour, minute=minute, second=0)
        length = end - start if end > start else end - start + timedelta(days=1)
        yield length + _CHANGE_OF_CLOCK


def _all_windows(calendar: Calendar) -> Iterator[tuple[SpecPath, Window]]:
    for index, window in enumerate(calendar.spec.windows):
        yield ("spec", "windows", index), window
    for index, freeze in enumerate(calendar.spec.freezes):
        if freeze.window is not None:
            yield ("spec", "freezes", index, "window"), freeze.window


def _never(window: Window) -> str | None:
    """Why no day fits a rule, as far as that can be told without trying."""
    rule = parse_rule(window.rrule or "")
    months, days = rule.by_month, rule.by_month_day
    if months and days and min(map(abs, days)) > max(_DAYS_OF_MONTHS[m - 1] for m in months):
        return "this never happens: none of these months has such a day"
    start = datetime.fromisoformat(window.dtstart or "")
    until = rule.until
    if until is not None and (until.tzinfo is None) == (start.tzinfo is None) and until < start:
        return "this never happens: UNTIL is before `dtstart`"
    return None


def _check_holidays(subject: Subject, path: SpecPath, place: str) -> None:
    """Look a country up, if the package that knows them is there."""
    from importlib.util import find_spec

    if find_spec("holidays") is None:
        return
    import holidays

    from planner_provider.spec.suggest import did_you_mean, some_of

    country, _, part = place.partition("-")
    known = holidays.list_supported_countries(include_aliases=True)
    if country not in known:
        hint = did_you_mean(country, known)
        subject.report("PLN323", path, f"the holidays of {country} are not known", hint)
    elif part and part not in known[country]:
        parts = f"known: {some_of(known[country], 20)}" if known[country] else f"write {country}"
        subject.report("PLN323", path, f"{country} has no holidays of a part '{part}'", parts)


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
