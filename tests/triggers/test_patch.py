from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.decide.waves import TargetState
from planner_provider.errors import UnavailableError
from planner_provider.triggers import aborts, patch
from planner_provider.triggers.patch import TurnTrigger

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def trigger(target: str = "b", unavailable: int = 1, **more: Any) -> TurnTrigger:
    given = {"max_errors": 0, "elsewhere": [], "patience": 600.0, **more}
    return TurnTrigger(
        plan_id="p-1", step="kernel", target=target, max_unavailable=unavailable, **given
    )


def states(*pairs: tuple[str, str], asked: bool = True) -> list[TargetState]:
    return [
        TargetState.model_validate(
            {"name": name, "wave": 1, "state": state, "detail": "waits" if asked else None}
        )
        for name, state in pairs
    ]


def look(
    monkeypatch: pytest.MonkeyPatch, made: TurnTrigger, targets: list[TargetState] | None,
    aborted: Any = None, waited: float = 10.0, still: float = 0.0,
) -> Any:  # fmt: skip
    async def abort_of(plan_id: str) -> datetime | None:
        if isinstance(aborted, Exception):
            raise aborted
        return aborted if isinstance(aborted, datetime) else None

    monkeypatch.setattr(aborts, "abort_of", abort_of)
    return asyncio.run(made.look(targets, waited=waited, still=still))


def test_it_waits_while_there_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    full = states(("a", "acting"), ("b", "waiting"))
    assert look(monkeypatch, trigger(), full) is None
    free = states(("a", "done"), ("b", "waiting"))
    assert look(monkeypatch, trigger(), free) == {"turn": True}
    assert look(monkeypatch, trigger(), None) is None, "not known is not yes"


def test_only_as_many_are_woken_as_there_are_places(monkeypatch: pytest.MonkeyPatch) -> None:
    free = states(("a", "waiting"), ("b", "waiting"), ("c", "waiting"))
    woken = [
        name for name in "abc" if look(monkeypatch, trigger(name, unavailable=2), free) is not None
    ]
    assert woken == ["a", "b"]
    unasked = [*states(("a", "waiting"), asked=False), *states(("b", "waiting"))]
    assert look(monkeypatch, trigger("b"), unasked) == {"turn": True}, "`a` may never ask"


def test_one_failure_too_many_wakes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = states(("x", "failed"), ("a", "waiting"), ("b", "waiting"))
    assert look(monkeypatch, trigger("b"), stopped) == {"turn": True}


def test_what_the_world_holds_is_asked_anew_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    made, free = trigger(elsewhere=["foreign"]), states(("b", "waiting"))
    assert look(monkeypatch, made, free, waited=10.0) is None
    assert look(monkeypatch, made, free, waited=31.0) == {"turn": True}


def test_patience_and_abort_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    full = states(("a", "acting"), ("b", "waiting"))
    over = look(monkeypatch, trigger(), full, still=601.0)
    assert over["patience_over"] is True
    assert "(a)" in over["why"]
    assert look(monkeypatch, trigger(), full, aborted=NOW) == {"abort": NOW.isoformat()}
    assert look(monkeypatch, trigger(), full, aborted=UnavailableError("no")) is None


def test_survives_a_restart() -> None:
    path, arguments = trigger(elsewhere=["x"]).serialize()
    assert path == f"{TurnTrigger.__module__}.TurnTrigger"
    assert TurnTrigger(**arguments).serialize() == (path, arguments)


def test_a_hold_wakes_nobody_and_uses_up_no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    held = True

    async def is_held(plan_id: str) -> bool:
        return held

    async def ask(*_: Any) -> list[TargetState]:
        return states(("b", "waiting"))

    async def abort_of(plan_id: str) -> None:
        return None

    monkeypatch.setattr(aborts, "abort_of", abort_of)
    monkeypatch.setattr(patch, "is_held", is_held)
    monkeypatch.setattr(patch, "asked_once", ask)
    for name in ("LOOK", "FIRST_EVENT"):
        monkeypatch.setattr(patch, name, 0.01)

    async def play() -> Any:
        nonlocal held
        waiting = asyncio.ensure_future(anext(trigger(patience=0.1).run()))
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done, "it is its turn, and its patience would be over"
        held = False
        return (await asyncio.wait_for(waiting, 5)).payload

    assert asyncio.run(play()) == {"turn": True}
