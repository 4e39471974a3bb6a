"""What an hour costs: readings that forbid nothing, and the limit that does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from planner_provider.decide.cost import BEFORE, INCREASE, NOW, CostInputs
from planner_provider.decide.cost_cap import CostCapInputs
from planner_provider.decide.model import Fact, Verdict
from planner_provider.decide.replay import decide, replay

MOMENT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def fact(value: float | None, age: float = 0) -> Fact:
    if value is None:
        return Fact.unknown("cost", "no answer", source="s", observed_at=MOMENT)
    return Fact.measured(
        "cost",
        value,
        source="s",
        observed_at=MOMENT - timedelta(seconds=age),
        max_age=timedelta(minutes=1),
    )


def read(
    cost: Fact, moment: Literal["start", "end"] = "end", before: float | None = None
) -> Verdict:
    verdict, record = decide(
        CostInputs(now=MOMENT, moment=moment, currency="EUR", cost=cost, before=before)
    )
    assert replay(record).equal
    assert verdict.passes, "a reading forbids nothing"
    return verdict


def cap(cost: Fact, before: float | None = 10.0, limit: float = 0.3) -> Verdict:
    verdict, record = decide(
        CostCapInputs(now=MOMENT, currency="EUR", max_increase=limit, before=before, cost=cost)
    )
    assert replay(record).equal
    return verdict


def measures(verdict: Verdict) -> dict[str, float | None]:
    assert {item.unit for item in verdict.measures} == {"EUR"}
    return {item.name: item.value for item in verdict.measures}


def test_the_start() -> None:
    verdict = read(fact(12.5), "start")
    assert verdict.text == "proceed: An hour costs 12.5 EUR before the first change."
    assert measures(verdict) == {NOW: 12.5}


@pytest.mark.parametrize(
    ("before", "after", "increase", "said"),
    [
        (10.0, 12.5, 2.5, "2.5 EUR more than before"),
        (10.1, 10.0, -0.1, "0.1 EUR less than before"),
        (10.0, 10.0, 0.0, "as much as before"),
        (0.1, 0.30000000000000004, 0.2, "0.2 EUR more than before"),
    ],
)
def test_the_end_says_what_it_changed(
    before: float, after: float, increase: float, said: str
) -> None:
    verdict = read(fact(after), before=before)
    assert said in verdict.text
    assert measures(verdict) == {NOW: after, BEFORE: before, INCREASE: increase}


@pytest.mark.parametrize("cost", [fact(None), fact(12.0, age=61), fact(float("nan"))])
def test_what_is_not_known_is_said_and_is_no_number(cost: Fact) -> None:
    verdict = read(cost, before=10.0)
    assert verdict.inconclusive
    assert "at the end is not known: " in verdict.text
    assert measures(verdict) == {NOW: None, BEFORE: 10.0, INCREASE: None}


def test_the_end_alone_is_no_increase() -> None:
    verdict = read(fact(12.0))
    assert "before is not known" in verdict.text
    assert measures(verdict)[INCREASE] is None


@pytest.mark.parametrize(
    ("now", "kind"),
    [(9.0, "proceed"), (10.3, "proceed"), (10.3000001, "roll_back"), (99.0, "roll_back")],
)
def test_the_limit_is_what_it_may_rise_by(now: float, kind: str) -> None:
    verdict = cap(fact(now))
    assert verdict.kind.value == kind
    assert not verdict.inconclusive
    assert verdict.measures[-1].limit == 0.3


@pytest.mark.parametrize(
    ("cost", "before", "said"),
    [
        (fact(None), 10.0, "What an hour costs is not known: no answer."),
        (fact(10.0, age=61), 10.0, "it is 61 s old"),
        (fact(10.0), None, "before the first change is not known"),
    ],
)
def test_what_is_not_known_does_not_pass(cost: Fact, before: float | None, said: str) -> None:
    verdict = cap(cost, before)
    assert (verdict.kind.value, verdict.inconclusive) == ("hold", True)
    assert said in verdict.text
