"""Which days of a year a recurrence rule means: the BY parts of RFC 5545 that choose days.

Months, days of the month and weekdays, which nearly all windows are made of, are worked out here.
The rest (BYYEARDAY, BYWEEKNO, BYEASTER) is asked of dateutil.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache

from planner_provider.spec.recurrence import Rule

_MONTHS = tuple(range(1, 13))


@dataclass(frozen=True, slots=True)
class YearDays:
    """The parts of a rule that choose days, with what the rule leaves to its start filled in."""

    months: tuple[int, ...] | None
    month_days: tuple[int, ...] | None
    weekdays: tuple[tuple[int, int], ...] | None
    within_month: bool
    """Whether the second Tuesday is that of the month; else that of the year."""
    year_days: tuple[int, ...] | None
    weeks: tuple[int, ...] | None
    easter: tuple[int, ...] | None
    week_start: int

    @classmethod
    def of(cls, rule: Rule, start: date) -> YearDays:
        """The day filter of a rule that begins on a day."""
        months, month_days, weekdays = rule.by_month, rule.by_month_day, rule.by_day
        given = (rule.by_week, rule.by_year_day, month_days, weekdays, rule.by_easter)
        if all(part is None for part in given):
            if rule.freq == "YEARLY":
                months = months or (start.month,)
            if rule.freq in {"YEARLY", "MONTHLY"}:
                month_days = (start.day,)
            elif rule.freq == "WEEKLY":
                weekdays = ((0, start.weekday()),)
        return cls(
            months, month_days, weekdays, rule.freq == "MONTHLY" or months is not None,
            rule.by_year_day, rule.by_week, rule.by_easter, rule.week_start,
        )  # fmt: skip

    def kind(self, year: int) -> tuple[int, ...]:
        """What the days of a year depend on: years of one kind have the same days."""
        if self.easter is not None:
            return (year,)
        first, leap, after_leap = _year(year)
        if self.weeks is not None:
            return (first, leap, after_leap)
        return (leap,) if self.weekdays is None else (first, leap)

    def days(self, year: int) -> Sequence[int]:
        """The days, rising, 0 for 1 January."""
        if self.year_days is not None or self.weeks is not None or self.easter is not None:
            return self._by_dateutil(year)
        if self.months is None and self.month_days is None and self.weekdays is None:
            return range(365 + isleap(year))
        found: list[int] = []
        for month in self.months or _MONTHS:
            first, weekday, length = _month(year, month)
            days: Iterable[int] = range(length)
            if self.weekdays is not None:
                chosen = [
                    self._nth(nth, range((wanted - weekday) % 7, length, 7), first, year)
                    for nth, wanted in self.weekdays
                ]
                days = chosen[0] if len(chosen) == 1 else {day for some in chosen for day in some}
            if self.month_days is not None:
                picked = {day - 1 if day > 0 else length + day for day in self.month_days}
                days = picked.intersection(days)
            found += [first + day for day in sorted(days)]
        return found

    def _nth(self, nth: int, days: range, first: int, year: int) -> Sequence[int]:
        """Of the days of a month that fall on a weekday, those that are meant."""
        if not nth:
            return days
        if self.within_month:
            return days[nth - 1 : nth] if nth > 0 else days[nth : nth + 1 or None]
        last = 365 + isleap(year) - 1
        return [
            day
            for day in days
            if nth == ((first + day) // 7 + 1 if nth > 0 else -((last - first - day) // 7 + 1))
        ]

    def _by_dateutil(self, year: int) -> list[int]:
        weekdays = self.weekdays or ()
        if {bool(nth) for nth, _ in weekdays} == {True, False}:  # dateutil wants both at once
            every = tuple(item for item in weekdays if not item[0])
            numbered = tuple(item for item in weekdays if item[0])
            parts = (replace(self, weekdays=every), replace(self, weekdays=numbered))
            return sorted({day for part in parts for day in part._by_dateutil(year)})
        from dateutil import rrule

        months = self.months
        if self.within_month and months is None and any(nth for nth, _ in weekdays):
            months = _MONTHS
        on = [rrule.weekdays[day](nth) if nth else rrule.weekdays[day] for nth, day in weekdays]
        found = rrule.rrule(
            rrule.YEARLY,
            dtstart=datetime(year, 1, 1),  # noqa: DTZ001 - wall time
            interval=10_000,  # so that it ends after this year
            wkst=self.week_start,
            bymonth=months,
            bymonthday=self.month_days,
            byyearday=self.year_days,
            byweekno=self.weeks,
            byeaster=self.easter,
            byweekday=on or None,
            byhour=0,
            byminute=0,
            bysecond=0,
        )
        return [at.timetuple().tm_yday - 1 for at in found]


@lru_cache(maxsize=1024)
def _year(year: int) -> tuple[int, bool, bool]:
    """The weekday of 1 January, and whether this year and the one before are leap years."""
    return date(year, 1, 1).weekday(), isleap(year), isleap(year - 1)


@lru_cache(maxsize=512)
def _month(year: int, month: int) -> tuple[int, int, int]:
    """The first day of a month within its year, the weekday of it, and the length of the month."""
    weekday, length = monthrange(year, month)
    return (date(year, month, 1) - date(year, 1, 1)).days, weekday, length
