"""A real Airflow is started, used, broken and ended; nothing of it may stay behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from planner_provider.localstack import LocalAirflow
from planner_provider.localstack.keeper import is_alive
from planner_provider.localstack.local_airflow import AirflowStartError, Breakdown
from tests.localstack.stacks import pids_of_long_task, small_airflow, until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def told() -> list[Breakdown]:
    return []


@pytest.fixture(scope="module")
def airflow(
    cache: Path, told: list[Breakdown], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    home = tmp_path_factory.mktemp("home")
    with small_airflow(home, cache, on_breakdown=told.append) as made:
        made.wait_ready()
        yield made
        left = made.processes()
        assert len(left) > 8
    assert [process for process in left if is_alive(process)] == []


def test_a_run_can_be_started_and_read(airflow: LocalAirflow) -> None:
    api = airflow.api
    airflow.wait_dag("small")
    assert not api.dag("small").is_paused
    assert api.dag_details("small").doc_md == "two tasks"
    run = api.trigger("small", {"number": 41})
    assert api.wait_for_run("small", run.run_id).state == "success"
    tasks = {task.task_id: task for task in api.task_instances("small", run.run_id)}
    assert {name: task.state for name, task in tasks.items()} == {
        "first": "success",
        "second": "success",
    }
    assert api.task_instance("small", run.run_id, "first") == tasks["first"]
    assert api.xcom("small", run.run_id, "second") == 42
    assert api.xcom("small", run.run_id, "second", "nothing") is None
    assert "a word in the log" in api.task_log("small", run.run_id, "first")
    assert [version.version_number for version in api.dag_versions("small")] == [1]
    assert api.import_errors() == ()
    assert run.run_id in {one.run_id for one in api.runs("small")}


def test_a_run_can_be_cleared_and_marked(airflow: LocalAirflow) -> None:
    api = airflow.api
    run = api.trigger("small")
    api.wait_for_run("small", run.run_id)
    api.set_task_state("small", run.run_id, "second", "failed")
    assert api.task_instance("small", run.run_id, "second").state == "failed"
    cleared = api.clear("small", run.run_id, ["second"])
    assert [task.task_id for task in cleared] == ["second"]
    assert until(lambda: api.task_instance("small", run.run_id, "second").state == "success", 60)
    assert api.task_instance("small", run.run_id, "second").try_number == 2
    api.set_run_state("small", run.run_id, "failed")
    assert api.run("small", run.run_id).state == "failed"


def test_a_dag_that_is_not_there_is_named_with_those_that_are(airflow: LocalAirflow) -> None:
    with pytest.raises(AirflowStartError, match=r"DAG absent has not appeared(?s:.*)small"):
        airflow.wait_dag("absent", timeout=0.1)


def test_only_loopback_is_listened_on(airflow: LocalAirflow) -> None:
    listening = {
        connection.laddr.ip
        for process in airflow.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_a_process_that_breaks_down_is_told_and_started_again(
    airflow: LocalAirflow, told: list[Breakdown]
) -> None:
    before = airflow.process("dag-processor")
    before.kill()
    assert until(lambda: told)
    assert told[0].name == "dag-processor"
    assert told[0].restarted
    assert "SIGKILL" in str(told[0])
    last_words = told[0].log_tail.splitlines()[-1]
    assert last_words
    assert last_words in airflow.log_file("dag-processor").read_text()
    after = airflow.process("dag-processor")
    assert after.pid != before.pid
    assert airflow.breakdowns == told


def test_killed_on_purpose_it_stays_down_and_its_tasks_go_on(
    airflow: LocalAirflow, told: list[Breakdown]
) -> None:
    pids = pids_of_long_task(airflow)
    known = len(told)
    scheduler = airflow.process("scheduler")
    airflow.kill("scheduler", signal.SIGKILL)
    airflow.start_again("scheduler")
    assert airflow.process("scheduler").pid != scheduler.pid
    assert len(told) == known
    assert all(psutil.pid_exists(pid) for pid in pids), "a crash leaves its tasks running"
    assert set(pids) <= {process.pid for process in airflow.processes()}


def test_a_restart_takes_everything_below_along(airflow: LocalAirflow) -> None:
    before = airflow.process("scheduler")
    below = before.children(recursive=True)
    airflow.restart("scheduler", grace=0.5)
    assert [process for process in [before, *below] if is_alive(process)] == []
    assert airflow.process("scheduler").pid != before.pid


def test_nothing_is_left_after_an_exception(tmp_path: Path, cache: Path) -> None:
    left: list[psutil.Process] = []

    def fail() -> None:
        with small_airflow(tmp_path / "home", cache, remove_home=True) as airflow:
            assert until(lambda: len(airflow.processes()) >= 4)
            left.extend(airflow.processes())
            raise RuntimeError("in the test")

    with pytest.raises(RuntimeError, match="in the test"):
        fail()
    assert len(left) >= 4
    assert [process for process in left if is_alive(process)] == []
    assert not (tmp_path / "home").exists()


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    airflow = small_airflow(tmp_path / "home", cache, restarts=0, on_breakdown=lambda _: None)
    airflow.settings.prepare_home()
    with airflow:
        airflow.kill("triggerer", signal.SIGSTOP)  # the others are told apart from it
        airflow.process("api-server").kill()
        with pytest.raises(AirflowStartError, match="api-server was ended by SIGKILL"):
            airflow.wait_ready()
        left = airflow.processes()
    assert [process for process in left if is_alive(process)] == []


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.soak), signal.SIGKILL]
)
def test_nothing_is_left_when_the_owner_is_killed(
    tmp_path: Path, cache: Path, number: signal.Signals
) -> None:
    home = tmp_path / "home"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.localstack.owner", str(home), str(cache)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        processes = [psutil.Process(int(word)) for word in owner.stdout.readline().split()]
        assert len(processes) > 8
        owner.send_signal(number)
    assert until(lambda: not any(is_alive(process) for process in processes), 20)
    assert until(lambda: not home.exists(), 10)
