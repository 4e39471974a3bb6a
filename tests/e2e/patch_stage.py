"""A real Airflow with plans that patch fleets, over nodes of an emulated cluster."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import PlanRun, WorkItem
from planner_provider.localstack.local_airflow import LocalAirflow
from tests.e2e.local_bundle import make_airflow, make_bundle, run_in_ledger
from tests.hooks.kubernetes_emulator import kube_config
from tests.hooks.node_world import NodeWorld, connections, node_world

AGENT = 'connection: agent, method: POST, path: "/agent/{{ target.name }}'
SLOW = 240.0


def fleet(pool: str) -> str:
    return (
        "---\napiVersion: planner/v1\nkind: Fleet\n"
        f"metadata: {{name: {pool}}}\n"
        f"spec: {{kubernetes_nodes: {{connection: cluster, selector: pool={pool}}}}}\n"
    )


def plan(name: str, body: str) -> str:
    return (
        "---\napiVersion: planner/v1\nkind: Plan\n"
        f"metadata: {{name: {name}, owner: team-shop}}\n"
        f"spec:\n  summary: The plan {name}\n"
        "  defaults: {retries: {limit: 2, delay: 1s, backoff: 1}}\n  steps:\n"
        "    - id: kernel\n" + body
    )


class Stage:
    """A real Airflow with plans that patch, and the nodes that it patches."""

    def __init__(self, airflow: LocalAirflow, world: NodeWorld, home: Path) -> None:
        self.airflow = airflow
        self.world = world
        self.home = home
        self.ledger = Ledger(f"sqlite:///{home / 'planner.db'}")
        self.numbers = itertools.count(1)

    def start(self, name: str) -> str:
        run_id = f"run-{next(self.numbers)}"
        self.airflow.api.trigger(name, {}, run_id=run_id)
        return run_id

    def end(self, name: str, run_id: str, timeout: float = SLOW) -> PlanRun:
        self.airflow.api.wait_for_run(name, run_id, timeout=timeout)
        return run_in_ledger(self.home, name, run_id)

    def items(self, run: PlanRun) -> dict[str, WorkItem]:
        return {item.item: item for item in self.ledger.items_of(run.plan_id, "kernel")}

    def states(self, run: PlanRun) -> dict[tuple[str, int], str | None]:
        tasks = self.airflow.api.task_instances(run.key.dag_id, run.key.run_id)
        return {(task.task_id, task.map_index): task.state for task in tasks}


@contextmanager
def patch_stage(
    factory: pytest.TempPathFactory,
    fleets: str,
    plans: Mapping[str, str],
    *,
    parallelism: int,
    env: Mapping[str, str] | None = None,
    database: str | None = None,
) -> Iterator[Stage]:
    """Start it with these fleets and plans; the world has no nodes yet."""
    base = factory.mktemp("patch")
    specs = make_bundle(base / "bundle")
    (specs / "010-fleets.yaml").write_text(fleets.removeprefix("---\n"))
    for name, body in plans.items():
        (specs / f"020-{name}.yaml").write_text(plan(name, body).removeprefix("---\n"))
    with node_world() as world:
        config = base / "kube.json"
        config.write_text(json.dumps(kube_config(world.address)))
        everything = connections(world, str(config)) | dict(env or {})
        dags, home = base / "bundle" / "dags", base / "home"
        with make_airflow(
            factory, home, dags=dags, env=everything, parallelism=parallelism, database=database
        ) as airflow:
            airflow.wait_ready()
            for name in plans:
                airflow.wait_dag(name)
            yield Stage(airflow, world, home)
