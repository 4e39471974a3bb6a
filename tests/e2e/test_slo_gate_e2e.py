"""Gates in a real Airflow: deferred, and woken by a triggerer that looks the Connection up."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from planner_provider.localstack.local_airflow import LocalAirflow
from tests.e2e.local_bundle import make_airflow, wait_until
from tests.hooks.http_server import Server, http_server
from tests.hooks.played_prometheus import answer, played

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DAGS = """
from datetime import timedelta
from airflow.sdk import DAG
from planner_provider.sensors.slo_gate import SLOGateSensor

COMMON = {"slos": ["{{ params.slo }}"], "documents": "%s", "every": 5.0}
with DAG("waiting", schedule=None, params={"slo": "checkout"}):
    for number in range(3):
        SLOGateSensor(task_id=f"wait_{number}", mode="wait", timeout=120.0, **COMMON)
with DAG("holding", schedule=None, params={"slo": "checkout"}):
    SLOGateSensor(task_id="hold", mode="hold", hold_for=timedelta(minutes=2), **COMMON)
"""
DOCUMENTS = """
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: checkout}
spec:
  service: checkout
  indicator:
    metadata: {name: good}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {metricSourceRef: prom, spec: {query: 'x_total{code!~"5.."}'}}}
        total: {metricSource: {metricSourceRef: prom, spec: {query: x_total}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
"""
GOOD, BAD = answer(), answer(good=1000)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with http_server() as running:
        yield running


@pytest.fixture(scope="module")
def airflow(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    base = tmp_path_factory.mktemp("gates")
    dags = base / "dags"
    dags.mkdir()
    documents = base / "slos.yaml"
    documents.write_text(DOCUMENTS)
    (dags / "gates.py").write_text(DAGS % documents)
    with make_airflow(tmp_path_factory, base / "home", dags=dags) as running:
        running.wait_ready()
        running.wait_dag("waiting")
        running.wait_dag("holding")
        body = {
            "connection_id": "prom",
            "conn_type": "http",
            "host": "127.0.0.1",
            "port": server.port,
            "login": "ann",
            "password": "hunter22",
        }
        running.api.call("POST", "/connections", body)
        yield running


def deferred(airflow: LocalAirflow, dag_id: str, run_id: str) -> bool:
    return all(task.state == "deferred" for task in airflow.api.task_instances(dag_id, run_id))


def fresh(values: dict[str, float]) -> dict[str, float]:
    return values | {"newest": time.time()}


def test_gates_wait_until_all_is_well(airflow: LocalAirflow, server: Server) -> None:
    server.answer = lambda asked: played(fresh(BAD))(asked)
    run = airflow.api.trigger("waiting", {}).run_id
    wait_until(lambda: deferred(airflow, "waiting", run))
    by_workers = len(server.asked)
    wait_until(lambda: len(server.asked) > by_workers)
    asked = len(server.asked)
    time.sleep(12)
    looks = (len(server.asked) - asked) / 2  # each look asks for recording rules, then for numbers
    assert 1 <= looks <= 3.5, "three gates share their looks"
    server.answer = lambda asked: played(fresh(GOOD))(asked)
    assert airflow.api.wait_for_run("waiting", run).state == "success"
    log = airflow.api.task_log("waiting", run, "wait_0", 1)
    assert "checkout: burn rate in 1h: 0.1, limit 14.4" in log
    assert "hunter22" not in log
    assert server.asked[-1].headers["authorization"].startswith("Basic ")


def test_a_hold_breaks_off_at_the_first_breach(airflow: LocalAirflow, server: Server) -> None:
    server.answer = lambda asked: played(fresh(GOOD))(asked)
    run = airflow.api.trigger("holding", {}).run_id
    wait_until(lambda: deferred(airflow, "holding", run))
    server.answer = lambda asked: played(fresh(BAD))(asked)
    assert airflow.api.wait_for_run("holding", run, timeout=60).state == "failed"
    log = airflow.api.task_log("holding", run, "hold", 1)
    assert "CheckFailedError" in log
    assert "burn rate 90 in 1h and 90 in 5m, both above 14.4" in log
