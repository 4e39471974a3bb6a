"""Patch rollouts in YAML, in a real Airflow, over nodes of an emulated cluster in three zones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from planner_provider.ledger.rows import ItemState, Outcome
from tests.e2e.patch_stage import AGENT, Stage, fleet, patch_stage
from tests.hooks.node_world import NodeWorld

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WEB = [(f"web-{zone}{number}", zone) for zone in "abc" for number in range(1, 5)]
BAD = [(f"bad-{zone}{number}", zone) for zone in "ab" for number in (1, 2)]
STUCK = [("stuck-a1", "a"), ("stuck-b1", "b")]
FLEETS = """\
apiVersion: planner/v1
kind: Fleet
metadata: {name: hosts}
spec:
  targets:
    - {name: host-1, labels: {zone: a}}
    - {name: host-2, labels: {zone: a}}
    - {name: host-3, labels: {zone: b}}
    - {name: host-4, labels: {zone: b}}
"""
PLANS = {
    "hosts": f"""\
      patch:
        fleet: hosts
        waves: [1, 100%]
        max_unavailable: 2
        per_target: [{{http: {{{AGENT}/patch"}}}}]
      rollback: none
""",
    "web": f"""\
      patch:
        fleet: web
        waves: [2, 50%, 100%]
        max_unavailable: 4
        between_waves: {{bake: 1s}}
        per_target:
          - drain: {{timeout: 60s}}
          - http: {{{AGENT}/patch"}}
          - reboot: {{timeout: 60s, by: {{http: {{{AGENT}/reboot"}}}}}}
          - verify: {{within: 30s, every: 1s}}
      rollback: none
""",
    "bad": f"""\
      patch:
        fleet: bad
        waves: [3, 100%]
        max_unavailable: 1
        max_errors: 1
        per_target:
          - cordon: {{}}
          - http: {{{AGENT}/patch"}}
        undo: [{{http: {{{AGENT}/revert"}}}}]
      rollback: auto
""",
    "stuck": f"""\
      patch:
        fleet: stuck
        waves: [1, 100%]
        per_target:
          - drain: {{timeout: 6s}}
          - http: {{{AGENT}/patch"}}
      rollback: none
""",
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    fleets = FLEETS + "".join(fleet(pool) for pool in ("web", "bad", "stuck"))
    with patch_stage(tmp_path_factory, fleets, PLANS, parallelism=6) as stage:
        furnish(stage.world)
        yield stage


def furnish(world: NodeWorld) -> None:
    for pool, nodes in (("web", WEB), ("bad", BAD), ("stuck", STUCK)):
        for name, zone in nodes:
            world.add_node(name, zone, pool=pool)
    for name, _ in WEB:
        world.add_pod(f"app-{name}", name, app="app")
        world.add_pod(f"logs-{name}", name, owner="DaemonSet", app="logs")
    world.add_budget("app", "app", allowed=2)
    world.cordon("web-a1")  # somebody else does
    world.broken |= {"bad-a1": 422, "bad-b1": 422}
    for name, _ in STUCK:
        world.add_pod(f"db-{name}", name, app="db", owner="StatefulSet")
    world.add_budget("db", "db", allowed=0)


@pytest.fixture(scope="module")
def runs(stage: Stage) -> dict[str, str]:
    """All plans at once: they are about different fleets."""
    return {name: stage.start(name) for name in PLANS}


def test_a_listed_fleet_is_worked_through_in_waves(stage: Stage, runs: dict[str, str]) -> None:
    run = stage.end("hosts", runs["hosts"])
    assert run.outcome is Outcome.SUCCEEDED, run.reason
    names = [f"host-{number}" for number in range(1, 5)]
    done = [name for name in stage.world.happened("patch") if name.startswith("host-")]
    assert sorted(done) == names
    items = stage.items(run)
    assert {item.state for item in items.values()} == {ItemState.DONE}
    assert items[done[0]].wave == 1


def test_nodes_are_drained_patched_and_restarted_with_few_unavailable(
    stage: Stage, runs: dict[str, str]
) -> None:
    world, run = stage.world, stage.end("web", runs["web"])
    assert run.outcome is Outcome.SUCCEEDED, run.reason
    web = {name for name, _ in WEB}
    assert Counter(name for name in world.happened("patch") if name in web) == Counter(web)
    assert Counter(name for name in world.happened("reboot") if name in web) == Counter(web)
    assert max(len(event.unavailable & web) for event in world.log) <= 4
    assert world.node("web-a1")["spec"].get("unschedulable"), "somebody else's cordon stays"
    assert not any(node.startswith("web") for node in world.cordoned_by_plans())
    moved = [node for node in world.happened("evict") if node.startswith("web")]
    assert not any("logs-" in node for node in moved)
    assert len({node.partition(":")[0] for node in moved}) > 6
    waves: dict[int | None, set[str]] = {}
    for name, item in stage.items(run).items():
        waves.setdefault(item.wave, set()).add(name)
    assert [len(waves[number]) for number in (1, 2, 3)] == [2, 4, 6]
    zones = dict(WEB)
    assert all(max(Counter(zones[n] for n in wave).values()) < 4 for wave in waves.values())
    report: Any = stage.airflow.api.xcom(
        "web", runs["web"], "execute.kernel.report", "return_value"
    )
    assert report["complete"] is True
    assert report["counts"] == {"patched": 12}
    assert report["foreign_cordons"] == ["web-a1"]
    states = stage.states(run)
    assert {state for (task, _), state in states.items() if ".wave-" in task} == {"success"}


def test_no_other_target_begins_after_one_failure_too_many_and_what_was_done_is_undone(
    stage: Stage, runs: dict[str, str]
) -> None:
    world, run = stage.world, stage.end("bad", runs["bad"])
    assert run.outcome is Outcome.ROLLED_BACK, run.reason
    trail = [
        (entry.what, entry.detail["target"], entry.detail.get("state"))
        for entry in stage.ledger.audit_of(run.plan_id)
        if entry.what in ("target.began", "target.ended")
    ]
    failed = [n for n, (_, _, state) in enumerate(trail) if state == "failed"]
    assert len(failed) == 2, trail
    assert all(what == "target.ended" for what, _, _ in trail[failed[1] :])
    begun = [target for what, target, _ in trail if what == "target.began"]
    mine = {name for name, _ in BAD}
    patched = [name for name in world.happened("patch") if name in mine]
    assert len(patched) == len(set(patched)) == len(begun) - 2
    assert [n for n in world.happened("revert") if n in mine] == list(reversed(begun))
    assert not any(name in mine for name in world.cordoned_by_plans())
    reports = [e for e in stage.ledger.audit_of(run.plan_id) if e.what == "patch.reported"]
    assert [report.detail["counts"] for report in reports] == [
        {"undone": len(begun), "not_begun": 4 - len(begun)}
    ]


def test_a_drain_that_a_budget_blocks_ends_with_the_reason_and_without_our_cordon(
    stage: Stage, runs: dict[str, str]
) -> None:
    world, run = stage.world, stage.end("stuck", runs["stuck"])
    assert run.outcome is Outcome.FAILED, run.reason
    assert "was not drained within 6 s" in (run.reason or "")
    assert "PodDisruptionBudget db" in (run.reason or "")
    assert world.cordoned_by_plans() == []
    assert not any(name.startswith("stuck") for name in world.happened("patch"))
    assert [n for n in world.happened("cordon") if n.startswith("stuck")] == ["stuck-a1"]
    assert [n for n in world.happened("uncordon") if n.startswith("stuck")] == ["stuck-a1"]
    states = stage.states(run)
    assert states["execute.kernel.gate-1", -1] == "failed"
    assert states["execute.kernel.wave-2.begin", -1] == "upstream_failed"
    assert states["tidy-kernel", -1] == "success"
