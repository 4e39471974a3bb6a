"""The trigger that waits for a window."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

import tests.operators.airflow_context  # noqa: F401
from planner_provider.errors import UnavailableError
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import CalendarChange, ChangeKind
from planner_provider.triggers import aborts, window
from planner_provider.triggers.window import WindowTrigger
from tests.decide.calendars import nights, utc
from tests.operators.plan_runs import database

NOW = utc("2026-06-01T20:30")
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    monkeypatch.setenv("AIRFLOW__PLANNER__OVERRIDE_USERS", "alice")
    return Ledger(database(tmp_path))


def trigger(**more: Any) -> WindowTrigger:
    return WindowTrigger(**{"calendar": nights().to_json(), "needs": 3600.0, **more})


def test_survives_a_restart() -> None:
    path, arguments = trigger(deadline=5.0, plan_id="p").serialize()
    assert path == f"{WindowTrigger.__module__}.WindowTrigger"
    assert WindowTrigger(**arguments).serialize() == (path, arguments)


@time_machine.travel(NOW)
def test_what_people_add_counts(ledger: Ledger) -> None:
    assert asyncio.run(trigger().look(NOW)) == (NOW, True)
    for kind, until in ((ChangeKind.FREEZE, 2 * HOUR), (ChangeKind.OVERRIDE, 4 * HOUR)):
        begins = NOW - HOUR if kind is ChangeKind.FREEZE else NOW + HOUR / 2
        ledger.add_calendar_change(
            CalendarChange(
                0, "nights", kind, begins, NOW + until, "why", "cli:alice", NOW + timedelta(0)
            )
        )
    seen, known = asyncio.run(trigger().look(NOW))
    assert (seen, known) == (NOW + HOUR / 2, True)


def test_what_is_not_known_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise UnavailableError("no answer")

    monkeypatch.setattr(window, "_changes_in_sight", away)
    assert asyncio.run(trigger().look(NOW)) == (None, False)


def first(waiting: WindowTrigger) -> Any:
    async def run() -> Any:
        return await asyncio.wait_for(anext(waiting.run()), 30)

    return asyncio.run(run()).payload


def test_it_ends_when_the_window_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([(None, False), (NOW, True)])

    async def look(self: WindowTrigger, now: Any) -> Any:
        return next(looks)

    monkeypatch.setattr(WindowTrigger, "look", look)
    monkeypatch.setattr(window, "EVERY", 0.01)
    assert set(first(trigger())) == {"open"}
    assert list(looks) == []


def test_it_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(self: WindowTrigger, now: Any) -> Any:
        return None, False

    monkeypatch.setattr(WindowTrigger, "look", look)
    assert set(first(trigger(deadline=time.time() + 0.05))) == {"late"}


def test_it_ends_on_an_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(self: WindowTrigger, now: Any) -> Any:
        return None, True

    async def aborted(plan_id: str) -> Any:
        return NOW

    monkeypatch.setattr(WindowTrigger, "look", look)
    monkeypatch.setattr(aborts, "abort_of", aborted)
    monkeypatch.setattr(aborts, "LOOKS_EVERY", 0.01)
    assert first(trigger(plan_id="p")) == {"abort": NOW.isoformat()}


def test_who_looks_for_aborts_ends_windows_first(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(Ledger, "end_windows", lambda self, now: asked.append(now))
    monkeypatch.setattr(Ledger, "open_stops", lambda self: {"p": NOW} if asked else {})
    assert asyncio.run(aborts.abort_of("p")) == NOW
