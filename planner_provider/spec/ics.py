"""iCalendar files (RFC 5545): the events in them, as recurring windows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from planner_provider.spec.recurrence import parse_rule

MAX_EVENTS = 5_000
_YEARS_COMPARED = 3
_SINGLE = ("DTSTART", "DTEND", "DURATION", "RECURRENCE-ID")
"""What an event has once, if at all."""


@dataclass(frozen=True, slots=True)
class ImportedEvent:
    """An event: when it first begins by the wall clock of its zone, how it recurs and ends."""

    timezone: str
    dtstart: str
    duration: str
    """Nominal days and exact seconds, such as P1D or PT7200S."""
    rrule: str | None = None
    exdate: tuple[str, ...] = ()
    rdate: tuple[str, ...] = ()
    summary: str | None = None


class IcsError(ValueError):
    """A file cannot be used; says which event and why."""


def parse_ics(text: str, timezone: str) -> tuple[ImportedEvent, ...]:
    """Read the events of a file. ``timezone`` is for those that name none.

    Cancelled events are left out, and so are moments without length. Raises ``IcsError`` for what
    cannot be understood: a freeze that is dropped in silence would be worse than none.
    """
    import icalendar

    text = text.removeprefix("\ufeff")
    events = _require_whole(text)

    icalendar.use_zoneinfo()  # type: ignore[no-untyped-call] # forgets the zones that other files define
    try:
        calendars = icalendar.Calendar.from_ical(text, multiple=True)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise IcsError(f"it cannot be read as iCalendar: {error}") from None
    if events != sum(len(calendar.walk("VEVENT")) for calendar in calendars):
        raise IcsError(f"not all of its {events} events can be read")
    found: list[ImportedEvent] = []
    for calendar in calendars:
        named = str(calendar.get("X-WR-TIMEZONE", ""))
        reader = _Reader(named if named in available_timezones() else timezone)
        found += reader.events(calendar.walk("VEVENT"))
    if len(found) > MAX_EVENTS:
        raise IcsError(f"it has more than {MAX_EVENTS:,} events")
    return tuple(found)


def _require_whole(text: str) -> int:
    """How many events there are. Raises for a file that is cut off, or is none.

    icalendar drops in silence what has no end.
    """
    opened: list[str] = []
    begun: list[str] = []
    for line in re.split(r"\r\n|\n|\r", re.sub(r"(\r\n|\n|\r)[ \t]", "", text)):
        match = re.fullmatch(r"(BEGIN|END):([\w-]+)", line.strip().upper())
        if match is None:
            continue
        word, name = match.groups()
        if word == "BEGIN":
            opened.append(name)
            begun.append(name)
        elif not opened or opened.pop() != name:
            raise IcsError(f"END:{name} ends nothing that began before it")
    if opened:
        raise IcsError(f"it is cut off: its last BEGIN:{opened[-1]} has no end")
    if not begun:
        raise IcsError("it holds no calendar")
    return begun.count("VEVENT")


class _Reader:
    def __init__(self, timezone: str) -> None:
        self.timezone = timezone
        self._zones: dict[int, str] = {}

    def events(self, components: Iterable[Any]) -> Iterator[ImportedEvent]:
        """The events; a changed occurrence (RECURRENCE-ID) replaces that of its series."""
        series: dict[str, list[Any]] = {}
        changed: dict[str, list[Any]] = {}
        for component in components:
            _check(component)
            uid = str(component.get("UID", id(component)))
            (changed if "RECURRENCE-ID" in component else series).setdefault(uid, []).append(
                component
            )
        for uid, members in series.items():
            for member in members:
                if not _cancelled(member):
                    yield from self._series(member, changed.get(uid, ()))
        for uid, members in changed.items():
            bases = series.get(uid, ())
            for member in members:
                if not _cancelled(member) and not (bases and all(map(_cancelled, bases))):
                    yield from self._single(member)

    def _series(self, event: Any, changed: Iterable[Any]) -> Iterator[ImportedEvent]:
        for base in self._single(event):
            start = event["DTSTART"].dt
            zone = ZoneInfo(base.timezone)
            without = [_local(value, zone) for value in _values(event, "EXDATE")]
            for one in changed:
                if one["RECURRENCE-ID"].params.get("RANGE"):
                    raise IcsError(
                        f"{_name(one)} changes all later occurrences at once "
                        "(RANGE=THISANDFUTURE), which is not read; split the series"
                    )
                without.append(_local(one["RECURRENCE-ID"].dt, zone))
            more = []
            for value in _values(event, "RDATE"):
                if isinstance(value, tuple):
                    yield self._period(value, base)
                else:
                    more.append(_local(value, zone))
            rules = event.get("RRULE")
            rules = rules if isinstance(rules, list) else [rules] if rules is not None else [None]
            for rule in rules:
                yield replace(
                    base,
                    rrule=None if rule is None else _rule(event, rule, start),
                    exdate=tuple(without),
                    # The start is always an occurrence, whether or not the rule means it.
                    rdate=tuple(more) if rule is None else (*more, base.dtstart),
                )

    def _single(self, event: Any) -> Iterator[ImportedEvent]:
        """The event by itself; nothing if it has no length."""
        start = event["DTSTART"].dt
        length = _length(event, start)
        if length is None:
            return
        zone = self._zone_of(event, start)
        summary = " ".join(str(event.get("SUMMARY", "")).split())[:200]
        yield ImportedEvent(zone, _local(start, ZoneInfo(zone)), length, summary=summary or None)

    def _period(self, period: tuple[Any, Any], base: ImportedEvent) -> ImportedEvent:
        begin, end = period
        length = end if isinstance(end, timedelta) else end - begin
        start = _local(begin, ZoneInfo(base.timezone))
        return replace(base, dtstart=start, duration=f"PT{int(length.total_seconds())}S")

    def _zone_of(self, event: Any, start: date) -> str:
        if not isinstance(start, datetime):
            return self.timezone
        if start.tzinfo is None:
            named = event["DTSTART"].params.get("TZID")
            if named:
                raise IcsError(f"{_name(event)} is in the time zone '{named}', which is not known")
            return self.timezone
        if start.tzinfo is UTC:
            return "UTC"
        key = getattr(start.tzinfo, "key", None)
        return str(key) if key else self._equal_zone(event, start.tzinfo, start)

    def _equal_zone(self, event: Any, own: tzinfo, start: datetime) -> str:
        """The zone of the IANA database that has the same offsets as one that the file defines."""
        known = self._zones.get(id(own))
        if known is None:
            days = [
                datetime(start.year, 1, 1, 12) + timedelta(days=3 * number)  # noqa: DTZ001
                for number in range(122 * _YEARS_COMPARED)
            ]
            offsets = [own.utcoffset(day) for day in days]
            for name in (self.timezone, "UTC", *_USUAL, *sorted(available_timezones())):
                zone = ZoneInfo(name)
                if all(
                    zone.utcoffset(day) == offset for day, offset in zip(days, offsets, strict=True)
                ):
                    known = self._zones[id(own)] = name
                    break
            else:
                raise IcsError(
                    f"{_name(event)} is in a time zone of the file's own that no place has"
                )
        return known


_USUAL = (
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Los_Angeles",
    "Asia/Kolkata",
)


def _check(event: Any) -> None:
    for name, error in event.errors:
        raise IcsError(f"{name} of {_name(event)} cannot be read: {error}")
    if "DTSTART" not in event:
        raise IcsError(f"{_name(event)} has no DTSTART")
    for name in _SINGLE:
        if isinstance(event.get(name), list):
            raise IcsError(f"{_name(event)} has more than one {name}")
    if "EXRULE" in event:
        raise IcsError(f"{_name(event)} has an EXRULE, which is not read; use EXDATE")
    if "RECURRENCE-ID" in event:
        _require_zone(event, "RECURRENCE-ID", event["RECURRENCE-ID"], event["RECURRENCE-ID"].dt)


def _require_zone(event: Any, name: str, listed: Any, value: Any) -> None:
    """Raise for a time in a zone that is not known: icalendar gives it without one."""
    zone = listed.params.get("TZID")
    if zone and isinstance(value, datetime) and value.tzinfo is None:
        raise IcsError(f"{name} of {_name(event)} is in the time zone '{zone}', which is not known")


def _cancelled(event: Any) -> bool:
    return str(event.get("STATUS", "")).upper() == "CANCELLED"


def _name(event: Any) -> str:
    return f"the event '{event.get('SUMMARY') or event.get('UID') or '?'}'"


def _values(event: Any, name: str) -> Iterator[Any]:
    """The values of EXDATE and RDATE: none, one list of them, or several."""
    prop = event.get(name)
    for listed in prop if isinstance(prop, list) else [] if prop is None else [prop]:
        for item in listed.dts:
            first = item.dt[0] if isinstance(item.dt, tuple) else item.dt
            _require_zone(event, name, listed, first)
            yield item.dt


def _local(value: date, zone: ZoneInfo) -> str:
    """A date, or a wall time in a zone, as text."""
    if not isinstance(value, datetime):
        return value.isoformat()
    local = value if value.tzinfo is None else value.astimezone(zone)
    return local.replace(tzinfo=None, microsecond=0).isoformat()


def _length(event: Any, start: date) -> str | None:
    if "DTEND" in event:
        end = event["DTEND"].dt
        if isinstance(end, datetime) != isinstance(start, datetime):
            raise IcsError(
                f"{_name(event)} begins with a date and ends with a time, or the reverse"
            )
        if isinstance(end, datetime) and (end.tzinfo is None) != (start.tzinfo is None):  # type: ignore[attr-defined]
            raise IcsError(f"only one end of {_name(event)} has a time zone")
        length = (
            _elapsed(start, end) if isinstance(end, datetime) and isinstance(start, datetime)
            else end - start
        )  # fmt: skip
        nominal = not isinstance(start, datetime)
    elif "DURATION" in event:
        length, nominal = event["DURATION"].dt, True
    elif isinstance(start, datetime):
        return None
    else:
        length, nominal = timedelta(days=1), True
    if length < timedelta(0) or (length == timedelta(0) and not isinstance(start, datetime)):
        raise IcsError(f"{_name(event)} ends before it begins")
    if length == timedelta(0):
        return None
    days = length.days if nominal else 0
    seconds = int((length - timedelta(days=days)).total_seconds())
    exact = f"T{seconds}S" if seconds else ""
    return f"P{days}D{exact}" if days else f"P{exact}"


def _elapsed(start: datetime, end: datetime) -> timedelta:
    if start.tzinfo is None:
        return end - start
    return end.astimezone(UTC) - start.astimezone(UTC)


def _rule(event: Any, rule: Any, start: date) -> str:
    text: str = rule.to_ical().decode()
    if isinstance(start, datetime):
        # A last day, where a last moment should be: the whole day is meant.
        text = re.sub(r"(UNTIL=\d{8})(?!\d|T)", r"\1T235959", text)
    try:
        parse_rule(text)
    except ValueError as error:
        raise IcsError(f"the rule of {_name(event)} is not one that is read: {error}") from None
    return text
