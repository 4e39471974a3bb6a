"""The other kinds: PlanTemplate, Service, Team, Fleet, Policy; and Calendar from its own module."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from planner_provider.spec.actions import Approver
from planner_provider.spec.base import Bool, Int, Json, Model, Number
from planner_provider.spec.calendar_kind import Calendar as Calendar
from planner_provider.spec.metadata import Metadata
from planner_provider.spec.notices import NoticeEvent as NoticeEvent
from planner_provider.spec.notices import NoticeWords
from planner_provider.spec.notices import Severity as Severity
from planner_provider.spec.plan import ParameterName
from planner_provider.spec.values import (
    ConnectionId,
    Labels,
    Name,
    PositiveDuration,
    Regex,
    Text,
    form,
)

ESCALATES_AFTER = timedelta(minutes=30)
"""When a team that an escalation names without a time is told."""


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


class Route(Model):
    """One way by which a team is told things, and what goes that way."""

    connection: ConnectionId
    """Airflow Connection. Its type says which service it is: `slack`, `slackwebhook`,
    `pagerduty_events`, `pagerduty`, `opsgenie`, `smtp`, `apprise`, or `http` for a webhook."""
    channel: Annotated[Text, form(r"^[^\s,]{1,200}$(?!\n)")] | None = None
    """Slack: channel. Mail: address. Opsgenie: responding team. Apprise: tag. Others have none."""
    events: tuple[NoticeEvent, ...] = ()
    """Only these; empty: all but ``started``."""
    min_severity: Severity = "info"
    """Nothing below this. What closes an alert always goes where the alert went."""
    touched: Bool = False
    """Whether it is told also of other teams' plans that touch a service of this team."""


class TeamEscalation(Model):
    """Whom to tell as well when nobody has acted so long after the team was told."""

    after: PositiveDuration
    to: tuple[Approver, ...] = Field(min_length=1)
    """``team:NAME``, told by its own `notify`."""


class TeamSpec(Model):
    """Who belongs to a team and how it is told things."""

    summary: Text | None = None
    members: tuple[Annotated[Text, form(r"^[\w.@-]+$(?!\n)")], ...] = ()
    """Airflow user names."""
    notify: tuple[ConnectionId | Route, ...] = ()
    """How the team is told: Airflow Connections, or routes that say more."""
    templates: dict[NoticeEvent, NoticeWords] = Field(default_factory=dict)
    """What the team is told of an event, such as ``done``, in its own words: see
    ``notifications.md``."""
    escalation: tuple[Approver | TeamEscalation, ...] = ()
    """Whom to tell when the team does not act on an approval, a hold or a rollback that failed, in
    order; a plain name comes 30 minutes after the one before it."""

    @property
    def routes(self) -> tuple[Route, ...]:
        """How the team is told, each way once."""
        ways = (Route(connection=w) if isinstance(w, str) else w for w in self.notify)
        return tuple(dict.fromkeys(ways))

    @property
    def connections(self) -> tuple[str, ...]:
        """The Airflow Connections by which the team is told, each once."""
        return tuple(dict.fromkeys(route.connection for route in self.routes))

    @property
    def escalations(self) -> tuple[TeamEscalation, ...]:
        """Whom to tell as well, and when; sorted by time."""
        found: list[TeamEscalation] = []
        after = timedelta(0)
        for item in self.escalation:
            if isinstance(item, TeamEscalation):
                after = item.after
                found.append(item)
            else:
                after += ESCALATES_AFTER
                found.append(TeamEscalation(after=after, to=(item,)))
        return tuple(sorted(found, key=lambda item: item.after))


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
    """A label selector, such as ``node-pool=web,!gpu``; all nodes: empty."""


class HttpInventory(Model):
    """Targets from an inventory that is asked when a rollout begins."""

    connection: ConnectionId
    """Airflow Connection of type http."""
    path: Text = "/"
    """JSON (a list of objects, or of names) or CSV with a header, by its content type."""
    items: Text = ""
    """Dotted path to the list within the JSON; empty: the answer itself."""
    name: Text = "name"
    """Field, or column, with the name. Fields that hold one value each become labels."""


class CsvInventory(Model):
    """Targets from a CSV file with a header. It is read when the specs are compiled."""

    file: Text | None = None
    """A file beside the spec."""
    text: Annotated[StrictStr, Field(max_length=1024 * 1024)] | None = None
    """Its text, in place of `file`."""
    name: Text = "name"
    """Column with the name. The other columns become labels."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.file is None) == (self.text is None):
            raise PydanticCustomError("one_of", "give either `file` or `text`")
        return self


class FleetSpec(Model):
    """The targets of patch rollouts: listed, in a file, or found when a rollout begins."""

    targets: tuple[FleetTarget, ...] = ()
    csv: CsvInventory | None = None
    kubernetes_nodes: NodeSelector | None = None
    http: HttpInventory | None = None
    failure_domain: Text | None = None
    """Label by whose values targets fail together. Left out: ``topology.kubernetes.io/zone`` for
    Kubernetes nodes, else ``zone``. A target without it stands alone."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = (self.targets or None, self.csv, self.kubernetes_nodes, self.http)
        if sum(part is not None for part in given) != 1:
            raise PydanticCustomError(
                "one_of", "give exactly one of `targets`, `csv`, `kubernetes_nodes` and `http`"
            )
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
