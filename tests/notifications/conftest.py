from __future__ import annotations

from pathlib import Path

import pytest

import tests.operators.airflow_context  # noqa: F401 - Airflow's home is set before anything else
from planner_provider.ledger import Ledger
from tests.ledger.cases import Run
from tests.ledger.conftest import ledger_url as ledger_url
from tests.ledger.conftest import postgres_url as postgres_url


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = f"sqlite:///{tmp_path / 'planner.db'}"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    return Ledger(url)


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return Run(ledger).pin()
