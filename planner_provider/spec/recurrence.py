"""A recurrence rule of RFC 5545, read and checked, also for what dateutil takes and trips over."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Frequency = Literal["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]

MAX_COUNT = 100_000
"""Occurrences that COUNT may ask for; they are counted from the start each time."""
MAX_INTERVAL = 10_000
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NTH = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")


@dataclass(frozen=True, slots=True)
class Rule:
    """The parts of a rule; ``None`` for lists that it does not give."""

    freq: Frequency
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    """The last possible start: naive if it is local, aware if it was given in UTC."""
    week_start: int = 0
    """0 is Monday."""
    by_setpos: tuple[int, ...] | None = None
    by_month: tuple[int, ...] | None = None
    by_month_day: tuple[int, ...] | None = None
    by_year_day: tuple[int, ...] | None = None
    by_week: tuple[int, ...] | None = None
    by_easter: tuple[int, ...] | None = None
    """Days from Easter Sunday; an extension of dateutil."""
    by_day: tuple[tuple[int, int], ...] | None = None
    """Which one in its month or year (0: each), and the weekday."""
    by_hour: tuple[int, ...] | None = None
    by_minute: tuple[int, ...] | None = None
    by_second: tuple[int, ...] | None = None


_NUMBERS: dict[str, tuple[str, int, int, bool]] = {
    "BYSETPOS": ("by_setpos", 1, 366, True),
    "BYMONTH": ("by_month", 1, 12, False),
    "BYMONTHDAY": ("by_month_day", 1, 31, True),
    "BYYEARDAY": ("by_year_day", 1, 366, True),
    "BYWEEKNO": ("by_week", 1, 53, True),
    "BYEASTER": ("by_easter", 0, 366, True),
    "BYHOUR": ("by_hour", 0, 23, False),
    "BYMINUTE": ("by_minute", 0, 59, False),
    "BYSECOND": ("by_second", 0, 59, False),
}
"""Key -> field, least and greatest number, and whether it may count from the end."""


def parse_rule(text: str) -> Rule:
    """Read a rule, without DTSTART. Raises ``ValueError`` with a sentence for the author."""
    body = text.strip().upper()
    if "DTSTART" in body or "\n" in body:
        raise ValueError("an rrule holds the rule alone; the start goes into `dtstart`")
    parts: dict[str, str] = {}
    for part in body.removeprefix("RRULE:").strip().rstrip(";").split(";"):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        key = "BYDAY" if key == "BYWEEKDAY" else key
        if not equals or not key or not value:
            raise ValueError(f"'{part.strip()}' is not a part such as BYDAY=MO")
        if key in parts:
            raise ValueError(f"{key} stands there twice")
        parts[key] = value
    if "FREQ" not in parts:
        raise ValueError("it has no FREQ, such as FREQ=WEEKLY")
    freq = _frequency(parts.pop("FREQ"))
    values: dict[str, object] = {"freq": freq}
    for key, value in parts.items():
        if key in _NUMBERS:
            field, least, most, signed = _NUMBERS[key]
            values[field] = _numbers(key, value, least, most, signed)
        elif key in _SINGLE:
            values[_SINGLE[key][0]] = _SINGLE[key][1](value)
        elif key == "BYDAY":
            values["by_day"] = _days(value, freq)
        else:
            raise ValueError(f"{key} is not a part of a recurrence rule")
    if "count" in values and "until" in values:
        raise ValueError("COUNT and UNTIL exclude each other; keep one")
    return Rule(**values)  # type: ignore[arg-type]


def _frequency(value: str) -> Frequency:
    if value in {"SECONDLY", "MINUTELY"}:
        raise ValueError("windows repeat hourly at most; SECONDLY and MINUTELY are refused")
    if value not in {"YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"}:
        raise ValueError(f"FREQ={value} is not one of YEARLY, MONTHLY, WEEKLY, DAILY and HOURLY")
    return value  # type: ignore[return-value]


def _numbers(key: str, value: str, least: int, most: int, signed: bool) -> tuple[int, ...]:
    found = set()
    for item in value.split(","):
        if not re.fullmatch(r"[+-]?\d{1,4}", item.strip()):
            raise ValueError(f"{key} takes whole numbers, and '{item.strip()}' is none")
        number = int(item)
        if not least <= (abs(number) if signed else number) <= most:
            backwards = f" or -{most} to -{least}" if signed else ""
            raise ValueError(
                f"{key}={number} is not possible; it goes from {least} to {most}{backwards}"
            )
        found.add(number)
    return tuple(sorted(found))


def _days(value: str, freq: Frequency) -> tuple[tuple[int, int], ...]:
    found = set()
    for item in value.split(","):
        match = _NTH.fullmatch(item.strip())
        if not match:
            raise ValueError(
                f"BYDAY takes days such as MO, 2TU or -1FR, and '{item.strip()}' is none"
            )
        nth = int(match.group(1) or 0)
        if match.group(1) and not 1 <= abs(nth) <= 53:
            raise ValueError(f"BYDAY={item.strip()} is not possible; count from 1 or from -1")
        if nth and freq not in {"MONTHLY", "YEARLY"}:
            raise ValueError(
                f"BYDAY={item.strip()} counts days of a month, so FREQ must be MONTHLY"
            )
        found.add((nth, WEEKDAYS.index(match.group(2))))
    return tuple(sorted(found))


def _interval(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= MAX_INTERVAL:
        raise ValueError(f"INTERVAL={value} is not possible; it goes from 1 to {MAX_INTERVAL}")
    return int(value)


def _count(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= MAX_COUNT:
        raise ValueError(f"COUNT={value} is not possible; it goes from 1 to {MAX_COUNT}")
    return int(value)


def _until(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"UNTIL={value} is not a moment such as 20261231T230000Z") from None


def _week_start(value: str) -> int:
    if value not in WEEKDAYS:
        raise ValueError(f"WKST={value} is not a day such as MO")
    return WEEKDAYS.index(value)


_SINGLE: dict[str, tuple[str, Callable[[str], object]]] = {
    "INTERVAL": ("interval", _interval),
    "COUNT": ("count", _count),
    "UNTIL": ("until", _until),
    "WKST": ("week_start", _week_start),
}
