"""``PlanGraph``: everything that decides what a plan does, frozen, as JSON, with a digest.

The frame around the steps is the one that was tried in real Airflow (docs/architecture.md):
whatever must happen anyway is a teardown.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from planner_provider.graph.approvals import ApprovalRule, ChangeProfile
from planner_provider.graph.calendars import PlanCalendar
from planner_provider.graph.contacts import Contact as Contact
from planner_provider.graph.fleets import ResolvedFleet
from planner_provider.graph.frozen import Frozen
from planner_provider.graph.slos import Slo
from planner_provider.spec.actions import Approval
from planner_provider.spec.attached import Silence, Ticket
from planner_provider.spec.cost import Cost
from planner_provider.spec.plan import (
    ActionHolder,
    Guards,
    Parameter,
    Retries,
    Schedule,
    StepGuards,
)
from planner_provider.spec.values import Duration

GRAPH_VERSION = 1
"""Rises when the same spec gives another graph; part of the digest and of cache keys."""


class TaskKind(StrEnum):
    """What a task is for; its place in the frame follows from it."""

    BEGIN = "begin"
    ASSESS = "assess"
    APPROVE = "approve"
    WINDOW = "window"
    GUARD = "guard"
    ACQUIRE = "acquire"
    STEP = "step"
    VERIFY = "verify"
    DECIDE = "decide"
    UNDO = "undo"
    TIDY = "tidy"
    VERIFY_ROLLBACK = "verify_rollback"
    RELEASE = "release"
    FINISH = "finish"


TriggerRule = Literal["all_success", "all_done_setup_success"]


class Group(Frozen):
    """A task group of the DAG."""

    id: str
    summary: str


class Part(Frozen):
    """One of the tasks by which a step is done, each with tries, log and colour of its own."""

    id: str
    """Its place within the step: ``deploy``, ``w25``, ``promote``."""
    summary: str
    weight: int | None = None
    """Share of the traffic, in percent."""
    bake: Duration | None = None
    """How long it is watched."""
    each: tuple[Part, ...] = ()
    """What is done for each item, one after the other, in a mapped task group: one map index for
    each item of the list that the last part with ``lists`` gave."""
    lists: bool = False
    """Whether what it gives is the list that the next part with ``each`` is done for."""
    always: bool = False
    """Whether it comes also when parts before it failed, once they have ended."""
    changes: bool = True
    """Whether it can change anything. A part that does not, after one with ``each``, stands for
    what that one changed."""
    wave: int | None = None
    """Number of the wave that it is about, from 1."""
    approval: Approval | None = None
    """What is asked for, for a part that asks."""
    rule: ApprovalRule | None = None
    """Who must approve, for a part that asks."""


class Task(Frozen):
    """One task of the DAG; a task group, where it has parts."""

    id: str
    """Task id in Airflow, with its group: ``execute.snapshot``."""
    kind: TaskKind
    summary: str
    """What it does, in words; shown in Airflow."""
    group: str | None = None
    step: str | None = None
    """The step that it carries out or undoes."""
    action: ActionHolder | None = None
    """What it does, for steps, their undoing, and verifications."""
    is_setup: bool = False
    teardown_of: str | None = None
    """Task id of the setup that this is a teardown of."""
    trigger_rule: TriggerRule = "all_success"
    retries: Retries = Field(default_factory=lambda: Retries(limit=0))
    timeout: Duration | None = None
    pool: str | None = None
    leaves_nothing: bool = False
    """Whether the spec says (``rollback: none``) that there is nothing to undo."""
    guards: StepGuards | None = None
    """Asked before a step begins, in addition to the plan's guards."""
    parts: tuple[Part, ...] = ()
    """In the order in which they are done; none for a step that is one task."""
    rule: ApprovalRule | None = None
    """Who must approve, for approvals."""

    @property
    def label(self) -> str:
        """The id without its group."""
        return self.id.rpartition(".")[2]


class Edge(Frozen):
    """``upstream`` comes before ``downstream``; both are task ids."""

    upstream: str
    downstream: str


class Compensation(Frozen):
    """Which task undoes which step. Undone in reverse order of ``PlanGraph.compensations``."""

    step: str
    task: str


class Touched(Frozen):
    """A resource that the plan changes (exclusive) or relies on (shared)."""

    resource: str
    mode: Literal["exclusive", "shared"]


class Source(Frozen):
    """Where the plan stands. Not part of the digest: moving a file changes no plan."""

    file: str
    line: int


class PlanGraph(Frozen):
    """A plan, compiled: what Airflow runs and what people review."""

    graph_version: int = GRAPH_VERSION
    name: str
    owner: str
    summary: str
    description: str | None = None
    runbook: str | None = None
    ticket: Ticket | None = None
    silence: Silence | None = None
    cost: Cost | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    schedule: Schedule | None = None
    touches: tuple[Touched, ...] = ()
    guards: Guards = Field(default_factory=Guards)
    approval: Approval | None = None
    groups: tuple[Group, ...] = ()
    tasks: tuple[Task, ...]
    """In an order in which each task comes after its upstream tasks."""
    edges: tuple[Edge, ...]
    compensations: tuple[Compensation, ...] = ()
    """In the order in which the steps are done."""
    contacts: tuple[Contact, ...] = ()
    slos: tuple[Slo, ...] = ()
    """The SLOs that the plan asks for, by name."""
    fleets: tuple[ResolvedFleet, ...] = ()
    """The fleets that the plan patches, by name."""
    profile: ChangeProfile = Field(default_factory=ChangeProfile)
    """What the risk of the plan depends on."""
    calendar: PlanCalendar | None = None
    """The calendar that ``schedule`` names. Not part of the digest: a freeze that is added to it
    holds up a run that waits, and does not void it."""
    calendars: tuple[PlanCalendar, ...] = ()
    """The calendars that steps keep to, by name. Not part of the digest either."""
    unavailable: tuple[str, ...] = ()
    """What this release cannot run yet, in words. Not part of the digest."""
    source: Source | None = None
    digest: str = ""
    """SHA-256, in hexadecimal, of everything above but ``calendar``, ``calendars``, ``unavailable``
    and ``source``."""

    @cached_property
    def by_id(self) -> dict[str, Task]:
        """Tasks by task id."""
        return {task.id: task for task in self.tasks}

    @cached_property
    def steps(self) -> tuple[Task, ...]:
        """The tasks of the steps, in the order of the spec as far as edges allow."""
        return tuple(task for task in self.tasks if task.kind is TaskKind.STEP)

    @property
    def short_digest(self) -> str:
        """The first eight characters of the digest, as shown to people."""
        return self.digest[:8]

    def upstream(self, task_id: str) -> tuple[str, ...]:
        """Task ids directly before this one."""
        return self._neighbours[0].get(task_id, ())

    def downstream(self, task_id: str) -> tuple[str, ...]:
        """Task ids directly after this one."""
        return self._neighbours[1].get(task_id, ())

    def undo_of(self, step: str) -> Task | None:
        """The task that undoes a step, if it has one."""
        for item in self.compensations:
            if item.step == step:
                return self.by_id[item.task]
        return None

    @property
    def ttl(self) -> timedelta | None:
        """How long the decision to run stays valid after ``assess``."""
        return self.guards.ttl

    @cached_property
    def _neighbours(self) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
        up: dict[str, tuple[str, ...]] = {}
        down: dict[str, tuple[str, ...]] = {}
        for edge in self.edges:
            up[edge.downstream] = (*up.get(edge.downstream, ()), edge.upstream)
            down[edge.upstream] = (*down.get(edge.upstream, ()), edge.downstream)
        return up, down

    def __getstate__(self) -> dict[Any, Any]:
        """What is pickled: the fields, not what was worked out from them."""
        state = super().__getstate__()
        fields = type(self).model_fields
        kept = {name: value for name, value in state["__dict__"].items() if name in fields}
        return {**state, "__dict__": kept}

    def to_json(self) -> str:
        """The graph as compact JSON, without what has its default value."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> PlanGraph:
        """Read what ``to_json`` wrote. Raises ``pydantic.ValidationError`` for anything else."""
        return cls.model_validate_json(text)
