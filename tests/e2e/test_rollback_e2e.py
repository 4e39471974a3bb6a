"""Plans that fail, are stopped, are changed, and are cleared, in a real Airflow."""

from __future__ import annotations

import itertools
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ActResult, Outcome
from planner_provider.localstack.local_airflow import LocalAirflow
from tests.e2e.local_bundle import make_airflow

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SOURCES = Path(__file__).parent / "hand_wired"
NUMBERS = itertools.count(1)


class Stage:
    """One Airflow, its ledger, and the world that the plans of ``hand_wired`` change."""

    def __init__(self, airflow: LocalAirflow, ledger: Ledger, dags: Path) -> None:
        self.airflow = airflow
        self.api = airflow.api
        self.ledger = ledger
        self.dags = dags

    def start(self, dag_id: str, **conf: str) -> str:
        """Start a run and give its id."""
        return self.api.trigger(dag_id, conf, run_id=f"run-{next(NUMBERS)}").run_id

    def end(self, dag_id: str, run_id: str) -> str:
        """Wait until the run has ended and give its state."""
        return self.api.wait_for_run(dag_id, run_id, timeout=180).state

    def world(self, run_id: str) -> list[str]:
        """What was done, in order, without what only began."""
        return [line for line in self.began(run_id) if not line.endswith("begins")]

    def began(self, run_id: str) -> list[str]:
        file = self.dags / f"world-{run_id}.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.rpartition(" ")[0] for line in lines]

    def wait_until(self, what: Callable[[], bool], timeout: float = 60) -> None:
        end = time.monotonic() + timeout
        while not what():
            assert time.monotonic() < end, "this did not happen in time"
            time.sleep(0.1)

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        return {t.task_id: t.state for t in self.api.task_instances(dag_id, run_id)}

    def outcome(self, dag_id: str, run_id: str) -> tuple[Outcome | None, str]:
        run = self.ledger.run_of(dag_id, run_id)
        assert run is not None
        assert self.api.xcom(dag_id, run_id, "finish", "outcome") == run.outcome
        assert self.api.xcom(dag_id, run_id, "finish", "plan_id") == run.plan_id
        assert self.ledger.check_lease(run.plan_id) is None, "the locks were not given back"
        return run.outcome, run.reason or ""

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        return self.api.task_log(dag_id, run_id, task_id, try_number)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    base = tmp_path_factory.mktemp("rollback")
    home, dags = base / "home", base / "dags"
    dags.mkdir()
    shutil.copy(SOURCES / "plans.py", dags)
    (dags / "digest.txt").write_text("1" * 64)
    with make_airflow(tmp_path_factory, home, dags=dags, parallelism=8) as airflow:
        airflow.wait_ready()
        airflow.wait_dag("five")
        yield Stage(airflow, Ledger(f"sqlite:///{home / 'planner.db'}"), dags)


@pytest.mark.soak
def test_all_steps_done_is_success_and_runs_no_compensation(stage: Stage) -> None:
    run = stage.start("five")
    assert stage.end("five", run) == "success"
    assert stage.world(run) == ["s1", "s2", "s3", "s4", "s5", "verify"]
    states = stage.states("five", run)
    assert {states[f"rollback.{s}"] for s in ("s1", "s2", "s4", "s5")} == {"skipped"}
    assert states["verify_rollback"] == "skipped"
    assert stage.outcome("five", run)[0] is Outcome.SUCCEEDED


def test_a_step_that_fails_for_good_is_rolled_back_in_reverse(stage: Stage) -> None:
    run = stage.start("five", s3="unavailable")
    assert stage.end("five", run) == "failed"
    assert stage.world(run) == ["s1", "s2", "undo s2", "undo s1", "verify_rollback"]
    assert stage.began(run).count("s3 begins") == 2, "it is tried again, once"
    states = stage.states("five", run)
    assert states["execute.s4"] == states["execute.s5"] == "upstream_failed"
    assert states["rollback.s4"] == states["rollback.s5"] == "skipped"
    outcome, reason = stage.outcome("five", run)
    assert outcome is Outcome.ROLLED_BACK
    assert reason.startswith("Step s3 ended failed at try 2: UnavailableError: s3 does not answer.")
    summary = stage.log("five", run, "finish")
    assert "ROLLED_BACK" in summary
    assert "Undone: s2, s1" in summary
    assert "Never begun: s4, s5" in summary

    # The step that failed is cleared with what comes after it: what it builds on is undone.
    stage.api.clear("five", run, ["execute.s3"])
    assert stage.end("five", run) == "failed"
    assert stage.began(run).count("s3 begins") == 2, "it must not act on an undone world"
    log = stage.log("five", run, "execute.s3", 3)
    assert "comes after step s2, and that was undone in this run" in log
    assert stage.outcome("five", run)[0] is Outcome.ROLLED_BACK


def test_clearing_only_what_failed_neither_acts_without_locks_nor_ends_green(stage: Stage) -> None:
    run = stage.start("bare", s3="fail")
    assert stage.end("bare", run) == "failed"
    outcome, reason = stage.outcome("bare", run)
    assert outcome is Outcome.FAILED
    assert "Left changed: s1, s2" in reason
    assert "Failed without a declared rollback: s3" in reason
    tries = stage.began(run).count("s3 begins")

    stage.api.clear("bare", run, only_failed=True, downstream=False)
    assert stage.end("bare", run) == "failed"
    assert stage.began(run).count("s3 begins") == tries
    assert stage.outcome("bare", run)[0] is Outcome.FAILED
    refusals = [e for e in stage.ledger.audit_of() if "holds no locks" in str(e.detail)]
    assert refusals


def test_a_failed_step_goes_on_where_it_stopped_when_acquire_is_cleared(stage: Stage) -> None:
    run = stage.start("bare", s3="fail")
    assert stage.end("bare", run) == "failed"
    stage.api.clear("bare", run, ["acquire"])
    assert stage.end("bare", run) == "failed"
    assert stage.world(run) == ["s1", "s2"], "what is done is not done again"
    assert stage.began(run).count("s3 begins") == 4, "two tries, cleared, two tries"


@pytest.mark.soak
def test_a_running_step_marked_success_does_not_count_as_done(stage: Stage) -> None:
    run = stage.start("five", s2="slow")
    stage.wait_until(lambda: "s2 begins" in stage.began(run))
    stage.api.set_task_state("five", run, "execute.s2", "success")
    assert stage.end("five", run) == "failed"
    assert stage.world(run) == ["s1", "undo s2", "undo s1", "verify_rollback"]
    assert "s3 begins" not in stage.began(run)
    outcome, reason = stage.outcome("five", run)
    assert outcome is Outcome.ROLLED_BACK
    assert "step s2" in reason.lower()


@pytest.mark.parametrize("state", ["failed", "success"])
@pytest.mark.soak
def test_a_run_whose_state_is_set_by_hand_is_rolled_back(stage: Stage, state: str) -> None:
    run = stage.start("five", s2="slow")
    stage.wait_until(lambda: "s2 begins" in stage.began(run))
    stage.api.set_run_state("five", run, state)
    stage.wait_until(lambda: "finish" in {
        t for t, s in stage.states("five", run).items() if s in ("success", "failed")
    })  # fmt: skip
    assert stage.end("five", run) == "failed"
    assert stage.world(run) == ["s1", "undo s2", "undo s1", "verify_rollback"]
    outcome, reason = stage.outcome("five", run)
    assert outcome is Outcome.ROLLED_BACK
    assert reason.startswith("A person stopped the run.")


def test_a_plan_that_is_changed_under_way_goes_no_further(stage: Stage) -> None:
    run = stage.start("changing", s2="hang once")
    stage.wait_until(lambda: "s2 begins" in stage.began(run))
    (stage.dags / "digest.txt").write_text("2" * 64)
    try:
        stage.api.set_task_state("changing", run, "execute.s2", "success")
        assert stage.end("changing", run) == "failed"
        assert stage.world(run) == ["s1"], "neither a step nor a compensation of the new version"
        log = stage.log("changing", run, "execute.s3")
        assert "The plan was changed while this run was under way" in log
        assert "11111111" in log
        assert "22222222" in log
        outcome, reason = stage.outcome("changing", run)
        assert outcome is Outcome.ROLLBACK_FAILED
        assert "Left changed: s1, s2" in reason
    finally:
        (stage.dags / "digest.txt").write_text("1" * 64)
    # The spec is put back as it was, and the run goes on where it stopped.
    stage.api.clear("changing", run, ["acquire"])
    assert stage.end("changing", run) == "success"
    assert stage.world(run) == ["s1", "s2", "s3", "s4", "s5", "verify"]
    assert stage.outcome("changing", run)[0] is Outcome.SUCCEEDED


@pytest.mark.soak
def test_what_is_not_available_blocks_before_anything_is_touched(stage: Stage) -> None:
    run = stage.start("missing")
    assert stage.end("missing", run) == "failed"
    assert stage.began(run) == []
    states = stage.states("missing", run)
    assert states["assess"] == "failed"
    assert stage.api.task_instance("missing", run, "assess").try_number == 1
    outcome, reason = stage.outcome("missing", run)
    assert outcome is Outcome.BLOCKED
    assert "action canary of step s1" in reason


@pytest.mark.soak
def test_a_decision_that_is_too_old_expires(stage: Stage) -> None:
    run = stage.start("expiring")
    assert stage.end("expiring", run) == "failed"
    assert stage.began(run) == []
    assert stage.outcome("expiring", run)[0] is Outcome.EXPIRED


@pytest.mark.soak
def test_a_compensation_that_fails_is_rollback_failed_and_others_still_run(stage: Stage) -> None:
    run = stage.start("five", **{"s3": "fail", "undo s2": "fail"})
    assert stage.end("five", run) == "failed"
    assert stage.world(run) == ["s1", "s2", "undo s1", "verify_rollback"]
    outcome, reason = stage.outcome("five", run)
    assert outcome is Outcome.ROLLBACK_FAILED
    assert "Left changed: s2" in reason
    assert "undo s2 fails for good" in reason


@pytest.mark.soak
def test_two_plans_that_touch_the_same_do_not_act_together(stage: Stage) -> None:
    first = stage.start("five", s1="slow")
    stage.wait_until(lambda: "s1 begins" in stage.began(first))
    second = stage.start("other")
    stage.wait_until(lambda: stage.states("other", second).get("acquire") == "deferred", 90)
    holder = stage.ledger.run_of("five", first)
    assert holder is not None
    assert holder.plan_id in stage.log("other", second, "acquire")
    assert stage.began(second) == []
    stage.api.set_run_state("five", first, "failed")
    assert stage.end("five", first) == "failed"
    assert stage.end("other", second) == "success"
    assert stage.outcome("other", second)[0] is Outcome.SUCCEEDED


@pytest.mark.soak
def test_a_killed_supervisor_takes_its_step_along_and_the_next_try_resumes(stage: Stage) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("PDEATHSIG is Linux only")
    run = stage.start("five", s2="hang once")
    stage.wait_until(lambda: "s2 begins" in stage.began(run))
    lines = (stage.dags / f"world-{run}.txt").read_text().splitlines()
    pid = int(next(line for line in lines if line.startswith("s2 begins")).rpartition(" ")[2])
    child = psutil.Process(pid)
    supervisor = child.parent()
    assert supervisor is not None
    supervisor.kill()
    stage.wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10)
    assert stage.end("five", run) == "success"
    record = stage.ledger.run_of("five", run)
    assert record is not None
    acts = [a for a in stage.ledger.acts_of(record.plan_id) if a.step == "s2"]
    assert [a.result for a in acts] == [ActResult.UNKNOWN, ActResult.DONE]
    assert acts[0].detail == "its process fell silent"


def test_every_line_of_a_tasks_log_carries_the_plan_id(stage: Stage) -> None:
    run = stage.start("five")
    stage.end("five", run)
    record = stage.ledger.run_of("five", run)
    assert record is not None
    for task_id in ("assess", "acquire", "execute.s2", "verify", "decide", "release", "finish"):
        lines = stage.log("five", run, task_id).splitlines()
        # Airflow writes a few lines before it reads the DAG; nobody knows the plan then
        read = next(n for n, line in enumerate(lines) if "Filling up the DagBag" in line)
        assert [line for line in lines[read + 1 :] if record.plan_id not in line] == []
        assert len(lines) > read + 3
    lines = stage.log("five", run, "execute.s2").splitlines()
    for what in ("a line of the action", "a printed line of the action", "s2 acts"):
        line = next(line for line in lines if what in line)
        assert '"step": "s2"' in line, line
