"""Random calendars near changes of the clock, and what both engines say about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from unittest import mock
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from planner_provider.decide.windows import (
    Change,
    Changes,
    earliest_start,
    engine,
    expand,
    is_open,
    usable_seconds,
)
from planner_provider.graph.calendars import PlanCalendar, inline_calendar
from planner_provider.spec.calendar_kind import Freeze, Window
from tests.decide.windows.brute import CELL, DAYS, Brute, BruteCalendar

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",
    "America/Sao_Paulo", "Africa/Cairo", "Pacific/Apia", "Asia/Kathmandu", "Europe/Dublin",
    "Africa/Casablanca", "America/St_Johns", "Pacific/Chatham", "Antarctica/Troll",
)  # fmt: skip
SPAN = timedelta(days=5)
"""What is looked at around a moment, each way."""


@lru_cache(maxsize=64)
def changes_of_clock(zone: str) -> tuple[datetime, ...]:
    """The days around which the clock of a zone is moved, from 2009 to 2029."""
    tz = ZoneInfo(zone)
    days = [datetime(2009, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(7500)]
    return tuple(
        later
        for earlier, later in pairwise(days)
        if earlier.astimezone(tz).utcoffset() != later.astimezone(tz).utcoffset()
    )


@st.composite
def moments(draw: st.DrawFn, zone: str) -> datetime:
    """A day in UTC; mostly one near which the clock is moved."""
    moved = changes_of_clock(zone)
    if moved and draw(st.integers(0, 3)):
        return draw(st.sampled_from(moved)) + timedelta(days=draw(st.integers(-3, 3)))
    return datetime(2009, 1, 10, tzinfo=UTC) + timedelta(days=draw(st.integers(0, 7300)))


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A recurrence rule that comes true now and then."""
    freq = draw(
        st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "WEEKLY", "DAILY", "DAILY", "HOURLY"])
    )
    parts = [f"FREQ={freq}"]
    sometimes = st.integers(0, 4).map(lambda number: number == 0)
    if draw(sometimes) or freq == "HOURLY":
        parts.append(f"INTERVAL={draw(st.integers(1, 3 if freq != 'HOURLY' else 30))}")
    if draw(sometimes):
        months = draw(st.lists(st.integers(1, 12), min_size=4, max_size=8, unique=True))
        parts.append(f"BYMONTH={','.join(map(str, months))}")
    if freq in {"MONTHLY", "YEARLY"}:
        nth = draw(st.sampled_from(["1", "2", "3", "4", "5", "-1", "-2"]))
        on = draw(st.sampled_from([
            f"BYDAY={nth}{draw(st.sampled_from(DAYS))}", "BYMONTHDAY=1,10,-1,-8", "BYDAY=MO,TU,SU",
            "BYYEARDAY=1,60,100,-1,-60",
        ]))  # fmt: skip
        parts.append(on)
    elif draw(sometimes):
        days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=5, unique=True))
        parts.append(f"BYDAY={','.join(days)}")
    if draw(sometimes):
        parts.append("BYHOUR=" + draw(st.sampled_from(["0,1,2,3", "1", "2", "23", "0,12"])))
    if draw(sometimes):
        parts.append("BYMINUTE=" + draw(st.sampled_from(["0", "30", "0,30", "15,45"])))
    if draw(sometimes):
        parts.append("BYSETPOS=" + draw(st.sampled_from(["1", "-1", "1,-1", "2,-2"])))
    if draw(sometimes):
        parts.append(f"WKST={draw(st.sampled_from(DAYS))}")
    return ";".join(parts)


CLOCKS = ("00:00", "00:30", "01:30", "01:45", "02:00", "02:30", "03:00", "22:00", "23:30")
LENGTHS = ("PT30M", "PT1H", "PT2H", "PT8H", "PT26H", "P1D", "P2D", "P1DT2H", "P1W")


def one_in(count: int) -> st.SearchStrategy[bool]:
    return st.integers(1, count).map(lambda number: number == count)


@st.composite
def windows(draw: st.DrawFn, zone: str, around: datetime) -> dict:
    """A window of a case, with its occurrences near a moment if it has any."""
    own = draw(st.sampled_from([None, None, None, *ZONES]))
    back = draw(st.one_of(st.integers(-3, 40), st.integers(-3, 40), st.integers(40, 800)))
    clock = draw(st.sampled_from(CLOCKS))
    window: dict = {"dtstart": f"{(around - timedelta(days=back)).date()}T{clock}"}
    if own:
        window["timezone"] = own
    if not draw(one_in(6)):
        window["rrule"] = draw(rules()) + draw(endings(ZoneInfo(own or zone), around))
    if draw(st.booleans()):
        window["duration"] = draw(st.sampled_from(LENGTHS))
    else:
        soon = f"{clock[:3]}{(int(clock[3:]) + 15) % 60:02}"
        later = f"{(int(clock[:2]) + 1) % 24:02}{clock[2:]}"
        ends = st.one_of(st.sampled_from([soon, later, clock]), st.sampled_from([*CLOCKS, "06:00"]))
        window["until_local"] = draw(ends)
    near = [f"{(around + timedelta(days=number)).date()}T{clock}" for number in range(-4, 5)]
    window |= draw(options(near))
    return window


@st.composite
def endings(draw: st.DrawFn, tz: ZoneInfo, around: datetime) -> str:
    """What ends a rule, if anything does."""
    which = draw(st.integers(0, 9))
    if which == 0:
        return f";COUNT={draw(st.integers(1, 400))}"
    until = around + timedelta(days=draw(st.integers(-3, 3)), hours=draw(st.integers(0, 23)))
    local = until.astimezone(tz).replace(tzinfo=None)
    return {1: f";UNTIL={until:%Y%m%dT%H%M%SZ}", 2: f";UNTIL={local:%Y%m%dT%H%M%S}"}.get(which, "")


@st.composite
def options(draw: st.DrawFn, near: list[str]) -> dict:
    """The less usual parts of a window; ``near`` are wall times from four days before on."""
    found: dict = {}
    if draw(one_in(4)):
        found["exdate"] = draw(st.lists(st.sampled_from(near), min_size=1, max_size=4, unique=True))
    elif draw(one_in(8)):
        found["exdate"] = [near[4][:10]]
    if draw(one_in(5)):
        found["rdate"] = draw(st.lists(st.sampled_from(near), min_size=1, max_size=4, unique=True))
    if draw(one_in(5)):
        found["offset_days"] = draw(st.integers(-5, 9))
    if draw(one_in(6)):
        found["fold"] = "second"
    if draw(one_in(6)):
        found["gap"] = "skip"
    if draw(one_in(7)):
        found["valid_from"] = near[draw(st.integers(0, 4))]
    if draw(one_in(7)):
        found["valid_until"] = near[draw(st.integers(5, 8))] + draw(st.sampled_from(["", "Z"]))
    return found


@st.composite
def worlds(draw: st.DrawFn) -> tuple[BruteCalendar, datetime]:
    """A calendar and a moment at which something happens in it."""
    zone = draw(st.sampled_from(ZONES))
    around = draw(moments(zone))
    count = draw(st.integers(1, 3))
    overrides = ()
    if draw(st.integers(0, 4)) == 0:
        begin = around + timedelta(minutes=5 * draw(st.integers(-500, 500)))
        overrides = ((begin, begin + timedelta(minutes=5 * draw(st.integers(1, 200)))),)
    calendar = BruteCalendar(
        timezone=zone,
        windows=tuple(draw(windows(zone, around)) for _ in range(count)),
        freezes=tuple(draw(windows(zone, around)) for _ in range(draw(st.integers(0, 2)))),
        overrides=overrides,
        combine=draw(st.sampled_from(["any", "any", "all"])),
        cutoff=timedelta(minutes=5 * draw(st.sampled_from([0, 0, 6, 12, 30]))),
    )
    return calendar, around


@lru_cache(maxsize=4096)
def clock_before_change(zone: str, day: datetime) -> datetime:
    """What the clock shows when it is moved, in the day before one of ``changes_of_clock``."""
    tz = ZoneInfo(zone)
    offset = (day - timedelta(days=1)).astimezone(tz).utcoffset()
    cells = (day - timedelta(days=1) + number * CELL for number in range(1, 289))
    moved = next(at for at in cells if at.astimezone(tz).utcoffset() != offset)
    return moved.replace(tzinfo=None) + offset


@st.composite
def clock_windows(draw: st.DrawFn, moved: datetime) -> dict:
    """A window of every day that begins at about the hour at which the clock is moved."""
    quarter = timedelta(minutes=15)
    begin = moved + draw(st.integers(-8, 8)) * quarter
    window: dict = {
        "dtstart": f"{begin - timedelta(days=draw(st.integers(0, 3))):%Y-%m-%dT%H:%M}",
        "rrule": "FREQ=DAILY",
    }
    if draw(st.booleans()):
        window["duration"] = draw(st.sampled_from(LENGTHS))
    else:
        window["until_local"] = f"{begin + draw(st.integers(1, 12)) * quarter:%H:%M}"
    if draw(one_in(4)):
        window["fold"] = "second"
    if draw(one_in(4)):
        window["gap"] = "skip"
    if draw(one_in(4)):
        window["offset_days"] = draw(st.integers(-2, 2))
    return window


@st.composite
def clock_worlds(draw: st.DrawFn) -> tuple[BruteCalendar, datetime]:
    """A calendar in which all happens when the clock is moved: worlds have that but rarely."""
    zone = draw(st.sampled_from([zone for zone in ZONES if changes_of_clock(zone)]))
    around = draw(st.sampled_from(changes_of_clock(zone)))
    windows = clock_windows(clock_before_change(zone, around))
    calendar = BruteCalendar(
        timezone=zone,
        windows=tuple(draw(st.lists(windows, min_size=1, max_size=2))),
        freezes=tuple(draw(st.lists(windows, max_size=1))),
    )
    return calendar, around


def plan_calendar_of(brute: BruteCalendar) -> tuple[PlanCalendar, Changes]:
    """The same calendar for the real engine."""
    calendar = inline_calendar(
        "random",
        brute.timezone,
        tuple(Window.model_validate(window) for window in brute.windows),
        tuple(Freeze.model_validate({"window": freeze}) for freeze in brute.freezes),
        "all" if brute.combine == "all" else "any",
        brute.cutoff,
    )
    overrides = tuple(Change(start=begin, end=end) for begin, end in brute.overrides)
    return calendar, Changes(overrides=overrides)


def disagreement(brute: BruteCalendar, around: datetime) -> str | None:
    """The first question to which the two engines give different answers."""
    with mock.patch.object(engine, "PATIENCE", 300):  # what comes later cannot be compared
        return _disagreement(brute, around)


def _disagreement(brute: BruteCalendar, around: datetime) -> str | None:
    start, end = around - SPAN, around + SPAN
    slow = Brute(brute, start, end)
    calendar, changes = plan_calendar_of(brute)
    found = [(one.start, one.end) for one in expand(calendar, start, end, changes)]
    if found != slow.expand():
        return f"expand: {found} is not {slow.expand()}"
    if usable_seconds(calendar, start, end, changes) != slow.usable_seconds():
        return "usable_seconds"
    edges = [edge for span in slow.expand() for edge in span if start <= edge < end]
    for at in [around, *edges[:20]]:
        if is_open(calendar, at, changes) != slow.is_open(at):
            return f"is_open at {at}"
    for at in [start, around, *edges[:3]]:
        for work in (None, timedelta(minutes=90), timedelta(hours=7)):
            said = earliest_start(calendar, at, work, changes)
            known = slow.earliest_start(at, work)
            # What reaches over the edge of what was looked at is not known to the slow engine.
            certain = end - max(work or CELL, brute.cutoff + CELL)
            if known is None and (said is None or said > certain):
                continue
            if said != known:
                return f"earliest_start at {at} for {work}: {said} is not {known}"
    return None


__all__ = ["clock_worlds", "disagreement", "plan_calendar_of", "rules", "worlds"]
