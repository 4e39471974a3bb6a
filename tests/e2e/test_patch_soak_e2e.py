"""Patch rollouts over many nodes, and with parts of Airflow killed under them. Long."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ItemState, Outcome
from planner_provider.localstack.local_airflow import LocalAirflow
from tests.e2e.local_bundle import make_airflow, make_bundle, run_in_ledger
from tests.e2e.test_patch_e2e import AGENT, fleet, plan
from tests.e2e.victims import Victim, kill, sweep
from tests.hooks.kubernetes_emulator import kube_config
from tests.hooks.node_world import NodeWorld, connections, node_world

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(1800)]

MANY = [(f"many-{zone}{number:02}", zone) for zone in "abc" for number in range(20)]
FEW = [(f"few-{zone}{number}", zone) for zone in "abc" for number in (1, 2)]
BROKEN = ("many-a03", "many-b07")
BODY = f"""\
      timeout: 20m
      patch:
        fleet: FLEET
        waves: WAVES
        max_unavailable: UNAVAILABLE
        max_errors: ERRORS
        per_target:
          - drain: {{timeout: 60s}}
          - http: {{{AGENT}/patch"}}
          - reboot: {{timeout: 120s, by: {{http: {{{AGENT}/reboot"}}}}}}
          - verify: {{within: 60s, every: 1s}}
      rollback: none
"""
VICTIMS: tuple[Victim, ...] = ("child", "supervisor", "scheduler", "triggerer")
POINTS = range(20)
EVENTS_OF_A_RUN = len(FEW) * 6
"""Cordon, patch, reboot, down, back, uncordon."""
NUMBERS = itertools.count(1)


def body(name: str, waves: str, unavailable: str, errors: int) -> str:
    values = {"FLEET": name, "WAVES": waves, "UNAVAILABLE": unavailable, "ERRORS": str(errors)}
    text = BODY
    for key, value in values.items():
        text = text.replace(key, value)
    return text


class Stage:
    def __init__(self, airflow: LocalAirflow, world: NodeWorld, home: Path) -> None:
        self.airflow = airflow
        self.world = world
        self.home = home
        self.ledger = Ledger(f"sqlite:///{home / 'planner.db'}")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    base = tmp_path_factory.mktemp("patch-soak")
    specs = make_bundle(base / "bundle")
    (specs / "010-fleets.yaml").write_text((fleet("many") + fleet("few")).removeprefix("---\n"))
    plans = {
        "many": body("many", "[2, 10%, 50%, 100%]", "10%", 1),
        "few": body("few", "[2, 100%]", "2", 0),
    }
    for name, text in plans.items():
        (specs / f"020-{name}.yaml").write_text(plan(name, text).removeprefix("---\n"))
    with node_world() as world:
        for pool, nodes in (("many", MANY), ("few", FEW)):
            for name, zone in nodes:
                world.add_node(name, zone, pool=pool)
        config = base / "kube.json"
        config.write_text(json.dumps(kube_config(world.address)))
        env = connections(world, str(config)) | {
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        }
        dags, home = base / "bundle" / "dags", base / "home"
        with make_airflow(tmp_path_factory, home, dags=dags, env=env, parallelism=8) as airflow:
            airflow.wait_ready()
            for name in plans:
                airflow.wait_dag(name)
            yield Stage(airflow, world, home)


def test_two_of_sixty_that_fail_stop_it_at_max_errors(stage: Stage) -> None:
    world = stage.world
    world.broken = dict.fromkeys(BROKEN, 422)
    begun = len(world.log)
    stage.airflow.api.trigger("many", {}, run_id="many-1")
    stage.airflow.api.wait_for_run("many", "many-1", timeout=1200)
    run = run_in_ledger(stage.home, "many", "many-1")
    assert run.outcome is Outcome.FAILED, run.reason
    events = world.log[begun:]
    assert max(len(event.unavailable) for event in events) <= 6
    failed, late = 0, 0
    for entry in stage.ledger.audit_of(run.plan_id):
        late += entry.what == "target.began" and failed > 1
        failed += entry.what == "target.ended" and entry.detail["state"] == "failed"
    assert (failed, late) == (2, 0)
    patched = Counter(event.node for event in events if event.what == "patch")
    assert set(patched.values()) == {1}
    assert world.cordoned_by_plans() == []
    states = Counter(item.state for item in stage.ledger.items_of(run.plan_id, "kernel"))
    assert states[ItemState.DONE] == len(patched)
    assert states[ItemState.ACTING] == 0
    world.broken = {}


def test_all_sixty_with_few_unavailable(stage: Stage) -> None:
    begun = len(stage.world.log)
    stage.airflow.api.trigger("many", {}, run_id="many-2")
    stage.airflow.api.wait_for_run("many", "many-2", timeout=1500)
    run = run_in_ledger(stage.home, "many", "many-2")
    assert run.outcome is Outcome.SUCCEEDED, run.reason
    events = stage.world.log[begun:]
    assert Counter(e.node for e in events if e.what == "patch") == Counter(n for n, _ in MANY)
    assert max(len(event.unavailable) for event in events) <= 6
    assert stage.world.cordoned_by_plans() == []


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_it_goes_on_and_patches_none_twice(stage: Stage, point: int) -> None:
    world, victim = stage.world, VICTIMS[point % len(VICTIMS)]
    run_id, begun = f"few-{next(NUMBERS)}", len(world.log)
    stage.airflow.api.trigger("few", {}, run_id=run_id)
    wanted = begun + 1 + point * (EVENTS_OF_A_RUN - 2) // len(POINTS)
    end = time.monotonic() + 240
    while len(world.log) < wanted and time.monotonic() < end:
        time.sleep(0.05)
    assert kill(stage.airflow, victim, within=20.0), "there was nothing to kill"
    stage.airflow.api.wait_for_run("few", run_id, timeout=600)
    sweep(stage.airflow)
    run = run_in_ledger(stage.home, "few", run_id)
    assert run.outcome is Outcome.SUCCEEDED, f"{victim}: {run.reason}"
    names = Counter(name for name, _ in FEW)
    events = [e for e in world.log[begun:] if e.node in names]
    assert Counter(e.node for e in events if e.what == "patch") == names
    assert Counter(e.node for e in events if e.what == "reboot") == names
    assert max(len(e.unavailable & names.keys()) for e in events) <= 2
    assert world.cordoned_by_plans() == []
