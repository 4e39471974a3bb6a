from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from planner_provider.errors import AbortedError, RefusedError
from planner_provider.operators.clock import Clock
from planner_provider.sensors.wait import GRACE, WaitSensor
from planner_provider.spec.actions import Wait
from tests.operators.airflow_context import Store, act, build, context_for

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class FakeTime:
    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.now.timestamp(), self.sleep)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(WaitSensor, "clock", fake.clock())
    return fake


def wait(**values: Any) -> Any:
    return build("wait", Wait.model_validate({name.rstrip("_"): v for name, v in values.items()}))


def test_a_short_wait_stays_on_the_worker_in_small_slices(fake: FakeTime) -> None:
    assert act(wait(for_="9s")) == "2026-11-23T10:00:09+00:00"
    assert sum(fake.slept) == pytest.approx(9)
    assert max(fake.slept) <= 1


def moment_of(deferred: TaskDeferred) -> datetime:
    return datetime.fromisoformat(deferred.trigger.serialize()[1]["moment"])


def test_an_abort_ends_the_wait() -> None:
    with pytest.raises(AbortedError, match="A person stopped this run"):
        wait(for_="1h").waited(context_for(), {"abort": "2026-11-23T10:00:00+00:00"})


def test_a_longer_wait_defers_to_an_absolute_moment(fake: FakeTime) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        act(wait(for_="10s"))
    assert fake.slept == []
    assert moment_of(deferred.value) == START + timedelta(seconds=10)
    assert deferred.value.timeout == timedelta(seconds=10) + GRACE
    assert deferred.value.method_name == "waited"


def test_the_time_counts_from_the_first_start(fake: FakeTime) -> None:
    store = Store()
    with pytest.raises(TaskDeferred):
        act(wait(for_="1h"), context_for(store=store))
    fake.now += timedelta(minutes=59, seconds=55)
    again = act(wait(for_="1h"), context_for(store=store, try_number=2))
    assert again == "2026-11-23T11:00:00+00:00"
    assert sum(fake.slept) == pytest.approx(5)


def test_after_the_deferral_it_is_over(fake: FakeTime) -> None:
    store = Store()
    operator = wait(for_="1h")
    with pytest.raises(TaskDeferred):
        act(operator, context_for(store=store))
    fake.now += timedelta(hours=1)
    assert operator.waited(context_for(store=store), event=fake.now) == "2026-11-23T11:00:00+00:00"
    assert fake.slept == []


@pytest.mark.parametrize("until", ["2026-11-23T10:00:05Z", "2026-11-23T11:00:05+01:00"])
def test_until(fake: FakeTime, until: str) -> None:
    assert act(wait(until=until)) == "2026-11-23T10:00:05+00:00"
    assert sum(fake.slept) == pytest.approx(5)


def test_until_from_a_template(fake: FakeTime) -> None:
    context = context_for({"at": "2026-11-23T12:00:00+01:00"})
    with pytest.raises(TaskDeferred) as deferred:
        act(wait(until="{{ params.at }}"), context)
    assert moment_of(deferred.value) == START + timedelta(hours=1)


def test_a_moment_that_has_passed_is_no_wait(fake: FakeTime) -> None:
    assert act(wait(until="2026-11-23T09:00Z")) == "2026-11-23T09:00:00+00:00"
    assert fake.slept == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("soon", "which is not a moment"), ("2026-11-23T12:00", "which names no time zone")],
)
def test_until_that_renders_to_nonsense(fake: FakeTime, text: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        act(wait(until="{{ params.at }}"), context_for({"at": text}))
