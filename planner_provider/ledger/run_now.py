"""A run that goes on, in one look: its state, what it waits for, what it wants of people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from planner_provider.decide.throttle.kept import Kept
from planner_provider.ledger.overview_rows import ActGroup, Beginning, ItemGroup, OpenApproval
from planner_provider.ledger.plan_facts import PlanFacts
from planner_provider.ledger.rows import ActRole, Outcome, PlanRun, Throttle, Waiting
from planner_provider.ledger.run_steps import OPEN, WAITING_ACTIONS, StepNow, steps_of
from planner_provider.ledger.verdict_marks import BudgetMark, VerdictMark

Want = Literal["rollback_failed", "failing", "breach", "approval", "held", "lock", "window"]
URGENCY: tuple[Want, ...] = Want.__args__  # type: ignore[attr-defined]
"""Most urgent first."""
KINDS_OF_RUNS = {
    "manual": "a person",
    "scheduled": "the schedule",
    "backfill": "a backfill",
    "asset_triggered": "an asset",
}
"""What Airflow's name for a run says of who started it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something that needs a person, or at least a look."""

    kind: Want
    run: PlanRun
    text: str
    since: datetime
    task_id: str | None = None
    """The task that asks, for approvals."""


@dataclass(frozen=True, slots=True)
class RunNow:
    """A run, as lists show it."""

    run: PlanRun
    facts: PlanFacts | None
    """Its plan: in the version of the run, or in the last one if that is not known any more."""
    state: str
    """``running``, ``waiting``, ``held``, ``stopping``, ``rolling_back``, or the outcome."""
    started_at: datetime | None
    started_by: str
    steps: tuple[StepNow, ...] = ()
    budgets: tuple[BudgetMark, ...] = ()
    waits_for: str | None = None
    eta: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the ledger holds of one run that goes on."""

    groups: Sequence[ActGroup] = ()
    items: Sequence[ItemGroup] = ()
    marks: Sequence[VerdictMark] = ()
    """The last decisions, oldest first."""
    approvals: Sequence[OpenApproval] = ()
    throttles: Sequence[Throttle] = ()
    waits: Waiting | None = None


def started_by(run: PlanRun, beginning: Beginning | None) -> str:
    """Who started it: a user, or what Airflow's name for the run says."""
    if beginning is not None and beginning.requested_by:
        return beginning.requested_by
    kind, separator, _ = run.key.run_id.partition("__")
    return KINDS_OF_RUNS.get(kind, "not known") if separator else "not known"


def ended_run(run: PlanRun, facts: PlanFacts | None, beginning: Beginning | None) -> RunNow:
    """A run that has ended, without its steps."""
    return RunNow(
        run=run,
        facts=facts,
        state=run.outcome.value if run.outcome else "running",
        started_at=(beginning.at if beginning else None) or run.assessed_at,
        started_by=started_by(run, beginning),
    )


def run_now(
    run: PlanRun,
    facts: PlanFacts | None,
    exact: PlanFacts | None,
    beginning: Beginning | None,
    seen: Seen,
    now: datetime,
) -> RunNow:
    """A run with all its steps. ``exact`` is its plan only if that is the version it is bound to.

    It may have ended.
    """
    live = run.outcome is None
    steps = steps_of(exact, seen.groups, seen.items, live=live and run.abort_at is None)
    waits_for = _waits_for(steps, seen, now) if live else None
    etas = [step.progress.eta for step in steps if step.progress and step.progress.eta]
    return RunNow(
        run=run,
        facts=facts,
        state=run.outcome.value if run.outcome else _state(run, seen, waits_for),
        started_at=(beginning.at if beginning else None) or run.assessed_at,
        started_by=started_by(run, beginning),
        steps=steps,
        budgets=budgets_of(seen.marks),
        waits_for=waits_for,
        eta=max(etas) if etas and live else None,
    )


def _state(run: PlanRun, seen: Seen, waits_for: str | None) -> str:
    undoing = any(group.role is ActRole.UNDO for group in seen.groups)
    stopping = run.abort_at is not None or run.failing_at is not None
    newest = max(seen.groups, key=lambda group: group.newest, default=None)
    if undoing and (stopping or (newest is not None and newest.role is ActRole.UNDO)):
        return "rolling_back"
    if stopping:
        return "stopping"
    if run.held_at is not None:
        return "held"
    return "waiting" if waits_for else "running"


def budgets_of(marks: Iterable[VerdictMark]) -> tuple[BudgetMark, ...]:
    """What was said last about each SLO, by name."""
    last: dict[str, BudgetMark] = {}
    for mark in marks:
        last |= {budget.slo: budget for budget in mark.budgets}
    return tuple(last[name] for name in sorted(last))


# ---- what it waits for


def _waits_for(steps: Sequence[StepNow], seen: Seen, now: datetime) -> str | None:
    if seen.approvals:
        tasks = ", ".join(approval.task for approval in seen.approvals)
        return f"an approval ({tasks})"
    if seen.waits is not None:
        return _locks(seen.waits)
    if (closed := _closed(steps, seen)) is not None:
        return f"its window. {closed.text}"
    for throttle in seen.throttles:
        kept = Kept.read(throttle.state) if throttle.state else None
        if kept is not None and kept.paused is not None:
            return f"throttle {throttle.name}, paused by {kept.paused.who}: {kept.paused.reason}"
        if kept is not None and kept.blocked:
            return f"throttle {throttle.name}, which lets nothing new begin: {kept.blocked}"
    for step in steps:
        if step.state == "waiting" and step.action in WAITING_ACTIONS:
            return f"step {step.id}: {step.summary}" if step.summary else f"step {step.id}"
    return None


def _locks(waits: Waiting) -> str:
    """Which locks. It names no other run: not everybody who reads this may read that one."""
    names = sorted({blocker.resource for blocker in waits.blockers})
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    before = f", behind {waits.ahead} in the queue" if waits.ahead else ""
    return f"locks: {listed or 'its turn'}{before}"


def _closed(steps: Sequence[StepNow], seen: Seen) -> VerdictMark | None:
    """The decision that says that the run waits for its window."""
    last = next((mark for mark in reversed(seen.marks) if mark.kind == "window"), None)
    if last is None or last.verdict == "proceed":
        return None
    return None if any(step.state in OPEN for step in steps) else last


# ---- what it wants of people


def wanted_of(now_: RunNow, seen: Seen) -> tuple[Wanted, ...]:
    """What a run that goes on wants of people."""
    run, found = now_.run, []
    began = now_.started_at or run.assessed_at
    if run.failing_at is not None:
        names = ", ".join(run.failing_steps)
        text = f"Step {names} failed for good; no other step begins."
        found.append(Wanted("failing", run, text, run.failing_at))
    bad = _breach(seen.marks)
    if bad is not None:
        found.append(Wanted("breach", run, bad.text, bad.decided_at))
    found += [
        Wanted(
            "approval",
            run,
            f"{now_.facts.summary if now_.facts else run.key.plan}: somebody must approve "
            f"({approval.task}).",
            approval.asked_at,
            approval.task,
        )
        for approval in seen.approvals
    ]
    if run.held_at is not None:
        why = f": {run.held_reason}" if run.held_reason else ""
        text = f"Held by {run.held_by or 'somebody'}{why}"
        found.append(Wanted("held", run, text, run.held_at))
    if seen.waits is not None:
        since = seen.waits.waiter.since
        found.append(Wanted("lock", run, f"It waits for {_locks(seen.waits)}.", since))
    closed = _closed(now_.steps, seen)
    if closed is not None and not seen.approvals and seen.waits is None and began is not None:
        found.append(Wanted("window", run, closed.text, closed.decided_at))
    return tuple(found)


def rollback_failed(run: PlanRun) -> Wanted | None:
    """What a run that left something behind wants of people."""
    if run.outcome is not Outcome.ROLLBACK_FAILED or run.finished_at is None:
        return None
    return Wanted("rollback_failed", run, run.reason or "Its rollback failed.", run.finished_at)


def _breach(marks: Sequence[VerdictMark]) -> VerdictMark | None:
    """The newest word on SLOs, or on the canary, if it is a bad one."""
    last: dict[str, VerdictMark] = {
        mark.kind: mark for mark in marks if mark.kind in {"slo_gate", "canary"}
    }
    bad = [mark for mark in last.values() if mark.is_bad]
    return max(bad, key=lambda mark: mark.id, default=None)


def urgency(item: Wanted) -> tuple[int, datetime, str]:
    """What to sort by: the most urgent first, then the oldest."""
    return URGENCY.index(item.kind), item.since, item.run.plan_id
