from __future__ import annotations

from typing import Any

import pytest

from planner_provider.errors import CheckFailedError, RefusedError
from planner_provider.hooks.kubernetes import JSON_PATCH, STRATEGIC
from planner_provider.hooks.traffic.replica_ratio import Split, split
from tests.hooks.kubernetes_emulator import Cluster, deployment
from tests.hooks.traffic.worlds import kubernetes_release, restores, survives

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

RATIO: dict[str, Any] = {"replicas": "ratio"}
NEW = "shop/checkout:1.4.2"


def shop(cluster: Cluster) -> Cluster:
    cluster.store.clear()
    cluster.asked.clear()
    cluster.add("deployments", deployment())
    return cluster


def replicas(cluster: Cluster) -> tuple[int, int | None]:
    stable = cluster.one("deployments", "checkout")
    canary = cluster.one("deployments", "checkout-canary")
    assert stable is not None
    return stable["spec"]["replicas"], canary["spec"]["replicas"] if canary else None


def end(cluster: Cluster) -> Any:
    return {key: body["spec"] for key, body in cluster.store.items()}


@pytest.mark.parametrize(
    ("total", "percent", "wanted"),
    [
        (4, 25, Split(3, 1)),
        (4, 5, Split(3, 1)),
        (4, 0, Split(4, 0)),
        (4, 99, Split(1, 3)),
        (4, 100, Split(0, 4)),
        (10, 15, Split(8, 2)),
        (10, 14, Split(9, 1)),
        (1, 50, Split(1, 1)),
        (1, 100, Split(0, 1)),
        (200, 1, Split(198, 2)),
    ],
)
def test_the_split(total: int, percent: int, wanted: Split) -> None:
    assert split(total, percent) == wanted


def test_rounding_is_said_in_words() -> None:
    assert Split(3, 1).in_words(25) == "1 of 4 replicas are the canary's: 25%"
    assert Split(3, 1).in_words(5).endswith("canary's: 25% where 5% was asked for")
    assert Split(2, 1).in_words(30).endswith("33.3% where 30% was asked for")


def test_the_canary_is_behind_the_same_service(cluster: Cluster) -> None:
    shop(cluster)
    kubernetes_release(RATIO).deploy_canary()
    (made,) = cluster.changes()
    spec = made.body["spec"]
    assert spec["replicas"] == 0
    labels = {"app": "checkout", "team": "payments", "planner.dev/track": "canary"}
    assert spec["template"]["metadata"]["labels"] == labels
    assert spec["selector"]["matchLabels"] == {"app": "checkout", "planner.dev/track": "canary"}


def test_to_the_end(cluster: Cluster) -> None:
    shop(cluster)
    release = kubernetes_release(RATIO)
    release.deploy_canary()
    done = release.set_weight(5)
    assert "25% where 5% was asked for" in done.text
    assert replicas(cluster) == (3, 1)
    patches = [
        (a.path.rpartition("/")[2], a.content_type, a.body[1:]) for a in cluster.changes()[1:]
    ]
    path = "/spec/replicas"
    assert patches == [
        ("checkout-canary", JSON_PATCH, [{"op": "add", "path": path, "value": 1}]),
        ("checkout", JSON_PATCH, [{"op": "add", "path": path, "value": 3}]),
    ], "the side that gains grows first"
    assert not kubernetes_release(RATIO).set_weight(5).changed
    assert release.observe().weight == 25
    release.set_weight(100)
    assert replicas(cluster) == (0, 4)
    assert release.promote().changed
    last = [a for a in cluster.changes() if a.content_type == STRATEGIC][-1].body["spec"]
    assert last["replicas"] == 4
    assert replicas(cluster) == (4, None)
    assert release.observe().stable == NEW
    assert not release.promote().changed


def test_back_to_less_grows_the_stable_side_first(cluster: Cluster) -> None:
    shop(cluster)
    release = kubernetes_release(RATIO)
    release.deploy_canary()
    release.set_weight(75)
    cluster.asked.clear()
    release.set_weight(25)
    assert [asked.path.rpartition("/")[2] for asked in cluster.changes()] == [
        "checkout", "checkout-canary",
    ]  # fmt: skip


def test_a_canary_that_does_not_start_takes_nothing_from_the_stable_side(cluster: Cluster) -> None:
    shop(cluster).broken_images.add(NEW)
    release = kubernetes_release(RATIO)
    memo = release.memo()
    release.deploy_canary()
    with pytest.raises(CheckFailedError):
        release.set_weight(50)
    assert replicas(cluster) == (4, 2)
    release.restore(memo)
    assert replicas(cluster) == (4, None)


def test_removing_the_canary_gives_the_replicas_back(cluster: Cluster) -> None:
    shop(cluster)
    before = end(cluster)
    release = kubernetes_release(RATIO)
    release.deploy_canary()
    release.set_weight(50)
    assert release.remove_canary().changed
    assert end(cluster) == before
    assert not release.remove_canary().changed


def test_without_replicas_there_is_no_ratio(cluster: Cluster) -> None:
    shop(cluster).add("deployments", deployment(replicas=0))
    with pytest.raises(RefusedError, match="no replicas"):
        kubernetes_release(RATIO).deploy_canary()


def test_killed_after_any_request_and_promoted(cluster: Cluster) -> None:
    def act() -> None:
        release = kubernetes_release(RATIO)
        if not release.is_promoted():
            release.deploy_canary()
            release.set_weight(50)
            release.promote()

    assert survives(lambda: shop(cluster), act, end) > 10
    assert replicas(cluster) == (4, None)


def test_rolled_back_from_wherever_it_was_killed(cluster: Cluster) -> None:
    assert restores(lambda: shop(cluster), lambda: kubernetes_release(RATIO), end) > 9
