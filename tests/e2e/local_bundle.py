"""A folder as a team's repository has it, and a real Airflow over it, for the e2e tests."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import PlanRun
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.localstack.settings import StackSettings

DAGS = Path(__file__).parents[2] / "dags"
TEAM = "apiVersion: planner/v1\nkind: Team\nmetadata: {name: team-shop}\nspec: {notify: [chat]}\n"
QUICK = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "AIRFLOW__PLANNER__LIFE_SIGN_SECONDS": "1",
}


def header(name: str) -> str:
    """The beginning of a plan's spec, up to its steps."""
    return (
        "apiVersion: planner/v1\n"
        "kind: Plan\n"
        f"metadata: {{name: {name}, owner: team-shop}}\n"
        "spec:\n"
        f"  summary: The plan {name}\n"
        "  steps:\n"
    )


def make_bundle(root: Path) -> Path:
    """Make ``dags/``, as it is shipped, and ``plan_specs/`` with a team; give the latter."""
    shutil.copytree(DAGS, root / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    specs = root / "plan_specs"
    specs.mkdir()
    (specs / "000-teams.yaml").write_text(TEAM)
    return specs


def make_airflow(
    factory: pytest.TempPathFactory,
    home: Path,
    *,
    dags: Path | None = None,
    bundles: str | None = None,
    env: Mapping[str, str] | None = None,
    parallelism: int = 4,
    database: str | None = None,
) -> LocalAirflow:
    """A local Airflow that parses often.

    All of a session start from one migrated SQLite database, but those with a ``database``: the
    URL of an empty one in PostgreSQL, where many tasks write at once.
    """
    cache: Path | None = factory.getbasetemp() / "airflow-template"
    everything = QUICK | dict(env or {})
    if database is not None:
        cache = None
        address = database.replace("://", "+psycopg2://", 1)
        everything["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = address
    settings = StackSettings(
        home=home, dags=dags, bundles=bundles, env=everything, parallelism=parallelism
    )
    return LocalAirflow(settings, template_cache=cache)


def wait_until(what: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "this did not happen in time"
        time.sleep(0.2)


def run_in_ledger(home: Path, dag_id: str, run_id: str) -> PlanRun:
    """What the ledger holds about a run."""
    run = Ledger(f"sqlite:///{home / 'planner.db'}").run_of(dag_id, run_id)
    assert run is not None
    return run
