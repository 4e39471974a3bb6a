from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.errors import UnavailableError
from planner_provider.triggers import aborts
from planner_provider.triggers.moment import MomentTrigger

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def trigger(seconds: float = 60, plan_id: str | None = "p-1") -> MomentTrigger:
    until = (NOW + timedelta(seconds=seconds)).isoformat()
    return MomentTrigger(moment=until, not_before=NOW.isoformat(), plan_id=plan_id)


def look(monkeypatch: pytest.MonkeyPatch, aborted: Any, seconds: float = 60) -> Any:
    async def abort_of(plan_id: str) -> datetime | None:
        assert plan_id == "p-1"
        if isinstance(aborted, Exception):
            raise aborted
        return aborted if isinstance(aborted, datetime) else None

    monkeypatch.setattr(aborts, "abort_of", abort_of)
    return asyncio.run(trigger(seconds).look(NOW))


def test_ends_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(monkeypatch, None) is None
    assert look(monkeypatch, None, 0) == {"due": NOW.isoformat()}


def test_ends_when_a_person_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(monkeypatch, NOW) == {"abort": NOW.isoformat()}


def test_a_ledger_that_is_away_does_not_end_it_early(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(monkeypatch, UnavailableError("no")) is None
    assert look(monkeypatch, UnavailableError("no"), 0) == {"due": NOW.isoformat()}


def test_survives_a_restart() -> None:
    path, arguments = trigger().serialize()
    assert path == f"{MomentTrigger.__module__}.MomentTrigger"
    assert MomentTrigger(**arguments).serialize() == (path, arguments)


def test_runs_to_its_event() -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()

    async def first() -> Any:
        waiting = MomentTrigger(moment=past, not_before=past)
        return await anext(waiting.run())

    assert asyncio.run(first()).payload == {"due": past}
