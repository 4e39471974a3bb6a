from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from planner_provider.ledger.rows import ActRole, Claim, Hold, Outcome, RunKey
from planner_provider.operators.acquire import AcquireOperator
from planner_provider.operators.failures import failures
from planner_provider.operators.plan_ref import Role
from planner_provider.triggers.locks import LocksTrigger
from tests.operators.plan_runs import NOW, PlanRunCase, database

OTHER = RunKey("other-1", "other", "other", "r", "e" * 64)


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    case = PlanRunCase(database(tmp_path)).pinned()
    case.ledger.pin_run(OTHER, expires_at=None, parameters={}, actor="t", now=NOW)
    case.ledger.take_lease(OTHER.plan_id, [Hold("db://x")], actor="t", now=NOW)
    return case


def acquire(case: PlanRunCase, **more: Any) -> AcquireOperator:
    return AcquireOperator(
        task_id="acquire", plan_ref=case.ref(Role.FRAME), touches=(("db://x", "shared"),), **more
    )


def resume(case: PlanRunCase, operator: AcquireOperator, event: dict[str, Any]) -> Any:
    """Go on after a deferral, as the task runner does."""
    object.__setattr__(operator, "clock", case.time.clock)
    ExecutorSafeguard.tracker.set(operator)
    return operator.resume_execution("asked", {"event": event}, case.context("acquire"))


def release_other(case: PlanRunCase) -> None:
    case.ledger.release_lease(OTHER.plan_id, actor="t", now=case.time.now())


def test_a_short_wait_holds_the_worker(case: PlanRunCase) -> None:
    case.time.on_sleep = lambda: release_other(case) if case.time.seconds >= 3 else None
    assert case.run(acquire(case)) == 2
    assert 3 <= case.time.seconds < 5
    assert case.ledger.lease_queue(now=case.time.now()) == ()


def test_a_longer_one_is_deferred_with_an_absolute_deadline(
    case: PlanRunCase, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        case.run(acquire(case, wait=timedelta(hours=1)))
    assert case.time.seconds == 10
    trigger = deferred.value.trigger
    assert isinstance(trigger, LocksTrigger)
    assert trigger.plan_id == case.plan_id
    assert datetime.fromisoformat(trigger.deadline) == NOW + timedelta(hours=1)
    assert deferred.value.method_name == "asked"
    assert isinstance(deferred.value.timeout, timedelta)
    (waiting,) = case.ledger.lease_queue(now=case.time.now())
    assert waiting.waiter.plan_id == case.plan_id

    case.time.seconds = 1800
    with pytest.raises(TaskDeferred) as again:
        resume(case, acquire(case, wait=timedelta(hours=1)), {"free": True})
    assert again.value.trigger.deadline == trigger.deadline, "the wait does not begin anew"


def test_it_logs_who_is_in_the_way_once(case: PlanRunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    operator = acquire(case)
    monkeypatch.setattr(
        type(operator), "log",
        type("Log", (), {"info": lambda _, text, *a: lines.append(text % a)})(),
    )  # fmt: skip
    with pytest.raises(TaskDeferred):
        case.run(operator)
    held = [line for line in lines if "is held" in line]
    assert len(held) == 1
    assert "Waits, next: db://x is held (exclusive) by plan other-1" in held[0]
    assert "since 2026-11-23 22:00:00 UTC" in held[0]


def test_it_takes_them_when_they_are_free(case: PlanRunCase) -> None:
    with pytest.raises(TaskDeferred):
        case.run(acquire(case))
    release_other(case)
    assert resume(case, acquire(case), {"free": True}) == 2
    assert case.ledger.check_lease(case.plan_id) is not None


def test_the_wait_has_an_end_that_names_the_holder_and_is_not_tried_again(
    case: PlanRunCase,
) -> None:
    with pytest.raises(TaskDeferred):
        case.run(acquire(case, wait=timedelta(hours=1)))
    case.time.seconds = 3600
    with pytest.raises(AirflowFailException, match=r"db://x is held .* other-1.* 1:00:00") as late:
        resume(case, acquire(case, wait=timedelta(hours=1)), {"late": True})
    assert "waits for that 1h at most" in str(late.value)
    assert case.ledger.lease_queue(now=case.time.now()) == ()
    found = failures(case.ledger.audit_of(case.plan_id))
    assert found["acquire"].error == "LocksHeldError"


def test_one_look_is_enough_if_no_wait_is_wanted(case: PlanRunCase) -> None:
    with pytest.raises(AirflowFailException, match="other-1"):
        case.run(acquire(case, wait=timedelta(0)))
    assert case.time.seconds == 0


def test_a_run_that_is_stopped_waits_no_longer(case: PlanRunCase) -> None:
    with pytest.raises(TaskDeferred):
        case.run(acquire(case))
    with pytest.raises(AirflowFailException, match="stopped by a person at 22:01"):
        resume(case, acquire(case), {"abort": "22:01"})
    assert case.ledger.lease_queue(now=case.time.now()) == ()


def test_a_stop_is_seen_while_the_worker_waits(case: PlanRunCase) -> None:
    case.time.on_sleep = lambda: case.ledger.request_abort(
        case.plan_id, actor="cli:ada", reason="not today", now=case.time.now()
    )
    with pytest.raises(AirflowFailException, match="not today"):
        case.run(acquire(case))
    assert case.time.seconds <= 1


def test_locks_of_a_run_that_ended_badly_are_taken_back(case: PlanRunCase) -> None:
    claim = Claim("other", "r", "e" * 64, ActRole.STEP, "s1")
    case.ledger.begin_act(claim, now=NOW)
    case.ledger.finish_run(OTHER, Outcome.FAILED, "killed", actor="t", now=NOW)
    with pytest.raises(TaskDeferred):
        case.run(acquire(case))
    lease = case.ledger.check_lease(OTHER.plan_id)
    assert lease is not None
    assert lease.closing_at == NOW, "it may still act, so it is told to stop first"
    case.time.seconds = 20
    assert resume(case, acquire(case), {"free": True}) == 2
    assert case.ledger.check_lease(OTHER.plan_id) is None


def test_a_run_that_was_never_assessed_gets_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    case = PlanRunCase(url)
    with pytest.raises(AirflowFailException, match="never assessed"):
        case.run(acquire(case))
