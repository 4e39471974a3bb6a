from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.ledger import Ledger
from planner_provider.triggers import aborts, hold
from planner_provider.triggers.hold import HoldTrigger
from tests.ledger.cases import Run

AWAY = "postgresql://u@127.0.0.1:1/x"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    url = f"sqlite:///{tmp_path / 'planner.db'}"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    for module in (hold, aborts):
        monkeypatch.setattr(module, "EVERY", 0.1)
    monkeypatch.setattr(hold, "LOOK", 0.02)
    run = Run(Ledger(url)).pin()
    run.ledger.hold_run(run.key.plan_id, actor="ada", reason="why", now=datetime.now(UTC))
    return run


def trigger(run: Run, *, ask_in: float | None = None, not_before: float = 0) -> HoldTrigger:
    now = datetime.now(UTC)
    return HoldTrigger(
        plan_id=run.key.plan_id,
        ask_at=None if ask_in is None else (now + timedelta(seconds=ask_in)).isoformat(),
        not_before=(now + timedelta(seconds=not_before)).isoformat(),
    )


async def event(waiting: HoldTrigger) -> dict[str, Any]:
    payload: dict[str, Any] = (await anext(waiting.run())).payload
    return payload


def test_it_comes_back_from_the_database_as_it_was(run: Run) -> None:
    path, arguments = trigger(run, ask_in=5).serialize()
    assert path == "planner_provider.triggers.hold.HoldTrigger"
    assert HoldTrigger(**arguments).serialize() == (path, arguments)


@pytest.mark.parametrize("how", ["resumed", "abort"])
def test_it_waits_until_it_is_resumed_or_stopped(run: Run, how: str) -> None:
    told = {"actor": "t", "reason": "why", "now": datetime.now(UTC)}

    async def play() -> dict[str, Any]:
        task = asyncio.create_task(event(trigger(run)))
        done, _ = await asyncio.wait([task], timeout=0.5)
        assert not done, "the run is held"
        steer = run.ledger.resume_run if how == "resumed" else run.ledger.request_abort
        steer(run.key.plan_id, **told)  # type: ignore[arg-type]
        return await asyncio.wait_for(task, 5)

    assert how in asyncio.run(play())


def test_a_step_that_fails_ends_it(run: Run) -> None:
    run.ledger.record_failing(
        run.key.dag_id, run.key.run_id, "s1", actor="t", now=datetime.now(UTC)
    )
    assert "abort" in asyncio.run(event(trigger(run)))


def test_the_end_of_its_time_ends_it_also_without_a_ledger(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asyncio.run(event(trigger(run, ask_in=0.2))) == {"late": True}
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", AWAY)
    assert asyncio.run(event(trigger(run, ask_in=0.2))) == {"late": True}


def test_a_ledger_that_is_away_lets_nothing_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.ledger.resume_run(run.key.plan_id, actor="a", reason=None, now=datetime.now(UTC))
    assert asyncio.run(trigger(run).look(datetime.now(UTC))) == {"resumed": True}
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", AWAY)
    assert asyncio.run(trigger(run).look(datetime.now(UTC))) is None


def test_it_never_fires_too_early_after_the_deferral(run: Run) -> None:
    began = datetime.now(UTC)
    asyncio.run(event(trigger(run, ask_in=0, not_before=0.5)))
    assert datetime.now(UTC) - began >= timedelta(seconds=0.5)


def test_many_who_wait_cost_one_look_an_interval(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    really = Ledger.held_runs
    monkeypatch.setattr(hold, "EVERY", 60.0)
    monkeypatch.setattr(Ledger, "held_runs", lambda self: looks.append(1) or really(self))

    async def play() -> None:
        tasks = [asyncio.create_task(event(trigger(run))) for _ in range(100)]
        await asyncio.wait(tasks, timeout=0.5)
        for task in tasks:
            task.cancel()

    asyncio.run(play())
    assert len(looks) == 1
