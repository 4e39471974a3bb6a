from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

import tests.operators.airflow_context  # noqa: F401 - Airflow needs a home before it is imported
from planner_provider.errors import UnavailableError
from planner_provider.ledger.rows import ApprovalState
from planner_provider.triggers import aborts
from planner_provider.triggers import approval as module
from planner_provider.triggers.approval import ApprovalTrigger

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class World:
    """What the trigger can see."""

    def __init__(self) -> None:
        self.aborts: dict[str, datetime] = {}
        self.approval: Any = None
        self.response: dict[str, Any] | None = {"responded_at": None}
        self.failing = False

    async def abort_of(self, plan_id: str) -> datetime | None:
        if self.failing:
            raise UnavailableError("the ledger does not answer")
        return self.aborts.get(plan_id)

    async def asked_once(self, key: Any, every: float, ask: Callable[[], Any]) -> Any:
        return ask()

    def open_ledger(self) -> Any:
        return SimpleNamespace(approval_of=lambda plan_id, task: self.approval)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setattr(aborts, "abort_of", found.abort_of)
    monkeypatch.setattr(module, "asked_once", found.asked_once)
    monkeypatch.setattr(module, "open_ledger", found.open_ledger)
    monkeypatch.setattr(module, "read_response", lambda ti_id: found.response)
    return found


def trigger(**values: Any) -> ApprovalTrigger:
    base: dict[str, Any] = {
        "due_at": (NOW + timedelta(hours=1)).isoformat(),
        "not_before": NOW.isoformat(),
        "plan_id": "p-1",
        "approval": "approve",
        "known": "none",
        "ti_id": "t",
    }
    made = ApprovalTrigger(**{**base, **values})
    path, arguments = made.serialize()
    assert path == "planner_provider.triggers.approval.ApprovalTrigger"
    return ApprovalTrigger(**arguments)


def look(made: ApprovalTrigger, minutes: float = 0) -> Any:
    return asyncio.run(made.look(NOW + timedelta(minutes=minutes)))


def test_it_waits_until_it_is_due(world: World) -> None:
    assert look(trigger()) is None
    assert look(trigger(), 59.9) is None
    assert look(trigger(), 60) == {"due": "2026-11-23T11:00:00+00:00"}


def test_an_abort(world: World) -> None:
    world.aborts["p-2"] = NOW
    assert look(trigger()) is None
    world.aborts["p-1"] = NOW
    assert look(trigger()) == {"abort": NOW.isoformat()}


def test_something_new_in_the_ledger(world: World) -> None:
    world.approval = SimpleNamespace(state=ApprovalState.OPEN, answers=("one",))
    assert look(trigger(known="open 1")) is None
    assert look(trigger(known="open 0")) == {"changed": True}
    world.approval.state = ApprovalState.GRANTED
    assert look(trigger(known="open 1")) == {"changed": True}


def test_an_answer_that_airflow_holds(world: World) -> None:
    world.response = {"responded_at": NOW.isoformat(), "chosen_options": ["Approve"]}
    assert look(trigger()) == {"response": world.response}
    assert look(trigger(ti_id=None)) is None


def test_after_a_retry_it_says_whether_to_ask(world: World) -> None:
    world.response = None
    assert look(trigger()) is None
    assert look(trigger(recovers=True)) == {"ask": True}
    world.response = {"responded_at": None}
    assert look(trigger(recovers=True)) == {"ask": True}
    world.response = {"responded_at": NOW.isoformat()}
    assert look(trigger(recovers=True)) == {"response": world.response}


def test_a_source_that_fails_ends_nothing(world: World) -> None:
    world.failing = True
    assert look(trigger()) is None
    assert look(trigger(), 61) == {"due": "2026-11-23T11:00:00+00:00"}
    world.approval = SimpleNamespace(state=ApprovalState.OPEN, answers=())
    assert look(trigger()) == {"changed": True}


def test_no_event_comes_too_early(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    world.aborts["p-1"] = NOW
    made = trigger(not_before=(datetime.now(UTC) + timedelta(seconds=4)).isoformat())

    async def first() -> Any:
        async for event in made.run():
            return event.payload

    assert asyncio.run(first()) == {"abort": NOW.isoformat()}
    assert slept == [pytest.approx(4, abs=0.5)]


def test_tickets(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from planner_provider.hooks import tickets

    monkeypatch.setattr(tickets, "fingerprint_of_all", lambda texts: f"{len(texts)} tickets")
    assert look(trigger(tickets=["{}"], tickets_known="1 tickets")) is None
    assert look(trigger(tickets=["{}"], tickets_known="")) == {"changed": True}
