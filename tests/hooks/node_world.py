"""A fleet of Kubernetes nodes over real HTTP: cordons, evictions with budgets, patches, reboots.

It is the cluster of ``kubernetes_emulator`` with nodes in it, and with an agent on each node that
can be told to patch and to reboot. It keeps a log of its own of what took effect, with the nodes
that were unavailable at that moment.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import aiohttp.web
import attrs
import kmock

from tests.hooks import kubernetes_emulator
from tests.hooks.kubernetes_emulator import ApiError, Asked, Cluster, Json

ZONE = "topology.kubernetes.io/zone"
CORDONED_BY = "planner.dev/cordoned-by"
kubernetes_emulator.KINDS.setdefault("nodes", ("v1", "Node"))
kubernetes_emulator.KINDS.setdefault("poddisruptionbudgets", ("policy/v1", "PodDisruptionBudget"))


@dataclass(frozen=True)
class Event:
    """Something that took effect, and who was unavailable right after it."""

    at: float
    what: str
    node: str
    unavailable: frozenset[str]


@attrs.define(kw_only=True)
class NodeWorld(Cluster):
    """Use ``add_node``, ``add_pod``, ``add_budget``, ``log`` and the knobs."""

    log: list[Event] = attrs.field(factory=list)
    broken: dict[str, int] = attrs.field(factory=dict)
    """Node -> status that its agent answers to `patch`."""
    refuse_agent: set[str] = attrs.field(factory=set)
    """Nodes whose agents refuse everything."""
    never_back: set[str] = attrs.field(factory=set)
    """Nodes that do not come back from a reboot."""
    reboot_seconds: float = 1.0
    patch_seconds: float = 0.0
    """How long an agent takes before it answers; it is done at the beginning."""
    grace_seconds: float = 0.0
    """How long an evicted pod takes to be gone."""
    keys: dict[str, Any] = attrs.field(factory=dict)
    """Idempotency keys that were seen, with what they asked for."""
    down_until: dict[str, float] = attrs.field(factory=dict)
    gone_at: dict[str, float] = attrs.field(factory=dict)
    _boots: int = attrs.field(default=0)
    _pods: int = attrs.field(default=0)

    # ---- what there is

    def add_node(self, name: str, zone: str, **labels: str) -> Json:
        return self.add(
            "nodes",
            {
                "metadata": {
                    "name": name, "namespace": "", "labels": {ZONE: zone, "pool": "web"} | labels,
                },
                "spec": {},
                "status": {
                    "nodeInfo": {"bootID": f"boot-{name}-0"},
                    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                },
            },
        )  # fmt: skip

    def add_pod(
        self, name: str, node: str, *, owner: str | None = "ReplicaSet", app: str = "web",
        namespace: str = "shop", **more: Any,
    ) -> Json:  # fmt: skip
        owners = [{"kind": owner, "name": app, "controller": True}] if owner else []
        meta = {"name": name, "namespace": namespace, "labels": {"app": app}}
        body = {
            "metadata": {**meta, "ownerReferences": owners, **more.pop("metadata", {})},
            "spec": {"nodeName": node, "containers": [{"name": "app", "image": "x"}], **more},
            "status": {"phase": "Running"},
        }
        return self.add("pods", body)

    def add_budget(self, name: str, app: str, allowed: int, namespace: str = "shop") -> Json:
        """A budget that allows so many disruptions at once, in all until pods are back."""
        return self.add(
            "poddisruptionbudgets",
            {
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"selector": {"matchLabels": {"app": app}}},
                "status": {"disruptionsAllowed": allowed},
            },
        )

    def node(self, name: str) -> Json:
        found = self.store["nodes", "", name]
        self._wake(found)
        return found

    def nodes(self) -> list[Json]:
        return [self.node(name) for kind, _, name in list(self.store) if kind == "nodes"]

    def cordon(self, name: str) -> None:
        """Somebody else cordons a node."""
        node = self.node(name)
        node["spec"]["unschedulable"] = True
        self._stamp(node)

    def unavailable(self) -> frozenset[str]:
        return frozenset(
            node["metadata"]["name"]
            for node in self.nodes()
            if node["spec"].get("unschedulable") or not _is_ready(node)
        )

    def cordoned_by_plans(self) -> list[str]:
        """Nodes with a cordon of any plan."""
        return sorted(
            node["metadata"]["name"]
            for node in self.nodes()
            if node["spec"].get("unschedulable")
            and CORDONED_BY in (node["metadata"].get("annotations") or {})
        )

    def happened(self, what: str) -> list[str]:
        """The nodes with which something happened, in order."""
        return [event.node for event in self.log if event.what == what]

    # ---- the server

    def _answer(self, asked: Asked) -> tuple[int, Json]:
        agent = re.fullmatch(r"/agent/([^/]+)/(patch|reboot|revert)", asked.path)
        if agent is not None:
            return self._agent(agent[1], agent[2], asked)
        self._bury()
        evicted = re.fullmatch(r"/api/v1/namespaces/([^/]+)/pods/([^/]+)/eviction", asked.path)
        if evicted is not None and asked.method == "POST":
            return self._evict(evicted[1], evicted[2], asked)
        wide = re.fullmatch(r"/(api/v1|apis/[^/]+/[^/]+)/([a-z]+)(?:/([^/]+))?", asked.path)
        if wide is not None and wide[2] in ("nodes", "pods", "poddisruptionbudgets"):
            return self._cluster_wide(wide[2], wide[3], asked)
        return super()._answer(asked)

    def _cluster_wide(self, plural: str, name: str | None, asked: Asked) -> tuple[int, Json]:
        if name is None:
            return 200, self._list_all(plural, asked)
        if plural != "nodes" or ("nodes", "", name) not in self.store:
            raise ApiError(404, f'{plural} "{name}" not found')
        node = self.node(name)
        if asked.method == "GET":
            return 200, deepcopy(node)
        if asked.method != "PATCH":
            raise ApiError(405, "method not allowed")
        before = bool(node["spec"].get("unschedulable"))
        answer = self._patch("nodes", node, None, asked)
        after = bool(node["spec"].get("unschedulable"))
        if after != before:
            self._note("cordon" if after else "uncordon", name)
        return 200, answer

    def _list_all(self, plural: str, asked: Asked) -> Json:
        labels = asked.query.get("labelSelector", "")
        fields = [s.partition("=") for s in asked.query.get("fieldSelector", "").split(",") if s]
        found = []
        for (kind, _, _), body in self.store.items():
            if kind != plural or not _selected(body["metadata"].get("labels") or {}, labels):
                continue
            if plural == "nodes":
                self._wake(body)
            if all(kubernetes_emulator._field(body, key) == value for key, _, value in fields):
                found.append(deepcopy(body))
        start = int(asked.query.get("continue", "0"))
        limit = int(asked.query.get("limit", "500"))
        more = str(start + limit) if start + limit < len(found) else ""
        return {
            "kind": "List",
            "metadata": {"continue": more},
            "items": found[start : start + limit],
        }

    def _evict(self, namespace: str, name: str, asked: Asked) -> tuple[int, Json]:
        if (asked.body or {}).get("apiVersion") != "policy/v1" or asked.body["kind"] != "Eviction":
            raise ApiError(400, "expected an Eviction of policy/v1")
        if asked.content_type != "application/json":
            raise ApiError(415, "the body of the request was in an unknown format")
        pod = self.store.get(("pods", namespace, name))
        if pod is None:
            raise ApiError(404, f'pods "{name}" not found')
        wanted = asked.body.get("deleteOptions", {}).get("preconditions", {}).get("uid")
        if wanted is not None and wanted != pod["metadata"]["uid"]:
            raise ApiError(409, "Precondition failed: UID in precondition does not match")
        for (kind, space, _), budget in self.store.items():
            if kind != "poddisruptionbudgets" or space != namespace:
                continue
            labels = budget["spec"]["selector"]["matchLabels"]
            chosen = labels.items() <= pod["metadata"]["labels"].items()
            if chosen and budget["status"]["disruptionsAllowed"] < 1:
                raise ApiError(
                    429, "Cannot evict pod as it would violate the pod's disruption budget."
                )
        pod["metadata"]["deletionTimestamp"] = "2026-11-23T10:00:00Z"
        self.gone_at[pod["metadata"]["uid"]] = time.monotonic() + self.grace_seconds
        self._note("evict", f"{pod['spec']['nodeName']}:{name}")
        self._bury()
        return 201, {"kind": "Status", "status": "Success"}

    def _bury(self) -> None:
        """Pods whose time is over are gone; their controllers start others elsewhere."""
        now = time.monotonic()
        for key, pod in list(self.store.items()):
            if key[0] != "pods" or self.gone_at.get(pod["metadata"]["uid"], now + 1) > now:
                continue
            del self.store[key]
            if not pod["metadata"].get("ownerReferences"):
                continue
            free = sorted(
                node["metadata"]["name"]
                for node in self.nodes()
                if not node["spec"].get("unschedulable") and _is_ready(node)
            )
            if free:
                self._pods += 1
                where = free[self._pods % len(free)]
                labels = pod["metadata"]["labels"]
                name = f"{labels['app']}-new-{self._pods}"
                self.add_pod(name, where, app=labels["app"], namespace=key[1])
                self.store["pods", key[1], name]["metadata"]["uid"] = f"uid-new-{self._pods}"

    def _agent(self, name: str, what: str, asked: Asked) -> tuple[int, Json]:
        if ("nodes", "", name) not in self.store and name not in self.broken | self.plain():
            raise ApiError(404, f"there is no {name}")
        if name in self.refuse_agent:
            raise ApiError(422, f"{name} refuses")
        if what == "patch" and self.broken.get(name, 200) != 200:
            self._note("refused", name)
            raise ApiError(self.broken[name], f"{name} does not take the patch")
        key = (asked.body or {}).get("key")
        if key is not None and key in self.keys:
            return 200, {"done": "before"}
        if key is not None:
            self.keys[key] = (name, what)
        self._note(what, name)
        if what == "reboot":
            self.down_until[name] = time.monotonic() + self.reboot_seconds
            self._wake(self.store["nodes", "", name])
            self._note("down", name)
        return 200, {"done": "now"}

    def plain(self) -> dict[str, int]:
        """Targets that are no nodes: every name that begins with ``host-``."""
        return {
            event: 200
            for event in {
                asked.path.split("/")[2] for asked in self.asked if asked.path.startswith("/agent/")
            }
            if event.startswith("host-")
        }

    def _wake(self, node: Json) -> None:
        """A node that reboots is not ready, and comes back with another boot ID."""
        name = node["metadata"]["name"]
        until = self.down_until.get(name)
        if until is None:
            return
        back = time.monotonic() >= until and name not in self.never_back
        ready = node["status"]["conditions"][0]
        if not back and ready["status"] == "True":
            ready |= {"status": "Unknown", "reason": "NodeStatusUnknown"}
            self._stamp(node)
        elif back:
            del self.down_until[name]
            self._boots += 1
            node["status"]["nodeInfo"]["bootID"] = f"boot-{name}-{self._boots}"
            ready |= {"status": "True", "reason": "KubeletReady"}
            self._stamp(node)
            self._note("back", name)

    def _note(self, what: str, node: str) -> None:
        self.log.append(Event(time.monotonic(), what, node, self.unavailable()))

    async def _handle(self, request: Any) -> aiohttp.web.StreamResponse:
        path = request.url.path
        if path.startswith("/agent/") and self.patch_seconds:
            answer = await self._handle_agent(request)
            await asyncio.sleep(self.patch_seconds)
            return answer
        if path.startswith("/agent/"):
            return await self._handle_agent(request)
        return await super()._handle(request)

    async def _handle_agent(self, request: Any) -> aiohttp.web.StreamResponse:
        """The key is in a header, as with every request of a plan that changes something."""
        body = {"key": request.headers.get("Idempotency-Key")}
        asked = Asked("POST", request.url.path, {}, None, body, None)
        self.asked.append(asked)
        self.meddle(asked)
        try:
            status, answer = self._answer(asked)
        except ApiError as error:
            status, answer = error.status, {"message": str(error)}
        return aiohttp.web.json_response(answer, status=status)


def _is_ready(node: Json) -> bool:
    return bool(node["status"]["conditions"][0]["status"] == "True")


def _selected(labels: dict[str, str], selector: str) -> bool:
    for part in filter(None, selector.split(",")):
        key, _, value = part.partition("=")
        if labels.get(key) != value:
            return False
    return True


@contextmanager
def node_world(nodes: Iterable[tuple[str, str]] = ()) -> Iterator[NodeWorld]:
    """A world that serves on a free port of loopback, with nodes given as (name, zone)."""
    ready = threading.Event()
    held: list[Any] = []

    async def serve() -> None:
        stop = asyncio.Event()
        async with NodeWorld() as world, kmock.Server(world):
            held.extend((world, stop, asyncio.get_running_loop()))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(20)
    world, stop, loop = held
    for name, zone in nodes:
        world.add_node(name, zone)
    try:
        yield world
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)


def connections(world: NodeWorld, kube_config: str) -> dict[str, str]:
    """Environment variables with Airflow Connections ``cluster`` and ``agent``."""
    port = world.servers[0].port
    agent = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": port}
    extra = {"kube_config_path": kube_config}
    cluster = {"conn_type": "kubernetes", "extra": extra}
    return {
        "AIRFLOW_CONN_AGENT": json.dumps(agent),
        "AIRFLOW_CONN_CLUSTER": json.dumps(cluster),
    }
