"""The long actions: patch a fleet in waves, backfill a range of time under a throttle."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from planner_provider.spec.actions import (
    Approval,
    Http,
    Operator,
    Pod,
    Shell,
    Sql,
    Verify,
    Wait,
)
from planner_provider.spec.base import Bool, Int, Model, Number
from planner_provider.spec.values import (
    ConnectionId,
    CountOrShare,
    Duration,
    Instant,
    Name,
    PositiveDuration,
    Share,
    Template,
    TemplateTree,
    Text,
    form,
)


class Cordon(Model):
    """Let a node take no new work. Implied by `drain`."""


class Drain(Model):
    """Move work away from a node before it is touched, by Kubernetes' eviction API.

    Pods of daemon sets, mirror pods and pods that have ended are left. PodDisruptionBudgets hold.
    """

    timeout: PositiveDuration = Field(default=timedelta(minutes=15))
    """When it has not ended by then, the target fails and our cordon is taken away."""
    force: Bool = False
    """Also evict pods that no controller would start elsewhere; they are lost."""
    local_data: Literal["keep", "delete"] = "keep"
    """Whether pods with emptyDir volumes may be evicted; what is in these is lost."""


class TargetPod(Pod):
    """Run a pod on the target's node to its end, cordoned or not."""

    host: Bool = False
    """Give it the node: privileged, in the node's process namespace, its root at ``/host``."""


class RebootBy(Model):
    """What makes a node restart; exactly one key. It must end before the node goes down."""

    pod: TargetPod | None = None
    shell: Shell | None = None
    http: Http | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(part is not None for part in (self.pod, self.shell, self.http)) != 1:
            raise PydanticCustomError(
                "one_action", "a reboot is done by exactly one of `pod`, `shell` and `http`"
            )
        return self


class Reboot(Model):
    """Restart a node, and wait until it is back: with another boot ID, and Ready."""

    by: RebootBy | None = None
    """Left out: an entry before restarts it, and this one waits."""
    timeout: PositiveDuration = Field(default=timedelta(minutes=15))
    """Longest wait for it to be back."""


class TargetVerify(Verify):
    """Check that the target is as it should be; a node must be Ready as well."""

    ready: Bool = True
    """Whether a Kubernetes node must be Ready. No matter for other targets."""
    within: Duration = Field(default=timedelta(minutes=5))
    """Keep asking until all checks hold, this long at most; ``0s`` asks once."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not (self.slos or self.http or self.sql or self.ready):
            raise PydanticCustomError(
                "nothing_checked", "this verify checks nothing; give `slos`, `http` or `sql`"
            )
        return self


class Uncordon(Model):
    """Let the node take work again; only what the plan itself cordoned."""


class TargetAction(Model):
    """What can be done to a target; exactly one key. Templates know `target`."""

    pod: TargetPod | None = None
    shell: Shell | None = None
    http: Http | None = None
    sql: Sql | None = None
    operator: Operator | None = None
    verify: TargetVerify | None = None
    wait: Wait | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError(
                "one_action",
                "each entry does exactly one thing to the target, this one names {n}",
                {"n": len(self.model_fields_set)},
            )
        return self

    @property
    def action_name(self) -> str:
        """Which it is, such as ``drain``."""
        return next(iter(self.model_fields_set))

    @property
    def action(self) -> Model:
        """What is done."""
        value: Model = getattr(self, self.action_name)
        return value


class TargetStep(TargetAction):
    """One thing that is done to each target; exactly one key. Templates know `target`."""

    cordon: Cordon | None = None
    drain: Drain | None = None
    reboot: Reboot | None = None
    uncordon: Uncordon | None = None


class BetweenWaves(Model):
    """What must hold before the next wave."""

    bake: Duration = Field(default=timedelta(seconds=0))
    """How long to wait after a wave."""
    slos: tuple[Name, ...] = ()
    """SLOs that must hold after the bake."""
    approval: Approval | None = None
    """Who must agree before the next wave begins."""


class FindingFields(Model):
    """The names of the fields, or columns, of a scanner's report."""

    target: Text = "target"
    cve: Text = "cve"
    cvss: Text = "cvss"
    """A number from 0 to 10."""
    kev: Text = "kev"
    """Whether it is known to be exploited (CISA's catalog): true, yes or 1."""
    since: Text = "since"
    """Since when the target is exposed, as ISO 8601."""


class Findings(Model):
    """A scanner's report: one record for each vulnerability of a target."""

    connection: ConnectionId
    """Airflow Connection of type http."""
    path: Template = "/"
    """JSON (a list of objects, or an object with one under `items`) or CSV with a header."""
    items: Text = ""
    """Dotted path to the list within the JSON; empty: the answer itself."""
    fields: FindingFields = Field(default_factory=FindingFields)
    cves: tuple[Annotated[Text, form(r"^CVE-\d{4}-\d{4,}$(?!\n)")], ...] = ()
    """Only these count, as this rollout mends them; empty: all."""


class Patch(Model):
    """Work through a fleet in waves."""

    fleet: Name
    waves: tuple[CountOrShare, ...] = Field(min_length=1, max_length=50)
    """Cumulative size after each wave: a count or a share of the fleet, rounded up."""
    max_unavailable: CountOrShare = 1
    """How many targets of the whole fleet may be unavailable at once, those that are so for other
    reasons included. A share is rounded down, but not below 1."""
    max_errors: CountOrShare = 0
    """No target is begun once more than so many have failed; those begun are finished. A share is
    of the fleet, rounded down."""
    patience: PositiveDuration = Field(default=timedelta(hours=1))
    """How long a target waits for its turn while none becomes available."""
    findings: Findings | None = None
    """Whose findings decide the order: known to be exploited first, then by CVSS."""
    between_waves: BetweenWaves = Field(default_factory=BetweenWaves)
    per_target: tuple[TargetStep, ...] = Field(min_length=1, max_length=20)
    undo: tuple[TargetAction, ...] = Field(default=(), max_length=20)
    """What undoes it on a target that was begun, for `rollback: auto`; last target first."""


class ThrottleSignal(Model):
    """What tells that the rate is too high: exactly one source."""

    slo: Name | None = None
    """Its error budget may burn no faster than it lasts."""
    connection: ConnectionId | None = None
    query: Template | None = None
    """PromQL that gives one number."""
    max: Annotated[Number, Field(gt=0)] | None = None
    """The most that the query's number may be."""
    kind: Literal["level", "queue"] = "level"
    """``queue``: goes on growing while the load is too high, as a replica's lag does."""
    window: Duration = Field(default=timedelta(minutes=1))
    """The time that it is about: in which an SLO's events are counted, or a query's are."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        asked = (self.connection, self.query, self.max)
        if (self.slo is None) == all(part is None for part in asked):
            raise PydanticCustomError(
                "one_of", "give either `slo`, or `connection` with `query` and `max`"
            )
        if self.slo is None and any(part is None for part in asked):
            raise PydanticCustomError("one_of", "`connection`, `query` and `max` belong together")
        if self.slo is not None and self.kind == "queue":
            raise PydanticCustomError(
                "one_of", "an SLO is a `level`; give `connection`, `query` and `max` for a queue"
            )
        if self.slo is not None and not self.window:
            raise PydanticCustomError("bad_duration", "an SLO needs a `window` to count events in")
        return self


class Throttle(Model):
    """How much runs at once, and what makes it less."""

    start: Annotated[Int, Field(ge=1)] = 1
    """How much runs at first. Without a signal `max` runs from the beginning."""
    min: Annotated[Int, Field(ge=0)] = 1
    max: Annotated[Int, Field(ge=1, le=1024)] = 8
    every: PositiveDuration = Field(default=timedelta(seconds=30))
    """Time between two looks at the signal."""
    signal: ThrottleSignal | None = None
    target: Annotated[Share, Field(gt=0, lt=1)] = 0.85
    """What the signal is kept below, as a share of the most that it may be."""
    on_missing: Literal["hold", "back_off"] = "back_off"
    """While the signal is not known nothing rises; ``back_off`` shrinks it as well."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.min <= self.start <= self.max:
            raise PydanticCustomError(
                "throttle_order",
                "`min` <= `start` <= `max` must hold: {min}, {start}, {max}",
                {"min": self.min, "start": self.start, "max": self.max},
            )
        return self


class ChunkKeys(Model):
    """A range of whole numbers, such as the ids of rows, that is found out when the step begins."""

    connection: ConnectionId
    first: Text
    """SQL that gives the lowest number; it may use `:begin` and `:end`, the range of time."""
    last: Text
    """SQL that gives the highest number. No number at all means that there is nothing to do."""
    size: Annotated[Int, Field(ge=1)] = 10_000
    """Numbers in a chunk."""


class Chunks(Model):
    """A backfill of work that is not a DAG: one command or statement a chunk of time or of numbers.

    Each knows its chunk: ``{{ chunk.begin }}`` is in it, ``{{ chunk.end }}`` is not any more. SQL
    may bind them as `:chunk_begin` and `:chunk_end`; commands see PLANNER_CHUNK_BEGIN and _END. A
    chunk may be done again, after a crash for instance, so doing it twice must be harmless.
    """

    size: PositiveDuration | None = None
    """Length of a chunk of time."""
    keys: ChunkKeys | None = None
    sql: Sql | None = None
    shell: Shell | None = None
    pod: Pod | None = None
    http: Http | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(part is not None for part in (self.sql, self.shell, self.pod, self.http)) != 1:
            raise PydanticCustomError(
                "one_action", "chunks do exactly one of `sql`, `shell`, `pod` and `http`"
            )
        if (self.size is None) == (self.keys is None):
            raise PydanticCustomError("one_of", "give either `size` or `keys`")
        return self


class Backfill(Model):
    """Run past intervals again, as fast as what is downstream can bear."""

    dag: Annotated[Text, form(r"^[\w.-]{1,250}$(?!\n)")] | None = None
    """DAG whose runs are made again, a partition for each logical date of its schedule."""
    chunks: Chunks | None = None
    from_: Instant | Template = Field(alias="from")
    """The first moment; partitions whose logical date is at it or after it."""
    to: Instant | Template
    """The moment after the last: a partition whose logical date is ``to`` is not in."""
    order: Literal["oldest_first", "newest_first"] = "oldest_first"
    reprocess: Literal["none", "failed", "completed"] = "none"
    """What is done besides partitions without a run: none, those that failed, all that ended."""
    throttle: Throttle = Field(default_factory=Throttle)
    max_errors: CountOrShare = 0
    """No partition begins any more once more than so many have failed; then the step fails."""
    attempts: Annotated[Int, Field(ge=1, le=20)] = 1
    """How often a partition is run before it counts as failed."""
    on_abort: Literal["leave", "stop"] = "leave"
    """With `dag`: what becomes of runs under way when a person stops the plan's run."""
    dry_run: Bool | Annotated[Template, StringConstraints(pattern=r"\{\{")] = False
    """Only list what would be done."""
    connection: ConnectionId = "airflow_api"
    """With `dag`: Airflow Connection (http) of the Airflow that it is in, with a user who may make,
    change and clear its runs."""
    conf: dict[Text, TemplateTree] = Field(default_factory=dict)
    """With `dag`: configuration of the runs that are made."""
    calendar: Name | None = None
    """With `dag`: partitions begin only while this calendar is open."""
    when_paused: Literal["fail", "wait", "unpause"] = "fail"
    """With `dag`: what to do if it is paused; ``unpause`` pauses it again at the end."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.dag is None) == (self.chunks is None):
            raise PydanticCustomError("one_of", "give either `dag` or `chunks`")
        of_dag = {"calendar", "conf", "connection", "on_abort", "reprocess", "when_paused"}
        if self.dag is None and (foreign := sorted(of_dag & self.model_fields_set)):
            raise PydanticCustomError(
                "one_of",
                "`{name}` belongs to `dag`, and this is about chunks",
                {"name": foreign[0]},
            )
        if (
            not isinstance(self.from_, str)
            and not isinstance(self.to, str)
            and self.from_ >= self.to
        ):
            raise PydanticCustomError("empty_range", "`from` must be before `to`")
        return self
