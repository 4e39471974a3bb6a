"""Rollouts played task by task over nodes: limits, failures, kills at any request, resuming."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

import tests.operators.airflow_context  # noqa: F401
from planner_provider.errors import CheckFailedError, RefusedError
from planner_provider.hooks.nodes import NodeState
from planner_provider.hooks.settings import PlannerSettings
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Hold, ItemState, WorkItem
from planner_provider.operators import patch_node, patch_turn
from planner_provider.operators.cost import RunCost
from planner_provider.operators.patch_undo import PatchUndoOperator
from planner_provider.spec.cost import Cost
from tests.hooks.kubernetes_emulator import Asked, kube_config
from tests.hooks.node_world import NodeWorld, connections, node_world
from tests.operators.plan_runs import database
from tests.operators.rollouts import STEP, FailedError, NotNowError, Rollout, graph, states

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

NODES = [(f"{zone}{number}", zone) for zone in "abc" for number in (1, 2)]
KILLS = 20


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[NodeWorld]:
    with node_world(NODES) as made:
        made.reboot_seconds = 0.0
        path = tmp_path / "kube.json"
        path.write_text(json.dumps(kube_config(made.address)))
        for name, value in connections(made, str(path)).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
        monkeypatch.setattr(patch_turn, "SHORT_SECONDS", 0.0)
        monkeypatch.setattr(patch_node, "LOOK_SECONDS", 0.05)
        monkeypatch.setattr(PlannerSettings, "silence", timedelta(seconds=0.2))
        yield made


@pytest.fixture
def play(world: NodeWorld, tmp_path: Path) -> Callable[..., Rollout]:
    def make(*, forks: bool = False, seed: int = 0, **limits: str) -> Rollout:
        return Rollout(
            graph(**limits), Ledger(database(tmp_path)), forks=forks, seed=seed
        ).acquire()

    return make


def most_unavailable(world: NodeWorld) -> int:
    return max((len(event.unavailable) for event in world.log), default=0)


def test_every_node_is_drained_patched_and_restarted_once(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    for name, _ in NODES:
        world.add_pod(f"app-{name}", name)
    rollout = play(waves="[1, 50%, 100%]", unavailable="2")
    assert rollout.play(), rollout.failed
    names = {name for name, _ in NODES}
    assert set(states(rollout).values()) == {ItemState.DONE}
    for what in ("patch", "reboot", "cordon", "uncordon"):
        assert Counter(world.happened(what)) == Counter(names), what
    assert most_unavailable(world) == 2
    assert world.cordoned_by_plans() == []
    waves = [{n for n, i in rollout.items().items() if i.wave == w} for w in (1, 2, 3)]
    assert [len(wave) for wave in waves] == [1, 2, 3]
    report = rollout.said["report"]
    assert (report["complete"], report["counts"]) == (True, {"patched": 6})


@pytest.mark.parametrize(
    "seed", [pytest.param(n, marks=() if n == 0 else pytest.mark.soak) for n in range(5)]
)
@pytest.mark.parametrize(("borne", "broken"), [(0, 1), (1, 1), (1, 2), (2, 2), (2, 3)])
def test_it_stops_exactly_when_more_than_max_errors_failed(
    world: NodeWorld, play: Callable[..., Rollout], borne: int, broken: int, seed: int
) -> None:
    world.broken = {name: 422 for name, _ in NODES[::2][:broken]}
    rollout = play(waves="[100%]", unavailable="2", errors=str(borne), seed=seed)
    went_through = rollout.play()
    assert went_through is (broken <= borne)
    failed, late = 0, 0
    for entry in rollout.ledger.audit_of(rollout.plan_id):
        if entry.what == "target.began":
            late += failed > borne
        elif entry.what == "target.ended" and entry.detail["state"] == "failed":
            failed += 1
    assert late == 0, "a target was begun after one failure too many"
    assert failed == broken if went_through else failed == borne + 1
    assert most_unavailable(world) <= 2
    assert world.cordoned_by_plans() == []


def test_what_is_in_flight_when_it_stops_is_finished(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    world.broken = {"a1": 422}
    rollout = play(waves="[100%]", unavailable="3", seed=1)
    assert not rollout.play()
    left = Counter(states(rollout).values())
    assert left[ItemState.ACTING] == 0
    assert left[ItemState.FAILED] == 1
    assert left[ItemState.WAITING] >= 1
    assert "422" in rollout.failed[-1][2] or "does not take" in rollout.failed[-1][2]


def test_a_foreign_cordon_stays_and_counts(world: NodeWorld, play: Callable[..., Rollout]) -> None:
    world.cordon("b1")
    rollout = play(waves="[100%]", unavailable="2")
    assert rollout.play(), rollout.failed
    assert world.node("b1")["spec"]["unschedulable"] is True
    assert most_unavailable(world) <= 2
    assert sorted(world.happened("patch")) == sorted(name for name, _ in NODES)
    assert rollout.said["report"]["foreign_cordons"] == ["b1"]


def test_a_node_that_does_not_come_back_keeps_its_place(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    world.never_back = {"a1"}
    rollout = play(waves="[1, 100%]", unavailable="1", errors="3", reboot="2s")
    assert not rollout.play()
    item = rollout.items()["a1"]
    assert item.wave == 1
    assert (item.state, item.facts["available"]) == (ItemState.FAILED, False)
    assert "was not back 2s after its reboot" in (item.detail or "")
    assert "may be unavailable still" in rollout.failed[-1][2]
    assert world.cordoned_by_plans() == []
    assert most_unavailable(world) == 1


def test_one_that_vanished_is_left_out_and_one_that_appeared_is_said(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    rollout = play(waves="[1, 100%]")
    first = rollout.task(f"execute.{STEP}.targets")
    gone = next(name for name, _ in NODES if name not in first)
    del world.store["nodes", "", gone]
    world.add_node("d9", "d")
    assert rollout.play(), rollout.failed
    assert states(rollout)[gone] is ItemState.GONE
    assert rollout.failed == [], "what would be done to it is skipped, not refused"
    report = rollout.said["report"]
    assert report["appeared"] == ["d9"]
    assert report.get("complete", False) is False
    assert report["counts"] == {"patched": 5, "gone": 1}


def test_what_is_not_begun_after_too_many_failed_is_skipped(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    rollout = play(waves="[100%]", unavailable="2")
    first, second, *_ = rollout.task(f"execute.{STEP}.targets")
    group = f"execute.{STEP}.wave-1"
    rollout.task(f"{group}.begin", 0)
    rollout.ledger.end_target(
        rollout.plan_id, STEP, first, ItemState.FAILED, detail="x", available=True, actor="t",
        now=datetime.now(UTC),
    )  # fmt: skip
    with pytest.raises(AirflowSkipException, match=f"{second} is not begun: 1 targets have failed"):
        rollout.task(f"{group}.begin", 1)


def test_a_run_that_is_cleared_goes_on_where_it_stopped(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    world.broken = {"b1": 422}
    rollout = play(waves="[100%]", unavailable="1", seed=2)
    assert not rollout.play()
    before = Counter(world.happened("patch"))
    rollout.wind_up()
    rollout.ledger.release_lease(rollout.plan_id, actor="t", now=datetime.now(UTC))
    world.broken = {}
    rollout.ledger.take_lease(
        rollout.plan_id, [Hold("plan://patching")], actor="t", now=datetime.now(UTC)
    )
    rollout.failed.clear()
    assert rollout.play(), rollout.failed
    assert set(states(rollout).values()) == {ItemState.DONE}
    assert Counter(world.happened("patch")) == Counter(name for name, _ in NODES)
    assert before <= Counter(world.happened("patch"))


def test_undoing_takes_the_last_one_first_and_each_once(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    rollout = play(waves="[50%, 100%]")
    assert rollout.play()
    begun = [
        e.detail["target"]
        for e in rollout.ledger.audit_of(rollout.plan_id)
        if e.what == "target.began"
    ]
    rollout.wind_up()
    calls = {"n": 0}

    def meddle(asked: Asked) -> None:
        if asked.path.endswith("/revert"):
            calls["n"] += 1

    world.meddle = meddle
    assert rollout.task(f"rollback.{STEP}") == list(reversed(begun))
    assert world.happened("revert") == list(reversed(begun))
    rollout.task(f"tidy-{STEP}")
    last = [e for e in rollout.ledger.audit_of(rollout.plan_id) if e.what == "patch.reported"][-1]
    assert last.detail["counts"] == {"undone": 6}


def test_one_that_cannot_be_undone_does_not_keep_the_others_from_it(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    rollout = play(waves="[100%]")
    assert rollout.play()
    rollout.wind_up()
    world.refuse_agent = {"b2"}
    with pytest.raises(FailedError, match=r"1 of 6 targets could not be undone: b2"):
        rollout.task(f"rollback.{STEP}")
    assert len(world.happened("revert")) == 5


def test_an_error_of_others_does_not_keep_the_others_from_being_undone(
    world: NodeWorld, play: Callable[..., Rollout], monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = play(waves="[2]", unavailable="2")
    first, second = rollout.task(f"execute.{STEP}.targets")
    for index in (0, 1):
        rollout.task(f"execute.{STEP}.wave-1.begin", index)
    rollout.wind_up()
    undo = PatchUndoOperator._undo

    def broken(self: PatchUndoOperator, item: WorkItem, context: Any) -> None:
        if item.item == second:
            raise ZeroDivisionError("a library's own")
        undo(self, item, context)

    monkeypatch.setattr(PatchUndoOperator, "_undo", broken)
    with pytest.raises(FailedError, match=rf"1 of 2 .*{second}: ZeroDivisionError"):
        rollout.task(f"rollback.{STEP}")
    assert world.happened("revert") == [first]


def test_tidy_leaves_nothing_behind_however_the_run_ended(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    rollout = play(waves="[100%]", unavailable="2")
    rollout.task(f"execute.{STEP}.targets")
    for index in (0, 1):
        rollout.task(f"execute.{STEP}.wave-1.begin", index)
        rollout.task(f"execute.{STEP}.wave-1.drain", index)
    assert len(world.cordoned_by_plans()) == 2
    world.cordon("c2")
    rollout.wind_up()
    report = rollout.task(f"tidy-{STEP}")
    assert world.cordoned_by_plans() == []
    assert world.unavailable() == {"c2"}
    assert report["counts"] == {"failed": 2, "not_begun": 4}
    assert report["foreign_cordons"] == ["c2"]


@pytest.mark.parametrize(
    "point",
    [pytest.param(n, marks=() if n == 17 else pytest.mark.soak) for n in range(KILLS)],
)
def test_killed_at_any_request_it_goes_on_and_patches_none_twice(
    world: NodeWorld, play: Callable[..., Rollout], point: int
) -> None:
    """The process that asks is killed when its request has arrived: half of them before it is
    carried out (then the world answers an error), half of them after."""
    for name, _ in NODES:
        world.add_pod(f"app-{name}", name)
    rollout = play(forks=True, waves="[2, 100%]", unavailable="2", errors="0", seed=point)
    at = 6 + point * 5  # a clean run has more requests than the last of these
    count = {"n": 0, "killed": 0}

    def meddle(asked: Asked) -> None:
        count["n"] += 1
        if count["n"] >= at and not count["killed"] and rollout.kill():
            count["killed"] += 1

    world.meddle = meddle
    if point % 2:
        world.refuse = lambda asked: (
            (503, "killed") if count["killed"] and count["n"] == at else None
        )
    assert rollout.play(), rollout.failed
    assert count["killed"] == 1, f"only {count['n']} requests"
    names = Counter(name for name, _ in NODES)
    assert Counter(world.happened("patch")) == names
    assert Counter(world.happened("reboot")) == names
    assert set(states(rollout).values()) == {ItemState.DONE}
    assert world.cordoned_by_plans() == []
    assert world.unavailable() == frozenset()
    assert most_unavailable(world) <= 2


def test_a_node_that_does_not_tell_its_boot_id_is_not_taken_for_restarted(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    rollout = play(waves="[1]", errors="0", reboot="2s")
    (name,) = rollout.task(f"execute.{STEP}.targets")
    group = f"execute.{STEP}.wave-1"
    for task in ("begin", "drain", "http"):
        rollout.task(f"{group}.{task}", 0)
    told = world.store["nodes", "", name]["status"]["nodeInfo"]
    before, told["bootID"] = told["bootID"], ""
    with pytest.raises(FailedError, match="does not tell its boot ID now"):
        rollout.task(f"{group}.reboot", 0)
    told["bootID"] = before
    rollout.task(f"{group}.reboot", 0)
    assert Counter(world.happened("reboot")) == {name: 1}
    world.store["nodes", "", name]["status"]["nodeInfo"]["bootID"] = ""
    with pytest.raises(FailedError, match="it does not tell its boot ID"):
        rollout.task(f"{group}.back", 0)


def test_without_a_boot_id_of_before_nobody_is_back() -> None:
    """Ready it was before its restart as well."""
    item = WorkItem("p-1", STEP, "a1", 0, wave=1, state=ItemState.ACTING)
    back: Any = Rollout(graph(), None).dag.task_dict[f"execute.{STEP}.wave-1.back"]  # type: ignore[arg-type]
    back = back.prepare_for_execution()
    back.be_about(item)
    back.trigger = None
    node = NodeState("a1", ready=True, cordoned=True, cordoned_by="p-1", boot_id="boot-2")
    with pytest.raises(RefusedError, match="cannot be told whether it was restarted"):
        back.work(
            SimpleNamespace(name="a1", find=lambda: node), {"ti": SimpleNamespace(map_index=0)}
        )


def test_a_hold_begins_no_target_and_leaves_none_half_way(
    world: NodeWorld, play: Callable[..., Rollout]
) -> None:
    rollout = play(waves="[100%]", unavailable="2")
    first = rollout.task(f"execute.{STEP}.targets")[0]
    group = f"execute.{STEP}.wave-1"
    rollout.task(f"{group}.begin", 0)
    now = datetime.now(UTC)
    rollout.ledger.hold_run(rollout.plan_id, actor="ada", reason="why", now=now)
    with pytest.raises(NotNowError, match="HoldTrigger"):
        rollout.task(f"{group}.begin", 1)
    inner = rollout.plan.by_id[f"execute.{STEP}"].parts[1].each
    for part in inner[1:]:
        rollout.task(f"{group}.{part.id}", 0)
    assert [n for n, state in states(rollout).items() if state is ItemState.DONE] == [first]
    assert world.cordoned_by_plans() == []
    assert list(states(rollout).values()).count(ItemState.WAITING) == len(NODES) - 1
    with pytest.raises(NotNowError, match="HoldTrigger"):
        rollout.task(f"execute.{STEP}.gate-1")
    rollout.ledger.resume_run(rollout.plan_id, actor="ada", reason=None, now=now)
    rollout.task(f"{group}.begin", 1)


def test_a_target_that_asked_before_the_hold_waits_for_its_turn(
    world: NodeWorld, play: Callable[..., Rollout], monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = play(waves="[100%]")
    rollout.task(f"execute.{STEP}.targets")
    began = patch_turn.BeginTargetOperator._ask_turn_guards

    def held(self: patch_turn.BeginTargetOperator, context: object) -> None:
        began(self, context)  # type: ignore[arg-type]
        rollout.ledger.hold_run(rollout.plan_id, actor="ada", reason="why", now=datetime.now(UTC))

    monkeypatch.setattr(patch_turn.BeginTargetOperator, "_ask_turn_guards", held)
    with pytest.raises(NotNowError, match="TurnTrigger"):
        rollout.task(f"execute.{STEP}.wave-1.begin", 0)
    assert set(states(rollout).values()) == {ItemState.WAITING}


def test_no_target_begins_above_the_limit_of_cost(
    world: NodeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dear(self: RunCost, step: str | None) -> None:
        raise CheckFailedError(f"{step} costs {self.cost.limit_words} more, and above")

    cost = Cost(connection="prom", query="x", currency="EUR", max_increase=5)
    plan = graph().model_copy(update={"cost": cost})
    rollout = Rollout(plan, Ledger(database(tmp_path))).acquire()
    monkeypatch.setattr(RunCost, "check", lambda self, step: None)
    rollout.task(f"execute.{STEP}.targets")
    monkeypatch.setattr(RunCost, "check", dear)
    with pytest.raises(FailedError, match="begin costs 5 EUR an hour more"):
        rollout.task(f"execute.{STEP}.wave-1.begin", 0)
    assert set(states(rollout).values()) == {ItemState.WAITING}
