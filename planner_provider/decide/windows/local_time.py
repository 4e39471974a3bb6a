"""Wall time of a zone to instants and back: rules C2 to C4.

A wall time is a number of seconds since 1970-01-01T00:00 on that wall clock, as if it were UTC; an
instant is a number of microseconds since 1970-01-01T00:00Z.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

SECOND = 1_000_000
DAY = 86_400
"""Seconds of a day on the wall clock."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall time
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
EPOCH_DAY = _EPOCH.toordinal()
FIRST = (datetime(1, 1, 3, tzinfo=UTC) - _EPOCH_UTC) // _MICROSECOND
LAST = (datetime(9999, 12, 29, tzinfo=UTC) - _EPOCH_UTC) // _MICROSECOND
"""The instants between which Python can say what the wall clock of every zone shows."""

Fold = Literal["first", "second"]


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The zone of this name."""
    return ZoneInfo(name)


def instant(moment: datetime) -> int:
    """Microseconds of an aware moment, within what can be worked with."""
    return min(max((moment - _EPOCH_UTC) // _MICROSECOND, FIRST), LAST)


def moment(value: int) -> datetime:
    """The aware moment, in UTC, of an instant."""
    return _EPOCH_UTC + timedelta(microseconds=value)


def moments(values: Iterable[int]) -> list[datetime]:
    """The aware moments, in UTC, of many instants."""
    return [_EPOCH_UTC + timedelta(0, 0, value) for value in values]  # by position is faster


def wall(naive: datetime) -> int:
    """Wall time in seconds; fractions of a second are dropped."""
    return (
        (naive.toordinal() - EPOCH_DAY) * DAY + naive.hour * 3600 + naive.minute * 60 + naive.second
    )


def naive(value: int) -> datetime:
    """The naive datetime of a wall time."""
    return _EPOCH + timedelta(seconds=value)


def wall_in(value: int, tz: ZoneInfo) -> int:
    """What the wall clock of a zone shows at an instant, in seconds."""
    return wall(moment(value).astimezone(tz))


def resolve(value: int, tz: ZoneInfo, fold: Fold = "first") -> int:
    """The instant of a wall time.

    One that does not exist is read with the offset in force before the gap (C3). One that occurs
    twice is the first unless ``fold`` says otherwise (C4).
    """
    local = _epoch_in(tz) + timedelta(seconds=value)
    offset: timedelta = local.utcoffset()  # type: ignore[assignment]
    if fold == "second":
        later: timedelta = local.replace(fold=1).utcoffset()  # type: ignore[assignment]
        offset = min(offset, later)  # in a gap the later offset is the greater one
    return (value - offset.days * DAY - offset.seconds) * SECOND


def resolve_all(values: Iterable[int], tz: ZoneInfo) -> list[int]:
    """The instants of many wall times, each as by ``resolve``, with less work for each."""
    fixed = tz.utcoffset(None)
    if fixed is not None:  # the zone never changes its offset, as UTC
        offset = fixed.days * DAY + fixed.seconds
        return [(value - offset) * SECOND for value in values]
    epoch = _epoch_in(tz)
    found = []
    for value in values:
        passed: timedelta = (epoch + timedelta(0, value)).utcoffset()  # type: ignore[assignment]
        found.append((value - passed.days * DAY - passed.seconds) * SECOND)
    return found


@lru_cache(maxsize=1024)
def _epoch_in(tz: ZoneInfo) -> datetime:
    return datetime(1970, 1, 1, tzinfo=tz)


def exists(value: int, tz: ZoneInfo) -> bool:
    """Whether the wall clock ever shows this time."""
    return wall_in(resolve(value, tz), tz) == value


def read(text: str, tz: ZoneInfo) -> tuple[int, int | None]:
    """A time from a spec: its wall time, and its instant if the text names one (it ends in Z)."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        return wall(parsed), None
    at = instant(parsed)
    return wall_in(at, tz), at


def read_instant(text: str, tz: ZoneInfo, fold: Fold = "first") -> int:
    """A time from a spec as an instant."""
    local, at = read(text, tz)
    return resolve(local, tz, fold) if at is None else at


def is_date(text: str) -> bool:
    """Whether a text names a whole day."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
