"""Traffic by the weights of a Gateway API HTTPRoute.

The route's rules that have both backends, the stable Service and the one named like it with
``-canary``, are shifted; other rules and other backends are never touched. In each of these rules
the two share what they had together before, so that the shares of other backends stay exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner_provider.errors import RefusedError
from planner_provider.hooks.kubernetes import (
    HTTP_ROUTES,
    JSON_PATCH,
    SERVICES,
    Json,
    KubernetesApi,
)
from planner_provider.hooks.traffic.deployments import again_on_conflict, version_test
from planner_provider.hooks.traffic.release import (
    Done,
    Patience,
    Progress,
    already_so,
    changed,
    wait_for,
)
from planner_provider.hooks.traffic.workload import SUFFIX

CONDITIONS = ("Accepted", "ResolvedRefs")


@dataclass(frozen=True, slots=True)
class Pair:
    """The two backends in one rule of the route."""

    rule: int
    stable: int
    """Index of the stable backend in the rule."""
    canary: int
    weights: tuple[int, int]
    """Of the stable backend and of the canary."""
    others: int
    """Sum of the weights of the rule's other backends."""

    @property
    def share(self) -> float:
        """Of the traffic that the two get together, what the canary gets, in percent."""
        total = sum(self.weights)
        return 100 * self.weights[1] / total if total else 0.0

    def split(self, percent: int) -> tuple[int, int]:
        """Weights that give the canary this share. Raises ``RefusedError`` if none do exactly."""
        total = sum(self.weights)
        if not self.others:
            return 100 - percent, percent
        if not total:
            raise RefusedError(
                f"In rule {self.rule} of the route, both backends have the weight 0, while others "
                "get the traffic; give the stable one a weight, then go on"
            )
        if total * percent % 100:
            raise RefusedError(
                f"In rule {self.rule} of the route, the two backends have the weight {total} "
                f"together, of which {percent}% is not a whole number, and the rule's other "
                "backends must keep their share. Multiply all weights of the rule by 100, then go "
                "on"
            )
        canary = total * percent // 100
        return total - canary, canary


class HttpRouteRouter:
    """Shifts traffic in one HTTPRoute.

    Args:
        deployment: name of the Deployment; if the route has backends for it, these are meant.
    """

    def __init__(
        self, api: KubernetesApi, namespace: str, route: str, deployment: str, patience: Patience
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._route = route
        self._deployment = deployment
        self._patience = patience
        self.title = f"HTTPRoute {namespace}/{route}"

    def check(self, stable: Json, canary_labels: dict[str, str]) -> None:
        """See that both Services are there and find the right pods, and the route is accepted."""
        name, pairs = self._pairs(self._read())
        for pair in pairs:
            if pair.weights[1]:
                raise RefusedError(
                    f"{self.title} gives {pair.share:g}% of rule {pair.rule} to {name}{SUFFIX}, "
                    "and there is no canary. Somebody else shifts this traffic; set that weight to "
                    "0, then go on"
                )
        pods = stable["spec"]["template"].get("metadata", {}).get("labels") or {}
        for service, wanted, unwanted in (
            (name, pods, canary_labels),
            (f"{name}{SUFFIX}", canary_labels, pods),
        ):
            self._check_service(service, wanted, unwanted)
        wait_for(lambda: _accepted(self._read()), self._patience, f"That {self.title} is accepted")

    def weight(self, canary: Json | None) -> float | None:
        """The share of the canary; ``None`` if the rules differ."""
        _, pairs = self._pairs(self._read())
        shares = {pair.share for pair in pairs}
        return shares.pop() if len(shares) == 1 else None

    def shift(self, percent: int, canary: Json | None) -> Done:
        """Set the share in all rules that have the pair."""
        return self._set(lambda pair: pair.split(percent), f"{percent}%")

    def memo(self) -> Any:
        """The weights of each pair, by rule."""
        _, pairs = self._pairs(self._read())
        return {str(pair.rule): list(pair.weights) for pair in pairs}

    def restore(self, memo: Any, canary: Json | None) -> Done:
        """The weights as they were, or all to the stable one where that is not known."""
        known: dict[str, list[int]] = memo if isinstance(memo, dict) else {}

        def before(pair: Pair) -> tuple[int, int]:
            weights = known.get(str(pair.rule))
            if weights is None or (pair.others and sum(weights) != sum(pair.weights)):
                return pair.split(0)
            return weights[0], weights[1]

        return self._set(before, "as before")

    def _set(self, wanted: Any, what: str) -> Done:
        texts: list[str] = []

        def step() -> bool:
            route = self._read()
            name, pairs = self._pairs(route)
            body: list[Json] = []
            texts.clear()
            for pair in pairs:
                weights = wanted(pair)
                texts.append(f"rule {pair.rule}: {name} {weights[0]}, {name}{SUFFIX} {weights[1]}")
                if weights != pair.weights:
                    body += _changes(pair, weights, name)
            if not body:
                return False
            self._api.patch(
                HTTP_ROUTES, self._namespace, self._route, [version_test(route), *body], JSON_PATCH
            )
            return True

        was = again_on_conflict(step)
        wait_for(lambda: _accepted(self._read()), self._patience, f"That {self.title} is accepted")
        text = f"{self.title} gives the canary {what} ({'; '.join(texts)})"
        return changed(text) if was else already_so(text)

    def _read(self) -> Json:
        return self._api.get(HTTP_ROUTES, self._namespace, self._route)

    def _pairs(self, route: Json) -> tuple[str, list[Pair]]:
        rules: list[Json] = route["spec"].get("rules") or []
        found: dict[str, list[Pair]] = {}
        for number, rule in enumerate(rules):
            backends: list[Json] = rule.get("backendRefs") or []
            at = {
                backend["name"]: index
                for index, backend in enumerate(backends)
                if self._is_service(backend)
            }
            for name, index in at.items():
                other = at.get(f"{name}{SUFFIX}")
                if other is not None:
                    found.setdefault(name, []).append(_pair(number, backends, index, other))
        if self._deployment in found:
            return self._deployment, found[self._deployment]
        if len(found) == 1:
            return next(iter(found.items()))
        if found:
            raise RefusedError(
                f"{self.title} has several pairs of backends ({', '.join(sorted(found))}), none "
                f"of which is named like the Deployment {self._deployment}; name it so"
            )
        raise RefusedError(
            f"{self.title} has no rule with the backends {self._deployment} and "
            f"{self._deployment}{SUFFIX}. Add the second to each rule that shall be shifted, with "
            "weight 0, and make the Service that it names"
        )

    def _is_service(self, backend: Json) -> bool:
        return (
            backend.get("kind", "Service") == "Service"
            and backend.get("group", "") == ""
            and backend.get("namespace", self._namespace) == self._namespace
        )

    def _check_service(self, name: str, wanted: dict[str, str], unwanted: dict[str, str]) -> None:
        service = self._api.find(SERVICES, self._namespace, name)
        if service is None:
            raise RefusedError(
                f"{self.title} names the Service {name}, which does not exist. Make it, with a "
                f"selector out of {_shown(wanted)}"
            )
        selector: dict[str, str] = service["spec"].get("selector") or {}
        if not selector or not selector.items() <= wanted.items():
            raise RefusedError(
                f"The Service {name} selects {_shown(selector)}, which does not find its pods: "
                f"these have {_shown(wanted)}. Mend its selector, then go on"
            )
        if selector.items() <= unwanted.items():
            raise RefusedError(
                f"The Service {name} selects {_shown(selector)}, which finds pods of the other "
                f"side too ({_shown(unwanted)}), so weights would not mean what they say. Mend "
                "its selector, then go on"
            )


def _pair(rule: int, backends: list[Json], stable: int, canary: int) -> Pair:
    weights = [int(1 if b.get("weight") is None else b["weight"]) for b in backends]
    others = sum(w for i, w in enumerate(weights) if i not in (stable, canary))
    return Pair(rule, stable, canary, (weights[stable], weights[canary]), others)


def _changes(pair: Pair, weights: tuple[int, int], name: str) -> list[Json]:
    out: list[Json] = []
    for index, backend in ((pair.stable, name), (pair.canary, f"{name}{SUFFIX}")):
        path = f"/spec/rules/{pair.rule}/backendRefs/{index}/name"
        out.append({"op": "test", "path": path, "value": backend})
    for index, weight in ((pair.stable, weights[0]), (pair.canary, weights[1])):
        path = f"/spec/rules/{pair.rule}/backendRefs/{index}/weight"
        out.append({"op": "add", "path": path, "value": weight})
    return out


def _accepted(route: Json) -> Progress:
    """Whether every Gateway that the route is for took it as it is now."""
    generation = int(route["metadata"]["generation"])
    parents: list[Json] = (route.get("status") or {}).get("parents") or []
    wanted = len(route["spec"].get("parentRefs") or [])
    if not parents or len({str(parent.get("parentRef")) for parent in parents}) < wanted:
        return Progress(False, "not every Gateway that it names has taken it up")
    for parent in parents:
        gateway = (parent.get("parentRef") or {}).get("name", "?")
        conditions = {c["type"]: c for c in parent.get("conditions") or ()}
        for kind in CONDITIONS:
            condition = conditions.get(kind)
            if condition is None:
                return Progress(False, f"Gateway {gateway} does not say {kind}")
            if int(condition.get("observedGeneration") or 0) < generation:
                return Progress(False, f"Gateway {gateway} has not seen the change yet")
            if condition["status"] != "True":
                why = condition.get("message") or condition.get("reason")
                return Progress(
                    False, f"Gateway {gateway} says {kind} is {condition['status']}: {why}"
                )
    return Progress(True, "every Gateway took it")


def _shown(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items())) or "nothing"
