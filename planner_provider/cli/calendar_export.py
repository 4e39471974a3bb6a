"""Openings as an iCalendar file (RFC 5545)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from planner_provider.decide.windows import Interval


@dataclass(frozen=True, slots=True)
class Entry:
    """One opening, of a calendar or of a plan."""

    of: str
    summary: str
    interval: Interval


def calendar_file(title: str, entries: Iterable[Entry]) -> str:
    """The text of the file. Equal openings have equal ids, so that a reader updates its own."""
    from icalendar import Calendar, Event

    calendar = Calendar()
    calendar.add("prodid", "-//airflow-provider-planner//calendar//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", title)
    for entry in sorted(entries, key=lambda entry: (entry.interval.start, entry.of)):
        event = Event()
        start, end = entry.interval.start, entry.interval.end
        digest = sha256(f"{entry.of} {start.isoformat()}".encode()).hexdigest()
        event.add("uid", f"{digest[:32]}@planner")
        # Of the opening, not of this run: the same openings give the same file.
        event.add("dtstamp", datetime(2000, 1, 1, tzinfo=UTC))
        event.add("dtstart", start)
        event.add("dtend", end)
        event.add("summary", entry.summary)
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    text: str = calendar.to_ical().decode()
    return text.replace("\r\n", "\n")
