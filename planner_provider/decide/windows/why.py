"""Why a calendar is open or closed at a moment, in words for somebody who has no time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from planner_provider.decide.windows.engine import Engine, SourceTimeline, engine_of
from planner_provider.decide.windows.local_time import instant, moment, zone
from planner_provider.decide.windows.model import NO_CHANGES, Change, Changes, Interval
from planner_provider.decide.windows.queries import (
    earliest_start,
    interval,
    interval_at,
    is_open,
    next_opening,
)
from planner_provider.decide.windows.spans import Span
from planner_provider.graph.calendars import PlanCalendar

_AROUND = timedelta(days=8)
"""How far back the last window is looked for, to say when it ended."""


class CauseKind(StrEnum):
    """What makes a moment open or closed."""

    WINDOW = "window"
    NO_WINDOW = "no_window"
    FREEZE = "freeze"
    LIVE_FREEZE = "live_freeze"
    OVERRIDE = "override"
    REQUIRED = "required"
    """Another calendar that must be open is closed."""
    CUTOFF = "cutoff"


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that bears on a moment."""

    kind: CauseKind
    text: str
    """One sentence."""
    interval: Interval | None = None
    """While it lasts."""


@dataclass(frozen=True, slots=True)
class Why:
    """The answer: whether it is open, whether work may start, and because of what."""

    calendar: str
    at: datetime
    is_open: bool
    may_start: bool
    causes: tuple[Cause, ...]
    """What decides comes first."""
    interval: Interval | None
    """The effective interval that is open."""
    next_start: datetime | None
    """When new work may start next; ``at`` itself if it may now."""

    @property
    def text(self) -> str:
        """The answer in sentences."""
        return " ".join(cause.text for cause in self.causes)


def why(calendar: PlanCalendar, at: datetime, changes: Changes = NO_CHANGES) -> Why:
    """Say which windows, freezes, overrides or cutoff make a moment open or closed."""
    engine = engine_of(calendar)
    opened = is_open(calendar, at, changes)
    around = interval_at(calendar, at, changes) if opened else None
    causes = [*_overrides(engine, at, changes)]
    causes += _closing(engine, at, changes)
    found_windows = _windows(engine, at)
    causes += found_windows
    may = around is not None and at < around.end - _cutoff(engine)
    if around is not None and not may:
        causes.insert(0, _cut_off(engine, around))
    return Why(
        calendar=calendar.name,
        at=at.astimezone(UTC),
        is_open=opened,
        may_start=may,
        causes=tuple(_relevant(causes, opened)),
        interval=around,
        next_start=earliest_start(calendar, at, None, changes),
    )


def shown(at: datetime, timezone: str) -> str:
    """A moment on the wall clock of a zone and in UTC: ``Sat 2026-01-10 01:00 (00:00Z)``."""
    local = at.astimezone(zone(timezone))
    utc = at.astimezone(UTC)
    if local.utcoffset() == timedelta(0):
        return f"{local:%a %Y-%m-%d %H:%M}Z"
    day = "" if utc.date() == local.date() else f"{utc:%a %Y-%m-%d} "
    return f"{local:%a %Y-%m-%d %H:%M} ({day}{utc:%H:%M}Z)"


def _cutoff(engine: Engine) -> timedelta:
    return timedelta(microseconds=engine.cutoff)


def _relevant(causes: Sequence[Cause], opened: bool) -> list[Cause]:
    """If it is open, what would have closed it does not matter, unless an override beats it."""
    if not opened or any(cause.kind is CauseKind.OVERRIDE for cause in causes):
        return list(causes)
    kept = (CauseKind.WINDOW, CauseKind.CUTOFF)
    return [cause for cause in causes if cause.kind in kept]


def _cut_off(engine: Engine, around: Interval) -> Cause:
    tz = engine.calendar.timezone
    last = around.end - _cutoff(engine)
    return Cause(
        CauseKind.CUTOFF,
        f"It is open, but new work may not start: the cutoff began {shown(last, tz)}, "
        f"{span_words(_cutoff(engine))} before the end at {shown(around.end, tz)}.",
        Interval(last, around.end),
    )


def _overrides(engine: Engine, at: datetime, changes: Changes) -> Iterable[Cause]:
    for one in changes.overrides:
        if one.start <= at < one.end:
            yield _change(one, CauseKind.OVERRIDE, "An override opens it", engine)


def _closing(engine: Engine, at: datetime, changes: Changes) -> Iterable[Cause]:
    tz = engine.calendar.timezone
    for one in changes.freezes:
        if one.start <= at < one.end:
            yield _change(
                one, CauseKind.LIVE_FREEZE, "A freeze that was added live closes it", engine
            )
    value = instant(at)
    for number, freeze in enumerate(engine.freezes, 1):
        for span, name in on_at(freeze, value):
            until = interval(span)
            reason = f": {name}" if name else ""
            yield Cause(
                CauseKind.FREEZE,
                f"Freeze {number} ({freeze.source.label or 'a window'}) closes it from "
                f"{shown(until.start, tz)} to {shown(until.end, tz)}{reason}.",
                until,
            )
    for needed in engine.requires:
        inner = why(needed.calendar, at)
        if not inner.is_open:
            yield Cause(
                CauseKind.REQUIRED,
                f"The calendar '{needed.calendar.name}' must be open as well and is closed. "
                f"{inner.text}",
            )


def _change(one: Change, kind: CauseKind, what: str, engine: Engine) -> Cause:
    tz = engine.calendar.timezone
    who = f" by {one.who}" if one.who else ""
    reason = f": {one.reason}" if one.reason else ""
    text = f"{what} from {shown(one.start, tz)} to {shown(one.end, tz)}{who}{reason}."
    return Cause(kind, text, Interval(one.start.astimezone(UTC), one.end.astimezone(UTC)))


def _windows(engine: Engine, at: datetime) -> Iterable[Cause]:
    tz, value = engine.calendar.timezone, instant(at)
    on: list[Cause] = []
    off: list[str] = []
    for number, window in enumerate(engine.windows, 1):
        label = (
            f"window {number} ({window.source.label})"
            if window.source.label
            else f"window {number}"
        )
        found = on_at(window, value)
        for span, name in found:
            while_on = interval(span)
            reason = f", {name}" if name else ""
            text = (
                f"{label[0].upper()}{label[1:]} is on from {shown(while_on.start, tz)} "
                f"to {shown(while_on.end, tz)}{reason}."
            )
            on.append(Cause(CauseKind.WINDOW, text, while_on))
        if not found:
            off.append(label)
    if engine.calendar.combine == "all" and off:
        listed = " and ".join(off)
        are = "are" if len(off) > 1 else "is"
        yield Cause(
            CauseKind.NO_WINDOW, f"All windows must be on together, and {listed} {are} not."
        )
    elif not on:
        yield Cause(CauseKind.NO_WINDOW, f"No window is on. {_neighbours(engine, at, tz)}".strip())
    yield from on


def _neighbours(engine: Engine, at: datetime, tz: str) -> str:
    """When the windows were on last, and when they are on next, freezes left aside."""
    windows_only = engine.calendar.model_copy(update={"freezes": (), "requires": ()})
    value = instant(at)
    before = engine_of(windows_only).open_between(instant(at - _AROUND), value)
    told = []
    if before:
        told.append(f"The last one ended {shown(moment(before[-1][1]), tz)}.")
    coming = next_opening(windows_only, at)
    if coming is not None:
        told.append(f"The next one begins {shown(coming.start, tz)}.")
    else:
        told.append("There is no further one.")
    return " ".join(told)


def on_at(source: SourceTimeline, value: int) -> list[tuple[Span, str | None]]:
    """The occurrences of an entry that cover an instant, each with its reason."""
    own = source.source.reason
    found: list[tuple[Span, str | None]] = [
        (span, reason or own) for span, reason in source.fixed if span[0] <= value < span[1]
    ]
    for line in source.timelines:
        found += [(span, line.window.reason or own) for span in line.between(value, value + 1)]
    if source.holidays is not None:
        found += [(span, name) for span, name in source.holidays.named(value, value + 1)]
    if source.calendar is not None:
        for span in source.calendar.intervals(value):
            if span[0] <= value:
                found.append((span, own))
            break
    return found


def span_words(span: timedelta) -> str:
    """A time span as ``1 h 30 min``."""
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"
