from __future__ import annotations

from typing import Any

import pytest

from planner_provider.errors import (
    CheckFailedError,
    RefusedError,
)
from planner_provider.hooks.kubernetes import JSON_PATCH
from tests.hooks.kubernetes_emulator import Asked, Cluster
from tests.hooks.traffic.shop import (
    BY_ROUTE,
    CANARY,
    DEPLOYMENT,
    NEW,
    OLD,
    PLAIN,
    ROUTE,
    end,
    image,
    shop,
    weights,
)
from tests.hooks.traffic.worlds import OWNER, kubernetes_release, restores, survives

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


class TestCanary:
    def test_the_canary_that_is_made(self, cluster: Cluster) -> None:
        shop(cluster)
        assert kubernetes_release(BY_ROUTE).deploy_canary().changed
        (made,) = cluster.changes()
        assert (made.method, made.path) == ("POST", "/apis/apps/v1/namespaces/shop/deployments")
        assert made.content_type == "application/json"
        body = made.body
        assert body["metadata"]["name"] == "checkout-canary"
        assert body["metadata"]["labels"] == {
            "planner.dev/plan": "checkout-release",
            "planner.dev/track": "canary",
        }
        assert body["metadata"]["annotations"] == {
            "planner.dev/plan-id": OWNER,
            "planner.dev/canary-of": "checkout",
            "planner.dev/replicas": "4",
        }
        assert body["metadata"]["ownerReferences"][0]["uid"] == "uid-deployments-checkout"
        spec = body["spec"]
        assert spec["replicas"] == 1
        labels = {"app": "checkout-canary", "team": "payments", "planner.dev/track": "canary"}
        assert spec["template"]["metadata"]["labels"] == labels
        assert spec["selector"]["matchLabels"] == {
            "app": "checkout-canary",
            "planner.dev/track": "canary",
        }
        assert spec["template"]["spec"]["containers"] == [
            {
                "name": "app",
                "image": NEW,
                "env": [{"name": "MODE", "value": "a"}],
                "ports": [{"containerPort": 8080}],
            }
        ]
        assert image(cluster) == OLD
        assert weights(cluster) == [None, 0]

    def test_to_the_end(self, cluster: Cluster) -> None:
        shop(cluster)
        release = kubernetes_release(BY_ROUTE)
        release.deploy_canary()
        for percent in (5, 50):
            assert release.set_weight(percent).changed
            assert not kubernetes_release(BY_ROUTE).set_weight(percent).changed
            state = release.observe()
            assert (state.stable, state.canary, state.weight, state.ready) == (
                OLD, NEW, percent, True,
            )  # fmt: skip
        assert cluster.one("deployments", "checkout-canary")["spec"]["replicas"] == 2  # type: ignore[index]
        assert not release.is_promoted()
        cluster.asked.clear()
        assert release.promote().changed
        assert [(asked.method, asked.path) for asked in cluster.changes()] == [
            ("PATCH", DEPLOYMENT),
            ("PATCH", ROUTE),
            ("DELETE", CANARY),
        ], "all traffic is back on the Deployment before its canary goes"
        assert release.is_promoted()
        assert image(cluster) == NEW
        assert weights(cluster) == [100, 0]
        assert cluster.one("deployments", "checkout-canary") is None
        assert not kubernetes_release(BY_ROUTE).promote().changed

    def test_the_request_that_shifts(self, cluster: Cluster) -> None:
        shop(cluster, PLAIN, [("checkout", 1)], PLAIN)
        release = kubernetes_release(BY_ROUTE)
        release.deploy_canary()
        version = cluster.one("httproutes", "checkout")["metadata"]["resourceVersion"]  # type: ignore[index]
        release.set_weight(25)
        patch = cluster.changes()[-1]
        assert (patch.method, patch.path, patch.content_type) == ("PATCH", ROUTE, JSON_PATCH)

        def of(rule: int) -> list[dict[str, Any]]:
            at = f"/spec/rules/{rule}/backendRefs"
            return [
                {"op": "test", "path": f"{at}/0/name", "value": "checkout"},
                {"op": "test", "path": f"{at}/1/name", "value": "checkout-canary"},
                {"op": "add", "path": f"{at}/0/weight", "value": 75},
                {"op": "add", "path": f"{at}/1/weight", "value": 25},
            ]

        test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        assert patch.body == [test, *of(0), *of(2)]
        assert weights(cluster, 1) == [1]

    def test_other_backends_keep_their_share_exactly(self, cluster: Cluster) -> None:
        shop(cluster, [("checkout", 800), ("legacy", 200), ("checkout-canary", 0)])
        release = kubernetes_release(BY_ROUTE)
        release.deploy_canary()
        release.set_weight(25)
        assert weights(cluster) == [600, 200, 200]
        assert release.observe().weight == 25
        release.remove_canary()
        assert weights(cluster) == [800, 200, 0]

    def test_a_share_that_cannot_be_exact_is_refused(self, cluster: Cluster) -> None:
        shop(cluster, [("checkout", 8), ("legacy", 2), ("checkout-canary", 0)])
        release = kubernetes_release(BY_ROUTE)
        release.deploy_canary()
        with pytest.raises(RefusedError, match="8 together, of which 5% is not a whole number"):
            release.set_weight(5)
        assert weights(cluster) == [8, 2, 0]

    def test_a_route_that_changes_meanwhile_is_read_again(self, cluster: Cluster) -> None:
        shop(cluster)
        release = kubernetes_release(BY_ROUTE)
        release.deploy_canary()
        times: list[int] = []

        def meddle(asked: Asked) -> None:
            if asked.method == "PATCH" and not times:
                times.append(1)
                found = cluster.one("httproutes", "checkout")
                assert found is not None
                found["spec"]["rules"].insert(0, {"backendRefs": [{"name": "new", "port": 80}]})
                cluster._stamp(found)

        cluster.meddle = meddle
        release.set_weight(25)
        assert weights(cluster, 0) == [None]
        assert weights(cluster, 1) == [75, 25]

    def test_a_gateway_that_does_not_follow(self, cluster: Cluster) -> None:
        shop(cluster)
        release = kubernetes_release(BY_ROUTE)
        release.deploy_canary()
        cluster.stuck = True
        with pytest.raises(CheckFailedError, match="Gateway public has not seen the change yet"):
            release.set_weight(25)

    @pytest.mark.parametrize("kind", ["Accepted", "ResolvedRefs"])
    def test_a_route_that_its_gateway_refuses(self, cluster: Cluster, kind: str) -> None:
        shop(cluster)
        release = kubernetes_release(BY_ROUTE)
        release.deploy_canary()
        found = cluster.one("httproutes", "checkout")
        assert found is not None
        found["metadata"]["annotations"]["test/refused"] = kind
        with pytest.raises(CheckFailedError, match=f"Gateway public says {kind} is False"):
            release.set_weight(25)

    @pytest.mark.parametrize(
        ("service", "selector", "why"),
        [
            ("checkout", {"team": "payments"}, "finds pods of the other side too"),
            ("checkout-canary", {"app": "checkout"}, "does not find its pods"),
            ("checkout-canary", {"team": "payments"}, "finds pods of the other side too"),
            ("checkout-canary", None, "does not exist"),
        ],
    )
    def test_services_that_would_mix_the_sides(
        self, cluster: Cluster, service: str, selector: dict[str, str] | None, why: str
    ) -> None:
        shop(cluster)
        if selector is None:
            del cluster.store["services", "shop", service]
        else:
            cluster.add("services", {"metadata": {"name": service}, "spec": {"selector": selector}})
        with pytest.raises(RefusedError, match=why):
            kubernetes_release(BY_ROUTE).deploy_canary()
        assert cluster.changes() == []

    def test_a_route_without_the_pair(self, cluster: Cluster) -> None:
        shop(cluster, [("checkout", 1)])
        with pytest.raises(RefusedError, match="no rule with the backends checkout and checkout-c"):
            kubernetes_release(BY_ROUTE).deploy_canary()

    def test_the_canary_of_somebody_else(self, cluster: Cluster) -> None:
        shop(cluster)
        kubernetes_release(BY_ROUTE, owner="other-plan-1").deploy_canary()
        kubernetes_release(BY_ROUTE, owner="other-plan-1").set_weight(25)
        cluster.asked.clear()
        ours = kubernetes_release(BY_ROUTE)
        for act in (
            ours.deploy_canary, ours.promote, ours.remove_canary, lambda: ours.set_weight(50),
        ):  # fmt: skip
            with pytest.raises(RefusedError, match="belongs to other-plan-1"):
                act()
        memo = ours.memo()
        assert not ours.restore(memo).changed, "what is theirs stays, and nothing of ours is there"
        assert cluster.changes() == []
        assert weights(cluster) == [75, 25]

    def test_traffic_that_somebody_else_shifts(self, cluster: Cluster) -> None:
        shop(cluster, PLAIN, [("checkout", 9), ("checkout-canary", 1)])
        with pytest.raises(RefusedError, match="gives 10% of rule 1 to checkout-canary"):
            kubernetes_release(BY_ROUTE).deploy_canary()
        assert cluster.changes() == []

    def test_a_change_that_is_in_already(self, cluster: Cluster) -> None:
        shop(cluster)
        kubernetes_release().deploy()
        with pytest.raises(RefusedError, match="compared with itself"):
            kubernetes_release(BY_ROUTE).deploy_canary()

    def test_a_weight_without_a_canary(self, cluster: Cluster) -> None:
        shop(cluster)
        with pytest.raises(RefusedError, match="no canary of this plan"):
            kubernetes_release(BY_ROUTE).set_weight(5)

    def test_no_traffic_before_the_canary_is_up(self, cluster: Cluster) -> None:
        shop(cluster).broken_images.add(NEW)
        with pytest.raises(CheckFailedError):
            kubernetes_release(BY_ROUTE).deploy_canary()
        with pytest.raises(CheckFailedError):
            kubernetes_release(BY_ROUTE).set_weight(5)
        assert weights(cluster) == [None, 0]

    def test_traffic_goes_back_before_the_canary_goes(self, cluster: Cluster) -> None:
        shop(cluster)
        release = kubernetes_release(BY_ROUTE)
        memo = release.memo()
        before = end(cluster)
        release.deploy_canary()
        release.set_weight(50)
        cluster.asked.clear()
        assert release.restore(memo).changed
        assert [(asked.method, asked.path) for asked in cluster.changes()] == [
            ("PATCH", ROUTE),
            ("DELETE", CANARY),
        ]
        uid = cluster.changes()[-1].body["preconditions"]["uid"]
        assert uid.startswith("uid-new")
        assert cluster.changes()[-1].body["propagationPolicy"] == "Background"
        after = end(cluster)
        assert after[:2] == before[:2]
        assert weights(cluster) == [1, 0]


def test_killed_after_any_request_and_promoted(cluster: Cluster) -> None:
    def act() -> None:
        release = kubernetes_release(BY_ROUTE)
        if not release.is_promoted():
            release.deploy_canary()
            release.set_weight(50)
            release.promote()

    assert survives(lambda: shop(cluster), act, end) > 15
    assert (image(cluster), weights(cluster)) == (NEW, [100, 0])


def test_killed_after_any_request_and_rolled_back(cluster: Cluster) -> None:
    memo: dict[str, Any] = {}

    def begun() -> Cluster:
        shop(cluster)
        release = kubernetes_release(BY_ROUTE)
        memo.update(release.memo())
        release.deploy_canary()
        release.set_weight(50)
        return cluster

    def act() -> None:
        kubernetes_release(BY_ROUTE).restore(memo)

    assert survives(begun, act, end) > 6
    assert (image(cluster), weights(cluster)) == (OLD, [1, 0])


def test_rolled_back_from_wherever_it_was_killed(cluster: Cluster) -> None:
    """The step dies after any of its requests, and is then undone instead of tried again."""

    def look(world: Cluster) -> Any:
        return *end(world)[:2], weights(world) in ([None, 0], [1, 0])

    points = restores(lambda: shop(cluster), lambda: kubernetes_release(BY_ROUTE), look)
    assert points > 14
    assert look(shop(cluster))[-1]
