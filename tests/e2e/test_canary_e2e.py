"""A canary in YAML, in a real Airflow, against the sandbox and a real Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner_provider.decide.replay import replay
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Outcome
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.sandbox import Sandbox, SandboxClient, ServiceConfig, WorldConfig
from tests.e2e.local_bundle import make_airflow, make_bundle, run_in_ledger
from tests.e2e.scraping import scraping

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

NAME = "checkout-canary"
WORLD = WorldConfig(
    services=(ServiceConfig(name="checkout", version="1.4.1", rps=4000, error_ratio=0.005),),
    bad_error_ratio=0.01,  # twice the usual
)
SLO = """\
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prometheus}
spec: {type: Prometheus, connectionDetails: {}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: checkout-availability}
spec:
  service: checkout
  indicator:
    metadata: {name: checkout-good}
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            metricSourceRef: prometheus
            spec: {query: 'http_requests_total{service="checkout",code!~"5.."}'}
        total:
          metricSource:
            metricSourceRef: prometheus
            spec: {query: 'http_requests_total{service="checkout"}'}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.98}]
"""
PLAN = f"""\
apiVersion: planner/v1
kind: Plan
metadata: {{name: {NAME}, owner: team-shop}}
spec:
  summary: Release checkout behind a canary
  parameters: {{version: {{type: string, default: "1.5.0"}}}}
  touches: [{{resource: "sandbox://services/checkout"}}]
  guards: {{slos: [checkout-availability]}}
  steps:
    - id: shift
      canary:
        target: {{http: {{connection: sandbox, service: checkout}}}}
        change: {{version: "{{{{ params.version }}}}"}}
        traffic:
          http:
            connection: sandbox
            path: /services/checkout/weight
            body: {{version: "{{{{ params.version }}}}", weight: "{{{{ weight }}}}"}}
        steps: [{{weight: 20, bake: 16s}}, {{weight: 50, bake: 30s}}]
        analysis:
          slos: [checkout-availability]
          compare: [checkout-availability]
          every: 2s
          patience: 40s
      rollback: auto
  verify:
    slos: [checkout-availability]
    http: [{{connection: sandbox, path: /services/checkout}}]
"""


def connection(port: int) -> str:
    return json.dumps({"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": port})


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(config=WORLD) as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("canary") / "home"


@pytest.fixture(scope="module")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox, home: Path
) -> Iterator[LocalAirflow]:
    specs = make_bundle(home.parent / "bundle")
    (specs / "010-slos.yaml").write_text(SLO)
    (specs / "020-canary.yaml").write_text(PLAN)
    with scraping(home.parent / "prometheus", sandbox.port) as prometheus:
        env = {
            "AIRFLOW_CONN_SANDBOX": connection(sandbox.port),
            "AIRFLOW_CONN_PROMETHEUS": connection(prometheus),
        }
        dags = home.parent / "bundle" / "dags"
        with make_airflow(tmp_path_factory, home, dags=dags, env=env) as made:
            made.wait_ready()
            made.wait_dag(NAME)
            yield made


def weights(sandbox: Sandbox, since: int) -> list[int]:
    """The weights that were set, each as often as it was asked for."""
    changes = sandbox.changes()[since:]
    return [int(str(item.act.after)) for item in changes if item.act.what == "weight"]


def deployed(sandbox: Sandbox) -> tuple[str, str | None]:
    with SandboxClient(f"http://127.0.0.1:{sandbox.port}") as client:
        service = client.service("checkout")
    return service.stable.version, service.canary.version if service.canary else None


def run(airflow: LocalAirflow, home: Path, version: str) -> tuple[str, Outcome | None, str]:
    api = airflow.api
    run_id = api.trigger(NAME, {"version": version}, run_id=f"run-{version}").run_id
    api.wait_for_run(NAME, run_id, timeout=240)
    kept = run_in_ledger(home, NAME, run_id)
    return kept.plan_id, kept.outcome, kept.reason or ""


def test_a_good_version_reaches_everybody(
    airflow: LocalAirflow, sandbox: Sandbox, home: Path
) -> None:
    before = len(sandbox.changes())
    plan_id, outcome, reason = run(airflow, home, "1.5.0")
    assert (outcome, reason) == (Outcome.SUCCEEDED, "Every step is done.")
    assert weights(sandbox, before) == [20, 50]
    assert deployed(sandbox) == ("1.5.0", None)

    decisions = Ledger(f"sqlite:///{home / 'planner.db'}").decisions_of(plan_id)
    judged = [item.decision for item in decisions if item.decision.kind == "canary"]
    assert len(judged) == 2
    assert judged[-1].outcome.passes
    assert all(replay(item.decision).equal for item in decisions)


def test_a_version_with_twice_the_errors_is_taken_back_and_verified(
    airflow: LocalAirflow, sandbox: Sandbox, home: Path
) -> None:
    before = len(sandbox.changes())
    plan_id, outcome, reason = run(airflow, home, "1.6.0-bad")
    assert outcome is Outcome.ROLLED_BACK, reason
    assert "times the odds" in reason
    assert weights(sandbox, before) in ([20, 0], [20, 50, 0])
    assert deployed(sandbox) == ("1.5.0", None)
    ledger = Ledger(f"sqlite:///{home / 'planner.db'}")
    kinds = [item.decision.outcome.kind.value for item in ledger.decisions_of(plan_id)]
    assert "roll_back" in kinds
    assert ledger.check_lease(plan_id) is None
