from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.errors import RefusedError
from planner_provider.hooks.drains import Drain, Drained, DrainError, DrainRules, selects
from planner_provider.hooks.kubernetes import KubernetesApi
from tests.hooks.kubernetes_emulator import Asked, kube_config
from tests.hooks.node_world import NodeWorld, node_world

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[NodeWorld]:
    with node_world([("a1", "a"), ("b1", "b")]) as made:
        path = tmp_path / "kube.json"
        path.write_text(json.dumps(kube_config(made.address)))
        given = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(path)}}
        monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(given))
        yield made


class Time:
    """Passes only when somebody waits."""

    def __init__(self, then: Callable[[float], None] = lambda now: None) -> None:
        self.now = 0.0
        self.then = then

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.then(self.now)


def drain(time: Time | None = None, **rules: bool | float) -> Drained:
    clock = time or Time()
    given = DrainRules(**{"timeout": 60.0, **rules})  # type: ignore[arg-type]
    return Drain(
        KubernetesApi("cluster"), "a1", given,
        pause=clock.pause, monotonic=lambda: clock.now, tell=lambda line: None,
    ).run()  # fmt: skip


def on_node(world: NodeWorld, name: str = "a1") -> set[str]:
    return {
        body["metadata"]["name"]
        for (kind, _, _), body in world.store.items()
        if kind == "pods" and body["spec"]["nodeName"] == name
    }


def test_pods_are_evicted_by_their_uid_and_others_are_left(world: NodeWorld) -> None:
    world.cordon("a1")
    world.add_pod("web-1", "a1")
    world.add_pod("db-1", "a1", namespace="data", app="db", owner="StatefulSet")
    world.add_pod("logs", "a1", owner="DaemonSet", app="logs")
    world.add_pod("mirror", "a1", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})
    world.add_pod("elsewhere", "b1")
    ended = world.add_pod("job", "a1", owner="Job")
    ended["status"]["phase"] = "Succeeded"
    done = drain()
    assert sorted(done.evicted) == ["data/db-1", "shop/web-1"]
    assert done.left == (
        "shop/logs (of a daemon set)", "shop/mirror (a mirror pod)", "shop/job (it has ended)",
    )  # fmt: skip
    assert on_node(world) == {"logs", "mirror", "job"}
    asked = next(a for a in world.changes() if a.path.endswith("web-1/eviction"))
    assert (asked.method, asked.path, asked.content_type) == (
        "POST", "/api/v1/namespaces/shop/pods/web-1/eviction", "application/json",
    )  # fmt: skip
    assert asked.body == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "web-1", "namespace": "shop"},
        "deleteOptions": {"preconditions": {"uid": "uid-pods-web-1"}},
    }
    listed = next(a for a in world.asked if a.path == "/api/v1/pods")
    assert listed.query == {"fieldSelector": "spec.nodeName=a1", "limit": "500"}


@pytest.mark.parametrize(
    ("pod", "hint", "rule"),
    [
        ({"owner": None}, "`force: true`", {"force": True}),
        ({"volumes": [{"name": "x", "emptyDir": {}}]}, "`local_data: delete`",
         {"delete_local_data": True}),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_evicted_only_if_told(
    world: NodeWorld, pod: dict[str, object], hint: str, rule: dict[str, bool]
) -> None:
    world.cordon("a1")
    world.add_pod("web-1", "a1")
    world.add_pod("lost", "a1", **pod)  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match=hint):
        drain()
    assert world.changes() == [], "nothing is evicted before all may be"
    drain(None, **rule)
    assert on_node(world) == set()


def test_a_budget_that_forbids_it_is_asked_again_until_it_allows(world: NodeWorld) -> None:
    world.cordon("a1")
    world.add_pod("web-1", "a1")
    budget = world.add_budget("web-pdb", "web", allowed=0)

    def later(now: float) -> None:
        if now >= 20:
            budget["status"]["disruptionsAllowed"] = 1

    done = drain(Time(later))
    assert done.evicted == ["shop/web-1"]
    assert done.blocked >= 5


def test_a_drain_that_is_blocked_ends_in_time_and_names_pod_and_budget(world: NodeWorld) -> None:
    world.cordon("a1")
    world.add_pod("web-1", "a1")
    world.add_budget("web-pdb", "web", allowed=0)
    time = Time()
    with pytest.raises(DrainError) as caught:
        drain(time, timeout=30.0)
    assert 30 <= time.now < 35
    told = str(caught.value)
    assert "a1 was not drained within 30 s" in told
    assert "shop/web-1 (PodDisruptionBudget web-pdb, which allows 0 disruptions)" in told
    assert "violate the pod's disruption budget" in told


def test_a_pod_that_does_not_end_is_named(world: NodeWorld) -> None:
    world.cordon("a1")
    world.add_pod("web-1", "a1")
    world.grace_seconds = 3600
    with pytest.raises(DrainError, match="shop/web-1: it was told to go and has not ended"):
        drain(timeout=5.0)
    assert len([a for a in world.changes() if a.path.endswith("eviction")]) == 1


def test_an_api_that_fails_for_a_while_does_not_end_it(world: NodeWorld) -> None:
    world.cordon("a1")
    world.add_pod("web-1", "a1")
    failures = iter([(500, "sorry"), (504, "sorry")])
    world.refuse = lambda asked: next(failures, None) if asked.method == "POST" else None
    assert drain().evicted == ["shop/web-1"]


def test_no_right_to_evict_is_no_reason_to_wait(world: NodeWorld) -> None:
    world.cordon("a1")
    world.add_pod("web-1", "a1")
    world.refuse = lambda asked: (403, "forbidden") if asked.method == "POST" else None
    time = Time()
    with pytest.raises(RefusedError, match="RBAC"):
        drain(time)
    assert time.now == 0


def test_another_pod_of_the_same_name_is_not_evicted_in_its_place(world: NodeWorld) -> None:
    world.cordon("a1")
    world.add_pod("web-0", "a1", owner="StatefulSet")

    def meddle(asked: Asked) -> None:
        if asked.method == "POST" and asked.body["deleteOptions"]["preconditions"]["uid"] == (
            "uid-pods-web-0"
        ):
            world.store["pods", "shop", "web-0"]["spec"]["nodeName"] = "b1"
            world.store["pods", "shop", "web-0"]["metadata"]["uid"] = "another"

    world.meddle = meddle
    assert drain().evicted == []
    assert on_node(world, "b1") == {"web-0"}


@pytest.mark.parametrize(
    ("selector", "holds"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
    ],
)
def test_which_pods_a_budget_is_about(selector: object, *, holds: bool) -> None:
    assert selects(selector, {"app": "web"}) is holds


def test_pods_that_cannot_be_listed_for_a_while(world: NodeWorld) -> None:
    world.cordon("a1")
    world.add_pod("web-1", "a1")
    failures = iter([(503, "sorry")])
    world.refuse = lambda asked: next(failures, None) if asked.path == "/api/v1/pods" else None
    assert drain().evicted == ["shop/web-1"]
    world.refuse = lambda asked: (503, "sorry") if asked.path == "/api/v1/pods" else None
    with pytest.raises(DrainError, match=r"not drained within 9 s.*sorry"):
        drain(timeout=9.0)
