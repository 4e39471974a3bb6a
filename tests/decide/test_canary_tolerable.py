"""A canary with hardly any bad events: nothing to compare, and yet surely good enough."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner_provider.decide.canary import CanaryInputs, CanaryMetric, Cut, judge
from planner_provider.decide.model import Verdict

NOW = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)


def verdict(
    events: float,
    bad: float,
    *,
    tolerable: float | None,
    minutes: int = 20,
    direction: str = "increase",
) -> Verdict:
    row = (events, bad, 9 * events, 9 * bad)
    metric = CanaryMetric.model_validate(
        {"name": "errors", "cuts": (Cut(minutes=(row,) * minutes),), "tolerable": tolerable,
         "direction": direction}
    )  # fmt: skip
    return judge(CanaryInputs(now=NOW, look=minutes, minute=minutes, horizon=20, metrics=(metric,)))


def test_without_a_bad_event_nothing_can_be_compared() -> None:
    found = verdict(1000, 0, tolerable=None)
    assert (found.kind, found.reasons[0].code) == ("hold", "too_little_seen")


def test_but_enough_good_events_show_that_it_is_within_what_the_slo_leaves() -> None:
    found = verdict(1000, 0, tolerable=0.005)
    assert found.passes
    assert "within what its SLO leaves" in found.reasons[0].text


@pytest.mark.parametrize(
    ("events", "tolerable"),
    [(60, 0.005), (1000, 0.0002)],  # 1,200 and 20,000 events: 0.25% and 0.018% are not ruled out
)
def test_too_few_good_events_do_not(events: float, tolerable: float) -> None:
    assert verdict(events, 0, tolerable=tolerable).reasons[0].code == "too_little_seen"


def test_not_before_the_end_of_the_bake() -> None:
    assert verdict(1000, 0, tolerable=0.005, minutes=19).kind == "hold"


def test_only_for_bad_events_that_may_rise() -> None:
    assert not verdict(1000, 0, tolerable=0.005, direction="either").passes


@given(st.integers(1, 3000), st.integers(0, 60), st.floats(0.0005, 0.2))
@settings(max_examples=60, deadline=None)
def test_never_where_the_share_is_not_below_it(events: int, bad: int, tolerable: float) -> None:
    bad = min(bad, events)
    found = verdict(events, bad, tolerable=tolerable)
    plain = verdict(events, bad, tolerable=None)
    if bad / events >= tolerable:
        assert found.passes == plain.passes
    if plain.passes:
        assert found.passes
