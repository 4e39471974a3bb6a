"""Every mistake that the rule warns of is seen: by the cases, and by the slow engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from planner_provider.decide.windows.cases import check_cases
from planner_provider.spec.catalog import Catalog
from planner_provider.spec.window_cases import read_cases
from tests.decide.windows.mutants import MUTANTS, mutated
from tests.decide.windows.worlds import clock_worlds, disagreement, worlds

TESTS = Path(__file__).parents[2]
FILES = (TESTS / "window_cases.yaml", TESTS / "window_cases_more.yaml")
NOT_NEAR = {"search_horizon_of_a_year"}
"""Cannot be seen within the few days that the slow engine looks at."""


def failed() -> list[str]:
    """The cases that fail."""
    found = []
    for path in FILES:
        file, problems = read_cases(path.name, path.read_bytes())
        assert file is not None, problems
        found += [result.id for result in check_cases(file, Catalog()) if not result.passed]
    return found


def test_there_is_one_for_each_mistake() -> None:
    assert len(MUTANTS) == 16


@pytest.mark.parametrize("name", MUTANTS)
def test_the_cases_tell_it_from_the_right_engine(name: str) -> None:
    with mutated(name):
        assert failed() != []
    assert failed() == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(set(MUTANTS) - NOT_NEAR))
def test_the_slow_engine_tells_it_from_the_right_one(name: str) -> None:
    thrifty = settings(
        max_examples=3000,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with mutated(name):
        try:
            either = worlds() | clock_worlds()
            find(either, lambda world: disagreement(*world) is not None, settings=thrifty)
        except NoSuchExample:
            pytest.fail("3,000 random calendars were all the same to it")
