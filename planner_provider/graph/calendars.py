"""``PlanCalendar``: a calendar with everything in it resolved, as the window engine reads it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from pydantic import Field

from planner_provider.errors import SpecError
from planner_provider.graph.calendar_words import window_words
from planner_provider.graph.frozen import Frozen
from planner_provider.spec.calendar_kind import Calendar, CalendarSpec, Freeze, Window
from planner_provider.spec.catalog import Catalog
from planner_provider.spec.metadata import Metadata
from planner_provider.spec.recurrence import WEEKDAYS
from planner_provider.spec.values import Duration

_FIRST_DAY = "1970-01-01"
"""From when on windows in the plain form count."""


class PlanWindow(Frozen):
    """A recurring time as a rule. Times are wall times of its zone unless they end in Z (C2)."""

    timezone: str
    dtstart: str
    rrule: str | None = None
    duration: str | None = None
    """PTnHnM is exact elapsed time, PnD and PnW are nominal days (C5)."""
    until_local: str | None = None
    """Wall-clock end (C6). Either this or ``duration`` is there."""
    exdate: tuple[str, ...] = ()
    rdate: tuple[str, ...] = ()
    offset_days: int = 0
    gap: Literal["before", "skip"] = "before"
    fold: Literal["first", "second"] = "first"
    valid_from: str | None = None
    valid_until: str | None = None
    reason: str | None = None
    """What it is for, such as the summary of an event."""


class PlanSpan(Frozen):
    """One stretch of time, from a wall time of its zone to another."""

    timezone: str
    start: str
    end: str
    reason: str | None = None


class Source(Frozen):
    """One entry under ``windows`` or ``freezes``: the times at which any of its parts is on."""

    label: str
    """What stands in the spec, in words: ``weekly on Friday, 22:00 to 04:00 (Europe/Berlin)``."""
    windows: tuple[PlanWindow, ...] = ()
    spans: tuple[PlanSpan, ...] = ()
    holidays: str | None = None
    """Country, or country and subdivision, whose holidays these are; read when they are needed."""
    timezone: str = "UTC"
    """Zone in which a holiday begins and ends."""
    calendar: PlanCalendar | None = None
    """Another calendar: this is on whenever that one is open."""
    reason: str | None = None


class PlanCalendar(Frozen):
    """When work may be done. Evaluated by ``planner_provider.decide.windows``."""

    name: str
    timezone: str
    windows: tuple[Source, ...] = Field(min_length=1)
    freezes: tuple[Source, ...] = ()
    combine: Literal["any", "all"] = "any"
    cutoff: Duration = timedelta(0)
    """New work may start only until this long before the end of an interval."""
    requires: tuple[PlanCalendar, ...] = ()
    """Calendars that must be open as well."""

    @property
    def all_names(self) -> tuple[str, ...]:
        """Its own name, and those of all the calendars that it needs to be open."""
        names = [self.name]
        for needed in self.requires:
            names += [name for name in needed.all_names if name not in names]
        return tuple(names)

    def to_json(self) -> str:
        """Compact JSON, without what has its default value."""
        return self.model_dump_json(exclude_defaults=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> PlanCalendar:
        """Read what ``to_json`` wrote. Raises ``pydantic.ValidationError`` for anything else."""
        return cls.model_validate_json(text)


def resolve_calendar(name: str, catalog: Catalog) -> PlanCalendar:
    """The calendar of this name. Raises ``SpecError`` if it is not there or cannot be used."""
    return _Resolver(catalog).named(name)


def plan_calendar(document: Calendar, catalog: Catalog | None = None) -> PlanCalendar:
    """A calendar from its document. What it refers to is looked up in the catalog."""
    return _Resolver(catalog or Catalog()).resolved(document)


def inline_calendar(
    name: str,
    timezone: str,
    windows: tuple[Window, ...],
    freezes: tuple[Freeze, ...] = (),
    combine: Literal["any", "all"] = "any",
    cutoff: timedelta = timedelta(0),
    catalog: Catalog | None = None,
) -> PlanCalendar:
    """A calendar that stands in no document. Raises ``SpecError`` as ``resolve_calendar`` does."""
    spec = CalendarSpec.model_construct(
        timezone=timezone,
        windows=windows,
        freezes=freezes,
        combine=combine,
        cutoff=cutoff,
        requires=(),
    )
    metadata = Metadata.model_construct(name=name)
    document = Calendar.model_construct(
        api_version="planner/v1", kind="Calendar", metadata=metadata, spec=spec
    )
    return _Resolver(catalog or Catalog()).resolved(document)


class _Resolver:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._stack: list[str] = []

    def named(self, name: str) -> PlanCalendar:
        document = self._catalog.calendar(name)
        if document is None:
            raise SpecError(
                f"There is no valid calendar '{name}' (a planner/v1 document of kind Calendar)."
            )
        return self.resolved(document)

    def resolved(self, document: Calendar) -> PlanCalendar:
        name, spec = document.metadata.name, document.spec
        if name in self._stack:
            circle = " -> ".join([*self._stack[self._stack.index(name) :], name])
            raise SpecError(f"These calendars need each other in a circle: {circle}.")
        self._stack.append(name)
        calendar = PlanCalendar(
            name=name,
            timezone=spec.timezone,
            windows=tuple(self._window(window, document) for window in spec.windows),
            freezes=tuple(self._freeze(freeze, document) for freeze in spec.freezes),
            combine=spec.combine,
            cutoff=spec.cutoff,
            requires=tuple(self.named(needed) for needed in spec.requires),
        )
        self._stack.pop()
        return calendar

    def _window(self, window: Window, document: Calendar, reason: str | None = None) -> Source:
        zone = document.spec.timezone
        if window.ics is not None:
            return self._events(window.ics, document, reason, window.timezone)
        return window_source(window, zone, reason)

    def _freeze(self, freeze: Freeze, document: Calendar) -> Source:
        zone, reason = document.spec.timezone, freeze.reason
        if freeze.window is not None:
            return self._window(freeze.window, document, reason)
        if freeze.ics is not None:
            return self._events(freeze.ics, document, reason)
        if freeze.calendar is not None:
            label = f"calendar {freeze.calendar}"
            return Source(label=label, calendar=self.named(freeze.calendar), reason=reason)
        if freeze.holidays is not None:
            label = f"holidays of {freeze.holidays}"
            return Source(label=label, holidays=freeze.holidays, timezone=zone, reason=reason)
        assert freeze.from_ is not None
        assert freeze.to is not None
        last = freeze.to
        if len(last) == len("2026-01-01"):
            last = (date.fromisoformat(last) + timedelta(days=1)).isoformat()
        span = PlanSpan(timezone=zone, start=freeze.from_, end=last)
        return Source(label=f"{freeze.from_} to {freeze.to} {zone}", spans=(span,), reason=reason)

    def _events(
        self, file: str, document: Calendar, reason: str | None, zone: str | None = None
    ) -> Source:
        name = document.metadata.name
        events = self._catalog.imported.get((name, file, zone or document.spec.timezone))
        if events is None:
            raise SpecError(f"The file '{file}' of calendar '{name}' was not read.")
        windows = tuple(
            PlanWindow(
                timezone=event.timezone,
                dtstart=event.dtstart,
                rrule=event.rrule,
                duration=event.duration,
                exdate=event.exdate,
                rdate=event.rdate,
                reason=event.summary,
            )
            for event in events
        )
        return Source(label=f"events of {file}", windows=windows, reason=reason)


def window_source(window: Window, zone: str, reason: str | None = None) -> Source:
    """A window of the spec, in the zone of its calendar unless it names its own."""
    start, rule = window.dtstart, window.rrule
    if start is None:
        start, rule = f"{_FIRST_DAY}T{window.from_}", _plain_rule(window)
    resolved = PlanWindow(
        timezone=window.timezone or zone,
        dtstart=start,
        rrule=rule,
        duration=window.duration,
        until_local=window.until_local or window.to,
        exdate=window.exdate,
        rdate=window.rdate,
        offset_days=window.offset_days,
        gap=window.gap,
        fold=window.fold,
        valid_from=window.valid_from,
        valid_until=window.valid_until,
    )
    return Source(label=window_words(window, zone), windows=(resolved,), reason=reason)


def _plain_rule(window: Window) -> str:
    """The rule of a window that says on which days it begins."""
    days = window.days
    if days == "daily":
        return "FREQ=DAILY"
    if days is not None:
        listed = {"weekdays": WEEKDAYS[:5], "weekends": WEEKDAYS[5:]}.get(str(days))
        chosen = listed or tuple(day[:2].upper() for day in days)
        return f"FREQ=WEEKLY;BYDAY={','.join(chosen)}"
    which, _, of = (window.day or "").partition(" ")
    number = -1 if which == "last" else int(which.rstrip("stndrh"))
    if of in {"", "day"}:
        return f"FREQ=MONTHLY;BYMONTHDAY={number}"
    return f"FREQ=MONTHLY;BYDAY={number}{of[:2].upper()}"
