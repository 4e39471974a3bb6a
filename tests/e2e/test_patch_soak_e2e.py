"""Patch rollouts over many nodes, and with parts of Airflow killed under them. Long."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from planner_provider.ledger.rows import ItemState, Outcome
from tests.e2e.patch_stage import AGENT, Stage, fleet, patch_stage
from tests.e2e.victims import Victim, kill, sweep
from tests.ledger.databases import postgres, postgres_programs

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


SETTINGS = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    plans = {
        "many": body("many", "[2, 10%, 50%, 100%]", "10%", 1),
        "few": body("few", "[2, 100%]", "2", 0),
    }
    fleets = fleet("many") + fleet("few")
    programs = postgres_programs()
    assert programs, "PostgreSQL is not installed; `make soak` installs it"
    with (
        # Without an end, the orphans of a killed scheduler keep its locks on the run.
        postgres(programs, abandoned="15s") as database,
        patch_stage(
            tmp_path_factory, fleets, plans, parallelism=8, env=SETTINGS, database=database
        ) as stage,
    ):
        for pool, nodes in (("many", MANY), ("few", FEW)):
            for name, zone in nodes:
                stage.world.add_node(name, zone, pool=pool)
        yield stage


def test_two_of_sixty_that_fail_stop_it_at_max_errors(stage: Stage) -> None:
    world = stage.world
    world.broken = dict.fromkeys(BROKEN, 422)
    begun = len(world.log)
    stage.airflow.api.trigger("many", {}, run_id="many-1")
    run = stage.end("many", "many-1", timeout=1200)
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
    run = stage.end("many", "many-2", timeout=1500)
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
    run = stage.end("few", run_id, timeout=600)
    sweep(stage.airflow)
    assert run.outcome is Outcome.SUCCEEDED, f"{victim}: {run.reason}"
    names = Counter(name for name, _ in FEW)
    events = [e for e in world.log[begun:] if e.node in names]
    assert Counter(e.node for e in events if e.what == "patch") == names
    assert Counter(e.node for e in events if e.what == "reboot") == names
    assert max(len(e.unavailable & names.keys()) for e in events) <= 2
    assert world.cordoned_by_plans() == []
