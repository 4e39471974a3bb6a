"""The instants between which one window is on: rules C2 to C7 and C11."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from planner_provider.decide.windows.local_time import (
    DAY,
    FIRST,
    LAST,
    SECOND,
    Fold,
    exists,
    is_date,
    read,
    read_instant,
    resolve,
    resolve_all,
    wall,
    zone,
)
from planner_provider.decide.windows.recurrence import Recurrence
from planner_provider.decide.windows.spans import Span
from planner_provider.graph.calendars import PlanWindow
from planner_provider.spec.recurrence import parse_rule

_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_SLACK = 2 * DAY
"""More than any two wall clocks differ, and more than any clock was ever moved."""


@dataclass(frozen=True, slots=True)
class Length:
    """How an occurrence ends: some days on, then some seconds; or at a wall time."""

    days: int = 0
    seconds: int = 0
    until: int | None = None
    """Seconds of the day."""

    @classmethod
    def of(cls, window: PlanWindow) -> Length:
        """The length that a window gives."""
        if window.until_local is not None:
            hour, minute = map(int, window.until_local.split(":"))
            return cls(until=hour * 3600 + minute * 60)
        match = _DURATION.fullmatch(window.duration or "")
        if match is None:
            raise ValueError(f"{window.duration!r} is not a duration such as PT4H or P1D")
        weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return cls(days=weeks * 7 + days, seconds=hours * 3600 + minutes * 60 + seconds)

    @property
    def most(self) -> int:
        """Seconds that no occurrence is longer than."""
        if self.until is not None:
            return DAY + _SLACK
        return self.days * DAY + self.seconds + (_SLACK if self.days else 0)

    def end(self, start: int, local: int, tz_name: str, fold: Fold) -> int:
        """The instant at which an occurrence ends that starts then, at the wall time ``local``."""
        tz = zone(tz_name)
        if self.until is not None:
            midnight = local - local % DAY
            end = midnight + self.until
            return resolve(end if end > local else end + DAY, tz, fold)
        if self.days:
            start = resolve(local + self.days * DAY, tz, fold)
        return start + self.seconds * SECOND


class Timeline:
    """The occurrences of one window."""

    def __init__(self, window: PlanWindow) -> None:
        self.window = window
        tz = zone(window.timezone)
        self._tz, self._fold = tz, window.fold
        self._length = Length.of(window)
        self._shift = window.offset_days * DAY
        start, start_at = read(window.dtstart, tz)
        self._rule = parse_rule(window.rrule) if window.rrule else None
        self._recurrence = Recurrence(self._rule, start) if self._rule else None
        single = {} if self._recurrence else {start: start_at}
        listed = single | dict(read(text, tz) for text in window.rdate)
        self._listed = tuple(sorted(listed.items()))
        """Wall times of starts that are given one by one; instants of those given as such."""
        self._until: int | None = None
        self._until_wall: int | None = None
        if self._rule and self._rule.until is not None:
            until = self._rule.until
            if until.tzinfo is None:
                self._until_wall = wall(until)
            else:
                self._until = read_instant(until.isoformat(), tz)
        days = [text for text in window.exdate if is_date(text)]
        excluded = [read(text, tz) for text in window.exdate if not is_date(text)]
        self._without_days = frozenset(read(text, tz)[0] for text in days)
        self._without_walls = frozenset(local for local, at in excluded if at is None)
        self._without = frozenset(at for _, at in excluded if at is not None)
        self._from = read_instant(window.valid_from, tz, self._fold) if window.valid_from else FIRST
        to = window.valid_until
        self._to = read_instant(to, tz, self._fold) if to else LAST
        unusual = (window.exdate, window.rdate, window.valid_from, to, window.until_local)
        bare = (
            self._rule is not None
            and self._rule.until is None
            and not any(unusual)
            and (window.gap, window.fold, self._length.days) == ("before", "first", 0)
            and self._length.seconds > 0
        )
        self._bare = self._recurrence if bare else None
        self._most_back = self._length.most + _SLACK + self._shift
        self._most_ahead = _SLACK - self._shift

    def between(self, start: int, end: int) -> list[Span]:
        """The occurrences that overlap ``[start, end)``, whole, sorted by start."""
        low = start // SECOND - self._most_back
        high = end // SECOND + self._most_ahead
        if self._bare is not None:
            return self._bare_spans(self._bare.between(low, high), start, end)
        spans = (self._span(local, at) for local, at in self._starts(low, high))
        found = [span for span in spans if span and span[0] < end and span[1] > start]
        found.sort()
        return found

    def _bare_spans(self, locals_: list[int], start: int, end: int) -> list[Span]:
        """Occurrences of a bare rule with an exact duration: the same as below, with less work."""
        if not locals_:
            return []
        if self._shift:
            locals_ = [local + self._shift for local in locals_]
        length = self._length.seconds * SECOND
        starts = resolve_all(locals_, self._tz)
        starts.sort()  # near a gap or a fold, an earlier wall time may be a later instant
        low = bisect_right(starts, start - length)
        return [(at, at + length) for at in starts[low : bisect_left(starts, end)]]

    def next_after(self, at: int, limit: int) -> int | None:
        """An instant, not before ``at``, from which on the next occurrence is to be looked for.

        ``None`` if none begins before ``limit``. May be too early, never too late.
        """
        low = at // SECOND - _SLACK - self._shift
        high = limit // SECOND + _SLACK - self._shift
        found = []
        if self._recurrence is not None:
            day = self._recurrence.next_day(low, min(high, self._last_start(high)))
            if day is not None:
                found.append(day)
        walls = [local for local, _ in self._listed]
        place = bisect_left(walls, low)
        if place < len(walls) and walls[place] < high:
            found.append(walls[place])
        if not found:
            return None
        return max(at, (min(found) + self._shift - _SLACK) * SECOND)

    def _last_start(self, high: int) -> int:
        """A wall time after which no occurrence of the rule starts."""
        if self._until_wall is not None:
            high = min(high, self._until_wall + 1)
        if self._until is not None:
            high = min(high, self._until // SECOND + _SLACK)
        if self._to < LAST:
            high = min(high, self._to // SECOND + _SLACK - self._shift)
        return high

    def _starts(self, low: int, high: int) -> Iterator[tuple[int, int | None]]:
        walls = {local for local, _ in self._listed}
        if self._recurrence is not None:
            for local in self._recurrence.between(low, min(high, self._last_start(high))):
                if local not in walls and self._within_until(local):
                    yield local, None
        yield from (item for item in self._listed if low <= item[0] < high)

    def _within_until(self, local: int) -> bool:
        return self._until is None or resolve(local, self._tz, self._fold) <= self._until

    def _excluded(self, local: int, at: int | None) -> bool:
        if local in self._without_walls or local - local % DAY in self._without_days:
            return True
        if not self._without:
            return False
        return (resolve(local, self._tz, self._fold) if at is None else at) in self._without

    def _span(self, local: int, at: int | None) -> Span | None:
        """An occurrence as instants; ``None`` if it is left out, or empty."""
        if self._excluded(local, at):
            return None
        if self._shift:
            local, at = local + self._shift, None
        if at is None:
            at = resolve(local, self._tz, self._fold)
            if self.window.gap == "skip" and not exists(local, self._tz):
                return None
        if not self._from <= at < self._to:
            return None
        end = self._length.end(at, local, self.window.timezone, self._fold)
        return (at, end) if end > at else None
