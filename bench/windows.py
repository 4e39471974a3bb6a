"""How fast a calendar answers, beside a plain dateutil loop and recurring-ical-events.

One window and 50 freezes, each by a yearly, monthly, weekly or daily rule, in UTC, where all three
must give the same answers; that they do is checked. Times are CPU time of this process.

``next``: the first opening after a random moment of five years, with all rules parsed. ``year``:
all openings of one year, by all with the rules parsed and no year expanded before. ``again``: ours,
asked once more. ``text``: from the calendar as text (JSON, iCalendar) to the openings of the year.
"""

from __future__ import annotations

import json
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import icalendar
import recurring_ical_events  # type: ignore[import-untyped]
from dateutil.rrule import rrule, rrulestr

from planner_provider.decide.windows import engine, expand, next_opening, openings
from planner_provider.decide.windows.spans import merge, subtract
from planner_provider.graph.calendars import PlanCalendar, PlanWindow, Source

RULES = {
    "daily": "FREQ=DAILY",
    "weekly": "FREQ=WEEKLY;BYDAY=MO,TH",
    "monthly": "FREQ=MONTHLY;BYDAY=2TU",
    "yearly": "FREQ=YEARLY",
}
FREEZES = 50
START = datetime(2020, 1, 14, 22)  # noqa: DTZ001 - wall time; a second Tuesday
LENGTH = timedelta(hours=4)
FROZEN = timedelta(days=1)
TARGETS = {"next_median_ms_max": 1.0, "year_times_faster_min": 10.0}
SEED = 20261123
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    moments: int
    slow_moments: int
    """For the others, which take long."""
    years: int


FULL = Size(moments=2000, slow_moments=100, years=5)
QUICK = Size(moments=300, slow_moments=10, years=2)


@dataclass(frozen=True)
class Row:
    """One rule. Milliseconds of CPU time."""

    rule: str
    next_median: float
    next_p99: float
    next_first: float
    """With nothing parsed or remembered."""
    next_dateutil: float
    year: float
    year_again: float
    year_dateutil: float
    year_ical: float
    text: float
    text_ical: float
    openings_a_second: float
    agree: bool
    """Whether all three gave the same openings in each year."""

    @property
    def times_faster(self) -> float:
        """Than recurring-ical-events, on a year."""
        return self.year_ical / self.year


class Contest:
    """One calendar in three forms."""

    def __init__(self, rule: str, seed: int) -> None:
        rnd = random.Random(seed)
        days = [
            START.replace(month=1, day=1) + timedelta(days=rnd.randrange(366))
            for _ in range(FREEZES)
        ]
        starts = [day.replace(hour=0) for day in days]
        self.freeze_rules = [
            (_freeze_rule(day, rnd) if number % 2 else "FREQ=YEARLY", day)
            for number, day in enumerate(starts)
        ]
        self.rule = rule

    def calendar(self) -> PlanCalendar:
        """A new one for our engine."""
        return PlanCalendar(
            name="bench",
            timezone="UTC",
            windows=(_source(self.rule, START, "PT4H"),),
            freezes=tuple(_source(rule, start, "PT24H") for rule, start in self.freeze_rules),
        )

    def plain(self) -> tuple[rrule, list[rrule]]:
        """The window and the freezes for dateutil."""
        window = rrulestr(self.rule, dtstart=START)
        freezes = [rrulestr(rule, dtstart=start) for rule, start in self.freeze_rules]
        assert isinstance(window, rrule)
        return window, [item for item in freezes if isinstance(item, rrule)]

    def ical(self) -> tuple[Any, Any]:
        """The window and the freezes for recurring-ical-events."""
        windows, freezes = self.ics()
        return _events(windows), _events(freezes)

    def ics(self) -> tuple[bytes, bytes]:
        """The window and the freezes as iCalendar files."""
        freezes = _ics([(*item, FROZEN) for item in self.freeze_rules])
        return _ics([(self.rule, START, LENGTH)]).to_ical(), freezes.to_ical()


def run(size: Size, *, as_json: bool) -> int:
    """Measure and print. The exit code is 0, whether or not the targets are met."""
    rows = [_measure(name, rule, size) for name, rule in RULES.items()]
    summary = {
        "next_median_ms_max": max(row.next_median for row in rows),
        "year_times_faster_min": round(min(row.times_faster for row in rows), 1),
        "agree": all(row.agree for row in rows),
    }
    met = {
        "next_median_ms_max": summary["next_median_ms_max"] <= TARGETS["next_median_ms_max"],
        "year_times_faster_min": (
            summary["year_times_faster_min"] >= TARGETS["year_times_faster_min"]
        ),
    }
    if as_json:
        report = {
            "bench": "windows",
            "unit": "ms of CPU time",
            "python": platform.python_version(),
            "freezes": FREEZES,
            "rows": [asdict(row) | {"times_faster": round(row.times_faster, 1)} for row in rows],
            "summary": {**summary, "targets": TARGETS, "targets_met": met},
        }
        print(json.dumps(report, indent=2))
    else:
        _print(rows, met)
    return 0


def _measure(name: str, rule: str, size: Size) -> Row:
    contest = Contest(rule, SEED)
    rnd = random.Random(SEED)
    base = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [base + timedelta(minutes=rnd.randrange(5 * 365 * 1440)) for _ in range(size.moments)]
    calendar = contest.calendar()
    _, first = _timed(partial(next_opening, calendar, moments[0]))
    times = [_timed(partial(next_opening, calendar, at))[1] for at in moments]
    found, began = 0, time.process_time()
    for opening in openings(calendar, base):
        found += 1
        if opening.start.year > 2060 or found >= 10_000:
            break
    a_second = found / (time.process_time() - began)
    plain = contest.plain()
    few = moments[: size.slow_moments]
    slow = [_timed(partial(_plain_next, *plain, at))[1] for at in few]
    events, json_text, ics_texts = contest.ical(), calendar.to_json(), contest.ics()
    years, agree = [], True
    for number in range(size.years):
        start, end = base.replace(year=2026 + number), base.replace(year=2027 + number)
        fresh = contest.calendar()
        engine._by_content.clear()
        engine.engine_of(fresh)
        ours, cold = _timed(partial(expand, fresh, start, end))
        _, again = _timed(partial(expand, fresh, start, end))
        by_dateutil, dateutil = _timed(partial(_plain_year, *plain, start, end))
        by_ical, ical = _timed(partial(_ical_year, *events, start, end))
        engine._by_content.clear()
        _, text = _timed(partial(_from_json, json_text, start, end))
        _, text_ical = _timed(partial(_from_ics, ics_texts, start, end))
        years.append((cold, again, dateutil, ical, text, text_ical))
        agree = agree and [(one.start, one.end) for one in ours] == by_dateutil == by_ical
    cold, again, dateutil, ical, text, text_ical = (
        round(statistics.median(column), 3) for column in zip(*years, strict=True)
    )
    ordered = sorted(times)
    return Row(
        name,
        round(statistics.median(times), 4),
        round(ordered[int(len(ordered) * 0.99)], 4),
        round(first, 3),
        round(statistics.median(slow), 3),
        cold,
        again,
        dateutil,
        ical,
        text,
        text_ical,
        round(a_second),
        agree,
    )


def _source(rule: str, start: datetime, length: str) -> Source:
    window = PlanWindow(timezone="UTC", dtstart=start.isoformat(), rrule=rule, duration=length)
    return Source(label="", windows=(window,))


def _timed(work: Callable[[], Answer]) -> tuple[Answer, float]:
    began = time.process_time()
    answer = work()
    return answer, (time.process_time() - began) * 1000


def _freeze_rule(day: datetime, rnd: random.Random) -> str:
    return f"FREQ=YEARLY;BYMONTH={day.month};BYDAY={rnd.choice([1, 2, -1])}SA"


def _plain_next(window: rrule, freezes: Sequence[rrule], at: datetime) -> datetime | None:
    """What one writes first: the next occurrence that no freeze covers altogether."""
    local = at.replace(tzinfo=None)
    while (start := window.after(local)) is not None:
        frozen = []
        for freeze in freezes:
            last = freeze.before(start + LENGTH)
            if last is not None and last + FROZEN > start:
                frozen.append((_number(last), _number(last + FROZEN)))
        left = subtract([(_number(start), _number(start + LENGTH))], merge(frozen))
        if left:
            return _moment(left[0][0])
        local = start
    return None


def _plain_year(
    window: rrule, freezes: Sequence[rrule], start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    first, last = start.replace(tzinfo=None), end.replace(tzinfo=None)
    on = [(at, at + LENGTH) for at in window.between(first - LENGTH, last)]
    off = [
        (at, at + FROZEN)
        for freeze in freezes
        for at in freeze.between(first - FROZEN, last, inc=True)
    ]
    return _without(on, off, start, end)


def _ical_year(
    window: Any, freezes: Any, start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    on = [(event.start, event.end) for event in window.between(start, end)]
    off = [(event.start, event.end) for event in freezes.between(start, end)]
    return _without(on, off, start, end)


def _events(text: bytes) -> Any:
    return recurring_ical_events.of(icalendar.Calendar.from_ical(text))


def _from_ics(texts: tuple[bytes, bytes], start: datetime, end: datetime) -> object:
    return _ical_year(_events(texts[0]), _events(texts[1]), start, end)


def _from_json(text: str, start: datetime, end: datetime) -> object:
    return expand(PlanCalendar.from_json(text), start, end)


def _without(
    on: Sequence[tuple[datetime, datetime]],
    off: Sequence[tuple[datetime, datetime]],
    start: datetime,
    end: datetime,
) -> list[tuple[datetime, datetime]]:
    low, high = _number(start), _number(end)
    inside = merge((max(_number(a), low), min(_number(b), high)) for a, b in on)
    frozen = merge((_number(a), _number(b)) for a, b in off)
    return [(_moment(a), _moment(b)) for a, b in subtract(inside, frozen)]


def _number(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp())


def _moment(value: int) -> datetime:
    return datetime.fromtimestamp(value, UTC)


def _ics(events: Sequence[tuple[str, datetime, timedelta]]) -> icalendar.Calendar:
    calendar = icalendar.Calendar()
    for number, (rule, start, length) in enumerate(events):
        event = icalendar.Event()
        event.add("uid", str(number))
        event.add("dtstart", start.replace(tzinfo=UTC))
        event.add("dtend", start.replace(tzinfo=UTC) + length)
        event.add("rrule", icalendar.vRecur.from_ical(rule))
        calendar.add_component(event)
    return calendar


def _print(rows: Sequence[Row], met: dict[str, bool]) -> None:
    print(f"one window and {FREEZES} freezes; milliseconds of CPU time\n")
    print(
        f"{'rule':<9}{'next':>9}{'p99':>9}{'first':>9}{'dateutil':>10}"
        f"{'year':>8}{'again':>8}{'dateutil':>10}{'ical':>8}{'faster':>8}"
        f"{'text':>8}{'ical':>8}{'openings/s':>12}"
    )
    for row in rows:
        print(
            f"{row.rule:<9}{row.next_median:>9.4f}{row.next_p99:>9.3f}{row.next_first:>9.2f}"
            f"{row.next_dateutil:>10.2f}{row.year:>8.2f}{row.year_again:>8.3f}"
            f"{row.year_dateutil:>10.2f}{row.year_ical:>8.1f}{row.times_faster:>7.0f}x"
            f"{row.text:>8.1f}{row.text_ical:>8.1f}{row.openings_a_second:>12.0f}"
            f"{'' if row.agree else '  THEY DISAGREE'}"
        )
    for name, limit in TARGETS.items():
        print(f"{name}: {limit:g}, {'met' if met[name] else 'MISSED'}")
