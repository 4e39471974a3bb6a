"""Ask a calendar what a case asks, and compare with what the case expects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from planner_provider.decide.windows.model import Change, Changes, Interval
from planner_provider.decide.windows.queries import (
    earliest_start,
    expand,
    is_open,
    may_start,
    next_opening,
    usable_seconds,
)
from planner_provider.errors import SpecError
from planner_provider.graph.calendars import PlanCalendar, inline_calendar, resolve_calendar
from planner_provider.spec.catalog import Catalog
from planner_provider.spec.window_cases import Case, CaseFile, CaseQuery

Answer = bool | float | None | str | list[str] | list[list[str]]
"""As it is written in a case: moments as text in UTC."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case came out."""

    id: str
    passed: bool
    expected: Answer
    got: Answer
    problem: str | None = None
    """Why it could not be asked."""


def check_cases(file: CaseFile, catalog: Catalog) -> tuple[CaseResult, ...]:
    """Check all cases of a file, in order."""
    return tuple(check_case(case, catalog, file.calendar) for case in file.cases)


def check_case(case: Case, catalog: Catalog, default: str | None = None) -> CaseResult:
    """Check one case. ``default`` names the calendar of a case that has none of its own."""
    try:
        expected = _expected(case)
    except ValueError as error:
        return CaseResult(case.id, False, None, None, f"`expect` does not fit: {error}")
    try:
        calendar = _calendar(case, catalog, default)
        changes = Changes(
            freezes=tuple(Change(start=start, end=end) for start, end in case.live_freezes),
            overrides=tuple(Change(start=start, end=end) for start, end in case.overrides),
        )
        got = _answer(case.query, calendar, changes)
    except SpecError as error:
        return CaseResult(case.id, False, expected, None, str(error))
    return CaseResult(case.id, got == expected, expected, got)


def _calendar(case: Case, catalog: Catalog, default: str | None) -> PlanCalendar:
    if case.windows and case.timezone is not None:
        return inline_calendar(
            case.id, case.timezone, case.windows, case.freezes, case.combine, case.cutoff, catalog
        )
    return resolve_calendar(case.calendar or default or "", catalog)


def _answer(query: CaseQuery, calendar: PlanCalendar, changes: Changes) -> Answer:
    if query.from_ is not None and query.to is not None:
        if query.kind == "expand":
            found = expand(calendar, query.from_, query.to, changes)
            return [_pair(interval) for interval in found]
        return usable_seconds(calendar, query.from_, query.to, changes)
    assert query.at is not None
    if query.kind == "is_open":
        return is_open(calendar, query.at, changes)
    if query.kind == "may_start":
        return may_start(calendar, query.at, query.work, changes)
    if query.kind == "next_opening":
        opening = next_opening(calendar, query.at, changes)
        return None if opening is None else _pair(opening)
    start = earliest_start(calendar, query.at, query.work, changes)
    return None if start is None else written(start)


def _expected(case: Case) -> Answer:
    value, kind = case.expect, case.query.kind
    if kind in {"is_open", "may_start"}:
        if not isinstance(value, bool):
            raise ValueError(f"{kind} is true or false")
        return value
    if kind == "usable_seconds":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("usable_seconds is a number")
        return float(value)
    if kind == "expand":
        if not isinstance(value, list):
            raise ValueError("expand gives a list of intervals")
        return [_read_pair(item) for item in value]
    if value is None:
        return None
    return _read_pair(value) if kind == "next_opening" else _read(value)


def _read_pair(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"an interval is [start, end], not {value!r}")
    return [_read(value[0]), _read(value[1])]


def _read(value: Any) -> str:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is not a moment such as 2026-01-01T00:00Z") from None
    if at.tzinfo is None:
        raise ValueError(f"{value!r} names no zone; end it with Z")
    return written(at)


def _pair(interval: Interval) -> list[str]:
    return [written(interval.start), written(interval.end)]


def written(at: datetime) -> str:
    """A moment in UTC as cases write it: ``2026-01-01T00:00Z``, with seconds only if there are."""
    utc = at.astimezone(UTC)
    precision = "microseconds" if utc.microsecond else "seconds" if utc.second else "minutes"
    return utc.replace(tzinfo=None).isoformat(timespec=precision) + "Z"
