"""A shop: one Deployment, its Services, and the route to them."""

from __future__ import annotations

from typing import Any

from tests.hooks.kubernetes_emulator import Cluster, deployment

DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/checkout"
CANARY = "/apis/apps/v1/namespaces/shop/deployments/checkout-canary"
ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/checkout"
BY_ROUTE: dict[str, Any] = {"http_route": "checkout"}
OLD, NEW = "shop/checkout:1.4.1", "shop/checkout:1.4.2"


def route(*rules: list[tuple[str, int | None]], refused: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": "checkout", "annotations": {"test/refused": refused}},
        "spec": {
            "parentRefs": [{"name": "public"}],
            "rules": [
                {
                    "backendRefs": [
                        {"name": name, "port": 80, **({} if weight is None else {"weight": weight})}
                        for name, weight in rule
                    ]
                }
                for rule in rules
            ],
        },
    }


PLAIN: list[tuple[str, int | None]] = [("checkout", None), ("checkout-canary", 0)]


def shop(cluster: Cluster, *rules: list[tuple[str, int | None]]) -> Cluster:
    cluster.store.clear()
    cluster.asked.clear()
    cluster.add("deployments", deployment())
    for name in ("checkout", "checkout-canary"):
        body: dict[str, Any] = {"metadata": {"name": name}, "spec": {"selector": {"app": name}}}
        cluster.add("services", body)
    cluster.add("httproutes", route(*(rules or (PLAIN,))))
    return cluster


def image(cluster: Cluster, name: str = "checkout") -> str | None:
    found = cluster.one("deployments", name)
    return found["spec"]["template"]["spec"]["containers"][0]["image"] if found else None


def weights(cluster: Cluster, rule: int = 0) -> list[Any]:
    found = cluster.one("httproutes", "checkout")
    assert found is not None
    return [backend.get("weight") for backend in found["spec"]["rules"][rule]["backendRefs"]]


def end(cluster: Cluster) -> Any:
    """What must be the same however often a release was broken off."""
    canary = cluster.one("deployments", "checkout-canary")
    stable = cluster.one("deployments", "checkout")
    assert stable is not None
    return (
        stable["spec"],
        canary and (canary["spec"], canary["metadata"]["annotations"]),
        cluster.one("httproutes", "checkout")["spec"],  # type: ignore[index]
    )
