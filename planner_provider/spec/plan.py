"""Kind ``Plan``: parameters, schedule, guards, approval and steps."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from planner_provider.errors import RETRY_CLASSES
from planner_provider.spec import actions, delivery, workloads
from planner_provider.spec.actions import Approval, Budget, Verify
from planner_provider.spec.attached import Silence, Ticket
from planner_provider.spec.base import Int, Json, Model, Number
from planner_provider.spec.cost import Cost
from planner_provider.spec.values import (
    ConnectionId,
    Cron,
    Duration,
    Labels,
    Name,
    PositiveDuration,
    Regex,
    Share,
    StepId,
    Text,
    Zone,
    form,
)

API_VERSION = "planner/v1"

ActionName = Literal[
    "canary", "blue_green", "deploy", "patch", "backfill", "pod", "http", "sql", "shell",
    "operator", "gate", "approval", "wait", "flag", "scale", "verify", "notify", "plan",
]  # fmt: skip
ACTION_NAMES: tuple[str, ...] = ActionName.__args__  # type: ignore[attr-defined]
NOT_YET = frozenset({"plan"})
AVAILABLE_ACTIONS = frozenset(ACTION_NAMES) - NOT_YET
"""Actions that this release can run. The others compile, and are refused before a run starts."""
AUTO_ROLLBACK = frozenset({"canary", "blue_green", "deploy", "flag", "scale", "patch"})
"""Actions that know how to undo themselves (``rollback: auto``)."""
READ_ONLY_ACTIONS = frozenset({"gate", "approval", "wait", "verify", "notify"})
"""Actions that change nothing in production, so there is nothing to undo."""


class ActionHolder(Model):
    """Exactly one action, under the key that names it."""

    canary: delivery.Canary | None = None
    blue_green: delivery.BlueGreen | None = None
    deploy: delivery.Deploy | None = None
    patch: workloads.Patch | None = None
    backfill: workloads.Backfill | None = None
    pod: actions.Pod | None = None
    http: actions.Http | None = None
    sql: actions.Sql | None = None
    shell: actions.Shell | None = None
    operator: actions.Operator | None = None
    gate: actions.Gate | None = None
    approval: actions.Approval | None = None
    wait: actions.Wait | None = None
    flag: delivery.Flag | None = None
    scale: delivery.Scale | None = None
    verify: actions.Verify | None = None
    notify: actions.Notify | None = None
    plan: actions.SubPlan | None = None

    @model_validator(mode="after")
    def _exactly_one_action(self) -> Self:
        given = [name for name in ACTION_NAMES if getattr(self, name) is not None]
        if len(given) != 1:
            what = f"{len(given)} actions ({', '.join(given)})" if given else "no action"
            raise PydanticCustomError(
                "one_action",
                "this names {what}, and must name exactly one",
                {"what": what, "given": ", ".join(given)},
            )
        return self

    @property
    def action_name(self) -> str:
        """Which action it is, such as ``http``."""
        return next(name for name in ACTION_NAMES if getattr(self, name) is not None)

    @property
    def action(self) -> Model:
        """The action itself."""
        value: Model = getattr(self, self.action_name)
        return value


class RollbackAction(ActionHolder):
    """The action that undoes a step."""


def _rollback_tag(value: Any) -> str:
    return "action" if isinstance(value, dict | RollbackAction) else "word"


Rollback = Annotated[
    Annotated[Literal["auto", "none"], Tag("word")] | Annotated[RollbackAction, Tag("action")],
    Discriminator(_rollback_tag),
]
"""``auto`` where the action knows how, ``none`` where there is nothing to undo, or an action."""

RetryClass = Literal[
    "refused", "check_failed", "unavailable", "misconfigured", "attention", "error"
]
if set(RetryClass.__args__) - {"error"} != set(RETRY_CLASSES):  # type: ignore[attr-defined]
    raise AssertionError("the words for classes of error differ between spec and errors")


class Retries(Model):
    """How often a failed step is tried again, and after which errors."""

    limit: Annotated[Int, Field(ge=0, le=100)] = 2
    """Tries after the first."""
    delay: Duration = Field(default=timedelta(seconds=10))
    """Time before the first retry."""
    backoff: Annotated[Number, Field(ge=1, le=10)] = 2
    """Factor by which the delay grows from retry to retry."""
    max_delay: PositiveDuration = Field(default=timedelta(minutes=10))
    never: tuple[RetryClass, ...] = ("refused", "misconfigured", "attention")
    """Classes of error after which trying again is useless."""


class Signal(Model):
    """Something that must be seen, or the plan would act blind."""

    name: Name
    connection: ConnectionId
    """Airflow Connection of the Prometheus."""
    query: Annotated[Text, Field(min_length=1)]
    """PromQL that gives one series."""
    max_age: PositiveDuration = Field(default=timedelta(minutes=3))
    """How old its newest sample may be."""


class Guards(Model):
    """Checked before, and while, anything is changed."""

    slos: tuple[Name, ...] = ()
    budget: Budget | None = None
    signals: tuple[Signal, ...] = ()
    """What must be measured at all: without it nobody could see that something goes wrong."""
    min_coverage: Share = 1.0
    """Least share of `signals` that must be present and fresh."""
    ttl: PositiveDuration | None = None
    """How long the decision to run stays valid, from the moment the run is assessed."""

    @model_validator(mode="after")
    def _budget_of_slos(self) -> Self:
        if self.budget is not None and not self.slos:
            raise PydanticCustomError(
                "one_of", "`budget` is about the error budgets of `slos`; name these as well"
            )
        return self


class Touch(Model):
    """What the plan changes or depends on: the basis of conflicts and locks."""

    resource: Annotated[Text, form(r"^[a-z][a-z0-9+.-]*://\S+$(?!\n)")] | None = None
    """A resource as a URI, such as ``k8s://prod/shop/deployments/checkout``."""
    service: Name | None = None
    """A service (kind ``Service``)."""
    mode: Literal["exclusive", "shared"] = "exclusive"

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.resource is None) == (self.service is None):
            raise PydanticCustomError("one_of", "give either `resource` or `service`")
        return self

    @property
    def uri(self) -> str:
        """The resource as a URI."""
        return self.resource or f"service://{self.service}"


class StepGuards(Model):
    """Guards of one step, in addition to the plan's."""

    slos: tuple[Name, ...] = Field(min_length=1)


class Step(ActionHolder):
    """One step of a plan."""

    id: StepId
    summary: Text | None = None
    """What the step is for, in one sentence."""
    after: tuple[StepId, ...] | None = None
    """Steps that must be done first. Left out: the step before. Empty: none."""
    service: Name | None = None
    """The service (kind ``Service``) that the step changes: locked, and what `order` goes by."""
    timeout: PositiveDuration | None = None
    retries: Retries | None = None
    pool: Annotated[Text, form(r"^[\w. -]{1,200}$(?!\n)")] | None = None
    guards: StepGuards | None = None
    rollback: Rollback | None = None


class Parameter(Model):
    """A value that is asked for when the plan is started, as Airflow's trigger form shows it."""

    type: Literal["string", "integer", "number", "boolean", "array", "object"]
    default: Json = None
    """Value if none is given. Left out: a value must be given."""
    title: Text | None = None
    description: Text | None = None
    enum: tuple[Json, ...] | None = None
    pattern: Regex | None = None
    format: Literal["date", "date-time", "time", "multiline"] | None = None
    minimum: Number | None = None
    maximum: Number | None = None
    min_length: Annotated[Int, Field(ge=0)] | None = None
    max_length: Annotated[Int, Field(ge=0)] | None = None

    @property
    def required(self) -> bool:
        """Whether a run cannot start without a value."""
        return "default" not in self.model_fields_set

    @model_serializer(mode="wrap")
    def _keep_null_default(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """``default: null`` and no default are two things, also when defaults are left out."""
        data: dict[str, Any] = handler(self)
        if "default" in self.model_fields_set:
            data["default"] = data.get("default")
        else:
            data.pop("default", None)
        return data


class Schedule(Model):
    """When the plan starts by itself: by cron, or in the windows of a calendar."""

    cron: Cron | None = None
    timezone: Zone | None = None
    """Zone of the cron expression; UTC if left out."""
    calendar: Name | None = None
    needs: PositiveDuration | None = None
    """Time that must be left before the window's cutoff when the plan starts."""
    catch_up: Literal["latest", "none"] = "latest"
    """Openings at which nothing could start the plan: start it late in the latest one, if the work
    still fits into that; or wait for the next one."""
    at_end: Literal["finish", "stop_after_step", "abort"] = "finish"
    """What happens to work that still runs when the window ends: it goes on to its end; the step
    that runs is the last one; or the run is stopped. A plan that is cut short is rolled back."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.cron is None) == (self.calendar is None):
            raise PydanticCustomError("one_of", "give either `cron` or `calendar`")
        if self.cron is None and self.timezone is not None:
            raise PydanticCustomError(
                "one_of", "`timezone` belongs to `cron`; a calendar has its own"
            )
        if self.calendar is None and self.model_fields_set & {"needs", "catch_up", "at_end"}:
            raise PydanticCustomError(
                "one_of", "`needs`, `catch_up` and `at_end` belong to `calendar`"
            )
        return self


class UseTemplate(Model):
    """The template that a plan is made from."""

    name: Name
    inputs: dict[Text, Json] = Field(default_factory=dict)


class StepDefaults(Model):
    """What steps take where they say nothing of their own."""

    timeout: PositiveDuration = Field(default=timedelta(hours=1))
    retries: Retries = Field(default_factory=Retries)
    pool: Annotated[Text, form(r"^[\w. -]{1,200}$(?!\n)")] | None = None


ParameterName = Annotated[Text, form(r"^[a-z_][a-z0-9_]{0,62}$(?!\n)")]


class PlanSpec(Model):
    """What a plan does."""

    summary: Annotated[Text, Field(min_length=1, max_length=200)]
    """One sentence that a person reads before approving."""
    description: Text | None = None
    runbook: Annotated[Text, form(r"^https?://\S+$(?!\n)")] | None = None
    """Where people read on when something goes wrong."""
    ticket: Ticket | None = None
    """The issue that the change belongs to."""
    silence: Silence | None = None
    """Alerts that wake nobody while a run acts."""
    cost: Cost | None = None
    """What the plan costs, and how much more it may become."""
    template: UseTemplate | None = None
    """Template that this plan was made from; its values are already filled in."""
    parameters: dict[ParameterName, Parameter] = Field(default_factory=dict)
    schedule: Schedule | None = None
    touches: tuple[Touch, ...] = ()
    guards: Guards = Field(default_factory=Guards)
    approval: Approval | None = None
    defaults: StepDefaults = Field(default_factory=StepDefaults)
    order: Literal["listed", "dependencies"] = "listed"
    """``dependencies``: steps of a service come after those of the services that it depends on;
    services that do not depend on each other go on side by side. A step without a service comes
    after all that stand before it, and before all that stand after it."""
    steps: tuple[Step, ...] = Field(min_length=1, max_length=500)
    verify: Verify | None = None
    """Checked after the last step, and again after a rollback."""

    @model_validator(mode="after")
    def _one_order(self) -> Self:
        if self.order == "dependencies":
            explicit = [step.id for step in self.steps if step.after is not None]
            if explicit:
                raise PydanticCustomError(
                    "one_of",
                    "with `order: dependencies` the order follows from the services, so no step "
                    "may say `after`: {steps}",
                    {"steps": ", ".join(explicit)},
                )
            if not any(step.service for step in self.steps):
                raise PydanticCustomError(
                    "one_of",
                    "`order: dependencies` goes by the `service` of the steps, and none has one",
                )
        return self


class PlanMetadata(Model):
    """Name, owner and labels."""

    name: Annotated[Name, Field(max_length=44)]
    owner: Name
    """The owning team."""
    labels: Labels = Field(default_factory=dict)


class Plan(Model):
    """A plan: declared here, compiled into an Airflow DAG of the same name."""

    api_version: Literal["planner/v1"] = Field(alias="apiVersion")
    kind: Literal["Plan"]
    metadata: PlanMetadata
    spec: PlanSpec
