"""Waiting for a maintenance window: in a plan, and in a DAG written by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from planner_provider.decide.replay import replay
from planner_provider.errors import SpecError, UnavailableError
from planner_provider.graph.plan_window import WindowRule
from planner_provider.ledger.rows import CalendarChange, ChangeKind, RunKey
from planner_provider.ledger.windows import WindowClosedError
from planner_provider.operators.plan_ref import Role
from planner_provider.operators.window import WindowOperator
from planner_provider.sensors.window import WindowSensor
from tests.decide.calendars import nights, once
from tests.operators.plan_runs import DIGEST, NOW, PLAN, RUN_ID, PlanRunCase, database

HOUR = timedelta(hours=1)
OPENS = NOW + 23 * HOUR
"""The case's clock says 22:00 UTC, an hour into the window of that night in Berlin."""


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    monkeypatch.setenv("AIRFLOW__PLANNER__OVERRIDE_USERS", "alice, bob")
    return PlanRunCase(database(tmp_path))


def pinned(case: PlanRunCase, ttl: timedelta | None = None) -> PlanRunCase:
    key = RunKey(case.plan_id, PLAN, PLAN, RUN_ID, DIGEST)
    expires = NOW + ttl if ttl else None
    case.ledger.pin_run(key, expires_at=expires, parameters={}, actor="t", now=NOW)
    return case


def waiting(case: PlanRunCase, *freezes: Any, needs: timedelta = HOUR) -> WindowOperator:
    rule = WindowRule(calendar=nights(*freezes), needs=needs)
    return WindowOperator(task_id="window", plan_ref=case.ref(Role.FRAME), window=rule)


def change(case: PlanRunCase, kind: ChangeKind, begins: datetime, ends: datetime) -> CalendarChange:
    return case.ledger.add_calendar_change(
        CalendarChange(0, "nights", kind, begins, ends, "an incident", "cli:alice", NOW)
    )


def resumed(case: PlanRunCase, operator: WindowOperator, event: dict[str, Any], **more: Any) -> Any:
    object.__setattr__(operator, "clock", case.time.clock)
    ExecutorSafeguard.tracker.set(operator)
    given = {"event": event, "deadline": None, **more}
    return operator.resume_execution("looked", given, case.context("window"))


def test_an_open_window_lets_it_pass_and_is_on_record(case: PlanRunCase) -> None:
    decision_id = case.run(waiting(pinned(case)))
    (recorded,) = case.ledger.decisions_of(case.plan_id)
    assert (recorded.id, recorded.decision.kind) == (decision_id, "window")
    assert recorded.decision.outcome.passes
    assert replay(recorded.decision).equal


def test_too_little_time_is_left(case: PlanRunCase) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        case.run(waiting(pinned(case), needs=timedelta(hours=3, minutes=30)))
    _, arguments = deferred.value.trigger.serialize()
    assert arguments["needs"] == 3.5 * 3600
    assert arguments["plan_id"] == case.plan_id
    assert arguments["deadline"] is None
    assert arguments["not_before"] >= (NOW + timedelta(seconds=3)).timestamp()
    (recorded,) = case.ledger.decisions_of(case.plan_id)
    assert not recorded.decision.outcome.passes


def test_a_short_wait_stays_on_the_worker(case: PlanRunCase) -> None:
    frozen = once("2026-11-23T20:00", timedelta(hours=2))
    case.time.seconds = -5
    case.run(waiting(pinned(case), frozen))
    assert case.time.now() >= NOW


def test_a_freeze_by_hand_makes_it_wait(case: PlanRunCase) -> None:
    change(case, ChangeKind.FREEZE, NOW - HOUR, NOW + HOUR)
    with pytest.raises(TaskDeferred):
        case.run(waiting(pinned(case)))


def test_a_freeze_that_was_added_meanwhile_is_seen_when_it_resumes(case: PlanRunCase) -> None:
    operator = waiting(pinned(case))
    change(case, ChangeKind.FREEZE, NOW - HOUR, NOW + HOUR)
    with pytest.raises(TaskDeferred):
        resumed(case, operator, {"open": NOW.isoformat()})


def test_an_override_opens_it(case: PlanRunCase) -> None:
    frozen = once("2026-11-23T12:00", timedelta(days=2))
    operator = waiting(pinned(case), frozen)
    with pytest.raises(TaskDeferred):
        case.run(operator)
    change(case, ChangeKind.OVERRIDE, NOW, NOW + 2 * HOUR)
    assert isinstance(resumed(case, operator, {"open": NOW.isoformat()}), int)
    assert "alice" in case.ledger.decisions_of(case.plan_id)[-1].decision.verdict


def test_an_override_by_somebody_else_does_not(
    case: PlanRunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__OVERRIDE_USERS", "")
    frozen = once("2026-11-23T12:00", timedelta(days=2))
    change(case, ChangeKind.OVERRIDE, NOW, NOW + 2 * HOUR)
    with pytest.raises(TaskDeferred):
        case.run(waiting(pinned(case), frozen))


def test_it_expires_with_the_decision_to_run(case: PlanRunCase) -> None:
    operator = waiting(pinned(case, 2 * HOUR), needs=timedelta(hours=3, minutes=30))
    with pytest.raises(TaskDeferred) as deferred:
        case.run(operator)
    assert deferred.value.trigger.serialize()[1]["deadline"] == (NOW + 2 * HOUR).timestamp()
    case.time.seconds = 2 * 3600
    with pytest.raises(AirflowFailException, match="no window of calendar nights with 3h30m was"):
        resumed(case, operator, {"late": NOW.isoformat()})
    assert case.ledger.audit_of(case.plan_id)[-1].detail["error"] == "ExpiredError"


def test_an_abort_ends_the_wait(case: PlanRunCase) -> None:
    operator = waiting(pinned(case))
    case.ledger.request_abort(case.plan_id, actor="cli:bob", reason="no", now=NOW)
    with pytest.raises(AirflowFailException, match="A person stopped"):
        resumed(case, operator, {"abort": NOW.isoformat()})


def test_a_calendar_that_never_opens_again(case: PlanRunCase) -> None:
    with pytest.raises(AirflowFailException, match="It never opens again with 5h"):
        case.run(waiting(pinned(case), needs=5 * HOUR))


def test_a_ledger_that_is_away_opens_nothing(
    case: PlanRunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = waiting(pinned(case))

    def away(*_: Any, **__: Any) -> None:
        raise UnavailableError("no answer")

    monkeypatch.setattr("planner_provider.ledger.Ledger.live_changes", away)
    with pytest.raises(UnavailableError):
        case.run(operator)
    with pytest.raises(TaskDeferred):
        resumed(case, operator, {"open": NOW.isoformat()})
    with pytest.raises(UnavailableError):
        resumed(case, operator, {"late": "x"}, deadline=NOW.isoformat())
    assert case.ledger.decisions_of(case.plan_id) == ()


# ---- by hand


def by_hand(case: PlanRunCase, **more: Any) -> WindowSensor:
    sensor = WindowSensor(**{"task_id": "window", "calendar": nights(), "needs": HOUR, **more})
    object.__setattr__(sensor, "clock", case.time.clock)
    ExecutorSafeguard.tracker.set(sensor)
    return sensor


def test_by_hand_it_passes_or_defers(case: PlanRunCase) -> None:
    assert by_hand(case).execute(case.context("window")) == NOW.isoformat()
    change(case, ChangeKind.FREEZE, NOW, NOW + HOUR)
    with pytest.raises(TaskDeferred) as deferred:
        by_hand(case).execute(case.context("window"))
    assert deferred.value.trigger.serialize()[1]["plan_id"] is None


def test_by_hand_it_gives_up(case: PlanRunCase) -> None:
    sensor = by_hand(case, needs=timedelta(hours=3, minutes=30), timeout=HOUR)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(case.context("window"))
    case.time.seconds = 3600
    with pytest.raises(WindowClosedError, match="are left, and the plan needs 3h30m"):
        sensor.looked(case.context("window"), {}, **deferred.value.kwargs)


def test_by_hand_it_takes_a_document(case: PlanRunCase) -> None:
    document = {
        "apiVersion": "planner/v1",
        "kind": "Calendar",
        "metadata": {"name": "nights"},
        "spec": {
            "timezone": "Europe/Berlin",
            "windows": [{"dtstart": "2026-01-01T22:00", "rrule": "FREQ=DAILY", "duration": "PT4H"}],
        },
    }
    assert by_hand(case, calendar=document).execute(case.context("window"))
    with pytest.raises(SpecError, match="no document of kind Calendar"):
        by_hand(case, calendar={**document, "kind": "Plan"})
