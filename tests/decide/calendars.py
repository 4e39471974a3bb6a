"""Calendars for the tests of what is built on the window engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from planner_provider.graph.calendars import PlanCalendar, PlanWindow, Source

BERLIN = "Europe/Berlin"


def source(dtstart: str, rrule: str | None, label: str = "", **more: Any) -> Source:
    window = PlanWindow(timezone=more.pop("timezone", BERLIN), dtstart=dtstart, rrule=rrule, **more)
    return Source(label=label, windows=(window,))


def nights(*freezes: Source, **more: Any) -> PlanCalendar:
    """22:00 to 02:00 every night in Berlin."""
    window = source("2026-01-01T22:00", "FREQ=DAILY", "22:00-02:00 daily", duration="PT4H")
    return PlanCalendar(name="nights", timezone=BERLIN, windows=(window,), freezes=freezes, **more)


def once(start: str, length: timedelta) -> Source:
    minutes = int(length.total_seconds() // 60)
    return source(start, None, duration=f"PT{minutes}M", timezone="UTC")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
