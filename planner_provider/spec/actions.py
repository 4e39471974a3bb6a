"""The plain actions: what a step can do that needs no judgement about traffic or fleets."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from planner_provider.spec.base import Bool, Int, Json, Model, Number
from planner_provider.spec.values import (
    ConnectionId,
    Duration,
    Instant,
    Name,
    PositiveDuration,
    Regex,
    Share,
    Template,
    TemplateTree,
    Text,
    form,
)

HttpMethod = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Bound(Model):
    """What a measured number must satisfy. At least one of the three is needed."""

    equals: Number | Text | Bool | None = None
    """Exactly this value."""
    min: Number | None = None
    """This or more."""
    max: Number | None = None
    """This or less."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.equals is None and self.min is None and self.max is None:
            raise PydanticCustomError(
                "empty_bound", "say `equals`, `min` or `max`; else it cannot fail"
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise PydanticCustomError(
                "empty_bound", "`min` is above `max`, so nothing can satisfy it"
            )
        return self


class HttpExpect(Model):
    """What an HTTP answer must be, else the step has failed."""

    status: tuple[Annotated[Int, Field(ge=100, le=599)], ...] = Field(
        default=(200, 201, 202, 204), min_length=1
    )
    """Status codes that count as success."""
    body_matches: Regex | None = None
    """A regular expression that the body must contain."""
    json_values: dict[Text, Json] = Field(default_factory=dict, alias="json")
    """Values in the JSON answer, by dotted path: ``{"canary.version": "1.4.2"}``."""


class HttpCheck(Model):
    """A request whose answer is compared with what is expected; it must change nothing."""

    connection: ConnectionId
    """Airflow Connection of type http: host, credentials, TLS."""
    path: Template = "/"
    """Path on that host, with its query."""
    method: Literal["GET", "HEAD", "POST"] = "GET"
    headers: dict[Text, Template] = Field(default_factory=dict)
    body: TemplateTree = None
    timeout: PositiveDuration = Field(default=timedelta(seconds=30))
    """Longest wait for the answer to one request."""
    expect: HttpExpect = Field(default_factory=HttpExpect)


class Http(Model):
    """Send an HTTP request through an Airflow Connection and check the answer."""

    connection: ConnectionId
    """Airflow Connection of type http: host, credentials, TLS."""
    method: HttpMethod = "GET"
    path: Template = "/"
    headers: dict[Text, Template] = Field(default_factory=dict)
    body: TemplateTree = None
    """Sent as JSON if it is a mapping or a list, as text if it is a string."""
    timeout: PositiveDuration = Field(default=timedelta(seconds=30))
    """Longest wait for the answer to one request."""
    expect: HttpExpect = Field(default_factory=HttpExpect)


class SqlExpect(Model):
    """What the result of a statement must be, else the step has failed."""

    value: Bound | None = None
    """The first column of the first row. No row, or NULL, is never as expected."""
    rows: Bound | None = None
    """The number of rows."""


class _SqlText(Model):
    connection: ConnectionId
    """Airflow Connection of any database that Airflow has a provider for."""
    statement: Template | None = None
    """One or more statements, parted by semicolons."""
    file: Text | None = None
    """A .sql file beside the spec, in place of `statement`."""
    parameters: dict[Text, TemplateTree] = Field(default_factory=dict)
    """Values for the placeholders of the statement; never pasted into its text."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.statement is None) == (self.file is None):
            raise PydanticCustomError("one_of", "give either `statement` or `file`")
        return self


class SqlCheck(_SqlText):
    """A query whose result is compared with what is expected; it must change nothing."""

    expect: SqlExpect


class Sql(_SqlText):
    """Run SQL through an Airflow Connection and check what comes back."""

    expect: SqlExpect | None = None


class Shell(Model):
    """Run a command on the Airflow worker. A list is run as it is; a string by ``bash -c``."""

    command: Template | Annotated[tuple[Template, ...], Field(min_length=1)]
    env: dict[Annotated[Text, form(r"^[A-Za-z_]\w*$(?!\n)")], Template] = Field(
        default_factory=dict
    )
    """Environment variables, added to PATH, HOME and the plan's own (PLANNER_PLAN_ID ...)."""
    working_directory: Template | None = None


class Resources(Model):
    """CPU and memory of a pod, in the notation of Kubernetes."""

    cpu: Text | None = None
    memory: Text | None = None
    cpu_limit: Text | None = None
    memory_limit: Text | None = None


class Pod(Model):
    """Run a pod in Kubernetes to its end (Airflow's KubernetesPodOperator)."""

    image: Template
    connection: ConnectionId = "kubernetes_default"
    """Airflow Connection of type kubernetes."""
    namespace: Template | None = None
    command: tuple[Template, ...] = ()
    args: tuple[Template, ...] = ()
    env: dict[Text, Template] = Field(default_factory=dict)
    service_account: Template | None = None
    resources: Resources | None = None
    labels: dict[Text, Template] = Field(default_factory=dict)
    """Labels beside the plan's own."""


class Wait(Model):
    """Wait for a time, or until a moment, without holding a worker."""

    for_: PositiveDuration | None = Field(default=None, alias="for")
    """How long, from the moment the step first starts."""
    until: Instant | Annotated[Template, StringConstraints(pattern=r"\{\{")] | None = None
    """Until this moment; a template must render to one."""

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.for_ is None) == (self.until is None):
            raise PydanticCustomError("one_of", "give either `for` or `until`")
        return self


NotifyTarget = Annotated[Text, form(r"^(log|(team|connection):[\w.-]+)$(?!\n)")]


class Notify(Model):
    """Tell people something. Sent as JSON with a ``text`` key, which chat webhooks take."""

    message: Template
    to: tuple[NotifyTarget, ...] = Field(default=("log",), min_length=1)
    """``team:NAME`` (its `notify` connections), ``connection:ID`` (a webhook), or ``log``."""
    severity: Literal["info", "warning", "critical"] = "info"


class Verify(Model):
    """Check that the world is as it should be; changes nothing."""

    slos: tuple[Name, ...] = ()
    """SLOs (OpenSLO documents) that must not be breached."""
    http: tuple[HttpCheck, ...] = ()
    sql: tuple[SqlCheck, ...] = ()
    within: Duration = Field(default=timedelta(seconds=0))
    """Keep asking until all checks hold, this long at most; ``0s`` asks once."""
    every: PositiveDuration = Field(default=timedelta(seconds=10))
    """Time between two rounds."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not (self.slos or self.http or self.sql):
            raise PydanticCustomError(
                "nothing_checked", "this verify checks nothing; give `slos`, `http` or `sql`"
            )
        return self


class Operator(Model):
    """Any Airflow operator, by import path; refused unless `[planner] allowed_operators` has it."""

    path: Annotated[Text, form(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$(?!\n)")]
    arguments: dict[Annotated[Text, form(r"^[a-z_]\w*$(?!\n)")], TemplateTree] = Field(
        default_factory=dict
    )
    """Arguments of the operator, by name; templated where the operator's own fields are."""


class SubPlan(Model):
    """Run another plan and wait for its end."""

    name: Name
    parameters: dict[Text, TemplateTree] = Field(default_factory=dict)
    wait: Bool = True


class Budget(Model):
    """What must be left of an error budget."""

    min_remaining: Share | None = None
    """Least share of the period's error budget that must remain."""
    max_burn_rate: Annotated[Number, Field(gt=0)] | None = None
    """Highest burn rate; 1 uses up the budget exactly at the end of its period."""


class Gate(Model):
    """Ask SLOs whether the plan may go on."""

    slos: tuple[Name, ...] = Field(min_length=1)
    mode: Literal["once", "hold", "wait"] = "once"
    """``once``: now. ``hold``: healthy for all of `for`. ``wait``: until healthy, or `timeout`."""
    for_: PositiveDuration | None = Field(default=None, alias="for")
    timeout: PositiveDuration | None = None
    every: PositiveDuration = Field(default=timedelta(seconds=30))
    budget: Budget | None = None

    @model_validator(mode="after")
    def _mode_needs(self) -> Self:
        if self.mode == "hold" and self.for_ is None:
            raise PydanticCustomError("missing_for_mode", "mode `hold` needs `for`")
        if self.mode == "wait" and self.timeout is None:
            raise PydanticCustomError("missing_for_mode", "mode `wait` needs `timeout`")
        return self


Approver = Annotated[Text, form(r"^((user|group|team):)?[\w.@-]+$(?!\n)")]
"""``group:NAME``, ``team:NAME`` or ``user:NAME`` (``user:`` may be left out)."""


class Escalation(Model):
    """Whom to ask as well when nobody has answered."""

    after: PositiveDuration
    to: tuple[Approver, ...] = Field(min_length=1)


class AutoApprove(Model):
    """When no person is needed."""

    max_risk: Literal["low", "medium", "high"]


class Approval(Model):
    """Who must agree before anything is changed."""

    required: Literal["auto", "always", "never"] = "always"
    approvers: tuple[Approver, ...] = ()
    count: Annotated[Int, Field(ge=1, le=20)] = 1
    """How many different people."""
    not_: Literal["requester", "nobody"] = Field(default="requester", alias="not")
    """Who may not approve."""
    timeout: PositiveDuration = Field(default=timedelta(hours=4))
    on_timeout: Literal["reject", "expire"] = "expire"
    escalate: tuple[Escalation, ...] = ()
    auto_approve: AutoApprove | None = None
    message: Template | None = None

    @model_validator(mode="after")
    def _has_approvers(self) -> Self:
        if self.required != "never" and not self.approvers:
            raise PydanticCustomError(
                "missing_approvers", "an approval needs `approvers`, such as group:sre"
            )
        if self.required == "auto" and self.auto_approve is None:
            raise PydanticCustomError(
                "missing_for_mode",
                "`required: auto` needs `auto_approve`, else nothing is automatic",
            )
        return self
