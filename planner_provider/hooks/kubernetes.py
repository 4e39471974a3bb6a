"""The Kubernetes API through an Airflow Connection: JSON in, JSON out, errors by consequence.

Requests go through the official client, which knows about credentials and TLS. Objects stay JSON,
so that no field is lost that the client's models do not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote

from planner_provider.errors import (
    MisconfiguredError,
    PlannerError,
    RefusedError,
    UnavailableError,
)
from planner_provider.hooks.connections import missing_connection, shorten

Json = dict[str, Any]

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

DEPLOYMENTS = "apis/apps/v1", "deployments"
REPLICA_SETS = "apis/apps/v1", "replicasets"
SERVICES = "api/v1", "services"
PODS = "api/v1", "pods"
NODES = "api/v1", "nodes"
DISRUPTION_BUDGETS = "apis/policy/v1", "poddisruptionbudgets"
EVENTS = "api/v1", "events"
HTTP_ROUTES = "apis/gateway.networking.k8s.io/v1", "httproutes"
ROLLOUTS = "apis/argoproj.io/v1alpha1", "rollouts"
FEATURE_FLAGS = "apis/core.openfeature.dev/v1beta1", "featureflags"

Resource = tuple[str, str]
"""Path of the API group and version, and the plural name."""


class ConflictError(RefusedError):
    """409, or a JSON Patch whose ``test`` failed: the object changed since it was read."""


class BusyError(UnavailableError):
    """429: not now. For an eviction it means that a PodDisruptionBudget forbids it now."""


class KubernetesApi:
    """Objects in a cluster, by kind, namespace and name. With an empty namespace: those that have
    none, such as nodes; and for a list, those of all namespaces.

    Every method raises ``UnavailableError`` for no answer, 429 and 5xx; ``MisconfiguredError`` for
    401 and for a missing or unusable Connection; ``ConflictError`` for 409; ``RefusedError`` for
    everything else that is refused.
    """

    def __init__(self, connection: str) -> None:
        self.connection = connection

    @cached_property
    def _client(self) -> Any:
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
        from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
        from kubernetes.config import ConfigException

        try:
            return KubernetesHook(conn_id=self.connection).get_conn()
        except AirflowNotFoundException:
            raise missing_connection(self.connection, "kubernetes") from None
        except (AirflowException, ConfigException, ValueError, OSError) as error:
            raise MisconfiguredError(
                f"Connection '{self.connection}' is not fit for Kubernetes: "
                f"{shorten(str(error), 300)}"
            ) from error

    def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """The object, or ``None`` if there is no such object."""
        try:
            return self._ask("GET", _path(resource, namespace, name))
        except _MissingError:
            return None

    def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """The object. Raises ``RefusedError`` if there is none."""
        return self._ask("GET", _path(resource, namespace, name))

    def find_all(
        self, resource: Resource, namespace: str, *, labels: str = "", fields: str = ""
    ) -> list[Json]:
        """The objects that the selectors match, however many."""
        query = [("labelSelector", labels), ("fieldSelector", fields), ("limit", "500")]
        query = [pair for pair in query if pair[1]]
        items: list[Json] = []
        token = ""
        while True:
            more = [("continue", token)] if token else []
            found = self._ask("GET", _path(resource, namespace), query=[*query, *more])
            items += found.get("items") or []
            token = (found.get("metadata") or {}).get("continue") or ""
            if not token:
                return items

    def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        """Make an object. Raises ``ConflictError`` if there is one of that name."""
        return self._ask("POST", _path(resource, namespace), body, "application/json")

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Json | list[Json],
        content_type: str,
        *,
        subresource: str = "",
    ) -> Json:
        """Change an object; ``content_type`` is ``MERGE``, ``STRATEGIC`` or ``JSON_PATCH``."""
        path = _path(resource, namespace, name, subresource)
        return self._ask("PATCH", path, body, content_type)

    def patch_if_there(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Json | list[Json],
        content_type: str,
        *,
        subresource: str = "",
    ) -> Json | None:
        """Like `patch`, but ``None`` if there is no such object or subresource."""
        try:
            return self.patch(
                resource, namespace, name, body, content_type, subresource=subresource
            )
        except _MissingError:
            return None

    def delete(self, resource: Resource, namespace: str, name: str, *, uid: str) -> bool:
        """Delete this very object and, in the background, what it owns.

        Returns whether it was there. Raises ``ConflictError`` if another one has its name.
        """
        body: Json = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        try:
            self._ask("DELETE", _path(resource, namespace, name), body, "application/json")
        except _MissingError:
            return False
        return True

    def evict(self, namespace: str, pod: str, *, uid: str) -> bool:
        """Ask for this very pod to be evicted; ``False`` if it is not there.

        Raises ``BusyError`` while a PodDisruptionBudget forbids it, and ``ConflictError`` if
        another pod has its name.
        """
        body: Json = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        try:
            self._ask("POST", _path(PODS, namespace, pod, "eviction"), body, "application/json")
        except _MissingError:
            return False
        return True

    def _ask(
        self,
        method: str,
        path: str,
        body: Json | list[Json] | None = None,
        content_type: str | None = None,
        query: list[tuple[str, str]] | None = None,
    ) -> Json:
        import urllib3
        from kubernetes.client import ApiException

        headers = {"Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        what = f"{method} {path} (connection {self.connection})"
        client = self._client
        try:
            response = client.call_api(
                path,
                method,
                query_params=query or [],
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            )
            data = response.data
        except ApiException as error:
            raise _translated(error, what) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(f"{what}: {shorten(str(error), 300)}") from error
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UnavailableError(
                f"{what}: the answer is not a JSON object: {shorten(repr(data[:200]))}"
            )
        return answer


class _MissingError(RefusedError):
    """404."""


def check_name(text: str, what: str) -> str:
    """The text, if it can be the name of an object. Raises ``RefusedError``."""
    if not _NAME.fullmatch(text):
        raise RefusedError(
            f"'{shorten(text)}' cannot be the name of a {what} in Kubernetes: use lower-case "
            "letters, digits, dashes and dots. Look at what the template gave"
        )
    return text


def _path(resource: Resource, namespace: str, name: str = "", subresource: str = "") -> str:
    group, plural = resource
    parts = ["", group]
    if namespace:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(plural)
    if name:
        parts.append(quote(name, safe=""))
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


def _translated(error: Any, what: str) -> PlannerError:
    status = error.status or 0
    said = _message(error.body)
    text = f"{what} was answered {status} {error.reason}{f': {said}' if said else ''}"
    if status == 429:
        return BusyError(text)
    if status == 0 or status >= 500:
        return UnavailableError(text)
    if status == 401:
        return MisconfiguredError(f"{text}. Renew the credentials in the connection")
    if status == 403:
        return RefusedError(
            f"{text}. Give the service account of the connection the right to do this (RBAC)"
        )
    if status == 404:
        return _MissingError(text)
    if status == 409 or (status == 422 and _test_failed(said)):
        return ConflictError(text)
    return RefusedError(text)


def _test_failed(said: str) -> bool:
    """A JSON Patch with a failing ``test`` is answered 422 with the generic words."""
    return "rejected our request due to an error" in said or "test" in said.lower().split()


def _message(body: Any) -> str:
    try:
        document: Mapping[str, Any] = json.loads(body)
        return shorten(str(document["message"]), 400)
    except (TypeError, ValueError, KeyError):
        return shorten(str(body or ""), 400)
