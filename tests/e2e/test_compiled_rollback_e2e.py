"""A plan in YAML whose third step fails for good, against the sandbox, in a real Airflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from planner_provider.ledger.rows import Outcome
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.sandbox import Sandbox
from tests.e2e.local_bundle import header, make_airflow, make_bundle, run_in_ledger

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NAME = "five-flags"


def step(number: int) -> str:
    flag = f"connection: sandbox, path: /flags/step-{number}"
    return (
        f"    - id: s{number}\n"
        f"      http: {{{flag}, method: PUT, body: {{enabled: true, percentage: 100}}}}\n"
        f"      rollback: {{http: {{{flag}, method: DELETE}}}}\n"
    )


FAILING = (
    "    - id: s3\n"
    "      http: {connection: sandbox, method: PUT, path: /services/nothing/weight,"
    " body: {version: 1.0.0, weight: 1}}\n"
    "      retries: {limit: 1, delay: 1s}\n"
    "      rollback: none\n"
)
VERIFY = "  verify: {http: [{connection: sandbox, path: /services/checkout}]}\n"
PLAN = header(NAME) + step(1) + step(2) + FAILING + step(4) + step(5) + VERIFY


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[LocalAirflow]:
    base = tmp_path_factory.mktemp("compiled")
    specs: Path = make_bundle(base / "bundle")
    (specs / "five-flags.yaml").write_text(PLAN)
    connection = {
        "conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": sandbox.port,
    }  # fmt: skip
    env = {"AIRFLOW_CONN_SANDBOX": json.dumps(connection)}
    dags = base / "bundle" / "dags"
    with make_airflow(tmp_path_factory, base / "home", dags=dags, env=env) as made:
        made.wait_ready()
        made.wait_dag(NAME)
        yield made


def test_what_was_done_before_a_step_that_fails_is_undone_in_reverse(
    airflow: LocalAirflow, sandbox: Sandbox
) -> None:
    api = airflow.api
    run = api.trigger(NAME, run_id="run-1").run_id
    assert api.wait_for_run(NAME, run).state == "failed"

    acts = [(change.act.what, change.act.after is not None) for change in sandbox.changes()]
    assert acts == [
        ("flags/step-1", True),
        ("flags/step-2", True),
        ("flags/step-2", False),
        ("flags/step-1", False),
    ]
    assert all(change.act.effective for change in sandbox.changes())

    tasks = {task.task_id: task for task in api.task_instances(NAME, run)}
    assert {name: task.state for name, task in tasks.items() if "." in name} == {
        "execute.s1": "success",
        "execute.s2": "success",
        "execute.s3": "failed",
        "execute.s4": "upstream_failed",
        "execute.s5": "upstream_failed",
        "rollback.s1": "success",
        "rollback.s2": "success",
        "rollback.s4": "skipped",
        "rollback.s5": "skipped",
    }
    assert tasks["execute.s4"].start_date is None or tasks["execute.s4"].pid is None

    record = run_in_ledger(airflow.settings.home, NAME, run)
    assert record.outcome is Outcome.ROLLED_BACK
    assert "s3" in (record.reason or "")
    assert api.xcom(NAME, run, "finish", "outcome") == "rolled_back"
    for change in sandbox.changes():
        headers = {name.lower(): value for name, value in change.headers.items()}
        assert record.plan_id in unquote(headers["baggage"])
    for name in ("execute.s1", "rollback.s1", "finish"):
        assert record.plan_id in api.task_log(NAME, run, name)
