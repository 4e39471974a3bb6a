"""Whether a Deployment is rolled out, and if not, which pod, condition or event says why."""

from __future__ import annotations

from planner_provider.errors import CheckFailedError, PlannerError
from planner_provider.hooks.connections import shorten
from planner_provider.hooks.kubernetes import DEPLOYMENTS, EVENTS, PODS, Json, KubernetesApi
from planner_provider.hooks.traffic.deployments import refuse_paused, wanted_replicas
from planner_provider.hooks.traffic.release import Patience, Progress, wait_for

SHOWN_PODS = 3


def wait_for_roll_out(api: KubernetesApi, namespace: str, name: str, patience: Patience) -> str:
    """Wait until the Deployment's last change is rolled out; give back what it came to.

    Raises:
        CheckFailedError: it is not within the deadline, or Kubernetes gave it up; the message
            names pods, conditions and events.
    """
    title = f"Roll-out of Deployment {namespace}/{name}"
    try:
        return wait_for(lambda: roll_out(api, namespace, name), patience, title)
    except CheckFailedError as error:
        raise CheckFailedError(f"{error}{_diagnosis(api, namespace, name)}") from error


def roll_out(api: KubernetesApi, namespace: str, name: str) -> Progress:
    """How far the Deployment's last change is rolled out.

    Raises ``CheckFailedError`` when Kubernetes itself gave up, ``RefusedError`` when it is paused
    or gone.
    """
    deployment = api.get(DEPLOYMENTS, namespace, name)
    refuse_paused(deployment, f"Deployment {namespace}/{name}")
    return state_of(deployment)


def state_of(deployment: Json) -> Progress:
    """How far it is, from what it says itself. Raises ``CheckFailedError`` if it gave up."""
    name = deployment["metadata"]["name"]
    status = deployment.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(deployment["metadata"]["generation"]):
        return Progress(False, "the Deployment controller has not seen the change yet")
    for condition in status.get("conditions") or ():
        if condition["type"] == "Progressing" and (
            condition.get("reason") == "ProgressDeadlineExceeded"
        ):
            raise CheckFailedError(
                f"Kubernetes gave up on the roll-out of Deployment {name}: "
                f"{condition.get('message') or 'ProgressDeadlineExceeded'}"
            )
    wanted = wanted_replicas(deployment)
    total = int(status.get("replicas") or 0)
    updated = int(status.get("updatedReplicas") or 0)
    available = int(status.get("availableReplicas") or 0)
    if updated < wanted:
        return Progress(False, f"{updated} of {wanted} replicas are updated")
    if total > updated:
        return Progress(False, f"{total - updated} old replicas are still there")
    if available < updated:
        return Progress(False, f"{available} of {updated} updated replicas are available")
    return Progress(True, f"{available} of {wanted} replicas are up to date and available")


def _diagnosis(api: KubernetesApi, namespace: str, name: str) -> str:
    """What pods, conditions and events say; best effort, it must not hide the failure."""
    found: list[str] = []
    try:
        deployment = api.get(DEPLOYMENTS, namespace, name)
        found += [
            f"condition {condition['type']}: {condition.get('message') or condition.get('reason')}"
            for condition in (deployment.get("status") or {}).get("conditions") or ()
            if condition["type"] == "ReplicaFailure" and condition.get("status") == "True"
        ]
        labels = deployment["spec"]["selector"].get("matchLabels") or {}
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        pods = api.find_all(PODS, namespace, labels=selector)
        for pod in [pod for pod in pods if not _is_ready(pod)][:SHOWN_PODS]:
            found.append(f"pod {pod['metadata']['name']}: {_why(pod)}{_event(api, namespace, pod)}")
    except (PlannerError, KeyError, TypeError) as error:
        found.append(f"more could not be read: {shorten(str(error))}")
    return "".join(f". {shorten(text, 400)}" for text in found)


def _is_ready(pod: Json) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in (pod.get("status") or {}).get("conditions") or ()
    )


def _why(pod: Json) -> str:
    status = pod.get("status") or {}
    containers = (status.get("initContainerStatuses") or []) + (
        status.get("containerStatuses") or []
    )
    for container in containers:
        state = container.get("state") or {}
        for kind in ("waiting", "terminated"):
            told = state.get(kind)
            if told and told.get("reason") not in (None, "Completed", "ContainerCreating"):
                message = f", {told['message']}" if told.get("message") else ""
                return f"container {container['name']} is {kind}: {told['reason']}{message}"
    for condition in status.get("conditions") or ():
        if condition.get("status") == "False" and condition.get("message"):
            return f"condition {condition['type']} is False: {condition['message']}"
    return f"phase {status.get('phase', 'unknown')}, not ready"


def _event(api: KubernetesApi, namespace: str, pod: Json) -> str:
    fields = f"involvedObject.name={pod['metadata']['name']},type=Warning"
    events = api.find_all(EVENTS, namespace, fields=fields)
    if not events:
        return ""
    last = max(events, key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))
    return f"; event {last.get('reason')}: {last.get('message')}"
