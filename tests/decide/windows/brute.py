"""A second window engine, for tests only: slow, obvious, and sharing no code with the real one.

It reads the rule (docs/calendars.md, C1 to C11) once more: every day since the start is asked
whether the recurrence rule means it, wall times become instants by looking at what the clock of the
zone shows, and the open set is the list of five-minute cells that are open. It knows no dateutil,
no PEP 495 fold, and no chunks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

CELL = timedelta(minutes=5)
NEAR = range(-3, 4)
"""Days around one within which every clock of the world shows a time of it."""
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LENGTH = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


@dataclass(frozen=True)
class BruteCalendar:
    """As a case writes it: windows and freezes are mappings."""

    timezone: str
    windows: tuple[dict, ...]
    freezes: tuple[dict, ...] = ()
    overrides: tuple[tuple[datetime, datetime], ...] = ()
    combine: str = "any"
    cutoff: timedelta = timedelta(0)


class Brute:
    """The open cells of a calendar between two moments that lie on five minutes."""

    def __init__(self, calendar: BruteCalendar, start: datetime, end: datetime) -> None:
        self.calendar, self.start, self.end = calendar, start, end
        zone = calendar.timezone
        windows = [self._cells(occurrences(one, zone, end)) for one in calendar.windows]
        freezes = [self._cells(occurrences(one, zone, end)) for one in calendar.freezes]
        combined = set.intersection if calendar.combine == "all" else set.union
        opened = combined(*windows).difference(*freezes) | self._cells(calendar.overrides)
        self.open = [number in opened for number in range((end - start) // CELL)]
        self.lasts = [0] * (len(self.open) + 1)
        """For how many cells it stays open from each one on."""
        for number in reversed(range(len(self.open))):
            self.lasts[number] = self.lasts[number + 1] + 1 if self.open[number] else 0

    def _cells(self, spans: Iterable[tuple[datetime, datetime]]) -> set[int]:
        """The five minutes in which something is on."""
        found: set[int] = set()
        for begin, stop in spans:
            at = max(begin, self.start)
            while at < min(stop, self.end):
                found.add((at - self.start) // CELL)
                at += CELL
        return found

    def expand(self) -> list[tuple[datetime, datetime]]:
        found, index = [], 0
        for is_open, cells in groupby(self.open):
            count = len(list(cells))
            if is_open:
                found.append((self.start + index * CELL, self.start + (index + count) * CELL))
            index += count
        return found

    def is_open(self, at: datetime) -> bool:
        return self.open[(at - self.start) // CELL]

    def usable_seconds(self) -> float:
        return sum(self.open) * CELL.total_seconds()

    def earliest_start(self, at: datetime, work: timedelta | None) -> datetime | None:
        """``None`` also if it cannot be told before the end of what was looked at."""
        needed = max(self.calendar.cutoff // CELL + 1, (work or CELL) // CELL)
        for index in range((at - self.start) // CELL, len(self.open)):
            if self.lasts[index] >= needed:
                return self.start + index * CELL
        return None


def occurrences(
    window: dict, calendar_zone: str, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """The occurrences of a window from its first to those that begin about when a range ends."""
    zone = window.get("timezone", calendar_zone)
    fold = window.get("fold", "first")
    last = end.replace(tzinfo=None) + timedelta(days=3 - min(0, window.get("offset_days", 0)))
    first, first_at = local_of(window["dtstart"], zone)
    starts: dict[datetime, datetime | None] = {}
    if window.get("rrule"):
        for local in recurrences(window["rrule"], first, last, zone):
            starts[local] = None
    else:
        starts[first] = first_at
    starts.update(local_of(text, zone) for text in window.get("rdate", ()))
    for text in window.get("exdate", ()):
        local, at = local_of(text, zone)
        for one, one_at in list(starts.items()):
            whole_day = len(text) == 10 and one.date() == local.date()
            same = one == local if at is None else (one_at or to_utc(one, zone, fold)) == at
            if whole_day or same:
                del starts[one]
    bounds = [
        None if window.get(key) is None else instant_of(window[key], zone, fold)
        for key in ("valid_from", "valid_until")
    ]
    for local, at in starts.items():
        if window.get("offset_days"):
            local, at = local + timedelta(days=window["offset_days"]), None
        if at is None:
            if window.get("gap") == "skip" and not shown_at(local, zone):
                continue
            at = to_utc(local, zone, fold)
        if (bounds[0] and at < bounds[0]) or (bounds[1] and at >= bounds[1]):
            continue
        ends = end_of(window, local, at, zone, fold)
        if ends > at:
            yield at, ends


def end_of(window: dict, local: datetime, at: datetime, zone: str, fold: str) -> datetime:
    if window.get("until_local"):
        hour, minute = map(int, window["until_local"].split(":"))
        end = local.replace(hour=hour, minute=minute, second=0)
        return to_utc(end if end > local else end + timedelta(days=1), zone, fold)
    weeks, days, hours, minutes, seconds = (
        int(part or 0) for part in LENGTH.fullmatch(window["duration"]).groups()
    )
    if weeks or days:
        at = to_utc(local + timedelta(days=7 * weeks + days), zone, fold)
    return at + timedelta(hours=hours, minutes=minutes, seconds=seconds)


# ---- clocks ----------------------------------------------------------------------------------


@lru_cache(maxsize=200_000)
def shown_at(local: datetime, zone: str) -> tuple[datetime, ...]:
    """The instants at which the clock of a zone shows a time: none, one or two."""
    tz = ZoneInfo(zone)
    found = {(local - offset).replace(tzinfo=UTC) for offset in offsets_around(local.date(), zone)}
    return tuple(sorted(at for at in found if at.astimezone(tz).replace(tzinfo=None) == local))


def offsets_around(day: date, zone: str) -> set[timedelta]:
    return set().union(*(offsets_on(day + timedelta(days=number), zone) for number in NEAR))


@lru_cache(maxsize=100_000)
def offsets_on(day: date, zone: str) -> frozenset[timedelta]:
    return frozenset(clock - at for at, clock in clock_on(day, zone))


@lru_cache(maxsize=100_000)
def clock_on(day: date, zone: str) -> list[tuple[datetime, datetime]]:
    """The hours of a day in UTC, and what the clock of the zone shows at them. All are naive."""
    tz = ZoneInfo(zone)
    hours = [datetime(day.year, day.month, day.day, hour, tzinfo=UTC) for hour in range(24)]
    return [(at.replace(tzinfo=None), at.astimezone(tz).replace(tzinfo=None)) for at in hours]


@lru_cache(maxsize=200_000)
def to_utc(local: datetime, zone: str, fold: str = "first") -> datetime:
    found = shown_at(local, zone)
    if found:
        return found[-1] if fold == "second" else found[0]
    days = [local.date() + timedelta(days=number) for number in NEAR]
    before = [(at, clock) for day in days for at, clock in clock_on(day, zone) if clock < local]
    at, clock = before[-1]  # the last look at the clock before it jumped
    return (local - (clock - at)).replace(tzinfo=UTC)


def local_of(text: str, zone: str) -> tuple[datetime, datetime | None]:
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        return read, None
    return read.astimezone(ZoneInfo(zone)).replace(tzinfo=None), read.astimezone(UTC)


def instant_of(text: str, zone: str, fold: str) -> datetime:
    local, at = local_of(text, zone)
    return at or to_utc(local, zone, fold)


# ---- recurrence ------------------------------------------------------------------------------


def recurrences(rule: str, start: datetime, last: datetime, zone: str) -> Iterator[datetime]:
    """Every occurrence from the start to ``last``, by asking every day since the start."""
    parts = dict(part.split("=") for part in rule.split(";"))
    count = int(parts.get("COUNT", 10**9))
    until = parts.get("UNTIL")
    for found in islice_until(candidates(parts, start, last), count):
        if until and until.endswith("Z"):
            if to_utc(found, zone) > datetime.fromisoformat(until):
                return
        elif until and found > datetime.fromisoformat(until):
            return
        yield found


def islice_until(values: Iterator[datetime], count: int) -> Iterator[datetime]:
    for number, value in enumerate(values):
        if number >= count:
            return
        yield value


def candidates(parts: dict[str, str], start: datetime, last: datetime) -> Iterator[datetime]:
    freq = parts["FREQ"]
    interval = int(parts.get("INTERVAL", 1))
    week_start = DAYS.index(parts.get("WKST", "MO"))
    fits = day_test(parts, start)
    times = list(times_of_day(parts, start))
    all_times = []
    # From the beginning of the period of the start, so that BYSETPOS sees all of it; but a week
    # that is begun counts from the start on, as dateutil has it.
    day = start.date() if freq == "WEEKLY" else start.date().replace(day=1)
    day = day.replace(month=1) if freq == "YEARLY" else day
    ahead = {"YEARLY": 366, "MONTHLY": 32, "WEEKLY": 8}.get(freq, 1)
    while day <= last.date() + timedelta(days=ahead if "BYSETPOS" in parts else 0):
        if fits(day):
            for hour, minute in times:
                at = datetime(day.year, day.month, day.day, hour, minute)
                if periods_since(freq, start, at, week_start) % interval == 0:
                    all_times.append(at)
        day += timedelta(days=1)
    if "BYSETPOS" in parts:
        positions = {int(position) for position in parts["BYSETPOS"].split(",")}
        chosen: list[datetime] = []
        for _, group in groupby(all_times, lambda at: periods_since(freq, start, at, week_start)):
            whole = list(group)
            ranks = range(len(whole))
            chosen += [
                at for rank, at in zip(ranks, whole, strict=True)
                if rank + 1 in positions or rank - len(whole) in positions
            ]  # fmt: skip
        all_times = chosen
    yield from (at for at in all_times if start <= at <= last)


def periods_since(freq: str, start: datetime, at: datetime, week_start: int) -> int:
    if freq == "YEARLY":
        return at.year - start.year
    if freq == "MONTHLY":
        return (at.year - start.year) * 12 + at.month - start.month
    if freq == "WEEKLY":
        return (week_of(at.date(), week_start) - week_of(start.date(), week_start)).days // 7
    if freq == "DAILY":
        return (at.date() - start.date()).days
    since = at.replace(minute=0) - start.replace(minute=0)
    return since // timedelta(hours=1)


def week_of(day: date, week_start: int) -> date:
    while day.weekday() != week_start:
        day -= timedelta(days=1)
    return day


def times_of_day(parts: dict[str, str], start: datetime) -> Iterator[tuple[int, int]]:
    hours = numbers(parts, "BYHOUR")
    if hours is None:
        hours = list(range(24)) if parts["FREQ"] == "HOURLY" else [start.hour]
    minutes = numbers(parts, "BYMINUTE")
    for hour in hours:
        for minute in [start.minute] if minutes is None else minutes:
            yield hour, minute


def numbers(parts: dict[str, str], key: str) -> list[int] | None:
    return sorted({int(item) for item in parts[key].split(",")}) if key in parts else None


def day_test(parts: dict[str, str], start: datetime) -> Callable[[date], bool]:
    freq, months = parts["FREQ"], numbers(parts, "BYMONTH")
    month_days, year_days = numbers(parts, "BYMONTHDAY"), numbers(parts, "BYYEARDAY")
    weekdays = parts.get("BYDAY")
    if month_days is None and year_days is None and weekdays is None:
        if freq in {"YEARLY", "MONTHLY"}:
            month_days = [start.day]
        if freq == "YEARLY" and months is None:
            months = [start.month]
        if freq == "WEEKLY":
            weekdays = DAYS[start.weekday()]
    within_month = freq == "MONTHLY" or months is not None

    def fits(day: date) -> bool:
        month_length = (month_after(day) - day.replace(day=1)).days
        year_length = (date(day.year + 1, 1, 1) - date(day.year, 1, 1)).days
        year_day = (day - date(day.year, 1, 1)).days + 1
        return (
            (months is None or day.month in months)
            and (month_days is None or bool({day.day, day.day - month_length - 1} & {*month_days}))
            and (year_days is None or bool({year_day, year_day - year_length - 1} & {*year_days}))
            and (weekdays is None or weekday_fits(day, weekdays, within_month))
        )

    return fits


def month_after(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def weekday_fits(day: date, weekdays: str, within_month: bool) -> bool:
    for item in weekdays.split(","):
        if DAYS[day.weekday()] != item[-2:]:
            continue
        nth = int(item[:-2] or 0)
        if nth == 0:
            return True
        step, count, at = timedelta(days=-7 if nth > 0 else 7), 1, day
        while same_period(at + step, day, within_month):
            at, count = at + step, count + 1
        if count == abs(nth):
            return True
    return False


def same_period(one: date, other: date, within_month: bool) -> bool:
    return one.year == other.year and (not within_month or one.month == other.month)
