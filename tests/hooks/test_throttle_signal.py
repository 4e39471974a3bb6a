from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from planner_provider.decide.model import Fact
from planner_provider.decide.slo import Count, SloFacts, SloRules
from planner_provider.errors import UnavailableError
from planner_provider.graph.slos import Indicator, Query, Slo, SloTarget
from planner_provider.hooks import throttle_signal
from planner_provider.hooks.prometheus import Sample
from planner_provider.hooks.throttle_signal import Reading, read_signal
from planner_provider.spec.workloads import ThrottleSignal

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EVERY = timedelta(seconds=30)
QUERY = Query(source="prometheus", connection="prom", text="requests_total")
SLO = Slo(
    name="checkout",
    service="checkout",
    targets=(SloTarget(target=0.99),),
    window=timedelta(days=30),
    indicator=Indicator(kind="good", query=QUERY, total=QUERY),
)


class FakePrometheus:
    def __init__(self, *values: float, age: float = 0) -> None:
        self.values = values
        self.age = age
        self.asked: list[str] = []

    def query(self, promql: str) -> tuple[Sample, ...]:
        self.asked.append(promql)
        at = NOW.timestamp()
        if promql.startswith("timestamp("):
            return tuple(Sample({}, at - self.age, at) for _ in self.values)
        return tuple(Sample({}, value, at) for value in self.values)


def lag(server: Any, query: str = "replica_lag_seconds") -> Reading:
    signal = ThrottleSignal(connection="prom", query=query, max=30, kind="queue")
    return read_signal(signal, (), EVERY, now=NOW, client=lambda _: server)


def test_a_query_is_a_share_of_the_most_that_it_may_be() -> None:
    found = lag(FakePrometheus(36, age=20))
    assert (found.ratio, found.problem, found.age.total_seconds()) == (1.2, "", 20)
    assert found.fact.value == 36
    assert "connection prom): replica_lag_seconds" in found.fact.source


def test_an_expression_has_no_age_of_its_own() -> None:
    server = FakePrometheus(15, age=20)
    found = lag(server, "max(replica_lag_seconds)")
    assert (found.ratio, found.age.total_seconds()) == (0.5, 0)
    assert server.asked == ["max(replica_lag_seconds)"]


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (FakePrometheus(), "the query found no series"),
        (FakePrometheus(1, 2), "2 series where one is needed"),
        (FakePrometheus(float("nan")), "answered nan"),
        (FakePrometheus(1, age=121), "it is 121 s old"),
        (FakePrometheus(1, age=float("inf")), "has no date"),
    ],
)
def test_what_is_missing_stale_or_no_number_is_not_known(server: Any, said: str) -> None:
    found = lag(server)
    assert found.ratio is None
    assert said in found.problem


def test_a_source_that_is_away_is_not_known_and_raises_nothing() -> None:
    class Gone:
        def query(self, promql: str) -> Any:
            raise UnavailableError("nobody answers")

    found = lag(Gone())
    assert (found.ratio, found.problem) == (None, "nobody answers")
    assert found.fact.problem == "nobody answers"


def burn(monkeypatch: pytest.MonkeyPatch, good: float, total: float, age: float = 10) -> Reading:
    asked: list[tuple[Slo, SloRules]] = []

    def gather(slo: Slo, rules: SloRules, **more: Any) -> SloFacts:
        asked.append((slo, rules))

        def fact(value: float) -> Fact:
            at = NOW - timedelta(seconds=age)
            return Fact.measured("events", value, source="s", observed_at=at)

        counts = tuple(
            Count(window=span, part=fact(good), part_is="good", total=fact(total))
            for span in rules.spans(slo.window)
        )
        return SloFacts(slo=slo.name, targets=slo.targets, window=slo.window, counts=counts)

    monkeypatch.setattr(throttle_signal, "gather", gather)
    signal = ThrottleSignal(slo="checkout", window=timedelta(minutes=2))
    found = read_signal(signal, (SLO,), EVERY, now=NOW)
    ((slo, rules),) = asked
    assert rules.spans(slo.window) == (timedelta(minutes=2),)  # the month is not asked for
    return found


def test_an_slo_is_how_fast_its_budget_burns(monkeypatch: pytest.MonkeyPatch) -> None:
    found = burn(monkeypatch, 985, 1000)
    assert found.ratio == pytest.approx(1.5)
    assert (found.fact.name, found.age.total_seconds()) == ("burn rate of checkout", 10)


def test_an_slo_with_too_few_events_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    found = burn(monkeypatch, 3, 4)
    assert found.ratio is None
    assert "too few" in found.problem


def test_an_slo_that_the_plan_does_not_have_is_not_known() -> None:
    found = read_signal(ThrottleSignal(slo="other"), (SLO,), EVERY, now=NOW)
    assert found.problem == "the plan does not have this SLO"
