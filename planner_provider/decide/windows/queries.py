"""The questions that a calendar answers (C1, C8 to C10). Pure; every moment is aware."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from planner_provider.decide.windows.engine import Engine, engine_of
from planner_provider.decide.windows.local_time import SECOND, instant, moment, moments
from planner_provider.decide.windows.model import NO_CHANGES, Changes, Interval
from planner_provider.decide.windows.spans import Span
from planner_provider.graph.calendars import PlanCalendar

_REMEMBERED = 7 * 86_400 * SECOND
"""For how long it is taken as known that work never fits: the search takes a second."""


def expand(
    calendar: PlanCalendar, start: datetime, end: datetime, changes: Changes = NO_CHANGES
) -> tuple[Interval, ...]:
    """The open set, clipped to ``[start, end)``, in order. Intervals neither touch nor overlap."""
    found = engine_of(calendar).open_between(instant(start), instant(end), changes)
    starts, ends = (moments([span[edge] for span in found]) for edge in (0, 1))
    return tuple(map(Interval, starts, ends))


def is_open(calendar: PlanCalendar, at: datetime, changes: Changes = NO_CHANGES) -> bool:
    """Whether it is open. The cutoff does not matter here."""
    return _around(engine_of(calendar), instant(at), changes)


def interval_at(
    calendar: PlanCalendar, at: datetime, changes: Changes = NO_CHANGES
) -> Interval | None:
    """The whole effective interval that is open at a moment.

    Its ends are followed for three years; a calendar that is open for longer is cut there.
    """
    value = instant(at)
    found = next(iter(engine_of(calendar).intervals(value, changes)), None)
    return interval(found) if found is not None and found[0] <= value else None


def earliest_start(
    calendar: PlanCalendar,
    at: datetime,
    work: timedelta | None = None,
    changes: Changes = NO_CHANGES,
) -> datetime | None:
    """The first moment, not before ``at``, at which work may start.

    That is before the cutoff, and early enough for ``work`` to end in the same interval. ``None``
    if there is none in the next 400 years.
    """
    value = instant(at)
    engine = engine_of(calendar)
    needed = 0 if work is None else _microseconds(work)
    unchanged = not (changes.freezes or changes.overrides)
    if unchanged and 0 <= value - engine.hopeless.get(needed, value + 1) < _REMEMBERED:
        return None
    for start, end in engine.intervals(value, changes):
        first = max(start, value)
        if first < end - engine.cutoff and first + needed <= end:
            return moment(first)
    if unchanged:
        if len(engine.hopeless) >= 64:
            engine.hopeless.clear()
        engine.hopeless[needed] = value
    return None


def may_start(
    calendar: PlanCalendar,
    at: datetime,
    work: timedelta | None = None,
    changes: Changes = NO_CHANGES,
) -> bool:
    """Whether new work may start at this very moment."""
    value = instant(at)
    engine = engine_of(calendar)
    if not _around(engine, value, changes):
        return False
    start, end = next(engine.intervals(value, changes))
    needed = 0 if work is None else _microseconds(work)
    return start <= value < end - engine.cutoff and value + needed <= end


def end_of_starts(
    calendar: PlanCalendar,
    at: datetime,
    work: timedelta | None = None,
    changes: Changes = NO_CHANGES,
) -> datetime | None:
    """From when on new work, that may start ``at``, may not do so any more.

    ``None`` if it is closed then.
    """
    value = instant(at)
    engine = engine_of(calendar)
    found = next(iter(engine.intervals(value, changes)), None)
    if found is None or found[0] > value:
        return None
    needed = 0 if work is None else _microseconds(work)
    return moment(found[1] - max(engine.cutoff, needed))


def next_opening(
    calendar: PlanCalendar,
    after: datetime,
    changes: Changes = NO_CHANGES,
    *,
    inclusive: bool = False,
) -> Interval | None:
    """The first effective interval that opens after a moment, or, ``inclusive``, at it.

    ``None`` if there is none in the next 400 years. An interval that is open already is not meant.
    """
    return next(openings(calendar, after, changes, inclusive=inclusive), None)


def openings(
    calendar: PlanCalendar,
    after: datetime,
    changes: Changes = NO_CHANGES,
    *,
    inclusive: bool = False,
) -> Iterator[Interval]:
    """The effective intervals that open after a moment, in order, found as they are asked for."""
    value = instant(after) - int(inclusive)
    for span in engine_of(calendar).intervals(value, changes):
        if span[0] > value:
            yield interval(span)


def usable_seconds(
    calendar: PlanCalendar, start: datetime, end: datetime, changes: Changes = NO_CHANGES
) -> float:
    """Seconds that are open between two moments."""
    found = engine_of(calendar).open_between(instant(start), instant(end), changes)
    return sum(stop - begin for begin, stop in found) / SECOND


def interval(span: Span) -> Interval:
    """A span as people's tools take it."""
    return Interval(moment(span[0]), moment(span[1]))


def _around(engine: Engine, value: int, changes: Changes) -> bool:
    return bool(engine.open_between(value, value + 1, changes))


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
