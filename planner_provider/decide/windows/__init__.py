"""When maintenance windows are open: one written rule (docs/calendars.md, C1 to C11). Pure."""

from __future__ import annotations

from planner_provider.decide.windows.model import NO_CHANGES, Change, Changes, Interval
from planner_provider.decide.windows.queries import (
    earliest_start,
    end_of_starts,
    expand,
    interval_at,
    is_open,
    may_start,
    next_opening,
    openings,
    usable_seconds,
)
from planner_provider.decide.windows.verdict import DECIDER, WindowInputs, window_verdict
from planner_provider.decide.windows.why import Cause, CauseKind, Why, why

__all__ = [
    "DECIDER",
    "NO_CHANGES",
    "Cause",
    "CauseKind",
    "Change",
    "Changes",
    "Interval",
    "Why",
    "WindowInputs",
    "earliest_start",
    "end_of_starts",
    "expand",
    "interval_at",
    "is_open",
    "may_start",
    "next_opening",
    "openings",
    "usable_seconds",
    "why",
    "window_verdict",
]
