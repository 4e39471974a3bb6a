"""Decisions as a canary and a gate record them, for a ledger that looks real."""

from __future__ import annotations

from datetime import datetime, timedelta

from planner_provider.decide.canary import CanaryInputs, CanaryMetric, Cut
from planner_provider.decide.model import Decision, Fact
from planner_provider.decide.replay import decide
from planner_provider.decide.slo import Count, SloFacts, SloGateInputs, SloRules
from planner_provider.graph.slos import SloTarget


def slo_decision(now: datetime, *, bad: int) -> Decision:
    """A look at an SLO of 99%, over 100,000 events a window."""

    def fact(name: str, value: float) -> Fact:
        return Fact.measured(name, value, source="prometheus", observed_at=now, unit="events")

    rules = SloRules()
    window = timedelta(days=30)
    counts = tuple(
        Count(
            window=span, part=fact(f"bad in {span}", bad), part_is="bad",
            total=fact(f"all in {span}", 100_000),
        )
        for span in rules.spans(window)
    )  # fmt: skip
    facts = SloFacts(
        slo="checkout-availability", targets=(SloTarget(target=0.99),), window=window, counts=counts
    )
    return decide(SloGateInputs(now=now, slos=(facts,), rules=rules))[1]


def canary_decision(now: datetime, minutes: int = 20) -> Decision:
    """A look at a canary, twenty minutes into its bake."""
    rows = tuple((600.0, 6.0, 5_400.0, 50.0 + n % 5) for n in range(minutes))
    metric = CanaryMetric(name="checkout-availability", cuts=(Cut(minutes=rows, history=rows),))
    return decide(CanaryInputs(now=now, look=1, minute=minutes, horizon=60, metrics=(metric,)))[1]
