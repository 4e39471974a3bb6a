from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.ledger import Ledger
from planner_provider.listeners import aborts
from tests.ledger.cases import Run

BY_HAND = "Dag Run's state was manually set to `failed`"


@dataclass
class DagRun:
    dag_id: str = "release"
    run_id: str = "run-1"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = f"sqlite:///{tmp_path / 'planner.db'}"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    return Ledger(url)


def aborted(ledger: Ledger) -> bool:
    run = ledger.run_of("release", "run-1")
    return run is not None and run.abort_at is not None


@pytest.mark.parametrize("hook", [aborts.on_dag_run_failed, aborts.on_dag_run_success])
def test_a_state_that_is_set_by_hand_stops_the_run(ledger: Ledger, hook: object) -> None:
    Run(ledger).pin()
    hook(DagRun(), BY_HAND)  # type: ignore[operator]
    assert aborted(ledger)


def test_the_real_end_of_a_run_is_no_abort(ledger: Ledger) -> None:
    Run(ledger).pin()
    aborts.on_dag_run_failed(DagRun(), "task_failure")
    assert not aborted(ledger)


def test_runs_of_other_dags_are_none_of_its_business(ledger: Ledger) -> None:
    aborts.on_dag_run_failed(DagRun("other"), BY_HAND)
    assert ledger.audit_of() == ()


def test_a_ledger_that_is_away_does_not_break_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", "postgresql://u@127.0.0.1:1/x")
    aborts.on_dag_run_failed(DagRun(), BY_HAND)
