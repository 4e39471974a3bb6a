from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from planner_provider.errors import UnavailableError
from planner_provider.hooks.chunk_slots import ASKS, Gauge, look
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ItemState, RunKey, WorkItem
from planner_provider.spec.workloads import Throttle
from planner_provider.triggers import aborts, slots
from planner_provider.triggers.slots import SlotTrigger

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GAUGE = Gauge(plan_id="p", step="fill", throttle=Throttle(max=2))


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'planner.db'}")
    ledger.add_items(
        WorkItem("p", "fill", f"c{number}", number, detail=ASKS) for number in range(10)
    )

    async def not_stopped(plan_id: str) -> None:
        return None

    async def ask_now(key: Any, every: float, ask: Any) -> Any:
        return ask()

    monkeypatch.setattr(slots, "open_ledger", lambda: ledger)
    monkeypatch.setattr(aborts, "abort_of", not_stopped)
    monkeypatch.setattr(slots, "asked_once", ask_now)
    monkeypatch.setattr("planner_provider.hooks.chunk_slots.random.random", lambda: 1.0)
    return ledger


def attempt(item: str) -> Any:
    trigger = SlotTrigger(gauge=GAUGE.model_dump_json(exclude_defaults=True), item=item)
    _, arguments = trigger.serialize()
    again = SlotTrigger(**arguments)
    return asyncio.run(again.attempt(Gauge.model_validate_json(again.gauge)))


def test_no_more_go_on_than_there_are_slots(ledger: Ledger) -> None:
    events = [attempt(f"c{number}") for number in range(10)]
    assert events[:2] == [{"slot": "c0"}, {"slot": "c1"}]
    assert events[2:] == [None] * 8
    assert attempt("c0") == {"slot": "c0"}  # a trigger that begins anew still has its slot
    ledger.give_slot_back("p", "fill", "c0")
    ledger.move_item("p", "fill", "c0", ItemState.DONE, now=NOW)
    ledger.move_item("p", "fill", "c1", ItemState.ACTING, now=NOW)
    assert attempt("c9") is None  # others asked before
    assert attempt("c3") == {"slot": "c3"}


def test_a_run_that_was_stopped_ends_the_wait(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stopped(plan_id: str) -> datetime:
        return NOW

    monkeypatch.setattr(aborts, "abort_of", stopped)
    assert attempt("c0") == {"abort": NOW.isoformat()}
    assert ledger.slot_holders("p", "fill") == ()


def test_a_ledger_that_is_away_is_asked_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise UnavailableError("nobody answers")

    monkeypatch.setattr(slots, "open_ledger", away)
    assert attempt("c0") is None


def test_a_guard_that_refuses_leaves_no_slot(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "planner_provider.hooks.chunk_slots.guard_of", lambda gauge, now: "A guard refuses: no."
    )
    assert look(GAUGE, ledger, NOW).limit == 0
    assert attempt("c0") is None


def test_a_run_that_is_held_gives_no_slot_not_even_to_who_had_one(ledger: Ledger) -> None:
    key = RunKey("p", "plan", "plan", "run-1", "d")
    ledger.pin_run(key, expires_at=None, parameters={}, actor="t", now=NOW)
    assert attempt("c0") == {"slot": "c0"}
    ledger.hold_run("p", actor="ada", reason="Lag rises.", now=NOW)
    places = look(GAUGE, ledger, NOW)
    assert (places.limit, places.held[:14]) == (0, "ada holds this")
    assert [attempt("c0"), attempt("c1")] == [None, None]
    ledger.resume_run("p", actor="ada", reason=None, now=NOW)
    assert [attempt("c0"), attempt("c1")] == [{"slot": "c0"}, {"slot": "c1"}]
