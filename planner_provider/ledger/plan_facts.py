"""What lists of runs need to know of compiled plans: read once, kept while it does not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from planner_provider.graph.calendars import PlanCalendar
from planner_provider.graph.model import PlanGraph, Task, TaskKind
from planner_provider.ledger.schema import COMPILED_PLANS
from planner_provider.spec.plan import Schedule

MOST_VERSIONS = 5_000
"""So many versions of plans are kept in memory; the oldest are forgotten first."""


@dataclass(frozen=True, slots=True)
class PartFacts:
    """A part of a step."""

    id: str
    weight: int | None
    """Share of the traffic, in percent."""
    bake: timedelta | None
    wave: int | None
    is_group: bool
    """Whether it is done for each item of a list, in a mapped task group."""


@dataclass(frozen=True, slots=True)
class StepFacts:
    """A step as the plan has it."""

    id: str
    action: str
    summary: str
    task_id: str
    parts: tuple[PartFacts, ...] = ()
    in_chunks: bool = False
    """Whether its items are chunks rather than partitions."""


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """A version of a plan, without what lists do not need."""

    plan: str
    digest: str
    file: str
    compiled_at: datetime
    summary: str
    owner: str
    runbook: str | None
    steps: tuple[StepFacts, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    """JSON Schema of each parameter."""
    schedule: Schedule | None = None
    calendar: PlanCalendar | None = None
    touches: Mapping[str, str] = field(default_factory=dict)
    """Resource -> ``exclusive`` or ``shared``."""
    window_calendars: tuple[str, ...] = ()
    """All calendars that its steps keep to, and those that they need."""


class Plans:
    """The plans that were compiled, as far as they could be read. Fit for many threads."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[tuple[str, str, datetime], PlanFacts | None]] = {}
        self._versions: dict[tuple[str, str], PlanFacts] = {}

    def refresh(self, connection: Connection) -> None:
        """Read what is new: one statement if nothing is, two otherwise."""
        columns = COMPILED_PLANS.c
        query = select(columns.plan, columns.digest, columns.spec_sha, columns.compiled_at)
        marks = {
            row.plan: (row.digest, row.spec_sha, row.compiled_at)
            for row in connection.execute(query)
        }
        changed = [
            plan for plan, mark in marks.items() if self._newest.get(plan, (None,))[0] != mark
        ]
        newest = {plan: known for plan, known in self._newest.items() if plan in marks}
        if changed:
            wanted = select(columns.plan, columns.graph, columns.file)
            if len(changed) < len(marks):
                wanted = wanted.where(columns.plan.in_(changed))
            for row in connection.execute(wanted):
                if row.plan in marks:
                    mark = marks[row.plan]
                    newest[row.plan] = (mark, _read(row.plan, mark, row.graph, row.file))
        self._newest = newest
        for _, facts in newest.values():
            if facts is not None:
                self._versions.setdefault((facts.plan, facts.digest), facts)
        while len(self._versions) > MOST_VERSIONS:
            self._versions.pop(next(iter(self._versions)), None)

    def newest(self) -> tuple[PlanFacts, ...]:
        """All plans in their last version, by name."""
        newest = self._newest
        return tuple(facts for plan in sorted(newest) if (facts := newest[plan][1]) is not None)

    def of(self, plan: str) -> PlanFacts | None:
        """The last version of a plan."""
        known = self._newest.get(plan)
        return known[1] if known else None

    def version(self, plan: str, digest: str) -> PlanFacts | None:
        """The version that a run is bound to; ``None`` if it was never seen by this process."""
        return self._versions.get((plan, digest))


def _read(plan: str, mark: tuple[str, str, datetime], graph: str, file: str) -> PlanFacts | None:
    try:
        read = PlanGraph.from_json(graph)
    except ValueError:  # kept by another release
        return None
    calendars = [read.calendar] if read.calendar else []
    calendars += read.calendars
    return PlanFacts(
        plan=plan,
        digest=mark[0],
        file=file,
        compiled_at=mark[2],
        summary=read.summary,
        owner=read.owner,
        runbook=read.runbook,
        steps=tuple(_step(task) for task in read.tasks if task.kind is TaskKind.STEP),
        parameters={name: _schema(item) for name, item in read.parameters.items()},
        schedule=read.schedule,
        calendar=read.calendar,
        touches={item.resource: item.mode for item in read.touches},
        window_calendars=tuple(
            dict.fromkeys(name for calendar in calendars for name in calendar.all_names)
        ),
    )


def _step(task: Task) -> StepFacts:
    backfill = task.action.backfill if task.action else None
    return StepFacts(
        id=task.step or task.label,
        action=task.action.action_name if task.action else "",
        summary=task.summary,
        task_id=task.id,
        parts=tuple(
            PartFacts(part.id, part.weight, part.bake, part.wave, bool(part.each))
            for part in task.parts
        ),
        in_chunks=backfill is not None and backfill.chunks is not None,
    )


def _schema(parameter: Any) -> dict[str, Any]:
    """As JSON Schema, in the words of Airflow's trigger form."""
    schema: dict[str, Any] = {
        "type": parameter.type,
        "title": parameter.title,
        "description": parameter.description,
        "enum": list(parameter.enum) if parameter.enum is not None else None,
        "pattern": parameter.pattern,
        "format": parameter.format,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "minLength": parameter.min_length,
        "maxLength": parameter.max_length,
    }
    schema = {name: value for name, value in schema.items() if value is not None}
    if not parameter.required:
        schema["default"] = parameter.default
        if parameter.default is None:
            schema["type"] = ["null", parameter.type]
    return schema
