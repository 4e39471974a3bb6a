from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from planner_provider.errors import UnavailableError
from planner_provider.hooks.prometheus import Sample
from planner_provider.hooks.signals import read_cost, read_signals
from planner_provider.spec.cost import Cost
from planner_provider.spec.plan import Signal

NOW = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)


class FakePrometheus:
    def __init__(self, *values: float, age: float = 10) -> None:
        self.values = values
        self.age = age

    def query(self, promql: str) -> tuple[Sample, ...]:
        at = NOW.timestamp()
        if promql.startswith("timestamp("):
            return tuple(Sample({}, at - self.age, at) for _ in self.values)
        return tuple(Sample({}, value, at) for value in self.values)


def trouble(server: Any, query: str = 'up{job="checkout"}') -> str | None:
    signal = Signal(name="scrapes", connection="prom", query=query, max_age=timedelta(minutes=3))
    (fact,) = read_signals((signal,), now=NOW, client=lambda _: server)
    return fact.trouble(NOW)


def test_a_fresh_signal_is_there() -> None:
    assert trouble(FakePrometheus(1)) is None
    assert trouble(FakePrometheus(0.5), "avg(up)") is None


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (FakePrometheus(), "found no series"),
        (FakePrometheus(1, 1), "2 series where one is needed"),
        (FakePrometheus(1, age=181), "it is 181 s old"),
        (FakePrometheus(float("nan")), "answered nan"),
        (FakePrometheus(1, age=float("nan")), "has no date"),
    ],
)
def test_what_is_missing_stale_or_no_number_is_not_there(server: FakePrometheus, said: str) -> None:
    assert said in str(trouble(server))


def test_a_source_that_does_not_answer_is_not_there_and_raises_nothing() -> None:
    class Gone:
        def query(self, promql: str) -> Any:
            raise UnavailableError("nobody answers")

    assert trouble(Gone()) == "nobody answers"


@pytest.mark.parametrize(
    ("server", "query", "value", "said"),
    [
        (FakePrometheus(12.5, age=899), "shop_cost", 12.5, None),
        (FakePrometheus(12.5, age=901), "shop_cost", 12.5, "it is 901 s old"),
        (FakePrometheus(12.5, age=901), "shop_cost * 2", 12.5, None),
        (FakePrometheus(-3), "shop_cost", -3, None),
        (FakePrometheus(1, 2), "shop_cost", None, "2 series where one is needed"),
        (FakePrometheus(float("inf")), "shop_cost", None, "answered inf"),
    ],
)
def test_cost(server: FakePrometheus, query: str, value: float | None, said: str | None) -> None:
    cost = Cost(connection="prom", query=query, currency="EUR")
    fact = read_cost(cost, now=NOW, client=lambda _: server)
    assert (fact.value, fact.unit) == (value, "EUR")
    assert query in fact.source
    trouble = fact.trouble(NOW)
    assert trouble is None if said is None else said in str(trouble)
