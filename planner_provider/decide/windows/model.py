"""What the window engine takes and gives: intervals of time, and changes made while plans run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from planner_provider.decide.model import Frozen


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A time from ``start`` up to, not including, ``end``; both aware, in UTC (C1)."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """Elapsed time."""
        return self.end - self.start

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end


class Change(Frozen):
    """A freeze or an override that was added to a calendar after the plan was compiled."""

    start: AwareDatetime
    end: AwareDatetime
    reason: str = ""
    who: str = ""


class Changes(Frozen):
    """What was added to a calendar live.

    ``freezes`` are those of the calendar and of every calendar that it needs
    (``PlanCalendar.all_names``); ``overrides`` are its own, and beat every freeze.
    """

    freezes: tuple[Change, ...] = ()
    overrides: tuple[Change, ...] = ()


NO_CHANGES = Changes()
"""Nothing was added."""
