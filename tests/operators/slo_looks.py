"""Looks at SLOs that find what a test says, without asking anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from planner_provider.decide.model import Fact
from planner_provider.decide.replay import decide
from planner_provider.decide.slo import Count, SloFacts, SloGateInputs, SloRules
from planner_provider.graph.slos import Indicator, Query, Slo, SloTarget
from planner_provider.hooks import slo_facts
from planner_provider.hooks.slo_facts import Look

QUERY = Query(source="prometheus", connection="prom", text="requests_total")
SLO = Slo(
    name="checkout-availability",
    service="checkout",
    targets=(SloTarget(target=0.99),),
    window=timedelta(days=30),
    indicator=Indicator(kind="good", query=QUERY, total=QUERY),
)
GOOD, BAD = 0.0, 900.0
UNKNOWN = None


class Looks:
    """What the looks find: bad events out of 1000, one after the other; the last one stays."""

    def __init__(self) -> None:
        self.bad: list[float | None] = [GOOD]
        self.asked: list[tuple[tuple[Slo, ...], SloRules]] = []

    def look_at(
        self,
        slos: Iterable[Slo],
        rules: SloRules,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        **more: Any,
    ) -> Look:
        self.asked.append((tuple(slos), rules))
        bad = self.bad.pop(0) if len(self.bad) > 1 else self.bad[0]
        return look(bad, rules, clock())


def look(bad: float | None, rules: SloRules, now: datetime) -> Look:
    def fact(value: float | None) -> Fact:
        if value is None:
            return Fact.unknown("events", "no answer", source="s", observed_at=now)
        return Fact.measured("events", value, source="s", observed_at=now)

    counts = tuple(
        Count(window=span, part=fact(bad), part_is="bad", total=fact(1000.0))
        for span in rules.spans(SLO.window)
    )
    facts = SloFacts(slo=SLO.name, targets=SLO.targets, window=SLO.window, counts=counts)
    return Look(*decide(SloGateInputs(now=now, slos=(facts,), rules=rules)))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    found = Looks()
    monkeypatch.setattr(slo_facts, "look_at", found.look_at)
    return found
