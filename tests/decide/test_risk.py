from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.decide.model import Fact, VerdictKind
from planner_provider.decide.replay import decide, replay
from planner_provider.decide.risk import LEVELS, RiskInputs, assess_risk, decide_risk
from planner_provider.graph.approvals import ChangeProfile

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def budget(left: float, age: timedelta = timedelta(0)) -> Fact:
    return Fact.measured(
        "checkout: budget left", left, source="test", observed_at=NOW - age, unit="ratio",
        max_age=timedelta(minutes=5),
    )  # fmt: skip


def inputs(**values: Any) -> RiskInputs:
    names = ChangeProfile.model_fields
    profile = {
        "tier": 4, "exclusive_resources": 1, "dependents": 0, "changing_steps": 2,
        "irreversible_steps": 0,
    }  # fmt: skip
    profile.update({name: value for name, value in values.items() if name in names})
    base = {"budgets": (budget(0.9),), "recent_runs": 10, "recent_failures": 0}
    base.update({name: value for name, value in values.items() if name not in names})
    return RiskInputs.model_validate({"now": NOW, "profile": ChangeProfile(**profile), **base})


def test_nothing_speaks_against_it() -> None:
    risk = assess_risk(inputs())
    assert (risk.level, risk.score) == ("low", 0)
    assert [c.name for c in risk.contributions] == [
        "tier", "blast radius", "reversibility", "budget left", "recent failures",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "name", "points"),
    [
        ({"tier": 3}, "tier", 1),
        ({"tier": 2}, "tier", 2),
        ({"tier": 1}, "tier", 3),
        ({"tier": None}, "tier", 3),
        ({"exclusive_resources": 2}, "blast radius", 1),
        ({"exclusive_resources": 2, "dependents": 2}, "blast radius", 2),
        ({"dependents": 9}, "blast radius", 3),
        ({"dependents": None}, "blast radius", 3),
        ({"irreversible_steps": 1}, "reversibility", 2),
        ({"irreversible_steps": 2}, "reversibility", 3),
        ({"budgets": (budget(0.49),)}, "budget left", 1),
        ({"budgets": (budget(0.9), budget(0.1))}, "budget left", 2),
        ({"budgets": (budget(0),)}, "budget left", 3),
        ({"budgets": ()}, "budget left", 3),
        ({"budgets": (budget(0.9), budget(float("nan")))}, "budget left", 3),
        ({"budgets": (budget(0.9, timedelta(minutes=6)),)}, "budget left", 3),
        ({"recent_runs": 2}, "recent failures", 1),
        ({"recent_failures": 2}, "recent failures", 1),
        ({"recent_failures": 5}, "recent failures", 2),
        ({"recent_failures": 6}, "recent failures", 3),
        ({"recent_runs": None}, "recent failures", 3),
    ],
)
def test_contributions(change: dict[str, Any], name: str, points: int) -> None:
    found = {c.name: c.points for c in assess_risk(inputs(**change)).contributions}
    assert found.pop(name) == points
    assert set(found.values()) == {0}


def test_floors() -> None:
    assert assess_risk(inputs(tier=1)).level == "medium"
    final = assess_risk(inputs(tier=1, irreversible_steps=1))
    assert final.level == "high"
    assert final.floors == ("It changes a service of tier 0 or 1, and not all of it can be undone",)
    assert assess_risk(inputs(tier=0, budgets=(budget(-0.1),))).level == "high"
    assert assess_risk(inputs(tier=2, irreversible_steps=2)).level == "medium"


def test_the_rule() -> None:
    low = decide_risk(inputs(max_risk="low"))
    assert low.kind is VerdictKind.PROCEED
    assert (
        low.reasons[0].text
        == "The risk is low (0 points of 15), and up to low no person is needed."
    )
    above = decide_risk(inputs(max_risk="low", tier=1))
    assert above.kind is VerdictKind.HOLD
    assert not above.inconclusive
    assert decide_risk(inputs()).kind is VerdictKind.HOLD, "without a rule, people decide"


def test_what_is_not_known_is_said() -> None:
    verdict = decide_risk(inputs(max_risk="low", budgets=(), recent_runs=None))
    assert verdict.kind is VerdictKind.HOLD
    assert verdict.inconclusive
    assert verdict.reasons[-1].text == (
        "Not known, and so taken to be as bad as can be: budget left, recent failures."
    )
    assert [r.text for r in verdict.reasons if r.code == "floor"] == []
    one = decide_risk(inputs(max_risk="low", budgets=()))
    assert one.kind is VerdictKind.HOLD
    assert one.reasons[1].text == "Not all is known."
    measures = {m.name: m for m in verdict.measures}
    assert measures["budget left"].value is None
    assert measures["score"].value == 6
    assert measures["score"].limit == 4


def test_the_record_decides_again_the_same() -> None:
    _, record = decide(inputs(budgets=(budget(1 / 3),), max_risk="medium"))
    assert replay(record).equal


values = {
    "tier": st.integers(0, 5),
    "dependents": st.integers(0, 12),
    "exclusive_resources": st.integers(0, 12),
    "irreversible_steps": st.integers(0, 3),
    "recent_failures": st.integers(0, 10),
    "budgets": st.floats(-1, 1).map(lambda left: (budget(left),)),
}
UNKNOWN = {"tier": None, "dependents": None, "recent_failures": None, "budgets": ()}


@given(st.fixed_dictionaries({**values, "changing_steps": st.just(3)}), st.sampled_from([*UNKNOWN]))
def test_not_knowing_never_lowers_the_risk(known: dict[str, Any], name: str) -> None:
    before = assess_risk(inputs(**known))
    after = assess_risk(inputs(**{**known, name: UNKNOWN[name]}))
    assert after.score >= before.score
    assert LEVELS.index(after.level) >= LEVELS.index(before.level)


@given(
    st.fixed_dictionaries({**values, "changing_steps": st.just(3)}),
    st.sampled_from(["dependents", "exclusive_resources", "irreversible_steps", "recent_failures"]),
)
def test_more_of_it_never_lowers_the_risk(known: dict[str, Any], name: str) -> None:
    more = {**known, name: known[name] + 1}
    if name == "irreversible_steps":
        more[name] = min(3, more[name])
    before, after = assess_risk(inputs(**known)), assess_risk(inputs(**more))
    assert LEVELS.index(after.level) >= LEVELS.index(before.level)
