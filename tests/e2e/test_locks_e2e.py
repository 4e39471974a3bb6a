"""Plans that want the same lock, in a real Airflow: a queue, a stop, a run that vanishes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.audit import first_broken
from planner_provider.ledger.rows import Outcome
from planner_provider.localstack.local_airflow import LocalAirflow
from tests.e2e.local_bundle import make_airflow, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SOURCES = Path(__file__).parent / "hand_wired_locks"


class Stage:
    def __init__(self, airflow: LocalAirflow, home: Path, dags: Path) -> None:
        self.api = airflow.api
        self.ledger = Ledger(f"sqlite:///{home / 'planner.db'}")
        self.dags = dags

    def start(self, dag_id: str) -> str:
        run_id = f"{dag_id}-{time.monotonic_ns()}"
        self.api.trigger(dag_id, {}, run_id=run_id)
        return run_id

    def let_go(self, run_id: str) -> None:
        (self.dags / f"go-{run_id}").touch()

    def world(self) -> list[str]:
        file = self.dags / "world.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.split()[0] for line in lines]

    def state(self, dag_id: str, run_id: str, task_id: str = "acquire") -> str | None:
        return self.api.task_instance(dag_id, run_id, task_id).state

    def outcome(self, dag_id: str, run_id: str) -> Outcome | None:
        run = self.ledger.run_of(dag_id, run_id)
        return run.outcome if run else None

    def plan_id(self, dag_id: str, run_id: str) -> str:
        run = self.ledger.run_of(dag_id, run_id)
        assert run is not None
        return run.plan_id


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    base = tmp_path_factory.mktemp("locks")
    dags = base / "dags"
    shutil.copytree(SOURCES, dags, ignore=shutil.ignore_patterns("__pycache__"))
    with make_airflow(tmp_path_factory, base / "home", dags=dags) as airflow:
        airflow.wait_ready()
        for dag_id in ("one", "two", "three", "vanishing"):
            airflow.wait_dag(dag_id)
        yield Stage(airflow, base / "home", dags)


def test_runs_wait_deferred_in_order_and_a_stop_ends_a_wait(stage: Stage) -> None:
    first = stage.start("one")
    wait_until(lambda: first in stage.world())
    second = stage.start("two")
    wait_until(lambda: stage.state("two", second) == "deferred")
    third = stage.start("three")
    wait_until(lambda: stage.state("three", third) == "deferred")
    queue = stage.ledger.lease_queue(now=datetime.now(UTC))
    assert [line.waiter.plan_id for line in queue] == [
        stage.plan_id("two", second), stage.plan_id("three", third),
    ]  # fmt: skip
    assert "is held (exclusive) by plan one-" in stage.api.task_log("two", second, "acquire", 1)

    stage.ledger.request_abort(
        stage.plan_id("two", second), actor="cli:ada", reason="other day", now=datetime.now(UTC)
    )
    stopped = time.monotonic()
    wait_until(lambda: stage.state("two", second) == "failed", seconds=30)
    assert time.monotonic() - stopped < 20
    stage.api.wait_for_run("two", second)
    assert stage.outcome("two", second) is Outcome.ABORTED

    assert stage.world()[-1] == first, "nobody acts but the one who holds"
    stage.let_go(third)
    stage.let_go(first)
    assert stage.api.wait_for_run("one", first).state == "success"
    assert stage.api.wait_for_run("three", third).state == "success"
    assert stage.world()[-2:] == [first, third]
    assert stage.ledger.held_resources() == ()
    assert first_broken(stage.ledger.audit_of()) is None


@pytest.mark.soak
def test_what_a_run_that_airflow_cut_off_holds_is_taken_back(stage: Stage) -> None:
    cut_off = stage.start("vanishing")
    wait_until(lambda: cut_off in stage.world())
    waiting = stage.start("one")
    stage.let_go(waiting)
    assert stage.api.wait_for_run("vanishing", cut_off).state == "failed"
    assert stage.state("vanishing", cut_off, "finish") != "success", "its last task never ran"
    wait_until(lambda: stage.outcome("vanishing", cut_off) is not None)
    assert stage.outcome("vanishing", cut_off) is Outcome.ROLLBACK_FAILED
    assert stage.api.wait_for_run("one", waiting).state == "success"
    assert stage.world()[-2:] == [cut_off, waiting]
    assert stage.ledger.held_resources() == ()
