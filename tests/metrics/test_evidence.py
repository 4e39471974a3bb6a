"""What recorded decisions tell."""

from __future__ import annotations

from datetime import timedelta

import pytest

from planner_provider.decide.replay import decide
from planner_provider.metrics.evidence import Budget, Evidence, budgets, burnt, evidence
from tests.cli.ledgers import NOW
from tests.metrics.played import slo_inputs


def read(**how: float | bool) -> Evidence:
    _, decision = decide(slo_inputs(NOW, **how))  # type: ignore[arg-type]
    return evidence(1, "p", decision.kind, NOW, decision.inputs, decision.verdict)


def test_age_is_that_of_the_oldest_fact_that_is_usable() -> None:
    assert read(bad=10, age=42).oldest == timedelta(seconds=42)


def test_facts_that_are_too_old_are_not_usable() -> None:
    found = read(bad=10, age=181)  # the bad ones have no limit, the others three minutes
    assert found.coverage == 0.5


def test_what_could_not_be_measured_is_not_covered() -> None:
    assert read(bad=10, lost=True).coverage == 0.5
    assert read(bad=10).coverage == 1


def test_budget_and_burn_rate_of_an_slo() -> None:
    assert read(bad=150).budgets == (Budget("checkout", -0.5, 1.5),)


def test_the_burn_rate_that_lasts_is_the_lower_one_of_a_pair() -> None:
    verdict = (
        '{"measures": ['
        '{"name": "a: burn rate in 1h", "value": 9, "note": "one"},'
        '{"name": "a: burn rate in 5m", "value": 2, "note": "one"},'
        '{"name": "a: burn rate in 3d", "value": 3, "note": "two"},'
        '{"name": "a: burn rate in 6h", "value": 4, "note": "two"},'
        '{"name": "a: burn rate in 9h", "value": 99, "note": "three"},'
        '{"name": "a: burn rate in 8h", "value": null, "note": "three"}]}'
    )
    assert budgets(verdict) == (Budget("a", None, 3),)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0.9, 0.7, 0.2), (0.5, 0.6, 0.0), (None, 0.6, None), (0.9, None, None)],
)
def test_what_was_burnt(before: float | None, after: float | None, expected: float | None) -> None:
    spent = burnt((Budget("a", before, None),), (Budget("a", after, None), Budget("b", 0, None)))
    assert spent == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense"])
def test_a_decision_that_cannot_be_read_has_no_facts(text: str) -> None:
    found = evidence(1, "p", "slo_gate", NOW, text, text)
    assert (found.coverage, found.budgets) == (None, ())
