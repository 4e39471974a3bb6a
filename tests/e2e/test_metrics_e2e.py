"""Metrics and traces of a plan in a real Airflow, read by a real Prometheus and over OTLP."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from planner_provider.localstack.local_airflow import LocalAirflow
from tests.cli.ledgers import LedgerCase
from tests.deploy.asking import PLANNER_JOB, ask, expressions, lacking
from tests.e2e.local_bundle import make_airflow, make_bundle, run_in_ledger, wait_until
from tests.e2e.scraping import scraping
from tests.e2e.test_slo_gate_e2e import DOCUMENTS
from tests.hooks.http_server import Asked, Reply, Server, http_server
from tests.hooks.played_prometheus import answer, played
from tests.metrics import played as played_ledger

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TOKEN = "only-for-this-test"
PLAN = """
apiVersion: planner/v1
kind: Plan
metadata: {name: small, owner: team-shop}
spec:
  summary: One call, guarded by an SLO
  touches: [{resource: "service://checkout"}]
  guards: {slos: [checkout]}
  steps:
    - id: put
      http: {connection: api, method: PUT, path: /a, body: {n: 1}}
      rollback: {http: {connection: api, method: DELETE, path: /a}}
"""


def world(asked: Asked) -> Reply:
    """Prometheus, the service and the collector of traces in one."""
    if asked.path.startswith("/api/v1/"):
        return played(answer() | {"newest": time.time()})(asked)
    return Reply()


@dataclass
class Stage:
    airflow: LocalAirflow
    server: Server
    home: Path
    prometheus: int

    def spans(self) -> list[Span]:
        return [
            span
            for asked in list(self.server.asked)
            if asked.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(asked.body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    base = tmp_path_factory.mktemp("metrics")
    specs = make_bundle(base)
    (specs / "010-small.yaml").write_text(PLAN)
    (specs / "002-slos.yaml").write_text(DOCUMENTS)
    with http_server(world) as server:
        connection = json.dumps({"conn_type": "http", "host": server.url})
        env = {
            "AIRFLOW_CONN_API": connection,
            "AIRFLOW_CONN_PROM": connection,
            "AIRFLOW__PLANNER__METRICS_TOKEN": TOKEN,
            "AIRFLOW__TRACES__OTEL_ON": "True",
            "OTEL_TRACES_EXPORTER": "otlp_proto_http",
            "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
        }
        home = base / "home"
        with make_airflow(tmp_path_factory, home, dags=base / "dags", env=env) as airflow:
            airflow.wait_ready()
            airflow.wait_dag("small")
            port = airflow.settings.port
            job = PLANNER_JOB.format(port=port, token=TOKEN)
            with scraping(base / "prometheus", port, jobs=job) as prometheus:
                yield Stage(airflow, server, home, prometheus)


@pytest.fixture(scope="module")
def run_id(stage: Stage) -> str:
    run_id = stage.airflow.api.trigger("small", {}).run_id
    assert stage.airflow.api.wait_for_run("small", run_id).state == "success"
    return run_id


def read(stage: Stage, token: str | None) -> tuple[int, str]:
    url = f"{stage.airflow.settings.url}/planner/metrics"
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answered:
            return answered.status, answered.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, ""


def attributes(span: Span) -> dict[str, Any]:
    return {item.key: item.value.string_value for item in span.attributes}


def test_metrics_are_read_with_the_token_only(stage: Stage, run_id: str) -> None:
    assert read(stage, None)[0] == 401
    assert read(stage, "wrong")[0] == 401
    status, text = read(stage, TOKEN)
    assert status == 200
    assert "planner_ledger_up 1.0" in text


def test_prometheus_sees_the_run(stage: Stage, run_id: str) -> None:
    query = 'planner_run_transitions_total{plan="small", to="succeeded"} == 1'
    wait_until(lambda: ask(stage.prometheus, query), 20)
    assert ask(stage.prometheus, 'planner_safety_checks_total{plan="small", result="passed"} >= 1')
    assert ask(stage.prometheus, 'planner_act_duration_seconds_count{kind="http"} == 1')


def test_all_of_a_run_is_one_trace_within_airflows(stage: Stage, run_id: str) -> None:
    run = run_in_ledger(stage.home, "small", run_id)
    assert run.trace_parent is not None
    trace_id = bytes.fromhex(run.trace_parent.split("-")[1])

    def own() -> dict[str, Span]:
        return {span.name: span for span in stage.spans() if span.trace_id == trace_id}

    ours = {"plan small", "task guard", "gate", "decision slo_gate", "step put"}
    wait_until(lambda: ours | {"worker.execute.put"} <= set(own()), 20)
    found = own()
    by_id = {span.span_id: span for span in found.values()}
    ancestors = []
    at: Span | None = found["step put"]
    while at is not None and at.parent_span_id in by_id:
        at = by_id[at.parent_span_id]
        ancestors.append(at.name)
    assert "worker.execute.put" in ancestors
    spans = {span.span_id: span for span in stage.spans() if span.trace_id == trace_id}
    gates = {spans[s.parent_span_id].name for s in spans.values() if s.name == "gate"}
    assert gates == {"task guard", "step put"}, "asked before the plan and before its step"
    for name in ("plan small", "step put", "decision slo_gate"):
        assert attributes(found[name])["planner.plan_id"] == run.plan_id
    put = next(asked for asked in stage.server.asked if asked.path == "/a")
    assert put.headers["traceparent"].split("-")[1] == trace_id.hex()
    queries = [a for a in stage.server.asked if a.path.startswith("/api/v1/query")]
    assert queries
    assert {a.headers["traceparent"].split("-")[1] for a in queries} == {trace_id.hex()}


def test_each_query_of_each_dashboard_has_data(stage: Stage, run_id: str) -> None:
    """After the run, and after an incident in the ledger for what asks for one."""
    wait_until(lambda: len(lacking(stage.prometheus, expressions())) < len(expressions()) / 2, 20)
    case = LedgerCase(stage.home / "planner.db")
    now = datetime.now(UTC)
    played_ledger.fill(case, now)
    played_ledger.wait_and_retry(case, now)
    wait_until(lambda: not lacking(stage.prometheus, expressions()), 40)
