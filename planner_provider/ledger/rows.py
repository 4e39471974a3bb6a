"""What the ledger gives and takes, as frozen values. All times are aware datetimes in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner_provider.decide.model import Decision
    from planner_provider.graph.plan_window import WindowRule

WINDOW_ENDED = "The window of calendar "
"""So begins the reason of an abort that no person asked for."""


class Outcome(StrEnum):
    """How a run of a plan ended. What each means exactly stands in ``ledger.outcome``."""

    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    BLOCKED = "blocked"
    ABORTED = "aborted"
    FAILED = "failed"


class ActRole(StrEnum):
    """What an act was for."""

    STEP = "step"
    UNDO = "undo"
    CHECK = "check"
    """Reads only: a verification of the whole plan."""


class ActResult(StrEnum):
    """How an act ended."""

    DONE = "done"
    FAILED = "failed"
    """It ended with an error. It may have changed something before."""
    UNKNOWN = "unknown"
    """Its process was stopped or fell silent, or it said itself that it does not know."""


class Course(StrEnum):
    """What ``decide`` decided about a run: whether its change stays."""

    KEEP = "keep"
    UNDO = "undo"


class Mode(StrEnum):
    """How a resource is held."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class RunKey:
    """Names one run of one version of a plan."""

    plan_id: str
    plan: str
    dag_id: str
    run_id: str
    digest: str
    """Digest of the compiled plan."""


@dataclass(frozen=True, slots=True)
class PlanRun:
    """A run of a plan, with the version that it is bound to."""

    key: RunKey
    assessed_at: datetime | None
    """When ``assess`` let it go on; ``None`` if it never did."""
    expires_at: datetime | None
    """From then on no step may begin."""
    parameters: Mapping[str, Any]
    abort_at: datetime | None
    """When a person stopped the run."""
    outcome: Outcome | None
    reason: str | None
    finished_at: datetime | None
    approvals: tuple[str, ...] = ()
    """Tasks whose approvals must be granted before any step may act."""
    parameters_sha: str = ""
    """Hash of the parameters, as approvals are bound to it."""
    abort_reason: str | None = None
    """Why a person stopped it, in that person's words."""
    failing_at: datetime | None = None
    """Since when a step has failed for good, so that no other step need begin."""
    failing_steps: tuple[str, ...] = ()
    """Those that have, by their names in the journal."""
    held_at: datetime | None = None
    """Since when a person holds the run: no step begins until it is resumed."""
    held_by: str | None = None
    held_reason: str | None = None
    trace_parent: str | None = None
    """W3C ``traceparent`` of the run's own span, if it is traced."""

    @property
    def plan_id(self) -> str:
        """The plan ID."""
        return self.key.plan_id

    @property
    def held_words(self) -> str:
        """Who holds it since when and why, as a sentence without its stop; empty if nobody does."""
        if self.held_at is None:
            return ""
        why = (self.held_reason or "").strip().removesuffix(".")
        since = f"{self.held_by} holds this run since {self.held_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{since}: {why}" if why else since

    @property
    def stopped_by(self) -> str:
        """Who stopped it, for messages: a person, or the end of its window."""
        by_window = (self.abort_reason or "").startswith(WINDOW_ENDED)
        return "the end of its window" if by_window else "a person"


@dataclass(frozen=True, slots=True)
class Claim:
    """A task that wants to act, and what it knows of its place in the plan."""

    dag_id: str
    run_id: str
    digest: str
    """Digest that the task was compiled from."""
    role: ActRole
    step: str
    """Id of the step; of the task, for checks."""
    after: tuple[str, ...] = ()
    """Steps that must be done, and not undone, before."""
    after_same: tuple[str, ...] = ()
    """As ``after``, of mapped steps: only what has the same map index must be done."""
    try_number: int = 1
    map_index: int = -1
    repeatable: bool = True
    """Whether acting again is harmless when an earlier result is unknown."""
    again: bool = False
    """Whether to act also if it is done: it is about a state that may have changed since."""
    resumes: bool = False
    """Whether the task goes on after it was deferred."""
    held_up: bool = True
    """Whether it must not begin while the run is held. ``False`` for what belongs to something that
    has begun, and must not stop half way."""
    parameters_sha: str = ""
    """Digest of the parameters that it was rendered with; empty if that is not known."""
    window: WindowRule | None = None
    """The maintenance window that must be open; ``None``: the plan may act at any time."""
    override_users: tuple[str, ...] = ()
    """Users whose overrides of calendars count."""
    actor: str = "task"


@dataclass(frozen=True, slots=True)
class Act:
    """One attempt to change something: intent, life signs, end."""

    id: int
    plan_id: str
    generation: int | None
    """The lease under which it acts; ``None`` for checks."""
    step: str
    role: ActRole
    try_number: int
    map_index: int
    intent_at: datetime
    alive_at: datetime
    parked_at: datetime | None
    """Since when it is deferred: no process acts, and no life signs come."""
    ended_at: datetime | None
    result: ActResult | None
    detail: str | None

    @property
    def is_open(self) -> bool:
        """Whether it has begun and not ended."""
        return self.ended_at is None

    @property
    def may_act(self) -> bool:
        """Whether a process may be acting on it now."""
        return self.ended_at is None and self.parked_at is None


@dataclass(frozen=True, slots=True)
class Hold:
    """A resource and how it is wanted or held."""

    resource: str
    mode: Mode = Mode.EXCLUSIVE


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one run to change what it touches."""

    generation: int
    """Rises with every lease that is given, over all plans: fit as a fencing token."""
    plan_id: str
    taken_at: datetime
    closing_at: datetime | None
    """From then on no step may begin, and those that act are told to stop."""
    course: Course | None
    released_at: datetime | None
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiter:
    """A run that waits for its locks."""

    ticket: int
    """Its place in the order of arrival, over all runs."""
    plan_id: str
    since: datetime
    alive_at: datetime
    """When it last said that it still waits."""
    holds: tuple[Hold, ...]
    """What it wants."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that is in the way of a run that wants its locks."""

    resource: str
    mode: Mode
    plan_id: str
    dag_id: str
    run_id: str
    since: datetime
    holds: bool = True
    """Whether it holds the resource; ``False``: it waits too, and came first."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The answer to a run that cannot have its locks yet."""

    waiter: Waiter
    blockers: tuple[Blocker, ...]
    ahead: int = 0
    """How many runs that wait came first and want something that conflicts."""


class ApprovalState(StrEnum):
    """Where an approval stands. Nothing but ``granted`` lets a step act."""

    OPEN = "open"
    GRANTED = "granted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Nobody answered in time."""
    CANCELLED = "cancelled"
    """It is not needed any more: the run was stopped, or asks anew for something else."""


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What is asked for, and what the answer will be bound to."""

    plan_id: str
    task: str
    """Task id that asks."""
    digest: str
    """Version of the plan."""
    parameters_sha: str
    requester: str | None
    """Who started the run; ``None`` if nobody did, or it is not known."""
    asked_at: datetime
    expires_at: datetime | None
    """From then on a grant is void. ``None``: as long as the run may begin steps."""
    rule: str
    """JSON of the spec's approval: who may answer, and how many must."""


@dataclass(frozen=True, slots=True)
class ApprovalAnswer:
    """What one person, or a rule, said."""

    user: str
    approve: bool
    reason: str | None
    via: str
    """``airflow``, ``link``, ``jira``, ``github`` or ``rule``."""
    at: datetime
    verified: bool
    """Whether ``user`` is proved by where it came from, not just claimed."""
    source: str
    """Where exactly it came from, for whoever checks later."""


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval with its answers, oldest first."""

    request: ApprovalRequest
    state: ApprovalState
    answers: tuple[ApprovalAnswer, ...] = ()
    decision_id: int | None = None
    """The recorded decision that closed it."""
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A decision with its place: enough to make it again."""

    id: int
    plan_id: str
    step: str | None
    actor: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Throttle:
    """How much of something may go on at once, as it is set now."""

    name: str
    plan_id: str
    limit: float
    minimum: float
    maximum: float
    changed_by: str
    changed_at: datetime
    state: str | None = None
    """JSON of the state of the law that moves the limit; ``None``: it has not begun."""
    version: int = 0
    """Rises with every change, so that of two that change it at once one can see that it lost."""
    ticked_at: datetime | None = None
    """When the law last looked."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the places under a limit, taken."""

    holder: str
    taken_at: datetime


class ItemState(StrEnum):
    """Where one piece of a long step stands."""

    WAITING = "waiting"
    ACTING = "acting"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    """There was nothing to do for it, or it was left out on purpose."""
    GONE = "gone"
    """It was there when the step began and is not any more."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A target of a patch rollout, a partition or a chunk of a backfill."""

    plan_id: str
    step: str
    item: str
    """Its name, once in its step: ``node-17``, ``2026-11-01T00:00:00+00:00``."""
    position: int
    """Its place in the order in which items are begun."""
    wave: int | None = None
    """Number of its wave, from 1."""
    state: ItemState = ItemState.WAITING
    detail: str | None = None
    """Why it is where it is, in words."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was found out about it: labels, a boot ID, the run that does its work."""
    tries: int = 0
    """How often it was begun."""
    started_at: datetime | None = None
    ended_at: datetime | None = None


class ChangeKind(StrEnum):
    """What was added to a calendar by hand."""

    FREEZE = "freeze"
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class CalendarChange:
    """A freeze or an override that a person added to a calendar. Half-open: ``ends_at`` is out."""

    id: int
    calendar: str
    kind: ChangeKind
    begins_at: datetime
    ends_at: datetime
    reason: str
    who: str
    created_at: datetime
    withdrawn_at: datetime | None = None
    withdrawn_by: str | None = None


@dataclass(frozen=True, slots=True)
class CompiledPlan:
    """The last good compilation of a plan."""

    plan: str
    digest: str
    graph: str
    """JSON of the ``PlanGraph``."""
    file: str
    spec_sha: str
    compiled_at: datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit trail. ``hash`` covers everything else and the hash before."""

    seq: int
    at: datetime
    plan_id: str | None
    actor: str
    what: str
    detail: Mapping[str, Any]
    prev_hash: str
    hash: str = field(repr=False)
