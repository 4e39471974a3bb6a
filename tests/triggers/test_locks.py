from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Hold
from planner_provider.triggers import aborts, locks
from planner_provider.triggers.locks import LocksTrigger
from tests.ledger.cases import Run


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = f"sqlite:///{tmp_path / 'planner.db'}"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    monkeypatch.setattr(locks, "EVERY", 0.1)
    monkeypatch.setattr(locks, "LOOK", 0.02)
    monkeypatch.setattr(aborts, "EVERY", 0.1)
    return Ledger(url)


@pytest.fixture
def runs(ledger: Ledger) -> list[Run]:
    """One that holds, and two that wait for it."""
    runs = [Run(ledger, plan=f"p{n}", run_id=f"r{n}").pin() for n in range(3)]
    for run in runs:
        ask(run)
    return runs


def ask(run: Run) -> None:
    now = datetime.now(UTC)
    run.ledger.ask_for_lease(run.key.plan_id, [Hold("x")], actor="t", now=now)


def trigger(run: Run, *, deadline: float = 60, not_before: float = 0) -> LocksTrigger:
    now = datetime.now(UTC)
    return LocksTrigger(
        plan_id=run.key.plan_id,
        deadline=(now + timedelta(seconds=deadline)).isoformat(),
        not_before=(now + timedelta(seconds=not_before)).isoformat(),
    )


async def event(waiting: LocksTrigger) -> dict[str, Any]:
    payload: dict[str, Any] = (await anext(waiting.run())).payload
    return payload


def test_it_comes_back_from_the_database_as_it_was(runs: list[Run]) -> None:
    path, arguments = trigger(runs[1]).serialize()
    assert path == f"{LocksTrigger.__module__}.{LocksTrigger.__qualname__}"
    assert LocksTrigger(**arguments).serialize() == (path, arguments)


def test_only_the_one_who_is_next_is_told_that_they_are_free(runs: list[Run]) -> None:
    async def play() -> None:
        first, second = (asyncio.create_task(event(trigger(run))) for run in runs[1:])
        done, _ = await asyncio.wait([first, second], timeout=0.5)
        assert not done, "somebody still holds them"
        runs[0].ledger.release_lease(runs[0].key.plan_id, actor="t", now=datetime.now(UTC))
        assert await asyncio.wait_for(first, 5) == {"free": True}
        done, _ = await asyncio.wait([second], timeout=0.5)
        assert not done, "the first one has not even taken them"
        second.cancel()

    asyncio.run(play())


def test_it_keeps_the_place(runs: list[Run]) -> None:
    before = datetime.now(UTC)

    async def play() -> None:
        task = asyncio.create_task(event(trigger(runs[1])))
        await asyncio.wait([task], timeout=0.5)
        task.cancel()

    asyncio.run(play())
    alive = {
        line.waiter.plan_id: line.waiter.alive_at
        for line in runs[0].ledger.lease_queue(now=datetime.now(UTC))
    }
    assert alive[runs[1].key.plan_id] > before
    assert alive[runs[2].key.plan_id] < before, "nobody waits for this one here"
    assert not locks._waiting


def test_a_stop_ends_it(runs: list[Run]) -> None:
    async def play() -> dict[str, Any]:
        task = asyncio.create_task(event(trigger(runs[1])))
        await asyncio.sleep(0.2)
        runs[1].ledger.request_abort(
            runs[1].key.plan_id, actor="t", reason=None, now=datetime.now(UTC)
        )
        return await asyncio.wait_for(task, 5)

    assert "abort" in asyncio.run(play())


def test_the_deadline_ends_it_also_without_a_ledger(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asyncio.run(event(trigger(runs[1], deadline=0.1))) == {"late": True}
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", "postgresql://u@127.0.0.1:1/x")
    assert asyncio.run(event(trigger(runs[1], deadline=0.1))) == {"late": True}


def test_it_never_fires_too_early_after_the_deferral(runs: list[Run]) -> None:
    began = datetime.now(UTC)
    assert asyncio.run(event(trigger(runs[1], deadline=0, not_before=0.5))) == {"late": True}
    assert datetime.now(UTC) - began >= timedelta(seconds=0.5)


def test_a_run_that_lost_its_place_asks_again(runs: list[Run]) -> None:
    runs[1].ledger.leave_queue(runs[1].key.plan_id)
    waiting, now = trigger(runs[1]), datetime.now(UTC)
    assert asyncio.run(waiting.look(now, settled=False)) is None
    assert asyncio.run(waiting.look(now)) == {"free": True}


def test_many_who_wait_cost_one_look_an_interval(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    really = locks._look_at_queue
    monkeypatch.setattr(locks, "EVERY", 60.0)
    monkeypatch.setattr(locks, "_look_at_queue", lambda: looks.append(1) or really())

    async def play() -> None:
        tasks = [asyncio.create_task(event(trigger(runs[1 + n % 2]))) for n in range(100)]
        await asyncio.wait(tasks, timeout=0.5)
        for task in tasks:
            task.cancel()

    asyncio.run(play())
    assert len(looks) == 1
