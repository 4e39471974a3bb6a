"""The figures by which the planner itself is measured (M1 to M12), over a period. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import fsum
from statistics import median

from planner_provider.ledger.rows import Outcome
from planner_provider.metrics.evidence import CostChange
from planner_provider.metrics.fold import Answered, Ended
from planner_provider.metrics.plans import PlanFacts

JUDGED = frozenset(
    {Outcome.SUCCEEDED, Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED, Outcome.FAILED}
)
"""Outcomes that say whether a plan works. A run that was rejected, stopped, blocked or expired
before it changed anything says nothing about that."""
UNDONE = frozenset({Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED})


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open: from ``start`` until just before ``end``."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    @property
    def before(self) -> Period:
        """The period of the same length before."""
        return Period(self.start - (self.end - self.start), self.start)

    @classmethod
    def last(cls, length: timedelta, now: datetime) -> Period:
        """The period of this length that ends now, with what happens at this very moment."""
        end = now + timedelta(microseconds=1)
        return cls(end - length, end)


@dataclass(frozen=True, slots=True)
class Spending:
    """What the runs of a period changed about the cost of an hour, in one currency."""

    currency: str
    runs: int
    total: float
    """Sum of their increases; below 0 if they made it cheaper."""

    @property
    def mean(self) -> float:
        """The increase of a run."""
        return self.total / self.runs


@dataclass(frozen=True, slots=True)
class Figures:
    """``None``: there was nothing in the period that it could be made from."""

    runs: int
    """Runs that ended."""
    outcomes: Mapping[Outcome, int]
    success: float | None
    """M1: succeeded of those that were judged."""
    completion: timedelta | None
    """M2: median from approval to the end, of those that succeeded."""
    rollback: timedelta | None
    """M3: median from the first sign of trouble to rolled back."""
    approval: timedelta | None
    """M4: median from question to answer, of approvals that were granted or rejected."""
    urgent_approval: timedelta | None
    """M4 of urgent plans."""
    conflicts: float | None
    """M5: runs that met a lock of another plan, of 100 runs."""
    burnt: float | None
    """M6: largest share of an error budget that went during a run, mean over runs."""
    costs: tuple[Spending, ...]
    """M7: how much more an hour costs, of the runs of which that is known, by currency."""
    costs_unknown: int
    """Runs that acted, whose plan says how its cost is measured, and of which it is not known."""
    checks: float | None
    """M9: share of the safety checks that had passed when the first step began."""
    rollbacks: float | None
    """M10: rolled back, or not completely, of those that acted."""
    slow_approvals: int
    """Approvals that took longer than they may (30 minutes)."""


SLOW = timedelta(minutes=30)
"""What an urgent approval may take; longer ones count as slow (M4)."""


def figures(
    ended: Iterable[Ended],
    answered: Iterable[Answered],
    period: Period,
    *,
    plans: Mapping[str, PlanFacts],
    burnt: Mapping[str, float],
    costs: Mapping[str, CostChange],
) -> Figures:
    """Work them out.

    ``burnt``: plan ID -> share of an error budget that went during the run. ``costs``: plan ID ->
    what it cost before and after.
    """
    runs = [run for run in ended if run.ended_at in period]
    outcomes = dict.fromkeys(Outcome, 0)
    for run in runs:
        outcomes[run.outcome] += 1
    judged = sum(outcomes[outcome] for outcome in JUDGED)
    acted = [run for run in runs if run.acted]
    checked = sum(run.checks for run in acted)
    said = [
        item
        for item in answered
        if item.closed_at in period and item.state in ("granted", "rejected")
    ]
    urgent = [item for item in said if (known := plans.get(item.plan)) and known.urgent]
    spent = [burnt[run.plan_id] for run in runs if run.plan_id in burnt]
    return Figures(
        runs=len(runs),
        outcomes=outcomes,
        success=outcomes[Outcome.SUCCEEDED] / judged if judged else None,
        completion=_median(
            run.approval for run in runs if run.outcome is Outcome.SUCCEEDED and run.approval
        ),
        rollback=_median(run.rollback for run in runs if run.rollback is not None),
        approval=_median(item.latency for item in said),
        urgent_approval=_median(item.latency for item in urgent),
        conflicts=100 * sum(run.waited_for_locks for run in runs) / len(runs) if runs else None,
        burnt=sum(spent) / len(spent) if spent else None,
        costs=spending(costs[run.plan_id] for run in runs if run.plan_id in costs),
        costs_unknown=sum(run.last_cost is not None and run.plan_id not in costs for run in acted),
        checks=1 - sum(run.checks_failed for run in acted) / checked if checked else None,
        rollbacks=sum(run.outcome in UNDONE for run in acted) / len(acted) if acted else None,
        slow_approvals=sum(item.latency > SLOW for item in said),
    )


def spending(changes: Iterable[CostChange]) -> tuple[Spending, ...]:
    """The sum of the increases of each currency, by its name."""
    found: dict[str, list[float]] = {}
    for change in changes:
        found.setdefault(change.currency, []).append(change.increase)
    return tuple(
        Spending(currency, len(increases), fsum(increases))
        for currency, increases in sorted(found.items())
    )


def automated(plans: Iterable[PlanFacts]) -> float | None:
    """M12: share of the compiled plans that are automated."""
    found = list(plans)
    return sum(plan.automated for plan in found) / len(found) if found else None


def ratio(now: timedelta | None, before: timedelta | None) -> float | None:
    """M11: the time to mitigation as a multiple of that of the period before."""
    if now is None or not before:
        return None
    return now / before


def _median(values: Iterable[timedelta]) -> timedelta | None:
    found = [value.total_seconds() for value in values]
    return timedelta(seconds=median(found)) if found else None
