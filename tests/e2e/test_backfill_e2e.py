"""A backfill in a real Airflow: every partition once, whatever is killed; then what failed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ItemState, Outcome, WorkItem
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.sandbox import Sandbox, SandboxClient
from tests.e2e.kill_matrix import connection
from tests.e2e.local_bundle import header, make_airflow, make_bundle, wait_until
from tests.e2e.victims import running_tasks
from tests.hooks.http_server import Asked, Reply, Server, http_server
from tests.hooks.played_prometheus import answer, played

SPECS = Path(__file__).parents[2] / "plan_specs"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TARGETS = """
import json, os, time
from datetime import datetime, timezone
from pathlib import Path
from airflow.sdk import DAG, CronDataIntervalTimetable, CronTriggerTimetable, task

HERE = Path(%(folder)r)

def work(bad):
    @task
    def load(data_interval_start=None, data_interval_end=None, dag_run=None, logical_date=None):
        line = {
            "date": logical_date.isoformat(), "run": dag_run.run_id, "at": time.time(),
            "begin": data_interval_start.isoformat(), "end": data_interval_end.isoformat(),
            "conf": dag_run.conf, "type": str(dag_run.run_type),
        }
        name = HERE / f"{dag_run.dag_id}.jsonl"
        with name.open("a") as out:
            out.write(json.dumps(line) + "\\n")
        time.sleep(60 if dag_run.dag_id == "slow" else 0.3)
        if logical_date.hour in bad and not (HERE / "mended").exists():
            raise ValueError("this hour has no good data")
    load()

COMMON = {"start_date": datetime(2026, 11, 1, tzinfo=timezone.utc), "catchup": False}
with DAG("hourly", schedule=CronDataIntervalTimetable("0 * * * *", "UTC"), **COMMON):
    work({3, 5})
with DAG("moments", schedule=CronTriggerTimetable("0 * * * *", timezone="UTC"), **COMMON):
    work(set())
with DAG("paused", schedule="@daily", is_paused_upon_creation=True, **COMMON):
    work(set())
with DAG("orders_hourly", schedule="@hourly", **COMMON):
    work(set())
with DAG("slow", schedule="@hourly", **COMMON):
    work(set())
with DAG("by_hand", schedule=None, **COMMON):
    work(set())
"""
BACKFILL = """
    - id: load
      timeout: 5m
      retries: {{limit: 2, delay: 1s}}
      backfill:
        dag: {dag}
        from: "{begin}"
        to: "{end}"
        dry_run: "{{{{ params.dry_run }}}}"
        conf: {{reason: outage}}
        max_errors: {max_errors}
        throttle: {{start: 2, min: 1, max: {at_once}, every: 2s}}
        {more}
      rollback: none
"""
PARAMETERS = "  parameters: {dry_run: {type: boolean, default: false}}\n"


def plan(name: str, dag: str, **fields: object) -> str:
    settings = {
        "begin": "2026-11-01T00:00Z", "end": "2026-11-01T06:00Z", "max_errors": 0, "at_once": 3,
        "more": "",
    } | fields  # fmt: skip
    text = BACKFILL.format(dag=dag, **settings)
    return header(name).replace("  steps:\n", PARAMETERS + "  steps:") + text


PLANS = {
    "backfill-hourly": plan("backfill-hourly", "hourly", end="2026-11-01T12:00Z", max_errors=1),
    "backfill-moments": plan("backfill-moments", "moments", more="order: newest_first"),
    "backfill-failed": plan("backfill-failed", "moments", more="reprocess: failed"),
    "backfill-slow": plan("backfill-slow", "slow", at_once=2, more="on_abort: stop"),
    "backfill-unpause": plan(
        "backfill-unpause", "paused", end="2026-11-02T00:00Z", more="when_paused: unpause"
    ),
    "backfill-paused": plan("backfill-paused", "paused", end="2026-11-02T00:00Z"),
    "backfill-by-hand": plan("backfill-by-hand", "by_hand"),
}
BAD = {"2026-11-01T03:00:00Z", "2026-11-01T05:00:00Z"}


class Stage:
    """One Airflow with its ledger, what its tasks wrote, and the world of the example."""

    def __init__(self, airflow: LocalAirflow, folder: Path, sandbox: Sandbox) -> None:
        self.airflow, self.api, self.folder, self.sandbox = airflow, airflow.api, folder, sandbox
        self.burns = folder / "burns"
        """While this file is there, the checkout burns its error budget."""
        self.ledger = Ledger(f"sqlite:///{airflow.settings.home / 'planner.db'}")

    def start(self, plan: str, run_id: str, **conf: object) -> str:
        self.api.trigger(plan, conf, run_id=run_id)
        return run_id

    def plan_id(self, plan: str, run_id: str) -> str:
        run = self.ledger.run_of(plan, run_id)
        assert run is not None
        return run.plan_id

    def items(self, plan: str, run_id: str) -> dict[str, WorkItem]:
        if (run := self.ledger.run_of(plan, run_id)) is None:
            return {}
        return {item.item: item for item in self.ledger.items_of(run.plan_id, "load")}

    def flag(self) -> bool:
        """Whether reports say that numbers are not complete."""
        with SandboxClient(self.sandbox.url) as client:
            return any(flag.enabled for flag in client.flags() if flag.name == "orders_incomplete")

    def outcome(self, plan: str, run_id: str) -> Outcome | None:
        run = self.ledger.run_of(plan, run_id)
        return run.outcome if run else None

    def wait_done(self, plan: str, run_id: str, least: int) -> None:
        def done() -> bool:
            states = [item.state for item in self.items(plan, run_id).values()]
            return states.count(ItemState.DONE) >= least

        wait_until(done, 90)

    def tries(self, dag: str) -> Counter[str]:
        """How often Airflow began the task of each partition, by the logical date.

        Airflow itself may try one again whose end it did not hear of.
        """
        found: Counter[str] = Counter()
        for run, date in {line["run"]: line["date"] for line in self.lines(dag)}.items():
            found[date] = self.api.task_instance(dag, run, "load").try_number
        return found

    def lines(self, dag: str) -> list[dict[str, Any]]:
        file = self.folder / f"{dag}.jsonl"
        text = file.read_text() if file.exists() else ""
        return [
            line
            for line in map(json.loads, text.splitlines())
            if line["date"].startswith("2026-11-01")
        ]

    def runs(self, dag: str) -> list[dict[str, object]]:
        found = self.api.call(
            "GET",
            f"/dags/{dag}/dagRuns",
            query={
                "logical_date_gte": "2026-11-01T00:00:00Z",
                "logical_date_lt": "2026-11-02T00:00:00Z",
            },
        )
        assert isinstance(found, dict)
        return list(found["dag_runs"])


def kill_step(stage: Stage, plan: str, run_id: str) -> None:
    """Kill the process of the backfill, and none of those that it made runs for."""
    path = f"/dags/{plan}/dagRuns/{run_id}/taskInstances/execute.load"
    found = stage.api.call("GET", path)
    assert isinstance(found, dict)
    ours = {child.pid for _, child in running_tasks(stage.airflow)}
    assert found["pid"] in ours
    psutil.Process(found["pid"]).kill()


def example() -> str:
    """The plan that people would copy, with times that a test can wait for."""
    text = (SPECS / "110-orders-backfill.yaml").read_text()
    shorter = {"every: 30s": "every: 2s", "delay: 30s": "delay: 1s", "limit: 5": "limit: 1"}
    for long, short in shorter.items():
        assert long in text
        text = text.replace(long, short)
    return text


def connections(sandbox: Sandbox, server: Server, database: Path) -> dict[str, str]:
    return {
        "AIRFLOW_CONN_SANDBOX": connection(sandbox.port),
        "AIRFLOW_CONN_PROMETHEUS": connection(server.port),
        "AIRFLOW_CONN_SANDBOX_DB": json.dumps({"conn_type": "sqlite", "host": str(database)}),
    }


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("backfill")
    specs = make_bundle(root / "bundle")
    folder = root / "world"
    folder.mkdir()
    dags = root / "bundle" / "dags"
    (dags / "targets.py").write_text(TARGETS % {"folder": str(folder)})
    for name, text in PLANS.items():
        (specs / f"{name}.yaml").write_text(text)
    for shared in ("001-teams", "002-services", "003-slos"):
        shutil.copy(SPECS / f"{shared}.yaml", specs)
    (specs / "110-orders-backfill.yaml").write_text(example())
    burns = folder / "burns"

    def reply(asked: Asked) -> Reply:
        return played(answer(good=1000 if burns.exists() else 9_999))(asked)

    with Sandbox(db=root / "sandbox.db") as sandbox, http_server(reply) as server:
        env = connections(sandbox, server, root / "sandbox.db")
        with make_airflow(
            tmp_path_factory, root / "home", dags=dags, env=env, parallelism=6
        ) as airflow:
            airflow.wait_ready()
            targets = ("hourly", "moments", "paused", "slow", "by_hand", "orders_hourly")
            for name in (*PLANS, "orders-backfill", *targets):
                airflow.wait_dag(name)
            user, password = next(iter(airflow.settings.passwords().items()))
            body = {
                "connection_id": "airflow_api",
                "conn_type": "http",
                "host": "127.0.0.1",
                "port": airflow.settings.port,
                "login": user,
                "password": password,
            }
            airflow.api.call("POST", "/connections", body)
            yield Stage(airflow, folder, sandbox)


def test_a_dry_run_lists_and_touches_nothing(stage: Stage) -> None:
    run = stage.start("backfill-hourly", "dry", dry_run=True)
    assert stage.api.wait_for_run("backfill-hourly", run).state == "success"
    told = stage.api.xcom("backfill-hourly", run, "execute.load")
    assert isinstance(told, dict)
    assert (told["make"], told["clear"], told["left_out"]) == (12, 0, 0)
    first, last = told["partitions"][0], told["partitions"][-1]
    assert first == {
        "logical_date": "2026-11-01T00:00:00Z", "end": "2026-11-01T01:00:00Z", "way": "make",
    }  # fmt: skip
    assert last["end"] == "2026-11-01T12:00:00Z"
    log = stage.api.task_log("backfill-hourly", run, "execute.load", 1)
    assert "2026-11-01T05:00:00Z (to 2026-11-01T06:00:00Z): make, because it has no run" in log
    assert stage.lines("hourly") == []
    assert stage.runs("hourly") == []


def test_killed_it_goes_on_and_what_failed_is_done_again(stage: Stage) -> None:
    plan, run = "backfill-hourly", stage.start("backfill-hourly", "one")
    stage.wait_done(plan, run, 1)
    kill_step(stage, plan, run)
    assert stage.api.wait_for_run(plan, run, timeout=240).state == "failed"
    first = Counter(line["date"] for line in stage.lines("hourly"))
    items = stage.items(plan, run)
    assert {i.item for i in items.values() if i.state is ItemState.FAILED} == BAD
    begun = {item.tries for item in items.values() if item.state is not ItemState.WAITING}
    assert begun == {1}, "a partition was begun twice"
    assert first == stage.tries("hourly"), "something else ran a partition"
    load = stage.api.task_instance(plan, run, "execute.load")
    assert load.try_number == 2, "it was killed once, and what failed for good is not tried again"
    told = stage.api.xcom(plan, run, "execute.load", "progress")
    assert isinstance(told, dict)
    assert (told["total"], told["failed"]) == (12, 2)
    assert told["left"] == 12 - len(first)
    log = stage.api.task_log(plan, run, "execute.load", 2)
    assert "2 of 12 partitions failed, and 1 may" in log
    record = stage.ledger.run_of(plan, run)
    assert record is not None
    assert record.outcome is Outcome.FAILED

    (stage.folder / "mended").touch()
    stage.api.clear(plan, run, ["acquire"], downstream=True)
    wait_until(lambda: stage.outcome(plan, run) is Outcome.SUCCEEDED, 150)
    again = Counter(line["date"] for line in stage.lines("hourly"))
    assert len(again) == 12
    assert {i.item for i in stage.items(plan, run).values() if i.tries == 2} == BAD
    assert again == stage.tries("hourly"), "something else ran a partition"
    lines = stage.lines("hourly")
    assert all(line["conf"] == {"reason": "outage"} for line in lines)
    assert all(line["begin"] == line["date"] for line in lines)
    ends = {line["begin"]: line["end"] for line in lines}
    assert ends["2026-11-01T06:00:00+00:00"] == "2026-11-01T07:00:00+00:00"
    told = stage.api.xcom(plan, run, "execute.load")
    assert isinstance(told, dict)
    assert (told["done"], told["failed"], told["left"]) == (12, 0, 0)


def test_newest_first_then_only_what_failed(stage: Stage) -> None:
    run = stage.start("backfill-moments", "one")
    assert stage.api.wait_for_run("backfill-moments", run).state == "success"
    lines = stage.lines("moments")
    assert len(lines) == 6
    assert all(line["begin"] == line["end"] == line["date"] for line in lines)
    assert {line["date"][11:13] for line in lines[:3]} == {"03", "04", "05"}

    ids = sorted(line["run"] for line in lines)[2:4]
    for run_id in ids:
        stage.api.set_run_state("moments", run_id, "failed")
    run = stage.start("backfill-failed", "one")
    assert stage.api.wait_for_run("backfill-failed", run).state == "success"
    assert sorted(line["run"] for line in stage.lines("moments")[6:]) == ids
    told = stage.api.xcom("backfill-failed", run, "execute.load")
    assert isinstance(told, dict)
    assert (told["done"], told["left_out"]) == (2, 4)


def test_an_abort_stops_what_is_in_flight(stage: Stage) -> None:
    run = stage.start("backfill-slow", "one")
    wait_until(lambda: len(stage.lines("slow")) == 2, 60)
    plan_id = stage.plan_id("backfill-slow", run)
    stage.ledger.request_abort(plan_id, actor="cli:ada", reason="enough", now=datetime.now(UTC))
    assert stage.api.wait_for_run("backfill-slow", run).state == "failed"
    assert stage.outcome("backfill-slow", run) is Outcome.ABORTED
    assert [found["state"] for found in stage.runs("slow")] == ["failed", "failed"]
    assert len(stage.lines("slow")) == 2


def test_a_paused_dag_is_unpaused_meanwhile(stage: Stage) -> None:
    run = stage.start("backfill-unpause", "one")
    assert stage.api.wait_for_run("backfill-unpause", run).state == "success"
    assert len(stage.lines("paused")) == 1
    assert stage.api.dag("paused").is_paused
    log = stage.api.task_log("backfill-unpause", run, "execute.load", 1)
    assert "DAG 'paused' is paused again, as it was before" in log


def test_what_cannot_be_backfilled_is_said(stage: Stage) -> None:
    said = {
        "backfill-paused": "DAG 'paused' is paused",
        "backfill-by-hand": "DAG 'by_hand' has no schedule that gives logical dates",
    }
    for plan in said:
        stage.start(plan, "one")
    for plan, why in said.items():
        assert stage.api.wait_for_run(plan, "one").state == "failed"
        assert stage.api.task_instance(plan, "one", "execute.load").try_number == 1
        assert why in stage.api.task_log(plan, "one", "execute.load", 1)


HOURS = {"begin": "2026-11-01T00:00:00Z", "end": "2026-11-01T06:00:00Z"}


def test_the_example_to_its_end(stage: Stage) -> None:
    for hour in (0, 1):
        date = f"2026-11-01T{hour:02}:00:00Z"
        body = {"dag_run_id": f"earlier-{hour}", "logical_date": date}
        stage.api.call("POST", "/dags/orders_hourly/dagRuns", body)
    for hour in (0, 1):
        stage.api.wait_for_run("orders_hourly", f"earlier-{hour}")
    stage.api.set_run_state("orders_hourly", "earlier-1", "failed")
    earlier = len(stage.lines("orders_hourly"))
    run = stage.start("orders-backfill", "good", **HOURS)
    wait_until(stage.flag, 60)
    assert stage.api.wait_for_run("orders-backfill", run).state == "success"
    assert stage.outcome("orders-backfill", run) is Outcome.SUCCEEDED
    hours = [line["date"][11:13] for line in stage.lines("orders_hourly")[earlier:]]
    assert sorted(hours) == ["01", "02", "03", "04", "05"]
    assert not stage.flag()


def test_the_example_with_a_checkout_that_burns(stage: Stage) -> None:
    stage.api.set_run_state("orders_hourly", "earlier-1", "failed")
    earlier = len(stage.lines("orders_hourly"))
    run = stage.start("orders-backfill", "bad", **HOURS)
    try:
        wait_until(stage.flag, 60)
        stage.burns.touch()
        wait_until(lambda: not stage.flag(), 120)
    finally:
        stage.burns.unlink()
    assert stage.api.wait_for_run("orders-backfill", run).state == "failed"
    assert stage.outcome("orders-backfill", run) is Outcome.ROLLED_BACK
    assert len(stage.lines("orders_hourly")) == earlier, "nothing began"
