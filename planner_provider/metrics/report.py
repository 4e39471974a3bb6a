"""What a period was like: for people who answer for plans."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from statistics import median
from typing import Literal

from planner_provider.ledger.rows import Outcome
from planner_provider.metrics.evidence import CostChange
from planner_provider.metrics.figures import SLOW, Figures, Period, automated, figures, ratio
from planner_provider.metrics.fold import Answered, Ended
from planner_provider.metrics.present import LiveRun, OpenApproval
from planner_provider.metrics.reader import Snapshot

BAD = (Outcome.ROLLBACK_FAILED, Outcome.FAILED, Outcome.ROLLED_BACK)
"""Outcomes that are listed run by run, worst first."""
MOST = 10
"""So many of a kind are listed."""


@dataclass(frozen=True, slots=True)
class Waits:
    """An approval that nobody has given or refused yet."""

    approval: OpenApproval
    waited: timedelta
    slow: bool


@dataclass(frozen=True, slots=True)
class SlowPlan:
    """How long the approvals of a plan took in the period."""

    plan: str
    owner: str
    approvals: int
    median: timedelta
    slowest: timedelta


@dataclass(frozen=True, slots=True)
class Costed:
    """What a run changed about the cost of an hour."""

    run: Ended
    change: CostChange


@dataclass(frozen=True, slots=True)
class Stale:
    """A plan that has not done for long what it is for."""

    plan: str
    owner: str
    why: Literal["no_success", "never_run"]
    last_success: datetime | None
    since: datetime
    """Since when it should have succeeded; since when it is compiled, if it never ran."""


@dataclass(frozen=True, slots=True)
class Report:
    """A period. Lists begin with what is most urgent."""

    period: Period
    now: Figures
    before: Figures
    """The same figures of the period before."""
    mitigation: float | None
    """M11."""
    automated: float | None
    """M12."""
    coverage: float | None
    """M8, at the end of the period."""
    pending: tuple[Waits, ...]
    slow: tuple[Answered, ...]
    slow_plans: tuple[SlowPlan, ...]
    bad: tuple[Ended, ...]
    costs: tuple[Costed, ...]
    """Runs that changed what an hour costs, the dearest first."""
    held: tuple[LiveRun, ...]
    stale: tuple[Stale, ...]


def report(snapshot: Snapshot, length: timedelta) -> Report:
    """Work it out for the period of this length that ends now."""
    period = Period.last(length, snapshot.at)
    fold = snapshot.fold
    present, before = (
        figures(
            fold.ended.values(), fold.answered, span, plans=snapshot.plans, burnt=snapshot.burnt,
            costs=snapshot.costs,
        )
        for span in (period, period.before)
    )  # fmt: skip
    coverages = [item.coverage for item in snapshot.newest if item.coverage is not None]
    bad = [run for run in fold.ended.values() if run.ended_at in period and run.outcome in BAD]
    answered = [
        item
        for item in fold.answered
        if item.closed_at in period and item.state in ("granted", "rejected")
    ]
    return Report(
        period=period,
        now=present,
        before=before,
        mitigation=ratio(present.rollback, before.rollback),
        automated=automated(snapshot.plans.values()),
        coverage=sum(coverages) / len(coverages) if coverages else None,
        pending=tuple(_waits(item, snapshot.at) for item in snapshot.present.approvals),
        slow=tuple(
            sorted(
                (item for item in answered if item.latency > SLOW),
                key=lambda item: -item.latency,
            )
        ),
        slow_plans=_slow_plans(snapshot, answered),
        bad=tuple(sorted(bad, key=lambda run: (BAD.index(run.outcome), -run.ended_at.timestamp()))),
        costs=_costs(snapshot, period),
        held=tuple(
            sorted(
                (run for run in snapshot.present.live if run.held_at is not None),
                key=lambda run: (run.held_at, run.plan_id),
            )
        ),
        stale=_stale(snapshot, period),
    )


def _waits(item: OpenApproval, now: datetime) -> Waits:
    waited = max(timedelta(0), now - item.asked_at)
    return Waits(item, waited, waited > SLOW)


def _costs(snapshot: Snapshot, period: Period) -> tuple[Costed, ...]:
    found = [
        Costed(run, snapshot.costs[run.plan_id])
        for run in snapshot.fold.ended.values()
        if run.ended_at in period and run.plan_id in snapshot.costs
    ]
    return tuple(
        sorted(found, key=lambda i: (i.change.currency, -i.change.increase, i.run.plan_id))
    )


def _slow_plans(snapshot: Snapshot, answered: list[Answered]) -> tuple[SlowPlan, ...]:
    found = []
    by_plan = sorted(answered, key=lambda item: item.plan)
    for plan, items in groupby(by_plan, key=lambda item: item.plan):
        spans = [item.latency for item in items]
        middle = timedelta(seconds=median(span.total_seconds() for span in spans))
        if max(spans) > SLOW:
            found.append(SlowPlan(plan, _owner(snapshot, plan), len(spans), middle, max(spans)))
    return tuple(sorted(found, key=lambda item: (-item.median, item.plan)))


def _stale(snapshot: Snapshot, period: Period) -> tuple[Stale, ...]:
    found = []
    for plan, facts in sorted(snapshot.plans.items()):
        since = snapshot.stale_since.get(plan)
        success = snapshot.fold.last_success.get(plan)
        if since is not None and snapshot.is_stale(plan):
            found.append(Stale(plan, facts.owner, "no_success", success, since))
        elif plan not in snapshot.present.created and facts.compiled_at < period.start:
            found.append(Stale(plan, facts.owner, "never_run", None, facts.compiled_at))
    return tuple(sorted(found, key=lambda item: item.why != "no_success"))


def _owner(snapshot: Snapshot, plan: str) -> str:
    facts = snapshot.plans.get(plan)
    return facts.owner if facts else ""
