"""The other kinds: PlanTemplate, Calendar, Service, Team, Fleet, Policy."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from planner_provider.spec.actions import Approver
from planner_provider.spec.base import Bool, Int, Json, Model, Number
from planner_provider.spec.plan import ParameterName
from planner_provider.spec.values import (
    ConnectionId,
    Duration,
    Labels,
    LocalTime,
    Name,
    PositiveDuration,
    Regex,
    Rrule,
    Text,
    Zone,
    form,
)


class Metadata(Model):
    """Name, owner and labels of a document."""

    name: Name
    owner: Name | None = None
    labels: Labels = Field(default_factory=dict)


class TemplateInput(Model):
    """A typed input of a template, filled in when specs are compiled."""

    type: Literal["string", "integer", "number", "boolean", "array", "object", "duration"]
    default: Json = None
    description: Text | None = None
    enum: tuple[Json, ...] | None = None
    pattern: Regex | None = None
    minimum: Number | None = None
    maximum: Number | None = None

    @property
    def required(self) -> bool:
        """Whether a plan must give a value."""
        return "default" not in self.model_fields_set


class PlanTemplateSpec(Model):
    """Inputs, and the plan's spec with ``${{ inputs.NAME }}`` in it."""

    summary: Text | None = None
    inputs: dict[ParameterName, TemplateInput] = Field(default_factory=dict)
    plan: dict[Text, Json]
    """The `spec` of a plan. Checked when a plan uses the template, and by itself."""


class PlanTemplate(Model):
    """A plan with holes, from which plans are made."""

    api_version: Literal["planner/v1"] = Field(alias="apiVersion")
    kind: Literal["PlanTemplate"]
    metadata: Metadata
    spec: PlanTemplateSpec


LocalDuration = Annotated[
    Text, form(r"^P(\d+W|(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)$(?!\n)", min_length=3)
]
"""PTnHnM is elapsed time; PnD and PnW are nominal days (rule C5)."""
WallTime = Annotated[Text, form(r"^([01]\d|2[0-3]):[0-5]\d$(?!\n)")]


class Window(Model):
    """A recurring interval of time, in wall time."""

    dtstart: LocalTime
    """First start, as wall time in the calendar's zone."""
    rrule: Rrule | None = None
    duration: LocalDuration | None = None
    until_local: WallTime | None = None
    """Wall-clock end, the next day if it is not after the start."""
    timezone: Zone | None = None
    exdate: tuple[LocalTime, ...] = ()
    rdate: tuple[LocalTime, ...] = ()
    offset_days: Int = 0
    """Moves each occurrence by calendar days: patch Tuesday plus 4."""
    gap: Literal["before", "skip"] = "before"
    """A local time that does not exist: take the offset in force before the gap, or skip it."""
    fold: Literal["first", "second"] = "first"
    """A local time that occurs twice: which of the two."""
    valid_from: LocalTime | None = None
    valid_until: LocalTime | None = None

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.duration is None) == (self.until_local is None):
            raise PydanticCustomError("one_of", "give either `duration` or `until_local`")
        return self


class Freeze(Model):
    """A time in which nothing may start: a window, an .ics file, or a country's holidays."""

    ics: Text | None = None
    """An iCalendar file beside the spec."""
    holidays: Annotated[Text, form(r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$(?!\n)")] | None = None
    """Country, or country and subdivision, by ISO 3166: ``DE`` or ``DE-BY``."""
    window: Window | None = None
    reason: Text | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(part is not None for part in (self.ics, self.holidays, self.window)) != 1:
            raise PydanticCustomError(
                "one_of", "give exactly one of `ics`, `holidays` and `window`"
            )
        return self


class CalendarSpec(Model):
    """When work may be done."""

    timezone: Zone
    windows: tuple[Window, ...] = Field(min_length=1)
    freezes: tuple[Freeze, ...] = ()
    combine: Literal["any", "all"] = "any"
    cutoff: Duration = Field(default=timedelta(seconds=0))
    """New work may start only until this long before an interval's end."""


class Calendar(Model):
    """Maintenance windows and freezes."""

    api_version: Literal["planner/v1"] = Field(alias="apiVersion")
    kind: Literal["Calendar"]
    metadata: Metadata
    spec: CalendarSpec


class ServiceSpec(Model):
    """A service, what it depends on and what judges it."""

    summary: Text | None = None
    tier: Annotated[Int, Field(ge=0, le=5)] | None = None
    """0 or 1 is most critical."""
    depends_on: tuple[Name, ...] = ()
    slos: tuple[Name, ...] = ()
    resources: tuple[Annotated[Text, form(r"^[a-z][a-z0-9+.-]*://\S+$(?!\n)")], ...] = ()
    runbook: Text | None = None


class Service(Model):
    """A service of the organisation."""

    api_version: Literal["planner/v1"] = Field(alias="apiVersion")
    kind: Literal["Service"]
    metadata: Metadata
    spec: ServiceSpec


class TeamSpec(Model):
    """Who belongs to a team and how it is told things."""

    summary: Text | None = None
    members: tuple[Annotated[Text, form(r"^[\w.@-]+$(?!\n)")], ...] = ()
    """Airflow user names."""
    notify: tuple[ConnectionId, ...] = ()
    """Airflow Connections of webhooks that reach the team."""
    escalation: tuple[Approver, ...] = ()
    """Whom to call when the team does not answer, in order."""


class Team(Model):
    """A team: owner of plans, group of approvers, receiver of messages."""

    api_version: Literal["planner/v1"] = Field(alias="apiVersion")
    kind: Literal["Team"]
    metadata: Metadata
    spec: TeamSpec


class FleetTarget(Model):
    """One machine, node or account."""

    name: Annotated[Text, form(r"^[\w.@:/-]{1,253}$(?!\n)")]
    labels: Labels = Field(default_factory=dict)


class NodeSelector(Model):
    """Kubernetes nodes by label."""

    connection: ConnectionId = "kubernetes_default"
    selector: Text


class FleetSpec(Model):
    """The targets of patch rollouts: listed, or found by a selector."""

    targets: tuple[FleetTarget, ...] = ()
    kubernetes_nodes: NodeSelector | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if bool(self.targets) == (self.kubernetes_nodes is not None):
            raise PydanticCustomError("one_of", "give either `targets` or `kubernetes_nodes`")
        names = [target.name for target in self.targets]
        twice = (
            sorted({name for name in names if names.count(name) > 1})
            if len(set(names)) < len(names)
            else []
        )
        if twice:
            raise PydanticCustomError(
                "target_twice",
                "these targets are listed twice: {twice}",
                {"twice": ", ".join(twice)},
            )
        return self


class Fleet(Model):
    """Machines, nodes or accounts that are patched together."""

    api_version: Literal["planner/v1"] = Field(alias="apiVersion")
    kind: Literal["Fleet"]
    metadata: Metadata
    spec: FleetSpec


class PolicySpec(Model):
    """Rules that no plan may loosen: a Rego file, or simple limits."""

    summary: Text | None = None
    rego: Text | None = None
    """A .rego file beside the spec."""
    applies_to: dict[Text, Text] = Field(default_factory=dict)
    """Labels of the plans that it binds; empty: all."""
    require_approval: Bool | None = None
    require_rollback: Bool | None = None
    max_ttl: PositiveDuration | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if (
            self.rego is None
            and self.require_approval is None
            and (self.require_rollback is None and self.max_ttl is None)
        ):
            raise PydanticCustomError("nothing_checked", "this policy demands nothing")
        return self


class Policy(Model):
    """Rules of the organisation for plans."""

    api_version: Literal["planner/v1"] = Field(alias="apiVersion")
    kind: Literal["Policy"]
    metadata: Metadata
    spec: PolicySpec
