"""From what was measured of an SLO to the ratio that a throttle goes by."""

from __future__ import annotations

from datetime import datetime, timedelta

from planner_provider.decide.slo import SLACK, SloFacts


def burn_of(facts: SloFacts, now: datetime) -> float | str:
    """How fast the error budget burns, by the strictest target; or why that is not known.

    1 is as fast as the objective allows for good. The facts are about one window.
    """
    if len(facts.counts) != 1:
        return f"{len(facts.counts)} windows were measured where one is needed"
    count = facts.counts[0]
    for fact in (count.total, count.part):
        trouble = fact.trouble(now)
        if trouble is not None:
            return f"{fact.name}: {trouble}"
    part, total = count.part.value or 0.0, count.total.value or 0.0
    ceiling = 1.0 if count.part_is == "bad_ratio" else total
    if part < 0 or total < 0 or part > ceiling * (1 + SLACK):
        return f"it counted {part:.6g} of {total:.6g} {facts.unit}, which cannot be"
    if total < facts.min_events:
        return f"{total:.3g} {facts.unit} are too few, {facts.min_events:g} are needed"
    bad = {"bad": part, "good": total - part, "bad_ratio": part * total}[count.part_is]
    share = min(max(bad / total, 0.0), 1.0)
    return share / (1 - max(target.target for target in facts.targets))


def late_ticks(age: timedelta, window: timedelta, period: timedelta) -> int:
    """Whole periods by which a signal tells of the past: its age, and half of its window."""
    seconds = max(age.total_seconds(), 0.0) + window.total_seconds() / 2
    return min(int(seconds / period.total_seconds() + 0.5), 60)
