"""The wall times at which a rule recurs, found near a query instead of from the start on.

Which days of a year a rule means depends only on the weekday of 1 January and on leap years, so it
is worked out at most once for each of the few kinds of year. What follows (INTERVAL, BYSETPOS,
COUNT, UNTIL) is arithmetic, so a rule that never comes true, such as 30 February, costs a look-up a
year.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from itertools import groupby
from math import gcd

from planner_provider.decide.windows.local_time import DAY, EPOCH_DAY
from planner_provider.decide.windows.year_days import YearDays
from planner_provider.spec.recurrence import Rule

_LAST_YEAR = 9998
_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)
"""Days before each month of a year that is no leap year."""


class Recurrence:
    """The occurrences of a rule from a start on, as wall times in seconds."""

    def __init__(self, rule: Rule, start: int) -> None:
        self._rule = rule
        self._start = start
        self._first_day = start // DAY
        day = date.fromordinal(self._first_day + EPOCH_DAY)
        self._origin = day
        self._days = YearDays.of(rule, day)
        months = self._days.months or (1, 12)
        self._earliest = _BEFORE[min(months) - 1] * DAY
        """Seconds from the start of a year before which there is no occurrence."""
        self._latest = (_BEFORE[max(months)] + 1) * DAY
        """Seconds from the start of a year from which on there is none."""
        self._times = _times(rule, start % DAY)
        self._every_one = rule.freq == "YEARLY" or rule.interval == 1
        """Whether INTERVAL jumps over none of those in a year that is meant."""
        self._per_hour = rule.freq == "HOURLY"
        self._years: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._counted: tuple[int, ...] | None = None
        self._never = self._per_hour and not any(
            (time // 3600 - start % DAY // 3600) % gcd(rule.interval, 24) == 0
            for time in self._times
        )

    def between(self, first: int, last: int) -> list[int]:
        """Occurrences with ``first <= wall time < last``, rising."""
        if self._rule.count is not None:
            counted = self._count_out()
            return list(counted[bisect_left(counted, first) : bisect_left(counted, last)])
        return self._found(max(first, self._start), last)

    def _found(self, first: int, last: int) -> list[int]:
        if self._rule.freq == "WEEKLY" and self._rule.by_setpos:
            return list(self._weekly_positions(first, last))
        return self._all_of(first, last)

    def _all_of(self, first: int, last: int) -> list[int]:
        """Occurrences, but for the positions within a week (BYSETPOS)."""
        found: list[int] = []
        for base, offsets, low, high in self._by_year(first, last):
            some = [base + offset for offset in offsets[low:high]]
            found += some if self._every_one else filter(self._in_phase, some)
        return found

    def next_day(self, after: int, limit: int) -> int | None:
        """Wall time of a day from ``after`` on before which there is no occurrence.

        There may be none on that day either. ``None`` if there is none before ``limit``.
        """
        after = max(after, self._start)
        if self._rule.count is not None:
            counted = self._count_out()
            at = bisect_left(counted, after)
            return counted[at] if at < len(counted) and counted[at] < limit else None
        for base, offsets, low, high in self._by_year(after, limit):
            for place in range(low, high):
                if self._every_one or self._in_phase(base + offsets[place]):
                    return base + offsets[place]
        return None

    def _by_year(self, first: int, last: int) -> Iterator[tuple[int, tuple[int, ...], int, int]]:
        """The years that have occurrences, but for INTERVAL below a year and BYSETPOS of weeks.

        Each with its beginning, the seconds from there to all of its occurrences, and which of
        these are meant: from one place up to another.
        """
        if self._never or first >= last:
            return
        yearly, interval = self._rule.freq == "YEARLY", self._rule.interval
        for year in range(_year_of(first // DAY), min(_year_of(last // DAY), _LAST_YEAR) + 1):
            base = _begin_of(year)
            from_, to = first - base, last - base
            if to <= self._earliest or from_ >= self._latest:
                continue
            if yearly and (year - self._origin.year) % interval:
                continue
            offsets = self._in_year(year)
            low = bisect_left(offsets, from_) if from_ > 0 else 0
            high = bisect_left(offsets, to)
            if low < high:
                yield base, offsets, low, high

    def _in_phase(self, value: int) -> bool:
        """Whether INTERVAL does not jump over the period of an occurrence."""
        freq, day = self._rule.freq, value // DAY
        if freq == "MONTHLY":
            found = date.fromordinal(day + EPOCH_DAY)
            passed = (found.year - self._origin.year) * 12 + found.month - self._origin.month
        elif freq == "WEEKLY":
            passed = self._week(day) - self._week(self._first_day)
        elif freq == "DAILY":
            passed = day - self._first_day
        else:
            passed = value // 3600 - self._start // 3600
        return passed % self._rule.interval == 0

    def _week(self, day: int) -> int:
        """Number of the week of a day; 1970-01-01 was a Thursday."""
        return (day + 3 - self._rule.week_start) // 7

    def _in_year(self, year: int) -> tuple[int, ...]:
        """Seconds from the start of a year to each occurrence in it, but for INTERVAL."""
        kind = self._days.kind(year)
        found = self._years.get(kind)
        if found is None:
            days = self._days.days(year)
            if self._rule.by_setpos and self._rule.freq != "WEEKLY":
                found = tuple(self._positions(year, days))
            else:
                found = tuple([day * DAY + time for day in days for time in self._times])
            self._years[kind] = found
        return found

    def _positions(self, year: int, days: Sequence[int]) -> Iterator[int]:
        """BYSETPOS within years, months, days and hours."""
        freq = self._rule.freq
        if freq == "YEARLY":
            groups: list[Sequence[int]] = [days]
        elif freq == "MONTHLY":
            base = date(year, 1, 1).toordinal()
            groups = [
                list(month)
                for _, month in groupby(days, lambda day: date.fromordinal(base + day).month)
            ]
        else:
            groups = [[day] for day in days]
        for group in groups:
            if self._per_hour:
                for day in group:
                    for _, times in groupby(self._times, lambda time: time // 3600):
                        yield from self._chosen([day * DAY + time for time in times])
            else:
                yield from self._chosen([day * DAY + time for day in group for time in self._times])

    def _weekly_positions(self, first: int, last: int) -> Iterator[int]:
        """BYSETPOS within weeks, which may cross from year to year."""
        week = 7 * DAY
        low, high = max(first - week, self._first_day * DAY), last + week
        values = self._all_of(low, high)
        groups = groupby(values, lambda value: self._week(value // DAY))
        for number, found in groups:
            whole = list(found)
            begins = (number * 7 - 3 + self._rule.week_start) * DAY
            if begins < low and number != self._week(self._first_day):
                continue  # the rest of this week was not asked for
            if begins + week > high:
                continue
            for value in self._chosen(whole):
                if first <= value < last:
                    yield value

    def _chosen(self, values: Sequence[int]) -> list[int]:
        count, positions = len(values), self._rule.by_setpos or ()
        picked = {
            values[position - 1 if position > 0 else count + position]
            for position in positions
            if abs(position) <= count
        }
        return sorted(picked)

    def _count_out(self) -> tuple[int, ...]:
        if self._counted is None:
            wanted = self._rule.count or 0
            found: list[int] = []
            end = (date(_LAST_YEAR, 12, 31).toordinal() - EPOCH_DAY) * DAY
            low = self._start
            year = _year_of(low // DAY)
            while len(found) < wanted and low < end:
                year += 1
                high = (
                    (date(year, 1, 1).toordinal() - EPOCH_DAY) * DAY if year < _LAST_YEAR else end
                )
                found += self._found(low, high)
                low = high
            self._counted = tuple(found[:wanted])
        return self._counted


@lru_cache(maxsize=1024)
def _begin_of(year: int) -> int:
    """The wall time at which a year begins."""
    return (date(year, 1, 1).toordinal() - EPOCH_DAY) * DAY


@lru_cache(maxsize=1024)
def _year_of(day: int) -> int:
    return date.fromordinal(min(max(day + EPOCH_DAY, 1), date.max.toordinal())).year


def _times(rule: Rule, second_of_day: int) -> tuple[int, ...]:
    """Seconds of the day at which the rule recurs."""
    hourly = range(24) if rule.freq == "HOURLY" else (second_of_day // 3600,)
    hours = hourly if rule.by_hour is None else rule.by_hour
    minutes = (second_of_day % 3600 // 60,) if rule.by_minute is None else rule.by_minute
    seconds = (second_of_day % 60,) if rule.by_second is None else rule.by_second
    return tuple(
        sorted(hour * 3600 + minute * 60 + second for hour in hours for minute in minutes
               for second in seconds)
    )  # fmt: skip
