"""Deployments as JSON: what is read from them, and how they are changed safely."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from planner_provider.errors import RefusedError
from planner_provider.hooks.kubernetes import ConflictError, Json
from planner_provider.hooks.traffic.release import Memo

TRIES = 5
"""How often an object that somebody else changes at the same time is read again."""
_PATCHABLE = ("spec", "metadata")


def annotations_of(found: Json) -> dict[str, str]:
    """The annotations of an object."""
    return found["metadata"].get("annotations") or {}


def wanted_replicas(deployment: Json) -> int:
    """How many replicas it is meant to have; the API's default is 1."""
    value = deployment["spec"].get("replicas")
    return 1 if value is None else int(value)


def refuse_paused(deployment: Json, title: str) -> None:
    """Raise ``RefusedError`` for a Deployment whose roll-outs are paused."""
    if deployment["spec"].get("paused"):
        raise RefusedError(
            f"{title} is paused (spec.paused), so no change to it is rolled out. Resume it, or "
            "find out why it was paused"
        )


def with_tag(image: str, version: str) -> str:
    """The image with another tag; a digest falls away."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}:{version}"


def again_on_conflict(step: Callable[[], bool]) -> bool:
    """Do it, and again from a new reading when the object changed in between."""
    for attempt in range(1, TRIES + 1):
        try:
            return step()
        except ConflictError:
            if attempt == TRIES:
                raise
    raise AssertionError("the loop returns or raises")


def version_test(found: Json) -> Json:
    """The part of a JSON Patch by which it holds only for the object as it was read."""
    version = found["metadata"]["resourceVersion"]
    return {"op": "test", "path": "/metadata/resourceVersion", "value": version}


def put_back(stable: Json, spec: Json, memo: Memo) -> list[Json]:
    """The parts of a JSON Patch that bring a Deployment back to what was remembered."""
    body: list[Json] = []
    for group, values in (
        ("/spec", spec),
        ("/metadata/labels", memo.get("labels", {})),
        ("/metadata/annotations", memo.get("annotations", {})),
    ):
        now: Json = stable
        for part in group.strip("/").split("/"):
            now = now.get(part) or {}
        for key, value in values.items():
            if now.get(key) == value:
                continue
            path = f"{group}/{key.replace('~', '~0').replace('/', '~1')}"
            body.append(
                {"op": "remove", "path": path}
                if value is None
                else {"op": "add", "path": path, "value": value}
            )
    return body


def environment_of(container: Json) -> list[Json]:
    """The environment variables of a container, by name."""
    return sorted(container.get("env") or [], key=lambda item: str(item.get("name")))


def checked_patch(patch: Any) -> Json:
    """A change's ``patch``. Raises ``RefusedError`` where it touches what it must not."""
    if patch is None:
        return {}
    if not isinstance(patch, dict):
        raise RefusedError("`patch` must be a mapping, such as {spec: {template: ...}}")
    meta = patch.get("metadata") or {}
    extra = [name for name in patch if name not in _PATCHABLE]
    extra += [f"metadata.{name}" for name in meta if name not in ("labels", "annotations")]
    spec = patch.get("spec") or {}
    extra += [f"spec.{name}" for name in spec if name in ("selector", "paused")]
    if extra:
        raise RefusedError(
            f"`patch` must not change {', '.join(extra)}; it may change the rest of `spec`, and "
            "`metadata.labels` and `metadata.annotations`"
        )
    return deepcopy(patch)
