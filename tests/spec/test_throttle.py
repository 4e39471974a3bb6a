"""What a throttle in a spec may say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from planner_provider.spec.workloads import Throttle, ThrottleSignal

QUERY = {"connection": "prom", "query": "replica_lag_seconds", "max": 30}


def test_defaults_are_cautious() -> None:
    throttle = Throttle()
    assert (throttle.start, throttle.min, throttle.max) == (1, 1, 8)
    assert (throttle.target, throttle.on_missing) == (0.85, "back_off")
    assert throttle.every == timedelta(seconds=30)
    assert ThrottleSignal(slo="checkout").window == timedelta(minutes=1)


def test_a_queue_and_a_target() -> None:
    given = {"target": "90%", "on_missing": "hold", "signal": {**QUERY, "kind": "queue"}}
    throttle = Throttle.model_validate(given)
    assert throttle.signal is not None
    assert (throttle.target, throttle.signal.kind) == (0.9, "queue")
    assert Throttle.model_validate(throttle.model_dump()) == throttle


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"target": "100%"}, "less_than"),
        ({"target": "0%"}, "greater_than"),
        ({"target": 85}, "bad_share"),
        ({"on_missing": "raise"}, "literal_error"),
        ({"start": 9}, "throttle_order"),
        ({"signal": {}}, "one_of"),
        ({"signal": {**QUERY, "slo": "checkout"}}, "one_of"),
        ({"signal": {"connection": "prom", "query": "up"}}, "one_of"),
        ({"signal": {**QUERY, "max": 0}}, "greater_than"),
        ({"signal": {"slo": "checkout", "kind": "queue"}}, "one_of"),
        ({"signal": {"slo": "checkout", "window": "0s"}}, "bad_duration"),
    ],
)
def test_what_it_may_not_say(given: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Throttle.model_validate(given)
    assert [error["type"] for error in caught.value.errors()] == [code]
