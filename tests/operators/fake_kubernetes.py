"""As much of the Kubernetes API as a pod's life needs, over real HTTP.

Pods run at once and end with the exit code that the test sets; ``running`` keeps them alive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.hooks.http_server import Asked, Reply, Server, http_server

LOG = b"2026-11-23T10:00:00.000000000Z dumping\n2026-11-23T10:00:01.000000000Z done\n"


@dataclass
class Cluster:
    server: Server
    exit_code: int = 0
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Method -> status and message."""

    def asked(self, method: str) -> list[Asked]:
        return [asked for asked in self.server.asked if asked.method == method]

    def answer(self, asked: Asked) -> Reply:
        if asked.method in self.refuse:
            status, message = self.refuse[asked.method]
            return _json({"kind": "Status", "message": message, "code": status}, status)
        url = urlsplit(asked.path)
        parts = url.path.strip("/").split("/")
        if url.path.endswith("/log"):
            return Reply(200, LOG, {"Content-Type": "text/plain"})
        if "events" in parts:
            return _json({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": []})
        if parts[-1] == "pods":
            return self._collection(asked, parse_qs(url.query), parts[3])
        return self._one(asked, parts[-1])

    def _collection(self, asked: Asked, query: dict[str, list[str]], namespace: str) -> Reply:
        if asked.method == "POST":
            pod = asked.json
            pod["metadata"].setdefault("namespace", namespace)
            pod["status"] = self._status()
            self.pods[pod["metadata"]["name"]] = pod
            return _json(pod, 201)
        wanted = query.get("labelSelector", [""])[0].split(",")
        items = [pod for pod in self.pods.values() if _matches(pod, wanted)]
        return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    def _one(self, asked: Asked, name: str) -> Reply:
        pod = self.pods.get(name)
        if pod is None:
            missing = f'pods "{name}" not found'
            return _json({"kind": "Status", "message": missing, "code": 404}, 404)
        if asked.method == "DELETE":
            del self.pods[name]
        if asked.method == "PATCH":
            pod["metadata"]["labels"].update(asked.json["metadata"]["labels"])
        return _json(pod)

    def _status(self) -> dict[str, Any]:
        ended = {"terminated": {"exitCode": self.exit_code, "reason": "Completed"}}
        return {
            "phase": "Failed" if self.exit_code else "Succeeded",
            "containerStatuses": [
                {
                    "name": "base", "state": ended, "ready": False, "restartCount": 0,
                    "image": "x", "imageID": "x",
                }
            ],
        }  # fmt: skip


def _matches(pod: dict[str, Any], selectors: list[str]) -> bool:
    labels = pod["metadata"]["labels"]
    for selector in selectors:
        if "!=" in selector:
            name, _, value = selector.partition("!=")
            if labels.get(name) == value:
                return False
        elif selector.startswith("!"):
            if selector[1:] in labels:
                return False
        elif "=" in selector:
            name, _, value = selector.partition("=")
            if labels.get(name) != value:
                return False
    return True


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


@contextmanager
def fake_kubernetes() -> Iterator[Cluster]:
    with http_server() as server:
        cluster = Cluster(server)
        server.answer = cluster.answer
        yield cluster
