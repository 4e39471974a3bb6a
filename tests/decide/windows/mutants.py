"""Wrong engines, one for each mistake that the suite must be able to tell from the right one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from planner_provider.decide.windows import engine, local_time, queries, spans, timeline
from planner_provider.decide.windows.local_time import DAY, LAST, SECOND
from planner_provider.graph.calendars import PlanCalendar

Patch = pytest.MonkeyPatch
MUTANTS: dict[str, Callable[[Patch], None]] = {}


def mutant(function: Callable[[Patch], None]) -> Callable[[Patch], None]:
    MUTANTS[function.__name__] = function
    return function


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Use a wrong engine. Nothing that was worked out before, or is now, is kept."""
    forget()
    with pytest.MonkeyPatch.context() as patch:
        _no_short_cut(patch)
        MUTANTS[name](patch)
        yield
    forget()


def forget() -> None:
    engine._by_identity.clear()
    engine._by_content.clear()


def _no_short_cut(patch: Patch) -> None:
    right = timeline.Timeline.__init__

    def init(self, window):
        right(self, window)
        self._bare = None

    patch.setattr(timeline.Timeline, "__init__", init)


def _ends(patch: Patch, end: Callable) -> None:
    right = timeline.Length.end

    def wrong(self, start, local, tz_name, fold):
        found = end(self, start, local, ZoneInfo(tz_name), fold)
        return right(self, start, local, tz_name, fold) if found is None else found

    patch.setattr(timeline.Length, "end", wrong)


def _resolves(patch: Patch, wrong: Callable) -> None:
    patch.setattr(timeline, "resolve", wrong)
    patch.setattr(local_time, "resolve", wrong)


@mutant
def elapsed_time_added_in_wall_time(patch: Patch) -> None:
    def end(length, start, local, tz, fold):
        if length.until is None and not length.days:
            return timeline.resolve(local + length.seconds, tz, fold)
        return None

    _ends(patch, end)


@mutant
def wall_end_as_a_fixed_length(patch: Patch) -> None:
    def end(length, start, local, tz, fold):
        if length.until is None:
            return None
        return start + ((length.until - local % DAY) % DAY or DAY) * SECOND

    _ends(patch, end)


@mutant
def fold_resolved_to_the_second(patch: Patch) -> None:
    right = local_time.resolve
    _resolves(patch, lambda value, tz, fold="first": right(value, tz, "second"))


@mutant
def no_look_back(patch: Patch) -> None:
    right = engine.Engine.open_between

    def wrong(self, start, end, changes=None):
        found = right(self, start, end, changes)
        if found and found[0][0] == start and right(self, start - 1, start, changes):
            return found[1:]
        return found

    patch.setattr(engine.Engine, "open_between", wrong)


@mutant
def offset_days_as_24_hours(patch: Patch) -> None:
    right = timeline.Timeline._span

    def wrong(self, local, at):
        shift, self._shift = self._shift, 0
        found = right(self, local, at)
        self._shift = shift
        return found and (found[0] + shift * SECOND, found[1] + shift * SECOND)

    patch.setattr(timeline.Timeline, "_span", wrong)


@mutant
def everything_in_utc(patch: Patch) -> None:
    patch.setattr(timeline, "zone", lambda name: ZoneInfo("UTC"))


@mutant
def end_before_the_start_stretched_by_a_day(patch: Patch) -> None:
    right = timeline.Length.end

    def wrong(self, start, local, tz_name, fold):
        found = right(self, start, local, tz_name, fold)
        return found if found > start else found + DAY * SECOND

    patch.setattr(timeline.Length, "end", wrong)


@mutant
def closed_interval_end(patch: Patch) -> None:
    right = queries._around

    def wrong(found, value, changes):
        return right(found, value, changes) or right(found, value - 1, changes)

    patch.setattr(queries, "_around", wrong)


@mutant
def nominal_day_of_24_hours(patch: Patch) -> None:
    def end(length, start, local, tz, fold):
        if length.until is None:
            return start + (length.days * DAY + length.seconds) * SECOND
        return None

    _ends(patch, end)


@mutant
def cutoff_ignored(patch: Patch) -> None:
    _calendars(patch, lambda calendar: calendar.model_copy(update={"cutoff": timedelta(0)}))


@mutant
def search_horizon_of_a_year(patch: Patch) -> None:
    patch.setattr(engine, "HORIZON", 366 * DAY * SECOND)


@mutant
def touching_windows_not_merged(patch: Patch) -> None:
    def wrong(found):
        merged: list[spans.Span] = []
        for start, end in sorted(span for span in found if span[0] < span[1]):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return tuple(merged)

    patch.setattr(engine, "merge", wrong)


@mutant
def freezes_read_in_the_zone_of_the_plan(patch: Patch) -> None:
    def wrong(calendar: PlanCalendar) -> PlanCalendar:
        zone = {"timezone": calendar.timezone}
        freezes = tuple(
            freeze.model_copy(
                update={"windows": tuple(one.model_copy(update=zone) for one in freeze.windows)}
            )
            for freeze in calendar.freezes
        )
        return calendar.model_copy(update={"freezes": freezes})

    _calendars(patch, wrong)


@mutant
def until_read_as_local(patch: Patch) -> None:
    right = timeline.Timeline.__init__

    def init(self, window):
        right(self, window)
        if self._until is not None:
            self._until_wall, self._until = self._until // SECOND, None

    patch.setattr(timeline.Timeline, "__init__", init)


@mutant
def exdate_ignored(patch: Patch) -> None:
    patch.setattr(timeline.Timeline, "_excluded", lambda self, local, at: False)


@mutant
def gap_moved_to_the_first_valid_instant(patch: Patch) -> None:
    right = local_time.resolve

    def wrong(value, tz, fold="first"):
        found = right(value, tz, fold)
        if local_time.wall_in(found, tz) == value:
            return found
        low, high = found - DAY * SECOND, found  # the clock jumps in between
        while high - low > SECOND:
            middle = (low + high) // 2
            low, high = (middle, high) if local_time.wall_in(middle, tz) < value else (low, middle)
        return min(-(-high // SECOND) * SECOND, LAST)

    _resolves(patch, wrong)


def _calendars(patch: Patch, change: Callable[[PlanCalendar], PlanCalendar]) -> None:
    right = engine.Engine.__init__
    patch.setattr(engine.Engine, "__init__", lambda self, calendar: right(self, change(calendar)))
