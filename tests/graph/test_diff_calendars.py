"""A calendar is not in the digest, and what becomes of it is told all the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from planner_provider.graph.calendars import PlanCalendar
from planner_provider.graph.diff import diff
from planner_provider.graph.diff_plans import diff_plans
from tests.decide.calendars import nights, once, source
from tests.graph.plans import graph_of, small

FREEZE = once("2026-12-01T00:00", timedelta(days=1))


def by(calendar: PlanCalendar) -> Any:
    graph = graph_of(small(schedule={"calendar": "nights"}))
    return graph.model_copy(update={"calendar": calendar, "unavailable": ()})


@pytest.mark.parametrize(
    ("old", "new", "words", "weaker"),
    [
        (nights(), nights(FREEZE), "its freezes changed", False),
        (nights(FREEZE), nights(), "its freezes changed", True),
        (nights(), nights(cutoff=timedelta(hours=1)), "its cutoff changed", False),
        (nights(cutoff=timedelta(hours=1)), nights(), "its cutoff changed", True),
        (nights(requires=(nights(),)), nights(), "its requires changed", True),
        (
            nights(),
            nights().model_copy(
                update={"windows": (source("2026-01-01T00:00", "FREQ=DAILY", duration="P1D"),)}
            ),
            "its windows changed",
            True,
        ),
    ],
)
def test_a_calendar_that_changed(
    old: PlanCalendar, new: PlanCalendar, words: str, weaker: bool
) -> None:
    before, after = by(old), by(new)
    assert before.digest == after.digest
    (change,) = diff(before, after)
    assert change.words == f"calendar nights: {words}"
    assert change.weakens_safety is weaker
    (plan,) = diff_plans([before], [after])
    assert (plan.status, plan.weakens_safety) == ("changed", weaker)


def test_the_same_calendar_is_no_change() -> None:
    assert diff(by(nights(FREEZE)), by(nights(FREEZE))) == ()
    assert diff_plans([by(nights())], [by(nights())]) == ()
