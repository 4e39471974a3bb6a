"""Draining a node by the eviction API: PodDisruptionBudgets hold, and it ends in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from planner_provider.errors import PlannerError, RefusedError, UnavailableError
from planner_provider.hooks.kubernetes import (
    DISRUPTION_BUDGETS,
    PODS,
    BusyError,
    ConflictError,
    Json,
    KubernetesApi,
)
from planner_provider.hooks.nodes import owner_kind

MIRROR = "kubernetes.io/config.mirror"
EVERY = 2.0
"""Seconds between two rounds: blocked evictions are asked for again, pods are looked at."""


class DrainError(RefusedError):
    """The node could not be drained in time; the message names what was in the way.

    Its own time was the patience, so it is not tried again unless the plan's `retries` say so.
    """


@dataclass(frozen=True, slots=True)
class DrainRules:
    """What may be evicted, and for how long it is tried."""

    timeout: float
    """Seconds."""
    force: bool = False
    """Also pods that no controller would start elsewhere."""
    delete_local_data: bool = False
    """Also pods with emptyDir volumes."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """The pods of a node, by what a drain does with them."""

    evict: tuple[Json, ...] = ()
    left: tuple[str, ...] = ()
    """Those that stay, with why."""
    refused: tuple[str, ...] = ()
    """Those that may not be evicted, with why and what would allow it."""


@dataclass(slots=True)
class Drained:
    """What a drain did."""

    evicted: list[str] = field(default_factory=list)
    left: tuple[str, ...] = ()
    blocked: int = 0
    """How often an eviction had to be asked for again."""


def sort_pods(pods: Iterable[Json], rules: DrainRules) -> Sorted:
    """Say of each pod what a drain does with it. Pure."""
    evict: list[Json] = []
    left: list[str] = []
    refused: list[str] = []
    for pod in pods:
        name = name_of(pod)
        kind = owner_kind(pod)
        phase = pod.get("status", {}).get("phase")
        if MIRROR in (pod["metadata"].get("annotations") or {}):
            left.append(f"{name} (a mirror pod)")
        elif phase in ("Succeeded", "Failed"):
            left.append(f"{name} (it has ended)")
        elif kind == "DaemonSet":
            left.append(f"{name} (of a daemon set)")
        elif kind is None and not rules.force:
            refused.append(f"{name} has no controller and would be lost (`force: true`)")
        elif _has_local_data(pod) and not rules.delete_local_data:
            refused.append(f"{name} has local data that would be lost (`local_data: delete`)")
        else:
            evict.append(pod)
    return Sorted(tuple(evict), tuple(left), tuple(refused))


class Drain:
    """The drain of one node. The node must be cordoned before, or new pods come.

    Args:
        api: the cluster.
        node: name of the node.
        rules: what may be evicted, and how long it is tried.
        pause: sleeps so many seconds; may raise to end the drain.
        monotonic: seconds that only rise.
        tell: says what happens.
    """

    def __init__(
        self,
        api: KubernetesApi,
        node: str,
        rules: DrainRules,
        *,
        pause: Callable[[float], None],
        monotonic: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self.api = api
        self.node = node
        self.rules = rules
        self.pause = pause
        self.monotonic = monotonic
        self.tell = tell

    def check(self) -> Sorted:
        """Look whether all pods may be evicted. Raises ``RefusedError`` that names those not."""
        found = sort_pods(self._pods(), self.rules)
        if found.refused:
            raise RefusedError(
                f"{self.node} is not drained, because {'; '.join(found.refused)}. Nothing was "
                "evicted."
            )
        return found

    def run(self) -> Drained:
        """Evict until no pod is left that must go.

        Raises ``DrainError`` when the time is over, and ``RefusedError`` if a pod must not be
        evicted.
        """
        end = self.monotonic() + self.rules.timeout
        done = Drained()
        going: dict[str, str] = {}
        """UID -> name of the pods whose eviction was granted."""
        while True:
            try:
                found = self.check()
            except UnavailableError as error:
                if self.monotonic() >= end:
                    raise DrainError(
                        f"{self.node} was not drained within {self.rules.timeout:g} s: {error}"
                    ) from error
                self.pause(EVERY)
                continue
            done.left = found.left
            done.evicted += [
                name
                for uid, name in going.items()
                if uid not in {pod["metadata"]["uid"] for pod in found.evict}
                and name not in done.evicted
            ]
            if not found.evict:
                return done
            why = self._round(found.evict, going, done)
            if self.monotonic() >= end:
                raise DrainError(self._over(found.evict, why))
            self.pause(min(EVERY, max(0.05, end - self.monotonic())))

    def _round(self, pods: Sequence[Json], going: dict[str, str], done: Drained) -> dict[str, str]:
        """Ask once for every eviction that is not granted yet. Gives UID -> what is in the way."""
        why: dict[str, str] = {}
        for pod in pods:
            meta = pod["metadata"]
            uid = str(meta["uid"])
            if meta.get("deletionTimestamp") or uid in going:
                going.setdefault(uid, name_of(pod))
                why[uid] = "it was told to go and has not ended"
                continue
            try:
                there = self.api.evict(meta["namespace"], meta["name"], uid=uid)
            except BusyError as error:
                if not done.blocked:
                    self.tell(f"Eviction of {name_of(pod)} must wait: {error}")
                done.blocked += 1
                why[uid] = str(error)
            except ConflictError:
                continue  # another pod has this name by now; the next round looks again
            except UnavailableError as error:
                why[uid] = str(error)
            else:
                if there:
                    self.tell(f"{name_of(pod)} is evicted.")
                    going[uid] = name_of(pod)
                    why[uid] = "it was told to go and has not ended"
        return why

    def _over(self, pods: Sequence[Json], why: dict[str, str]) -> str:
        told = []
        for pod in pods[:5]:
            uid = str(pod["metadata"]["uid"])
            budgets = self._budgets(pod)
            guard = f" (PodDisruptionBudget {', '.join(budgets)})" if budgets else ""
            told.append(f"{name_of(pod)}{guard}: {why.get(uid, 'it is new on the node')}")
        more = f"; and {len(pods) - 5} more" if len(pods) > 5 else ""
        return (
            f"{self.node} was not drained within {self.rules.timeout:g} s. Still there: "
            f"{'; '.join(told)}{more}. Look why these cannot go: a budget that allows no "
            "disruption, too few replicas, or no room elsewhere."
        )

    def _budgets(self, pod: Json) -> list[str]:
        """The PodDisruptionBudgets that select a pod and allow no disruption now."""
        try:
            budgets = self.api.find_all(DISRUPTION_BUDGETS, pod["metadata"]["namespace"])
        except PlannerError:
            return []  # no right to look; the answers to the evictions say enough
        labels = pod["metadata"].get("labels") or {}
        return [
            f"{budget['metadata']['name']}, which allows "
            f"{budget.get('status', {}).get('disruptionsAllowed', 0)} disruptions"
            for budget in budgets
            if selects(budget.get("spec", {}).get("selector"), labels)
        ]

    def _pods(self) -> list[Json]:
        return self.api.find_all(PODS, "", fields=f"spec.nodeName={self.node}")


def selects(selector: Any, labels: dict[str, str]) -> bool:
    """Whether a label selector of the API (policy/v1) selects these labels. ``None``: nothing."""
    if selector is None:
        return False
    wanted: dict[str, str] = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for rule in selector.get("matchExpressions") or []:
        value, values = labels.get(rule["key"]), rule.get("values") or []
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": rule["key"] in labels,
            "DoesNotExist": rule["key"] not in labels,
        }.get(rule["operator"], False)
        if not holds:
            return False
    return True


def name_of(pod: Json) -> str:
    """Namespace and name."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _has_local_data(pod: Json) -> bool:
    return any("emptyDir" in volume for volume in pod.get("spec", {}).get("volumes") or [])
