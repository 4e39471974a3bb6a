"""Case files: what people expect of a calendar, written down so that it can be checked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from planner_provider.spec.base import Json, Model
from planner_provider.spec.calendar_kind import Freeze, Window, check_rising
from planner_provider.spec.diagnostics import Diagnostic
from planner_provider.spec.subject import Subject, file_diagnostic
from planner_provider.spec.values import Duration, Instant, Name, PositiveDuration, Text, Zone

_FREEZE_KEYS = frozenset({"window", "holidays", "calendar", "reason"})


def _to_freeze(value: Any) -> Any:
    """A freeze of a case may be a window without more ado."""
    if not isinstance(value, dict) or _FREEZE_KEYS & set(value):
        return value
    single = {"from", "to"} & set(value) and not {"days", "day"} & set(value)
    return value if single or "ics" in value else {"window": value}


CaseFreeze = Annotated[Freeze, BeforeValidator(_to_freeze)]


class CaseQuery(Model):
    """What is asked of the calendar."""

    kind: Literal[
        "expand", "is_open", "earliest_start", "may_start", "next_opening", "usable_seconds"
    ]
    from_: Instant | None = Field(default=None, alias="from")
    to: Instant | None = None
    at: Instant | None = None
    work: PositiveDuration | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        ranged = self.kind in {"expand", "usable_seconds"}
        needed = ("from_", "to") if ranged else ("at",)
        for field in ("from_", "to", "at"):
            if (getattr(self, field) is not None) != (field in needed):
                verb = "needs" if field in needed else "takes no"
                raise PydanticCustomError(
                    "missing_for_mode",
                    "{kind} {verb} `{field}`",
                    {"kind": self.kind, "verb": verb, "field": field.rstrip("_")},
                )
        if self.work is not None and self.kind not in {"earliest_start", "may_start"}:
            raise PydanticCustomError(
                "missing_for_mode", "{kind} takes no `work`", {"kind": self.kind}
            )
        if self.from_ is not None and self.to is not None:
            check_rising("from", self.from_.isoformat(), "to", self.to.isoformat())
        return self


class Case(Model):
    """A calendar, a question and the right answer."""

    id: Text
    why: Text | None = None
    tier: Text | None = None
    calendar: Name | None = None
    """A calendar of the specs, in place of `timezone`, `windows` and the rest."""
    timezone: Zone | None = None
    windows: tuple[Window, ...] = ()
    freezes: tuple[CaseFreeze, ...] = ()
    combine: Literal["any", "all"] = "any"
    cutoff: Duration = Field(default=timedelta(0))
    overrides: tuple[tuple[Instant, Instant], ...] = ()
    live_freezes: tuple[tuple[Instant, Instant], ...] = ()
    """Freezes that were added while the calendar was in use."""
    query: CaseQuery
    expect: Json

    @model_validator(mode="after")
    def _one_calendar(self) -> Self:
        own = {"timezone", "windows", "freezes", "combine", "cutoff"} & self.model_fields_set
        if self.calendar is not None and own:
            raise PydanticCustomError("one_of", "give either `calendar` or `windows`")
        if bool(self.windows) != (self.timezone is not None):
            raise PydanticCustomError(
                "missing_for_mode", "`timezone` and `windows` belong together"
            )
        return self


class CaseFile(Model):
    """Cases, and the calendar of those that name none."""

    version: Literal[1] = 1
    calendar: Name | None = None
    cases: tuple[Case, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _calendars(self) -> Self:
        for case in self.cases:
            if self.calendar is None and case.calendar is None and not case.windows:
                raise PydanticCustomError(
                    "missing_for_mode",
                    "case {id} has neither `windows` nor a `calendar`",
                    {"id": case.id},
                )
        return self


def read_cases(name: str, content: bytes) -> tuple[CaseFile | None, tuple[Diagnostic, ...]]:
    """Read a file of cases; if it is malformed, say where."""
    from planner_provider.spec.reader import read_documents

    read = read_documents(name, content)
    found = [file_diagnostic(name, problem) for problem in read.problems]
    files: list[CaseFile] = []
    for document in read.documents:
        subject = Subject(document, document.data if isinstance(document.data, dict) else {})
        for problem in document.problems:
            subject.add(problem)
        if not isinstance(document.data, dict):
            subject.report("PLN211", (), "a file of cases is a mapping with `version` and `cases`")
        elif not subject.has_errors:
            files += _validated(subject)
        found += subject.found
    if len(files) > 1:
        merged = tuple(case for file in files for case in _own(file))
        return CaseFile(version=1, cases=merged), tuple(found)
    return (files[0] if files else None), tuple(found)


def _own(file: CaseFile) -> Iterator[Case]:
    for case in file.cases:
        if file.calendar is not None and not case.windows and case.calendar is None:
            yield case.model_copy(update={"calendar": file.calendar})
        else:
            yield case


def _validated(subject: Subject) -> Iterator[CaseFile]:
    from planner_provider.spec.validate import problems_of

    try:
        yield CaseFile.model_validate(subject.data)
    except ValidationError as error:
        for problem in problems_of(error, subject.data, CaseFile):
            subject.add(problem)
