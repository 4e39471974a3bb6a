"""Kubernetes nodes: which there are, cordons with an owner, boot IDs.

A cordon of ours is set together with the annotation ``planner.dev/cordoned-by``, in one change that
holds only for the node as it was read. So whoever finds a cordoned node knows whose it is, also
after every process of ours died in between: without the annotation, or with another plan's, the
cordon is somebody else's and is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from planner_provider.errors import RefusedError
from planner_provider.hooks.fleet import FleetNow
from planner_provider.hooks.kubernetes import (
    JSON_PATCH,
    NODES,
    Json,
    KubernetesApi,
)
from planner_provider.hooks.traffic.deployments import (
    again_on_conflict,
    annotations_of,
    version_test,
)
from planner_provider.spec.kinds import FleetTarget, NodeSelector

CORDONED_BY = "planner.dev/cordoned-by"
"""Annotation of a node: the plan ID of the run that cordoned it."""
_PATH = "/metadata/annotations/" + CORDONED_BY.replace("/", "~1")
MAX_LABEL = 63


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node as it was read."""

    name: str
    ready: bool
    cordoned: bool
    cordoned_by: str | None
    """Plan ID of the run whose cordon it is; ``None``: somebody else's, or there is none."""
    boot_id: str
    problem: str = ""
    """Why it is not ready."""

    @property
    def unavailable(self) -> str | None:
        """Why it takes no new work; ``None`` if it does."""
        if not self.ready:
            return f"it is not ready ({self.problem or 'no reason is given'})"
        if self.cordoned:
            whose = f" by {self.cordoned_by}" if self.cordoned_by else ""
            return f"it is cordoned{whose}"
        return None


def state_of(node: Json) -> NodeState:
    """Read a node."""
    cordoned = bool(node.get("spec", {}).get("unschedulable"))
    ready: Json = next(
        (c for c in node.get("status", {}).get("conditions", []) if c.get("type") == "Ready"), {}
    )
    said = ": ".join(filter(None, (ready.get("reason"), ready.get("message"))))
    return NodeState(
        name=node["metadata"]["name"],
        ready=ready.get("status") == "True",
        cordoned=cordoned,
        cordoned_by=annotations_of(node).get(CORDONED_BY) if cordoned else None,
        boot_id=str(node.get("status", {}).get("nodeInfo", {}).get("bootID", "")),
        problem=said,
    )


def fleet_of_nodes(selector: NodeSelector) -> FleetNow:
    """The nodes that a selector finds, with those that take no new work now."""
    targets: list[FleetTarget] = []
    unavailable: dict[str, str] = {}
    for node in _found(selector):
        labels = node["metadata"].get("labels") or {}
        fit = {key: value for key, value in labels.items() if value and len(value) <= MAX_LABEL}
        # Kubernetes allows longer keys than specs do, and it has checked these
        name = node["metadata"]["name"]
        targets.append(FleetTarget.model_construct(name=name, labels=fit))
        why = state_of(node).unavailable
        if why is not None:
            unavailable[name] = why
    return FleetNow(tuple(sorted(targets, key=lambda target: target.name)), unavailable)


def cordons_of(selector: NodeSelector, plan_id: str) -> tuple[list[str], list[str]]:
    """The nodes that this run has cordoned, and those that somebody else has; by name."""
    ours: list[str] = []
    foreign: list[str] = []
    for node in _found(selector):
        state = state_of(node)
        if state.cordoned:
            (ours if state.cordoned_by == plan_id else foreign).append(state.name)
    return sorted(ours), sorted(foreign)


def _found(selector: NodeSelector) -> Iterator[Json]:
    yield from KubernetesApi(selector.connection).find_all(NODES, "", labels=selector.selector)


class Node:
    """One node, on whose cordon a run of a plan may lay its hand.

    Methods raise ``RefusedError``, ``UnavailableError`` and ``MisconfiguredError`` as
    `planner_provider.hooks.kubernetes.KubernetesApi` does.
    """

    def __init__(self, api: KubernetesApi, name: str, plan_id: str) -> None:
        self.api = api
        self.name = name
        self.plan_id = plan_id

    def read(self) -> NodeState:
        """The node as it is now. Raises ``RefusedError`` if there is none."""
        return state_of(self._get())

    def find(self) -> NodeState | None:
        """The node as it is now; ``None`` if it is gone."""
        found = self.api.find(NODES, "", self.name)
        return None if found is None else state_of(found)

    def cordon(self) -> str:
        """Let it take no new work; a cordon that is there already stays whose it is.

        Gives what was done, in words.
        """

        def step(node: Json, state: NodeState) -> tuple[str, list[Json]]:
            if state.cordoned:
                if state.cordoned_by == self.plan_id:
                    return f"{self.name} is cordoned by us already", []
                whose = f" by {state.cordoned_by}" if state.cordoned_by else " by somebody else"
                return f"{self.name} was cordoned{whose} before; that cordon will stay", []
            annotation: Json = {"op": "add", "path": _PATH, "value": self.plan_id}
            if not node["metadata"].get("annotations"):
                path = "/metadata/annotations"
                annotation = {"op": "add", "path": path, "value": {CORDONED_BY: self.plan_id}}
            mark: Json = {"op": "add", "path": "/spec/unschedulable", "value": True}
            return f"{self.name} takes no new work now", [mark, annotation]

        return self._change(step)

    def uncordon(self) -> str:
        """Take our cordon away, and nobody else's. Gives what was done, in words."""

        def step(node: Json, state: NodeState) -> tuple[str, list[Json]]:
            mine = annotations_of(node).get(CORDONED_BY) == self.plan_id
            forget: list[Json] = [{"op": "remove", "path": _PATH}] if mine else []
            if not state.cordoned:
                return f"{self.name} is not cordoned", forget
            if not mine:
                whose = state.cordoned_by or "somebody else"
                return f"{self.name} is cordoned by {whose}; that cordon stays", []
            return (
                f"{self.name} takes work again",
                [{"op": "remove", "path": "/spec/unschedulable"}, *forget],
            )

        return self._change(step)

    def _change(self, step: Callable[[Json, NodeState], tuple[str, list[Json]]]) -> str:
        told = ""

        def once() -> bool:
            nonlocal told
            node = self._get()
            told, body = step(node, state_of(node))
            if body:
                patch = [version_test(node), *body]
                self.api.patch(NODES, "", self.name, patch, JSON_PATCH)
            return bool(body)

        again_on_conflict(once)
        return told

    def _get(self) -> Json:
        found = self.api.find(NODES, "", self.name)
        if found is None:
            raise RefusedError(f"There is no node {self.name} (any more) in the cluster")
        return found


def node_of(selector: NodeSelector, name: str, plan_id: str) -> Node:
    """A node of a fleet."""
    return Node(KubernetesApi(selector.connection), name, plan_id)


def owner_kind(pod: Json) -> str | None:
    """The kind of the controller that a pod belongs to."""
    owners: list[Any] = pod["metadata"].get("ownerReferences") or []
    return next((str(owner["kind"]) for owner in owners if owner.get("controller")), None)
