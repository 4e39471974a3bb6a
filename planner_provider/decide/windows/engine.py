"""When a calendar is open: rule C8. Found chunk by chunk of time, and kept.

One engine serves all equal calendars, so that a trigger that reads its calendar anew for each look
does not parse and expand it anew.
"""

from __future__ import annotations

import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import chain

from planner_provider.decide.windows.holidays import Holidays
from planner_provider.decide.windows.local_time import (
    FIRST,
    LAST,
    SECOND,
    instant,
    read_instant,
    zone,
)
from planner_provider.decide.windows.model import Changes
from planner_provider.decide.windows.spans import (
    Span,
    Spans,
    clip,
    intersect,
    join,
    merge,
    subtract,
)
from planner_provider.decide.windows.timeline import Timeline
from planner_provider.graph.calendars import PlanCalendar, PlanSpan, Source

CHUNK = 64 * 86_400 * SECOND
FROZEN_CHUNK = 8 * CHUNK
"""Freezes are looked up for longer, since there are more of them and they come less often."""
HORIZON = 146_097 * 86_400 * SECOND
"""How far ahead is searched: 400 years, after which the Gregorian calendar repeats itself."""
PATIENCE = 40_000
"""Occurrences of windows after which a search is given up: a century of daily ones."""
LONGEST = 1_100 * 86_400 * SECOND
"""How far the ends of one interval are followed; more than any work can take."""
_KEPT_CHUNKS = 256
_MOST_AT_ONCE = 16
"""Chunks that are worked out together if more than one is asked for."""
_KEPT_ENGINES = 64

Part = tuple[str | None, Callable[[int, int], Sequence[Span]]]


class SourceTimeline:
    """One entry under ``windows`` or ``freezes``."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.timelines = tuple(Timeline(window) for window in source.windows)
        self.fixed = tuple((_fixed(span), span.reason) for span in source.spans)
        self.holidays = Holidays(source.holidays, source.timezone) if source.holidays else None
        self.calendar = engine_of(source.calendar) if source.calendar else None

    def between(self, start: int, end: int) -> list[Span]:
        """Its occurrences that overlap ``[start, end)``; not clipped, not merged."""
        found: list[Span] = []
        if self.fixed:
            found += [span for span, _ in self.fixed if span[0] < end and span[1] > start]
        for timeline in self.timelines:
            found += timeline.between(start, end)
        if self.holidays is not None:
            found += self.holidays.between(start, end)
        if self.calendar is not None:
            found += self.calendar.open_between(start, end)
        return found

    def next_after(self, at: int, limit: int) -> int | None:
        """An instant before which it does not come on; ``None`` if it does not before ``limit``."""
        if self.holidays is not None or self.calendar is not None:
            return at if at < limit else None
        found = [
            next_ for line in self.timelines if (next_ := line.next_after(at, limit)) is not None
        ]
        found += [max(span[0], at) for span, _ in self.fixed if span[1] > at and span[0] < limit]
        return min(found, default=None)


class Engine:
    """One calendar, parsed, with what was worked out of it so far."""

    def __init__(self, calendar: PlanCalendar) -> None:
        self.calendar = calendar
        self.windows = tuple(SourceTimeline(source) for source in calendar.windows)
        self.freezes = tuple(SourceTimeline(source) for source in calendar.freezes)
        self.requires = tuple(engine_of(needed) for needed in calendar.requires)
        own = calendar.cutoff
        self.cutoff: int = max(
            [int(own.total_seconds() * SECOND), *(needed.cutoff for needed in self.requires)]
        )
        self._chunks: dict[int, tuple[Spans, int]] = {}
        self._frozen_chunks: dict[int, Spans] = {}
        self.hopeless: dict[int, int] = {}
        """Lengths of work that never fit, by a search from these instants on."""

    # ---- the open set ------------------------------------------------------------------------

    def open_between(self, start: int, end: int, changes: Changes | None = None) -> Spans:
        """The open set, clipped to ``[start, end)``."""
        start, end = max(start, FIRST), min(end, LAST)
        if start >= end:
            return ()
        number, stop = start // CHUNK, (end - 1) // CHUNK + 1
        pieces = []
        while number < stop:
            kept = self._chunks.get(number)
            if kept is not None:
                pieces.append(kept[0])
                number += 1
                continue
            after = number + 1
            while after < min(stop, number + _MOST_AT_ONCE) and after not in self._chunks:
                after += 1
            pieces.append(self._work_out(number, after)[0])
            number = after
        spans = clip(pieces[0] if len(pieces) == 1 else join(pieces), start, end)
        return self._changed(spans, start, end, changes)

    def chunk(self, number: int) -> tuple[Spans, int]:
        """The open set within one chunk of time, without what was changed live.

        And the number of intervals in which the windows are on there, frozen or not.
        """
        kept = self._chunks.get(number)
        if kept is None:
            found, windows = self._work_out(number, number + 1)
            kept = found, len(windows)
        return kept

    def _work_out(self, first: int, after: int) -> tuple[Spans, Spans]:
        """The open set, and the windows alone, from one chunk up to a later one. Keeps each."""
        start, end = max(first * CHUNK, FIRST), min(after * CHUNK, LAST)
        windows = found = self.in_windows(start, end)
        for needed in self.requires:
            if found:
                found = intersect(found, needed.open_between(start, end))
        if found and self.freezes:
            start, end = found[0][0], found[-1][1]
            alone = after - first == 1
            frozen = self._frozen_near(first) if alone else self._frozen(start, end)
            found = subtract(found, clip(frozen, start, end))
        if len(self._chunks) + after - first > _KEPT_CHUNKS:
            self._chunks = {}
        for number in range(first, after):
            part = max(number * CHUNK, FIRST), min((number + 1) * CHUNK, LAST)
            self._chunks[number] = clip(found, *part), len(clip(windows, *part))
        return found, windows

    def _frozen_near(self, number: int) -> Spans:
        """The freezes in some time around a chunk, which are kept."""
        number = number * CHUNK // FROZEN_CHUNK
        frozen = self._frozen_chunks.get(number)
        if frozen is None:
            start = number * FROZEN_CHUNK
            frozen = self._frozen(max(start, FIRST), min(start + FROZEN_CHUNK, LAST))
            if len(self._frozen_chunks) >= _KEPT_CHUNKS:
                self._frozen_chunks = {}
            self._frozen_chunks[number] = frozen
        return frozen

    def _frozen(self, start: int, end: int) -> Spans:
        """The union of the freezes that overlap ``[start, end)``, not clipped."""
        return merge(span for freeze in self.freezes for span in freeze.between(start, end))

    def in_windows(self, start: int, end: int) -> Spans:
        """The windows alone, combined, clipped to ``[start, end)``."""
        found = [window.between(start, end) for window in self.windows]
        if self.calendar.combine == "all":
            return clip(reduce(intersect, map(merge, found)), start, end)
        return clip(merge(chain.from_iterable(found)), start, end)

    def _changed(self, spans: Spans, start: int, end: int, changes: Changes | None) -> Spans:
        if changes is None or not (changes.freezes or changes.overrides):
            return spans
        frozen = merge((instant(one.start), instant(one.end)) for one in changes.freezes)
        opened = [(instant(one.start), instant(one.end)) for one in changes.overrides]
        return clip(merge([*subtract(spans, frozen), *opened]), start, end)

    # ---- intervals -----------------------------------------------------------------------------

    def intervals(self, after: int, changes: Changes | None = None) -> Iterator[Span]:
        """Whole effective intervals that end after an instant, in order, up to the horizon.

        One that is longer than ``LONGEST`` beyond the instant is cut there.
        """
        horizon = min(after + HORIZON, LAST)
        number = first = after // CHUNK
        seen = 0
        pending: Span | None = None
        cut: int | None = None
        """Where an interval was cut that goes on."""
        while number * CHUNK < horizon and seen <= PATIENCE:
            low, high = max(number * CHUNK, FIRST), min((number + 1) * CHUNK, LAST)
            seen += self.chunk(number)[1]
            spans = self.open_between(low, high, changes)
            at = max(0, bisect_right(spans, (after, LAST)) - 1) if number == first else 0
            for span in spans[at:]:
                if span[0] == cut:
                    cut = span[1]
                    continue
                if pending is not None and pending[1] == span[0]:
                    pending = (pending[0], span[1])
                    continue
                if pending is not None and pending[1] > after:
                    yield pending
                reaches_back = number == first and span[0] == low
                pending = (self._back(low, changes), span[1]) if reaches_back else span
            if pending is not None and pending[1] < high:
                if pending[1] > after:
                    yield pending
                pending = None
            elif pending is not None and pending[1] - max(after, pending[0]) > LONGEST:
                yield pending
                pending, cut = None, high
            number += 1
            if pending is None:
                skip = self._next(number * CHUNK, horizon, changes)
                if skip is None:
                    return
                number = max(number, skip // CHUNK)
        if pending is not None and pending[1] > after:
            yield pending

    def _back(self, start: int, changes: Changes | None) -> int:
        """Where the interval begins that reaches to ``start`` from before, if one does."""
        least = max(start - LONGEST, FIRST)
        while start > least:
            before = self.open_between(max(start - CHUNK, FIRST), start, changes)
            if not before or before[-1][1] != start:
                break
            start = before[-1][0]
        return start

    def _next(self, at: int, horizon: int, changes: Changes | None) -> int | None:
        """An instant, not before ``at``, before which nothing opens; ``None``: nothing ever."""
        found = [self.next_after(at, horizon)]
        for one in changes.overrides if changes else ():
            begin, end = instant(one.start), instant(one.end)
            if end > at and begin < horizon:
                found.append(max(begin, at))
        return min((next_ for next_ in found if next_ is not None), default=None)

    def next_after(self, at: int, horizon: int) -> int | None:
        """As for a source: ``at``, or later if nothing can open before."""
        found = [window.next_after(at, horizon) for window in self.windows]
        there = [next_ for next_ in found if next_ is not None]
        if self.calendar.combine == "all":
            if len(there) < len(found):
                return None
            best = max(there)
        elif there:
            best = min(there)
        else:
            return None
        for needed in self.requires:
            next_ = needed.next_after(best, horizon)
            if next_ is None:
                return None
            best = max(best, next_)
        return best


def _fixed(span: PlanSpan) -> Span:
    tz = zone(span.timezone)
    return read_instant(span.start, tz), read_instant(span.end, tz)


_by_identity: dict[int, tuple[weakref.ref[PlanCalendar], Engine]] = {}
_by_content: dict[str, Engine] = {}


def engine_of(calendar: PlanCalendar) -> Engine:
    """The engine of a calendar; equal calendars share one."""
    key = id(calendar)
    kept = _by_identity.get(key)
    if kept is not None and kept[0]() is calendar:
        return kept[1]
    text = calendar.to_json()
    engine = _by_content.get(text)
    if engine is None:
        engine = Engine(calendar)
        if len(_by_content) >= _KEPT_ENGINES:
            _by_content.clear()
        _by_content[text] = engine

    def forget(_: object, kept: dict[int, object] = _by_identity) -> None:  # type: ignore[assignment]
        kept.pop(key, None)  # given as a default, since globals are gone when Python ends

    _by_identity[key] = (weakref.ref(calendar, forget), engine)
    return engine
