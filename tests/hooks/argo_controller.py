"""How an Argo Rollouts controller answers to changes of a Rollout, as far as driving it needs."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from typing import Any

Json = dict[str, Any]


def act(cluster: Any, body: Json) -> None:
    """One reconciliation."""
    status: Json = body.setdefault("status", {})
    spec = body["spec"]
    steps = spec["strategy"]["canary"]["steps"]
    current = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
    status["observedGeneration"] = str(body["metadata"]["generation"])
    if current != status.get("currentPodHash"):
        _replica_set(cluster, body, current)
        status |= {"currentPodHash": current, "abort": False, "controllerPause": False,
                   "promoteFull": False, "currentStepIndex": 0}  # fmt: skip
        status.pop("pauseConditions", None)
        status.setdefault("stableRS", current)
    status.pop("message", None)
    if current == status["stableRS"]:
        _done(status, len(steps))
    elif status.get("abort"):
        status |= {"phase": "Degraded", "message": "RolloutAborted: update aborted"}
        status["currentStepIndex"] = 0
        status.pop("pauseConditions", None)
        status["canary"] = {"weights": {"canary": {"weight": 0}}}
    elif status.get("promoteFull"):
        status["stableRS"] = current
        _done(status, len(steps))
    else:
        _walk(status, steps, current)


def _walk(status: Json, steps: list[Json], current: str) -> None:
    """Runs steps until a pause that nobody has ended."""
    weight = ((status.get("canary") or {}).get("weights") or {}).get("canary", {}).get("weight", 0)
    index = status["currentStepIndex"]
    while index < len(steps):
        step = steps[index]
        if "setWeight" in step:
            weight = step["setWeight"]
        elif "pause" in step:
            if status.get("pauseConditions"):
                break
            if not status.get("controllerPause"):
                status["pauseConditions"] = [{"reason": "CanaryPauseStep", "startTime": "t"}]
                status["controllerPause"] = True
                break
            status["controllerPause"] = False
        index += 1
    status["currentStepIndex"] = index
    status["canary"] = {"weights": {"canary": {"weight": weight}}}
    if index < len(steps):
        status |= {"phase": "Paused", "message": "CanaryPauseStep"}
    else:
        status["stableRS"] = current
        _done(status, len(steps))


def _done(status: Json, steps: int) -> None:
    status |= {"phase": "Healthy", "currentStepIndex": steps, "controllerPause": False,
               "promoteFull": False, "abort": False, "canary": {}}  # fmt: skip
    status.pop("pauseConditions", None)


def _replica_set(cluster: Any, body: Json, current: str) -> None:
    template = deepcopy(body["spec"]["template"])
    label = {"rollouts-pod-template-hash": current}
    template["metadata"]["labels"] |= label
    name = f"{body['metadata']['name']}-{current}"
    owner = {"kind": "Rollout", "name": body["metadata"]["name"]}
    meta = {"name": name, "labels": label, "ownerReferences": [owner]}
    key = ("replicasets", body["metadata"]["namespace"], name)
    if key not in cluster.store:
        cluster.add("replicasets", {"metadata": meta, "spec": {"template": template}})
