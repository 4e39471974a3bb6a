from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.errors import RefusedError
from planner_provider.hooks.kubernetes import JSON_PATCH, KubernetesApi
from planner_provider.hooks.nodes import CORDONED_BY, Node, cordons_of, fleet_of_nodes
from planner_provider.spec.kinds import NodeSelector
from tests.hooks.kubernetes_emulator import Asked, kube_config
from tests.hooks.node_world import ZONE, NodeWorld, node_world

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

OURS = "kernel-1234abcd-5678efab"
WEB = NodeSelector(connection="cluster", selector="pool=web")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[NodeWorld]:
    with node_world([("a1", "a"), ("b1", "b")]) as made:
        path = tmp_path / "kube.json"
        path.write_text(json.dumps(kube_config(made.address)))
        given = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(path)}}
        monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(given))
        yield made


def node(name: str = "a1", plan_id: str = OURS) -> Node:
    return Node(KubernetesApi("cluster"), name, plan_id)


def spec_and_marks(world: NodeWorld, name: str = "a1") -> tuple[Any, Any]:
    found = world.node(name)
    return found["spec"].get("unschedulable"), found["metadata"].get("annotations")


def test_a_cordon_and_whose_it_is_are_one_change(world: NodeWorld) -> None:
    assert node().cordon() == "a1 takes no new work now"
    assert spec_and_marks(world) == (True, {CORDONED_BY: OURS})
    (change,) = world.changes()
    assert (change.method, change.path, change.content_type) == (
        "PATCH", "/api/v1/nodes/a1", JSON_PATCH,
    )  # fmt: skip
    assert change.body == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": change.body[0]["value"]},
        {"op": "add", "path": "/spec/unschedulable", "value": True},
        {"op": "add", "path": "/metadata/annotations", "value": {CORDONED_BY: OURS}},
    ]
    assert node().cordon() == "a1 is cordoned by us already"
    assert len(world.changes()) == 1
    assert node().uncordon() == "a1 takes work again"
    assert spec_and_marks(world) == (None, {})
    assert node().uncordon() == "a1 is not cordoned"
    assert len(world.changes()) == 2


def test_other_annotations_stay(world: NodeWorld) -> None:
    world.node("a1")["metadata"]["annotations"] = {"volumes": "attached"}
    node().cordon()
    node().uncordon()
    assert spec_and_marks(world) == (None, {"volumes": "attached"})


@pytest.mark.parametrize("whose", [None, "other-1234abcd-0000"])
def test_a_foreign_cordon_is_left_and_said(world: NodeWorld, whose: str | None) -> None:
    world.cordon("a1")
    if whose:
        world.node("a1")["metadata"]["annotations"] = {CORDONED_BY: whose}
    told = whose or "somebody else"
    assert node().cordon() == f"a1 was cordoned by {told} before; that cordon will stay"
    assert node().uncordon() == f"a1 is cordoned by {told}; that cordon stays"
    assert world.changes() == []
    assert cordons_of(WEB, OURS) == ([], ["a1"])


def test_an_uncordon_by_a_person_is_not_undone_by_what_we_remember(world: NodeWorld) -> None:
    node().cordon()
    world.node("a1")["spec"].pop("unschedulable")
    assert node().uncordon() == "a1 is not cordoned"
    assert spec_and_marks(world) == (None, {}), "our mark would make the next cordon ours"


def test_somebody_who_changes_the_node_in_between_is_not_overwritten(world: NodeWorld) -> None:
    seen: list[Asked] = []

    def meddle(asked: Asked) -> None:
        if asked.method == "PATCH" and not seen:
            seen.append(asked)
            world.cordon("a1")

    world.meddle = meddle
    assert node().cordon() == "a1 was cordoned by somebody else before; that cordon will stay"
    assert seen
    assert spec_and_marks(world) == (True, None)


def test_the_fleet_with_who_is_unavailable_and_why(world: NodeWorld) -> None:
    world.add_node("other", "a", pool="db")
    world.cordon("a1")
    world.node("b1")["status"]["conditions"][0] |= {"status": "False", "reason": "KubeletNotReady"}
    seen = fleet_of_nodes(WEB)
    assert [(t.name, t.labels[ZONE]) for t in seen.targets] == [("a1", "a"), ("b1", "b")]
    assert seen.unavailable == {
        "a1": "it is cordoned", "b1": "it is not ready (KubeletNotReady)",
    }  # fmt: skip
    assert world.asked[-1].path == "/api/v1/nodes"
    assert world.asked[-1].query == {"labelSelector": "pool=web", "limit": "500"}


def test_a_fleet_of_more_nodes_than_one_page(world: NodeWorld) -> None:
    for number in range(1003):
        world.add_node(f"n{number}", "c")
    assert len(fleet_of_nodes(WEB).targets) == 1005


def test_a_node_that_is_gone(world: NodeWorld) -> None:
    assert node("nowhere").find() is None
    with pytest.raises(RefusedError, match="no node nowhere"):
        node("nowhere").cordon()


def test_its_boot_id_tells_whether_it_was_restarted(world: NodeWorld) -> None:
    before = node().read()
    world.reboot_seconds = 0.0
    world.down_until["a1"] = 0.0
    after = node().read()
    assert before.boot_id != after.boot_id
    assert after.ready
