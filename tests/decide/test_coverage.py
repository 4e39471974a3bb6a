from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from planner_provider.decide.coverage import CoverageInputs
from planner_provider.decide.model import Fact, Verdict, VerdictKind
from planner_provider.decide.replay import decide, replay

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def fact(name: str, value: float = 1.0, age: float = 0) -> Fact:
    return Fact.measured(
        name,
        value,
        source="s",
        observed_at=NOW - timedelta(seconds=age),
        max_age=timedelta(minutes=1),
    )


def judge(*facts: Fact, required: float = 1.0) -> Verdict:
    inputs = CoverageInputs(
        now=NOW, needed=("errors", "latency", "traffic", "errors"), facts=facts, required=required
    )
    verdict, record = decide(inputs)
    assert replay(record).equal
    return verdict


def coverage(verdict: Verdict) -> float | None:
    return next(item.value for item in verdict.measures if item.name == "telemetry coverage")


def test_all_there() -> None:
    verdict = judge(fact("errors"), fact("latency"), fact("traffic"), fact("other"))
    assert verdict.passes
    assert coverage(verdict) == 1


@pytest.mark.parametrize(
    "facts",
    [
        (),
        (fact("latency"),),
        (fact("latency", age=61),),
        (fact("latency", float("nan")),),
        (fact("latency"), fact("latency")),
        (Fact.unknown("latency", "no answer", source="s", observed_at=NOW),),
    ],
    ids=["none", "fresh", "stale", "nan", "twice", "unknown"],
)
def test_less_than_required_blocks(facts: tuple[Fact, ...]) -> None:
    verdict = judge(fact("errors"), *facts)
    assert verdict.kind is VerdictKind.HOLD
    assert verdict.inconclusive
    assert any("traffic: it was not measured" in reason.text for reason in verdict.reasons)
    expected = 2 / 3 if facts == (fact("latency"),) else 1 / 3
    assert coverage(verdict) == pytest.approx(expected)


def test_enough_by_the_plans_own_share() -> None:
    two = (fact("errors"), fact("latency"))
    assert judge(*two, required=0.6).passes
    assert "traffic" in judge(*two, required=0.6).text
    assert not judge(*two, required=0.7).passes
