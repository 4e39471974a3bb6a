from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from planner_provider.errors import CheckFailedError, RefusedError
from planner_provider.hooks.kubernetes import JSON_PATCH, MERGE, KubernetesApi
from planner_provider.hooks.traffic.argo_control import RolloutControl, status_of
from planner_provider.hooks.traffic.argo_rollout import ArgoRelease
from tests.hooks.kubernetes_emulator import Asked, Cluster, deployment
from tests.hooks.traffic.worlds import OWNER, kubernetes_release, restores, survives

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

ROLLOUT = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/checkout"
BY_ARGO: dict[str, Any] = {"argo_rollout": "checkout"}
OLD, NEW = "shop/checkout:1.4.1", "shop/checkout:1.4.2"
STEPS: list[dict[str, Any]] = [
    {"setWeight": 5}, {"pause": {}}, {"setWeight": 25}, {"pause": {}}, {"setWeight": 50},
    {"pause": {}},
]  # fmt: skip


def shop(cluster: Cluster, steps: list[dict[str, Any]] = STEPS) -> Cluster:
    cluster.store.clear()
    cluster.asked.clear()
    body = deployment()
    body["spec"]["strategy"] = {"canary": {"steps": steps}}
    cluster.add("rollouts", body)
    return cluster


def rollout(cluster: Cluster) -> dict[str, Any]:
    found = cluster.one("rollouts", "checkout")
    assert found is not None
    return found


def image(cluster: Cluster) -> str:
    return str(rollout(cluster)["spec"]["template"]["spec"]["containers"][0]["image"])


def end(cluster: Cluster) -> Any:
    body = rollout(cluster)
    status = {k: v for k, v in body["status"].items() if k != "observedGeneration"}
    return body["spec"], status


def sent(cluster: Cluster) -> list[tuple[str, str | None, Any]]:
    return [(a.path.removeprefix(ROLLOUT), a.content_type, a.body) for a in cluster.changes()]


def test_driven_to_the_end(cluster: Cluster) -> None:
    shop(cluster)
    version = rollout(cluster)["metadata"]["resourceVersion"]
    template = rollout(cluster)["spec"]["template"]
    release = kubernetes_release(BY_ARGO)
    assert release.observe().canary is None
    assert release.deploy_canary().changed
    containers = [{**template["spec"]["containers"][0], "image": NEW}]
    changed = {**template, "spec": {**template["spec"], "containers": containers}}
    marks = {"planner.dev/plan-id": OWNER}
    assert sent(cluster) == [
        (
            "",
            JSON_PATCH,
            [
                {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                {"op": "replace", "path": "/spec/template", "value": changed},
                {"op": "add", "path": "/metadata/annotations", "value": marks},
            ],
        )
    ]
    state = release.observe()
    assert (state.stable, state.canary, state.weight) == (OLD, NEW, 5)

    cluster.asked.clear()
    assert not release.set_weight(5).changed
    assert release.set_weight(25).changed
    assert not kubernetes_release(BY_ARGO).set_weight(25).changed
    assert release.observe().weight == 25
    assert sent(cluster) == [("/status", MERGE, {"status": {"pauseConditions": None}})]

    cluster.asked.clear()
    assert release.promote().changed
    assert sent(cluster) == [("/status", MERGE, {"status": {"promoteFull": True}})]
    assert release.is_promoted()
    assert not release.promote().changed
    assert image(cluster) == NEW


def test_weights_may_be_skipped(cluster: Cluster) -> None:
    shop(cluster)
    release = kubernetes_release(BY_ARGO)
    release.deploy_canary()
    release.set_weight(50)
    assert release.observe().weight == 50
    assert len(sent(cluster)) == 3


def test_aborted_and_undone(cluster: Cluster) -> None:
    shop(cluster)
    release = kubernetes_release(BY_ARGO)
    before = end(cluster)
    memo = release.memo()
    release.deploy_canary()
    release.set_weight(25)
    cluster.asked.clear()
    assert release.restore(memo).changed
    (abort, undo) = sent(cluster)
    assert abort == ("/status", MERGE, {"status": {"abort": True}})
    assert undo[:2] == ("", JSON_PATCH)
    assert [op["op"] for op in undo[2]] == ["test", "replace"]
    assert end(cluster) == before
    assert not release.restore(memo).changed


def test_removing_the_canary_needs_no_memo(cluster: Cluster) -> None:
    shop(cluster)
    release = kubernetes_release(BY_ARGO)
    before = end(cluster)
    release.deploy_canary()
    assert release.remove_canary().changed
    assert end(cluster) == before
    assert not release.remove_canary().changed


def test_undone_after_it_was_promoted(cluster: Cluster) -> None:
    """The old template would begin as a canary of its own; it is promoted at once."""
    shop(cluster)
    release = kubernetes_release(BY_ARGO)
    memo = release.memo()
    release.deploy_canary()
    release.promote()
    cluster.asked.clear()
    release.restore(memo)
    assert sent(cluster)[-1] == ("/status", MERGE, {"status": {"promoteFull": True}})
    assert image(cluster) == OLD
    assert status_of(rollout(cluster)).settled


def test_weight_zero_aborts(cluster: Cluster) -> None:
    shop(cluster)
    release = kubernetes_release(BY_ARGO)
    release.deploy_canary()
    assert release.set_weight(0).changed
    assert release.observe().weight == 0
    assert not release.set_weight(0).changed
    with pytest.raises(CheckFailedError, match="was aborted"):
        release.set_weight(25)
    with pytest.raises(CheckFailedError, match="was aborted"):
        release.promote()


def test_an_abort_waits_until_the_change_is_seen(cluster: Cluster) -> None:
    """The controller takes a new template for a new update, and forgets an abort from before."""
    shop(cluster)
    release = kubernetes_release(BY_ARGO)
    assert isinstance(release, ArgoRelease)
    cluster.stuck = True
    release._change(steps_matter=True)
    seen: list[str] = []

    def meddle(asked: Asked) -> None:
        seen.append(asked.method)
        cluster.stuck = len(seen) < 5

    cluster.meddle = meddle
    assert release.set_weight(0).changed
    assert status_of(rollout(cluster)).aborted


def test_an_older_controller_without_a_status_subresource(cluster: Cluster) -> None:
    shop(cluster).status_subresource = False
    release = kubernetes_release(BY_ARGO)
    release.deploy_canary()
    cluster.asked.clear()
    release.set_weight(25)
    body = {"status": {"pauseConditions": None}}
    assert sent(cluster) == [("/status", MERGE, body), ("", MERGE, body)]
    assert release.observe().weight == 25


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([{"setWeight": 5}, {"pause": {"duration": "5m"}}], "does not stop after .*setWeight: 5"),
        ([{"setWeight": 5}, {"setWeight": 50}, {"pause": {}}], "does not stop after"),
        ([{"setWeight": 5}], "does not stop after"),
    ],
)
def test_steps_that_would_overtake_the_plan(
    cluster: Cluster, steps: list[dict[str, Any]], why: str
) -> None:
    shop(cluster, steps)
    with pytest.raises(RefusedError, match=why):
        kubernetes_release(BY_ARGO).deploy_canary()
    assert cluster.changes() == []


def test_a_weight_that_is_no_step(cluster: Cluster) -> None:
    shop(cluster)
    release = kubernetes_release(BY_ARGO)
    release.deploy_canary()
    with pytest.raises(RefusedError, match=r"no step `setWeight: 10` .* it has 5, 25, 50"):
        release.set_weight(10)


def test_an_update_of_somebody_else(cluster: Cluster) -> None:
    shop(cluster)
    theirs = kubernetes_release(BY_ARGO, {"version": "7"}, owner="other-1")
    theirs.deploy_canary()
    ours = kubernetes_release(BY_ARGO)
    with pytest.raises(RefusedError, match="in the middle of another update"):
        ours.memo()
    with pytest.raises(RefusedError, match="in the middle of another update"):
        ours.deploy_canary()
    for act in (ours.remove_canary, ours.promote, lambda: ours.set_weight(25)):
        with pytest.raises(RefusedError, match="last changed by other-1"):
            act()
    assert len(sent(cluster)) == 1


def test_the_other_patches(cluster: Cluster) -> None:
    shop(cluster)
    kubernetes_release(BY_ARGO).deploy_canary()
    control = RolloutControl(KubernetesApi("cluster"), "shop", "checkout")
    control.abort()
    cluster.asked.clear()
    control.retry()
    body = deepcopy(rollout(cluster))
    body["spec"]["paused"] = True
    control.promote(status_of(body))
    body["spec"]["paused"] = False
    body["status"] |= {
        "pauseConditions": [{"reason": "InconclusiveAnalysisRun"}],
        "controllerPause": True,
        "currentStepIndex": 3,
    }
    control.promote(status_of(body))
    body["status"] |= {"pauseConditions": None, "controllerPause": False}
    control.promote(status_of(body))
    assert sent(cluster) == [
        ("/status", MERGE, {"status": {"abort": False}}),
        ("", MERGE, {"spec": {"paused": False}}),
        (
            "/status",
            MERGE,
            {
                "status": {
                    "pauseConditions": None,
                    "controllerPause": False,
                    "currentStepIndex": 4,
                }
            },
        ),
        ("/status", MERGE, {"status": {"pauseConditions": None, "currentStepIndex": 4}}),
    ]


def test_a_pause_that_the_controller_has_not_left_counts_as_progressing() -> None:
    body = {
        "metadata": {"generation": 3},
        "spec": {},
        "status": {"phase": "Paused", "controllerPause": True, "observedGeneration": "3"},
    }
    assert status_of(body).phase == "Progressing"
    body["status"]["observedGeneration"] = "2"  # type: ignore[index]
    assert not status_of(body).seen


def test_killed_after_any_request_and_promoted(cluster: Cluster) -> None:
    def act() -> None:
        release = kubernetes_release(BY_ARGO)
        if not release.is_promoted():
            release.deploy_canary()
            release.set_weight(25)
            release.promote()

    assert survives(lambda: shop(cluster), act, end) > 10
    assert image(cluster) == NEW


def test_rolled_back_from_wherever_it_was_killed(cluster: Cluster) -> None:
    found = restores(lambda: shop(cluster), lambda: kubernetes_release(BY_ARGO), end, weight=25)
    assert found > 9
