from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from planner_provider.sandbox.faults import HOOKS, NO_EFFECT, UNHARMED, FaultBook
from planner_provider.sandbox.model import TrackKey
from planner_provider.sandbox.wire import FaultBody

STABLE = TrackKey("checkout", "1", "stable")
CANARY = TrackKey("checkout", "2", "canary")


def book(*bodies: dict[str, Any]) -> FaultBook:
    faults = FaultBook()
    for body in bodies:
        faults.add(FaultBody.model_validate(body).fault())
    return faults


def test_faults_of_the_traffic_add_up_and_hit_only_what_they_name() -> None:
    faults = book(
        {"kind": "errors", "value": 0.1},
        {"kind": "error_factor", "value": 4, "service": "checkout", "version": "canary"},
        {"kind": "latency", "value": 3, "version": "2"},
        {"kind": "down", "service": "auth"},
    )
    stable, canary = faults.on_traffic(STABLE, 0), faults.on_traffic(CANARY, 0)
    assert (stable.error_added, stable.error_factor, stable.latency_factor) == (0.1, 1, 1)
    assert (canary.error_added, canary.error_factor, canary.latency_factor) == (0.1, 4, 3)
    assert not stable.down
    assert faults.on_traffic(TrackKey("auth", "1", "stable"), 0).down


def test_counted_faults_end_and_calls_go_through_again() -> None:
    faults = book({"kind": "api_error", "value": 2, "status": 429})
    hit = [faults.on_call("checkout", True, 0).status for _ in range(3)]
    assert hit == [429, 429, None]
    assert faults.all(0) == ()


def test_drop_hits_writes_only_and_one_call_at_a_time() -> None:
    faults = book({"kind": "drop"}, {"kind": "hang_up"})
    assert faults.on_call("checkout", False, 0).hang_up
    assert faults.on_call("checkout", True, 0).drop
    assert faults.on_call("checkout", True, 0) == UNHARMED


def test_delays_add_to_whatever_else_happens() -> None:
    faults = book(
        {"kind": "slow_api", "value": 2, "on": "write"},
        {"kind": "late_api", "value": 1, "calls": 1},
        {"kind": "api_error"},
    )
    effect = faults.on_call(None, True, 0)
    assert (effect.delay_before, effect.delay_after, effect.status) == (1, 2, 503)
    assert faults.on_call(None, False, 0) == UNHARMED


def test_hooks_have_faults_of_their_own() -> None:
    faults = book({"kind": "api_error"}, {"kind": "drop", "service": HOOKS})
    effect = faults.on_call(HOOKS, True, 0)
    assert effect.drop
    assert effect.status is None


def test_a_fault_ends_with_simulated_time() -> None:
    from dataclasses import replace

    faults = FaultBook()
    faults.add(replace(FaultBody(kind="down").fault(), until_ms=5000))
    assert faults.on_traffic(STABLE, 4999).down
    assert faults.on_traffic(STABLE, 5000) == NO_EFFECT


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"kind": "errors"}, "needs a value"),
        ({"kind": "errors", "value": 5}, "ratio"),
        ({"kind": "latency", "value": -1}, "factor"),
        ({"kind": "slow_api", "value": 1e9}, "seconds"),
        ({"kind": "api_error", "value": 1.5}, "number of calls"),
        ({"kind": "api_error", "value": 1, "calls": 1}, "not both"),
        ({"kind": "down", "value": 1}, "no value"),
        ({"kind": "down", "on": "read"}, "faults of the API"),
        ({"kind": "down", "service": "hooks"}, "no traffic"),
        ({"kind": "drop", "version": "canary"}, "no version"),
        ({"kind": "down", "for": "5 minutes"}, "not a duration"),
        ({"kind": "down", "for": -3}, "above 0"),
        ({"kind": "explode"}, "Input should be"),
    ],
)
def test_wrong_faults_are_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FaultBody.model_validate(body)


def test_durations_are_seconds_or_text() -> None:
    bodies = [{"kind": "down", "for": value} for value in (90, "90s", "1.5m", "90000ms")]
    assert {FaultBody.model_validate(body).for_ for body in bodies} == {90}
