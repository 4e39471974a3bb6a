"""The kind Calendar: maintenance windows, and freezes in which nothing may start."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from planner_provider.spec.base import Int, Model
from planner_provider.spec.metadata import Metadata
from planner_provider.spec.values import Duration, LocalTime, Name, Rrule, Text, Zone, form

LOCAL_DURATION = r"^P(\d+W|(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)$(?!\n)"
WEEKDAY = "(mon(day)?|tue(sday)?|wed(nesday)?|thu(rsday)?|fri(day)?|sat(urday)?|sun(day)?)"
MONTH_DAY = (
    rf"^((1st|2nd|3rd|4th|5th|last) {WEEKDAY}|last day|(0?[1-9]|[12]\d|3[01])(st|nd|rd|th)?)$(?!\n)"
)


def _bounded(value: str) -> str:
    """Refuse windows that are longer than a year, since each look would go back that far."""
    from planner_provider.spec.values import parse_duration

    try:
        parse_duration(value)
    except ValueError as error:
        raise PydanticCustomError("bad_duration", "{why}", {"why": str(error)}) from None
    return value


LocalDuration = Annotated[Text, form(LOCAL_DURATION, min_length=3), AfterValidator(_bounded)]
"""PTnHnM is elapsed time; PnD and PnW are nominal days (rule C5)."""
WallTime = Annotated[Text, form(r"^([01]\d|2[0-3]):[0-5]\d$(?!\n)")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Window(Model):
    """A recurring interval of time: on days of the week or the month, by a rule, or from a file."""

    days: (
        Annotated[tuple[Weekday, ...], Field(min_length=1)]
        | Literal["daily", "weekdays", "weekends"]
        | None
    ) = None
    """Days on which it begins: ``[fri, sat]``, ``daily``, ``weekdays`` or ``weekends``."""
    day: Annotated[Text, form(MONTH_DAY)] | None = None
    """The day of each month on which it begins: ``2nd tuesday``, ``last friday``, ``last day``,
    ``15th``."""
    from_: WallTime | None = Field(default=None, alias="from")
    """Wall-clock start, beside `days` or `day`."""
    to: WallTime | None = None
    """Wall-clock end, the next day if it is not after `from`. In place of it: `duration`."""
    dtstart: LocalTime | None = None
    """First start, as wall time in the calendar's zone; with `rrule`, where it is counted from."""
    rrule: Rrule | None = None
    duration: LocalDuration | None = None
    """``PT4H`` is elapsed time; ``P1D`` is the same wall time one day on."""
    until_local: WallTime | None = None
    """Wall-clock end, the next day if it is not after the start; beside `dtstart`."""
    ics: Text | None = None
    """An iCalendar file beside the spec, whose events are windows."""
    timezone: Zone | None = None
    """In place of the calendar's."""
    exdate: tuple[LocalTime, ...] = ()
    """Starts that are left out; a date alone leaves out that day."""
    rdate: tuple[LocalTime, ...] = ()
    """Further starts."""
    offset_days: Int = Field(default=0, ge=-366, le=366)
    """Moves each occurrence by calendar days: patch Tuesday plus 4."""
    gap: Literal["before", "skip"] = "before"
    """A local time that does not exist: take the offset in force before the gap, or skip it."""
    fold: Literal["first", "second"] = "first"
    """A local time that occurs twice: which of the two."""
    valid_from: LocalTime | None = None
    """Occurrences that start before this do not count."""
    valid_until: LocalTime | None = None
    """Occurrences that start at this, or later, do not count."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = {
            "`days`": self.days is not None,
            "`day`": self.day is not None,
            "`dtstart`": self.dtstart is not None,
            "`ics`": self.ics is not None,
        }
        given = [name for name, there in forms.items() if there]
        if len(given) != 1:
            said = f", not {' and '.join(given)}" if given else ""
            raise PydanticCustomError(
                "one_of",
                "a window has exactly one of `days`, `day`, `dtstart` and `ics`{said}",
                {"said": said},
            )
        if self.ics is not None:
            self._only(("timezone",), "`ics`")
        elif self.dtstart is not None:
            self._refuse(("from_", "to"), "`days` or `day`; beside `dtstart` write `until_local`")
            if (self.duration is None) == (self.until_local is None):
                raise PydanticCustomError("one_of", "give either `duration` or `until_local`")
        else:
            self._refuse(("rrule", "until_local"), "`dtstart`")
            if self.from_ is None:
                raise PydanticCustomError("missing_for_mode", "{it} needs `from`", {"it": given[0]})
            if (self.duration is None) == (self.to is None):
                raise PydanticCustomError("one_of", "give either `to` or `duration`")
        return self

    @model_validator(mode="after")
    def _rising(self) -> Self:
        check_rising("valid_from", self.valid_from, "valid_until", self.valid_until)
        return self

    def _refuse(self, fields: tuple[str, ...], to: str) -> None:
        for field in fields:
            if field in self.model_fields_set:
                raise PydanticCustomError(
                    "missing_for_mode",
                    "`{field}` belongs to {to}",
                    {"field": field.rstrip("_"), "to": to},
                )

    def _only(self, fields: tuple[str, ...], beside: str) -> None:
        others = sorted(self.model_fields_set - {*fields, beside.strip("`")})
        if others:
            raise PydanticCustomError(
                "missing_for_mode",
                "`{field}` means nothing beside {beside}, whose events say it themselves",
                {"field": others[0].rstrip("_"), "beside": beside},
            )


class Freeze(Model):
    """A time in which nothing may start."""

    ics: Text | None = None
    """An iCalendar file beside the spec, whose events are freezes."""
    holidays: Annotated[Text, form(r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$(?!\n)")] | None = None
    """Country, or country and subdivision, by ISO 3166: ``DE`` or ``DE-BY``."""
    window: Window | None = None
    """A recurring time."""
    calendar: Name | None = None
    """Another calendar: frozen here whenever that one is open."""
    from_: LocalTime | None = Field(default=None, alias="from")
    """Begin of a single time, as wall time in the calendar's zone; a date is its first moment."""
    to: LocalTime | None = None
    """Its end; a date alone is frozen to its last moment."""
    reason: Text | None = None
    """Why, for those who find the calendar closed."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        single = self.from_ is not None or self.to is not None or None
        given = (self.ics, self.holidays, self.window, self.calendar, single)
        if sum(part is not None for part in given) != 1:
            raise PydanticCustomError(
                "one_of",
                "give exactly one of `ics`, `holidays`, `window`, `calendar`, or `from` with `to`",
            )
        if single and (self.from_ is None or self.to is None):
            raise PydanticCustomError("missing_for_mode", "`from` and `to` belong together")
        if self.from_ is not None and self.to is not None and len(self.to) > len("2026-01-01"):
            check_rising("from", self.from_, "to", self.to)
        elif self.from_ is not None and self.to is not None and self.to < self.from_[:10]:
            raise PydanticCustomError("empty_range", "`to` is before `from`")
        return self


def check_rising(first: str, earlier: str | None, second: str, later: str | None) -> None:
    """Refuse a range that is empty whatever the zone is."""
    if earlier is None or later is None:
        return
    begin, end = datetime.fromisoformat(earlier), datetime.fromisoformat(later)
    if (begin.tzinfo is None) == (end.tzinfo is None) and begin >= end:
        raise PydanticCustomError(
            "empty_range", "`{second}` is not after `{first}`", {"first": first, "second": second}
        )


class CalendarSpec(Model):
    """When work may be done."""

    timezone: Zone
    windows: tuple[Window, ...] = Field(min_length=1)
    freezes: tuple[Freeze, ...] = ()
    combine: Literal["any", "all"] = "any"
    """Whether it is open while any window is on, or only while all are."""
    cutoff: Duration = Field(default=timedelta(seconds=0))
    """New work may start only until this long before an interval's end."""
    requires: tuple[Name, ...] = ()
    """Calendars that must be open as well."""


class Calendar(Model):
    """Maintenance windows and freezes."""

    api_version: Literal["planner/v1"] = Field(alias="apiVersion")
    kind: Literal["Calendar"]
    metadata: Metadata
    spec: CalendarSpec
