"""A Kubernetes API over real HTTP (kmock) that keeps objects and holds requests to the API's rules.

Controllers act when an object is read: the first reading after a change still shows the old
status, the next one the new. That is enough to see whether a client waits.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import aiohttp.web
import attrs
import jsonpatch
import kmock

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
BUILT_IN = ("deployments", "replicasets", "pods", "services", "events")
KINDS = {
    "deployments": ("apps/v1", "Deployment"),
    "replicasets": ("apps/v1", "ReplicaSet"),
    "services": ("v1", "Service"),
    "pods": ("v1", "Pod"),
    "events": ("v1", "Event"),
    "httproutes": ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    "rollouts": ("argoproj.io/v1alpha1", "Rollout"),
    "featureflags": ("core.openfeature.dev/v1beta1", "FeatureFlag"),
    "horizontalpodautoscalers": ("autoscaling/v2", "HorizontalPodAutoscaler"),
}
GENERIC = "the server rejected our request due to an error in our request"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    content_type: str | None
    body: Any
    authorization: str | None


class ApiError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@attrs.define(kw_only=True)
class Cluster(kmock.KubernetesEmulator):
    """Use ``one``, ``add`` and ``asked``; the rest is for the server."""

    store: dict[tuple[str, str, str], Json] = attrs.field(factory=dict)
    asked: list[Asked] = attrs.field(factory=list)
    broken_images: set[str] = attrs.field(factory=set)
    refuse: Callable[[Asked], tuple[int, str] | None] = attrs.field(default=lambda asked: None)
    meddle: Callable[[Asked], None] = attrs.field(default=lambda asked: None)
    """Called before each request is carried out, to play somebody else."""
    status_subresource: bool = True
    stuck: bool = False
    """Whether Gateways, Argo, and flagd in the tests of flags, no longer follow what is changed."""
    _version: int = attrs.field(default=100)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.servers[0].port}"

    def add(self, plural: str, body: Json) -> Json:
        meta = body["metadata"]
        meta.setdefault("namespace", "shop")
        meta.setdefault("uid", f"uid-{plural}-{meta['name']}")
        meta.setdefault("generation", 1)
        body.setdefault("apiVersion", KINDS[plural][0])
        body.setdefault("kind", KINDS[plural][1])
        self._stamp(body)
        self.store[plural, meta["namespace"], meta["name"]] = body
        self.act(plural, body)
        return body

    def one(self, plural: str, name: str, namespace: str = "shop") -> Json | None:
        return self.store.get((plural, namespace, name))

    def changes(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.method != "GET"]

    def _stamp(self, body: Json) -> None:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)

    async def _handle(self, request: Any) -> aiohttp.web.StreamResponse:
        asked = Asked(
            str(request.method.value if hasattr(request.method, "value") else request.method),
            request.url.path,
            dict(request.params),
            request.headers.get("Content-Type"),
            json.loads(request.body) if request.body else None,
            request.headers.get("Authorization"),
        )
        self.asked.append(asked)
        self.meddle(asked)
        told = self.refuse(asked)
        try:
            if told is not None:
                raise ApiError(*told)
            status, body = self._answer(asked)
        except ApiError as error:
            status, body = error.status, _status(error.status, str(error))
        return aiohttp.web.json_response(body, status=status)

    def _answer(self, asked: Asked) -> tuple[int, Json]:
        found = re.fullmatch(
            r"/(api/v1|apis/[^/]+/[^/]+)/namespaces/([^/]+)/([a-z]+)(?:/([^/]+))?(?:/([a-z]+))?",
            asked.path,
        )
        if found is None or found[3] not in KINDS:
            raise ApiError(404, "the server could not find the requested resource")
        group, namespace, plural, name, sub = found.groups()
        version = KINDS[plural][0]
        if group.partition("/")[2] != version:
            raise ApiError(404, "the server could not find the requested resource")
        if name is None:
            if asked.method == "POST":
                return 201, self._create(plural, namespace, asked)
            return 200, self._list(plural, namespace, asked)
        body = self.store.get((plural, namespace, name))
        if body is None or (sub == "status" and not self.status_subresource):
            raise ApiError(404, f'{plural} "{name}" not found')
        if asked.method == "PATCH":
            return 200, self._patch(plural, body, sub, asked)
        if asked.method == "DELETE":
            return 200, self._delete(plural, body, asked)
        shown = deepcopy(body)
        self.act(plural, body)
        return 200, shown

    def _list(self, plural: str, namespace: str, asked: Asked) -> Json:
        labels = [s.partition("=") for s in asked.query.get("labelSelector", "").split(",") if s]
        fields = [s.partition("=") for s in asked.query.get("fieldSelector", "").split(",") if s]
        items = [
            body
            for (kind, space, _), body in self.store.items()
            if (kind, space) == (plural, namespace)
            and all((body["metadata"].get("labels") or {}).get(k) == v for k, _, v in labels)
            and all(_field(body, k) == v for k, _, v in fields)
        ]
        return {"kind": f"{KINDS[plural][1]}List", "metadata": {}, "items": items}

    def _create(self, plural: str, namespace: str, asked: Asked) -> Json:
        if asked.content_type != "application/json":
            raise ApiError(415, "the body of the request was in an unknown format")
        body = deepcopy(asked.body)
        if (body.get("apiVersion"), body.get("kind")) != KINDS[plural]:
            raise ApiError(400, f"expected {KINDS[plural]}")
        meta = body["metadata"]
        if meta.get("namespace", namespace) != namespace:
            raise ApiError(400, "the namespace of the object does not match the request")
        if "resourceVersion" in meta:
            raise ApiError(400, "resourceVersion should not be set on objects to be created")
        key = (plural, namespace, meta["name"])
        if key in self.store:
            raise ApiError(409, f'{plural} "{meta["name"]}" already exists')
        _validate(plural, body, None)
        meta |= {"namespace": namespace, "generation": 1, "uid": f"uid-new-{self._version}"}
        self._stamp(body)
        self.store[key] = body
        return deepcopy(body)

    def _patch(self, plural: str, old: Json, sub: str | None, asked: Asked) -> Json:
        kind = asked.content_type
        new = deepcopy(old)
        if kind == JSON_PATCH:
            if not isinstance(asked.body, list):
                raise ApiError(400, "a JSON patch is a list")
            try:
                new = jsonpatch.apply_patch(new, asked.body)
            except (jsonpatch.JsonPatchTestFailed, jsonpatch.JsonPatchConflict):
                raise ApiError(422, GENERIC) from None
        elif kind == MERGE:
            new = _merge(new, asked.body)
        elif kind == STRATEGIC and plural in BUILT_IN:
            new = _strategic(new, asked.body, "")
        else:
            raise ApiError(415, "the body of the request was in an unknown format")
        if new["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
            raise ApiError(
                409,
                f'Operation cannot be fulfilled on {plural} "{old["metadata"]["name"]}": the '
                "object has been modified; please apply your changes to the latest version",
            )
        if sub == "status":
            new = {**deepcopy(old), "status": new.get("status")}
        elif plural in ("deployments", "httproutes") or (
            plural == "rollouts" and self.status_subresource
        ):
            new["status"] = deepcopy(old.get("status"))
        _validate(plural, new, old)
        if new == old:
            return deepcopy(old)
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        self._stamp(new)
        old.clear()
        old.update(new)
        return deepcopy(old)

    def _delete(self, plural: str, body: Json, asked: Asked) -> Json:
        wanted = ((asked.body or {}).get("preconditions") or {}).get("uid")
        meta = body["metadata"]
        if wanted is not None and wanted != meta["uid"]:
            raise ApiError(409, "Precondition failed: UID in precondition does not match")
        del self.store[plural, meta["namespace"], meta["name"]]
        return _status(200, "deleted", "Success")

    # ---- controllers

    def act(self, plural: str, body: Json) -> None:
        if plural == "deployments":
            self._act_deployment(body)
        elif plural == "httproutes" and not self.stuck:
            _act_route(body)
        elif plural == "rollouts" and not self.stuck:
            self._act_rollout(body)

    def _act_deployment(self, body: Json) -> None:
        wanted = body["spec"].get("replicas", 1)
        images = {c["image"] for c in body["spec"]["template"]["spec"]["containers"]}
        broken = bool(images & self.broken_images)
        body["status"] = {
            "observedGeneration": body["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted,
            "availableReplicas": 0 if broken else wanted,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "x"}],
        }

    def _act_rollout(self, body: Json) -> None:
        from tests.hooks.argo_controller import act

        act(self, body)


def _act_route(body: Json) -> None:
    names = {backend["name"] for rule in body["spec"]["rules"] for backend in rule["backendRefs"]}
    refused = body["metadata"].get("annotations", {}).get("test/refused")
    body["status"] = {
        "parents": [
            {
                "parentRef": ref,
                "controllerName": "example.com/gateway",
                "conditions": [
                    {
                        "type": kind,
                        "status": "False" if refused == kind else "True",
                        "reason": "BackendNotFound" if refused == kind else kind,
                        "message": f"of {sorted(names)}",
                        "observedGeneration": body["metadata"]["generation"],
                    }
                    for kind in ("Accepted", "ResolvedRefs")
                ],
            }
            for ref in body["spec"]["parentRefs"]
        ]
    }


def _validate(plural: str, new: Json, old: Json | None) -> None:
    wrong = {"deployments": _wrong_deployment, "httproutes": _wrong_route}.get(plural)
    why = wrong(new, old) if wrong is not None else None
    labels = dict(new["metadata"].get("labels") or {})
    if plural == "deployments":
        labels |= new["spec"]["template"]["metadata"]["labels"]
    for value in labels.values():
        if not re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value):
            why = f"metadata.labels: {value}"
    if why is not None:
        raise ApiError(422, f'{KINDS[plural][1]} "{new["metadata"]["name"]}" is invalid: {why}')


def _wrong_deployment(new: Json, old: Json | None) -> str | None:
    spec = new["spec"]
    selector = spec["selector"]["matchLabels"]
    if not selector.items() <= spec["template"]["metadata"]["labels"].items():
        return "spec.template.metadata.labels: `selector` does not match"
    if old is not None and old["spec"]["selector"] != spec["selector"]:
        return "spec.selector: field is immutable"
    if spec.get("replicas", 1) < 0:
        return "spec.replicas: must be greater than or equal to 0"
    if not all(container.get("image") for container in spec["template"]["spec"]["containers"]):
        return "spec.template.spec.containers[0].image: Required value"
    return None


def _wrong_route(new: Json, old: Json | None) -> str | None:
    backends = [backend for rule in new["spec"]["rules"] for backend in rule["backendRefs"]]
    if any(not 0 <= backend.get("weight", 1) <= 1_000_000 for backend in backends):
        return "spec.rules.backendRefs.weight"
    return None


def _merge(base: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    out = dict(base) if isinstance(base, dict) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = _merge(out.get(name), value)
    return out


def _strategic(base: Any, patch: Any, name: str) -> Any:
    """As far as the tests need it; written apart from the code under test."""
    if isinstance(patch, list) and name in ("containers", "env"):
        items = list(base or [])
        for item in patch:
            at = [i for i, old in enumerate(items) if old["name"] == item["name"]]
            if item.get("$patch") == "delete":
                items = [old for old in items if old["name"] != item["name"]]
            elif at:
                items[at[0]] = _strategic(items[at[0]], item, "")
            else:
                items.append(item)
        return items
    if not isinstance(patch, dict):
        return patch
    out = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = _strategic(out.get(key), value, key)
    return out


def _field(body: Json, path: str) -> Any:
    now: Any = body
    for part in path.split("."):
        now = (now or {}).get(part)
    return now


def _status(code: int, message: str, status: str = "Failure") -> Json:
    return {"kind": "Status", "apiVersion": "v1", "status": status, "message": message,
            "code": code}  # fmt: skip


@contextmanager
def emulated_cluster() -> Iterator[Cluster]:
    """A cluster that serves on a free port of loopback, from a thread of its own."""
    ready = threading.Event()
    held: list[Any] = []

    async def serve() -> None:
        stop = asyncio.Event()
        async with Cluster() as cluster, kmock.Server(cluster):
            held.extend((cluster, stop, asyncio.get_running_loop()))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(20)
    cluster, stop, loop = held
    try:
        yield cluster
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)


def kube_config(address: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {"token": "t0ken"}}],
    }


def deployment(name: str = "checkout", image: str = "shop/checkout:1.4.1", **spec: Any) -> Json:
    labels = {"app": name, "team": "payments"}
    return {
        "metadata": {"name": name, "labels": {"helm": "yes"}},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [
                        {
                            "name": "app",
                            "image": image,
                            "env": [{"name": "MODE", "value": "a"}],
                            "ports": [{"containerPort": 8080}],
                        }
                    ]
                },
            },
            **spec,
        },
    }
