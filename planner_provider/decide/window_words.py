"""What people are told whose plan does not fit into its window: what, until when, what next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from planner_provider.decide.windows import (
    NO_CHANGES,
    Changes,
    earliest_start,
    expand,
    interval_at,
)
from planner_provider.graph.calendars import PlanCalendar
from planner_provider.spec.values import format_duration

LOOK_BACK = timedelta(days=7)
"""An end that is longer ago than this explains nothing."""


@dataclass(frozen=True, slots=True)
class ClosedWords:
    """Two halves of a message."""

    lead: str
    """What is closed, since when and why, and what that means."""
    next: str
    """When it opens next, and what can be done; begins with a blank."""


def closed_words(
    calendar: PlanCalendar,
    now: datetime,
    needs: timedelta | None,
    changes: Changes = NO_CHANGES,
    means: str = "",
) -> ClosedWords:
    """Say why work may not start now. ``means`` ends the first sentence, after a semicolon."""
    lead = f"{_why(calendar, now, needs, changes)}{'; ' + means if means else ''}."
    following = earliest_start(calendar, now, needs, changes)
    override = f"`planner calendar override {calendar.name} --until ... --reason ...`"
    with_needs = f" with {format_duration(needs)}" if needs else ""
    if following is None:
        return ClosedWords(
            lead, f" It never opens again{with_needs}. Mend the calendar, or {override}."
        )
    when = moment_words(following, calendar.timezone, now)
    return ClosedWords(
        lead, f" Next opening{with_needs}: {when}. Start a new run then, or {override}."
    )


def moment_words(at: datetime, timezone: str, now: datetime) -> str:
    """A moment as people in its zone say it, and in UTC: ``Tue 22:00 Europe/Berlin (20:00 UTC)``.

    With the date if it is not within a week of ``now``.
    """
    local = at.astimezone(ZoneInfo(timezone))
    near = abs(at - now) < timedelta(days=6)
    shown = f"{local:%a %H:%M}" if near else f"{local:%a %Y-%m-%d %H:%M}"
    if local.second:
        shown += f":{local:%S}"
    if timezone == "UTC":
        return f"{shown} UTC"
    return f"{shown} {timezone} ({at.astimezone(UTC):%H:%M} UTC)"


def _why(calendar: PlanCalendar, now: datetime, needs: timedelta | None, changes: Changes) -> str:
    zone = calendar.timezone
    frozen = [one for one in changes.freezes if one.start <= now < one.end]
    here = interval_at(calendar, now, changes)
    if here is None and frozen:
        last = max(frozen, key=lambda one: one.end)
        by = f" by {last.who}" if last.who else ""
        return (
            f"Calendar {calendar.name} is frozen until {moment_words(last.end, zone, now)}"
            f"{by} ({last.reason or 'no reason given'})"
        )
    if here is None:
        past = expand(calendar, now - LOOK_BACK, now, changes)
        if past:
            ended = moment_words(past[-1].end, zone, now)
            return f"The window of calendar {calendar.name} closed at {ended}"
        return f"The window of calendar {calendar.name} is closed"
    ends = moment_words(here.end, zone, now)
    left = format_duration(timedelta(seconds=int((here.end - now).total_seconds())))
    if calendar.cutoff and now >= here.end - calendar.cutoff:
        return (
            f"The window of calendar {calendar.name} is open until {ends}, but nothing new begins "
            f"in its last {format_duration(calendar.cutoff)}"
        )
    if needs is not None and now + needs > here.end:
        return (
            f"The window of calendar {calendar.name} is open until {ends}; {left} are left, and "
            f"the plan needs {format_duration(needs)}"
        )
    return f"The window of calendar {calendar.name} is open until {ends}"
