"""What the JSON API of the Plans page answers. All times are aware datetimes in UTC.

Text in these models is what people or specs wrote: it may hold anything, and whoever shows it
escapes it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Attention = Literal["approval", "held", "breach", "rollback_failed", "failing", "lock", "window"]
"""Why a run needs a person, or at least a look."""
StepState = Literal[
    "untouched", "waiting", "acting", "done", "failed", "unknown", "undoing", "undone"
]


class Answer(BaseModel):
    """Base of all answers: frozen, and nothing but what is declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rights(Answer):
    """What the user may do with one plan. The server checks again when it is done."""

    trigger: bool
    steer: bool
    """Abort, hold, resume, change a throttle."""
    override: bool
    """Open its calendar by hand."""


class Me(Answer):
    """Who asks."""

    user: str
    version: str
    """Version of the provider."""


class Progress(Answer):
    """How far a long step is."""

    kind: Literal["weight", "wave", "partitions", "chunks", "targets"]
    done: int
    total: int
    """Of percent for ``weight``, of items otherwise."""
    failed: int = 0
    label: str
    """In words: ``20% of traffic``, ``wave 2 of 4``."""
    eta: datetime | None = None
    """When it ends at this pace; ``None``: not known."""


class Step(Answer):
    """One step of a run."""

    id: str
    action: str
    summary: str | None
    state: StepState
    since: datetime | None
    """When it came into this state; ``None`` while untouched."""
    detail: str | None
    tries: int
    duration_s: float | None
    progress: Progress | None = None
    log_url: str | None = None
    """Its task in Airflow."""


class BudgetState(Answer):
    """What the last decision about an SLO of the run said."""

    slo: str
    remaining: float | None
    """Share of the error budget that is left, 1 to below 0; ``None``: not known."""
    burn_rate: float | None
    """Largest burn rate of the windows looked at."""
    breached: bool
    observed_at: datetime


class AttentionItem(Answer):
    """Something that needs a person, most urgent first in lists."""

    kind: Attention
    plan_id: str
    plan: str
    dag_id: str
    run_id: str
    text: str
    """What is wanted, in one sentence."""
    since: datetime
    url: str | None
    """Where it is done or seen: a page of Airflow, or of this app."""
    task_id: str | None = None


class RunRow(Answer):
    """A run in a list."""

    plan_id: str
    plan: str
    dag_id: str
    run_id: str
    summary: str | None
    owner: str | None
    version: str
    """First eight digits of the digest."""
    state: str
    """``running``, ``waiting``, ``held``, ``stopping``, ``rolling_back`` or an outcome."""
    reason: str | None
    started_at: datetime | None
    started_by: str
    finished_at: datetime | None
    steps: tuple[Step, ...] = ()
    """Only of runs that go on."""
    budgets: tuple[BudgetState, ...] = ()
    waits_for: str | None = None
    """What it waits for, in words; ``None`` if it does not wait."""
    eta: datetime | None = None
    rights: Rights


class DueRow(Answer):
    """A plan that will start by itself."""

    plan: str
    dag_id: str
    summary: str | None
    paused: bool
    opens_at: datetime
    closes_at: datetime | None
    """End of its window; ``None`` for cron."""
    calendar: str | None
    conflicts: tuple[str, ...] = ()
    """Plans that touch the same and are due, or run, at the same time."""
    rights: Rights


class Overview(Answer):
    """All of the first page."""

    at: datetime
    needs_me: tuple[AttentionItem, ...]
    running: tuple[RunRow, ...]
    due: tuple[DueRow, ...]
    recent: tuple[RunRow, ...]
    """The last that ended, newest first."""
    ended_7d: dict[str, int]
    """Outcomes of the last seven days."""


class RunPage(Answer):
    """A page of a list of runs."""

    runs: tuple[RunRow, ...]
    next_cursor: str | None


class PlanRow(Answer):
    """A plan that is compiled."""

    plan: str
    dag_id: str
    summary: str
    owner: str
    version: str
    file: str
    compiled_at: datetime
    paused: bool
    schedule: str | None
    """In words."""
    parameters: dict[str, dict[str, Any]]
    """JSON Schema of each parameter of the trigger form, with ``default`` where there is one."""
    runbook: str | None
    rights: Rights


class Reason(Answer):
    """One reason of a verdict."""

    code: str
    text: str


class DecisionRow(Answer):
    """A decision in a list."""

    id: int
    plan_id: str
    step: str | None
    kind: str
    verdict: str
    decided_at: datetime
    actor: str
    reasons: tuple[Reason, ...]


class Series(Answer):
    """A series that a decision looked at, to be drawn."""

    name: str
    unit: str | None
    points: tuple[tuple[float, float | None], ...]
    """Seconds since 1970, value; ``None``: nothing was measured."""
    limit: float | None = None
    """A line to draw, such as what the SLO allows."""


class DecisionDetail(Answer):
    """A decision with what it was made from."""

    decision: DecisionRow
    evidence: dict[str, Any]
    """The verdict's own numbers."""
    inputs: dict[str, Any]
    series: tuple[Series, ...]
    vouched: bool | None
    """Whether the audit trail vouches for the record; ``None``: not known."""


class SaidRow(Answer):
    """What one person, or a rule, said to a question."""

    user: str
    approve: bool
    reason: str | None
    via: str
    at: datetime
    problem: str | None
    """Why it does not count; ``None`` if it does."""


class ApprovalRow(Answer):
    """A question to people and what they said."""

    task_id: str
    state: str
    asked_at: datetime
    expires_at: datetime | None
    requester: str | None
    rule: dict[str, Any]
    answers: tuple[SaidRow, ...]
    url: str | None
    """Airflow's own page of required actions."""


class LockRow(Answer):
    """A resource that is held or waited for."""

    resource: str
    mode: str
    plan_id: str | None
    """``None``: a run of a plan that the user may not read."""
    dag_id: str | None
    since: datetime
    waiting: bool
    behind: tuple[str, ...] = ()
    """Plan IDs that are in its way."""


class AuditRow(Answer):
    """One line of the audit trail."""

    seq: int
    at: datetime
    plan_id: str | None
    actor: str
    what: str
    detail: dict[str, Any]


class ThrottleRow(Answer):
    """How much may go on at once."""

    name: str
    limit: float
    minimum: float
    maximum: float
    changed_by: str
    changed_at: datetime
    said: str | None
    """Why it is where it is."""


class WaveRow(Answer):
    """A wave of a patch rollout, or one group of items."""

    step: str
    wave: int | None
    counts: dict[str, int]
    """Items by state."""
    problems: tuple[str, ...]
    """Up to ten items that failed, with the reason."""


class RunDetail(Answer):
    """A run's own page."""

    row: RunRow
    runbook: str | None
    advice: tuple[str, ...]
    parameters: dict[str, Any]
    expires_at: datetime | None
    held_by: str | None
    held_reason: str | None
    abort_reason: str | None
    decisions: tuple[DecisionRow, ...]
    """Newest first, at most 200."""
    approvals: tuple[ApprovalRow, ...]
    locks: tuple[LockRow, ...]
    throttles: tuple[ThrottleRow, ...]
    waves: tuple[WaveRow, ...]
    audit: tuple[AuditRow, ...]
    """Newest first, at most 200."""
    airflow_url: str
    trace_id: str | None
    trace_url: str | None
    calendar: str | None = None
    """Calendar that its maintenance window stands in; ``None``: it has none."""


class Why(BaseModel):
    """Body of an act on a run."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str


class ThrottleChange(BaseModel):
    """Body of a change of a throttle; what is left out stays."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    limit: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    paused: bool | None = None
    """``True``: nothing new begins; ``False``: it begins again."""
    reason: str | None = None


class Override(BaseModel):
    """Body of an override of a calendar."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    until: datetime
    reason: str


class Done(Answer):
    """An act was written down."""

    text: str
    """What happens now, in one sentence."""


class Problem(Answer):
    """Why something was refused: the body of every 4xx and 5xx."""

    error: str
    hint: str | None = None
