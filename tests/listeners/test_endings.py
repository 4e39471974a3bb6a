from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.graph.contacts import Contact
from planner_provider.graph.model import PlanGraph
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import (
    ActResult,
    ActRole,
    CompiledPlan,
    Course,
    Outcome,
    PlanRun,
)
from planner_provider.listeners import endings
from planner_provider.notifications.sender_process import SenderProcess
from planner_provider.plugins.planner_plugin import PlannerPlugin
from tests.hooks.http_server import http_server
from tests.ledger.cases import NOW, Run
from tests.listeners.test_aborts import BY_HAND

TIMED_OUT = "timed_out"


@dataclass
class DagRun:
    dag_id: str = "release"
    run_id: str = "run-1"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = f"sqlite:///{tmp_path / 'planner.db'}"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    return Ledger(url)


@pytest.fixture
def run(ledger: Ledger) -> Run:
    run = Run(ledger).pin()
    run.lease("x")
    return run


def ended(run: Run) -> PlanRun:
    found = run.ledger.run(run.key.plan_id)
    assert found is not None
    return found


def held(run: Run) -> bool:
    return run.ledger.check_lease(run.key.plan_id) is not None


def test_it_is_registered() -> None:
    assert endings in PlannerPlugin.listeners


@pytest.mark.parametrize("hook", [endings.on_dag_run_failed, endings.on_dag_run_success])
def test_what_a_run_left_open_is_closed(run: Run, hook: object) -> None:
    run.do("s1")
    run.do("s2", ActResult.FAILED)
    hook(DagRun(), TIMED_OUT)  # type: ignore[operator]
    assert ended(run).outcome is Outcome.ROLLBACK_FAILED
    reason = ended(run).reason or ""
    assert "timed_out" in reason
    assert "s1 (done), s2 (failed)" in reason
    assert not held(run)
    written = len(run.ledger.audit_of())
    hook(DagRun(), TIMED_OUT)  # type: ignore[operator]
    assert len(run.ledger.audit_of()) == written, "a second time changes nothing"


def test_while_something_may_act_the_locks_stay(run: Run) -> None:
    run.begin("s1")
    endings.on_dag_run_failed(DagRun(), TIMED_OUT)
    assert ended(run).outcome is Outcome.ROLLBACK_FAILED
    lease = run.ledger.check_lease(run.key.plan_id)
    assert lease is not None
    assert lease.closing_at is not None


def test_what_finish_wrote_stays(run: Run) -> None:
    run.ledger.finish_run(run.key, Outcome.REJECTED, "no", actor="t", now=NOW)
    endings.on_dag_run_failed(DagRun(), "task_failure")
    assert (ended(run).outcome, ended(run).reason) == (Outcome.REJECTED, "no")
    assert not held(run), "and what it did not give back is taken"


def test_a_state_that_is_set_by_hand_is_no_end(run: Run) -> None:
    endings.on_dag_run_failed(DagRun(), BY_HAND)
    assert ended(run).outcome is None
    assert held(run)


@pytest.mark.parametrize(
    ("steps", "course", "outcome"),
    [
        ("", None, Outcome.FAILED),
        ("done", Course.KEEP, Outcome.SUCCEEDED),
        ("done", None, Outcome.ROLLBACK_FAILED),
        ("done", Course.UNDO, Outcome.ROLLBACK_FAILED),
        ("undone", Course.UNDO, Outcome.ROLLED_BACK),
    ],
)
def test_the_outcome_is_judged_by_the_journal(
    run: Run, steps: str, course: Course | None, outcome: Outcome
) -> None:
    if steps:
        run.do("s1")
    if course:
        run.wind_up(course)
    if steps == "undone":
        run.do("s1", role=ActRole.UNDO)
    endings.on_dag_run_success(DagRun(), "success")
    assert ended(run).outcome is outcome


def test_runs_of_other_dags_are_none_of_its_business(ledger: Ledger) -> None:
    endings.on_dag_run_failed(DagRun("other"), TIMED_OUT)
    assert ledger.audit_of() == ()


def test_a_ledger_that_is_away_does_not_break_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", "postgresql://u@127.0.0.1:1/x")
    endings.on_dag_run_failed(DagRun(), TIMED_OUT)


def test_an_end_that_no_task_tells_is_told_without_holding_up_the_scheduler(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = PlanGraph(
        name="release", owner="team-shop", summary="Release", tasks=(), edges=(),
        contacts=(Contact(team="team-shop", connections=("chat",)),),
    )  # fmt: skip
    run.ledger.remember_compiled(
        [CompiledPlan("release", "d" * 64, graph.to_json(), "f", "s", NOW)]
    )
    monkeypatch.setattr(endings, "SENDER", SenderProcess())
    run.do("s1", ActResult.FAILED)
    with http_server() as chat:
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", f"http://127.0.0.1:{chat.port}")
        endings.on_dag_run_failed(DagRun(), TIMED_OUT)
        endings.on_dag_run_failed(DagRun(), TIMED_OUT)
        assert endings.SENDER.wait(60)
    assert [asked.json["event"] for asked in chat.asked] == [ended(run).outcome.value]


def test_a_scheduler_that_starts_sends_what_is_left(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[timedelta] = []
    monkeypatch.setattr(endings.SENDER, "wake", woken.append)
    for kind in ("TriggererJob", "SchedulerJob"):
        endings.on_starting(SimpleNamespace(job_type=kind))
    endings.on_starting(object())
    assert woken == [endings.AFTER_START]
