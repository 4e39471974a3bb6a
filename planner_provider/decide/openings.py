"""At which openings of a calendar a plan starts by itself. Pure.

An opening is a stretch of the calendar's windows as if there were no freezes, so that a freeze in
the middle of a night does not make two openings of it. A plan starts once an opening: at the first
moment at which its work may start and fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from planner_provider.decide.windows import earliest_start, interval_at, may_start
from planner_provider.decide.windows.model import Interval
from planner_provider.graph.calendars import PlanCalendar, Source

CatchUp = Literal["latest", "none"]

PUNCTUAL = timedelta(minutes=5)
"""A start that is late by no more than this is not one that was missed."""
LONGEST = timedelta(days=366)
"""What is open for longer than that is no maintenance window: it has no opening to start at."""


@dataclass(frozen=True)
class Openings:
    """The openings of a calendar at which work fits."""

    calendar: PlanCalendar
    needs: timedelta | None = None
    catch_up: CatchUp = "latest"

    def due(self, now: datetime, last: datetime | None) -> datetime | None:
        """The start of the next run, by what is known ``now``; in the past if it is late.

        ``last`` is the start of the last run, which may lie ahead. Give the start of an opening
        that was missed only if the work may still start in it, and, without ``catch_up``, if it is
        late by no more than ``PUNCTUAL``. ``None``: there is no opening any more.
        """
        missed = self._missed(now, last)
        if missed is not None:
            return missed
        return self.after(now if last is None else max(now, last), last=last)

    def after(self, moment: datetime, *, last: datetime | None = None) -> datetime | None:
        """The first start after a moment, in another opening than that of ``last``."""
        at = moment
        while (found := earliest_start(self.calendar, at, self.needs)) is not None:
            opening = self.opening(found)
            if opening is None:  # what is open is within a window
                raise AssertionError(f"{found} is open, but in no window")
            if opening.length > LONGEST:
                return None
            start = self.start_in(opening)
            again = last is not None and last in opening
            if start is not None and start > moment and not again:
                return start
            at = opening.end
        return None

    def opening(self, at: datetime) -> Interval | None:
        """The opening around a moment."""
        return interval_at(self._unfrozen, at)

    def start_in(self, opening: Interval) -> datetime | None:
        """The first moment of an opening at which the work may start and fits."""
        start = earliest_start(self.calendar, opening.start, self.needs)
        return start if start is not None and start in opening else None

    def _missed(self, now: datetime, last: datetime | None) -> datetime | None:
        opening = self.opening(now)
        if opening is None or opening.length > LONGEST:
            return None
        if last is not None and last >= opening.start:
            return None
        start = self.start_in(opening)
        if start is None or start > now or not may_start(self.calendar, now, self.needs):
            return None
        return start if self.catch_up == "latest" or now - start <= PUNCTUAL else None

    @cached_property
    def _unfrozen(self) -> PlanCalendar:
        return without_freezes(self.calendar)


def without_freezes(calendar: PlanCalendar) -> PlanCalendar:
    """The windows of a calendar, and of those that it rests on, alone."""
    return calendar.model_copy(
        update={
            "freezes": (),
            "windows": tuple(_source(source) for source in calendar.windows),
            "requires": tuple(without_freezes(needed) for needed in calendar.requires),
        }
    )


def _source(source: Source) -> Source:
    if source.calendar is None:
        return source
    return source.model_copy(update={"calendar": without_freezes(source.calendar)})
