"""A small typed client for the sandbox, for tests, the demo and game days.

It never tries again by itself: whether a call went through is for the caller to find out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import requests
from pydantic import BaseModel, ValidationError

from planner_provider.errors import RefusedError, UnavailableError
from planner_provider.sandbox import wire

V = TypeVar("V", bound=BaseModel)


class SandboxClient:
    """Talks to one sandbox. ``headers`` go with every call, for example ``{"baggage":
    "plan_id=..."}``.

    Every method raises ``UnavailableError`` when no answer came (the change may have been made all
    the same) or the answer was 5xx or 429, and ``RefusedError`` for any other error. Times out
    after ``timeout`` seconds.
    """

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # loopback: no proxy
        self._session.headers.update(headers or {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    # --- what is deployed -----------------------------------------------------------------

    def services(self) -> tuple[wire.ServiceView, ...]:
        """All services."""
        return self._list("/services", "services", wire.ServiceView)

    def service(self, name: str) -> wire.ServiceView:
        """One service."""
        return self._view("GET", _path("services", name), wire.ServiceView)

    def stats(self, name: str, seconds: int = 60) -> wire.StatsView:
        """What the versions of a service did in the last simulated seconds."""
        path = _path("services", name, "stats")
        return self._view("GET", path, wire.StatsView, query={"seconds": seconds})

    def put_canary(self, name: str, version: str) -> wire.ChangedView:
        """Deploy a canary at weight 0."""
        return self._put(name, "canary", version=version)

    def set_weight(self, name: str, weight: int, version: str | None = None) -> wire.ChangedView:
        """Give the canary its share of the requests in percent."""
        return self._put(name, "weight", weight=weight, version=version)

    def promote(self, name: str, version: str | None = None) -> wire.ChangedView:
        """Make the canary the stable version."""
        return self._put(name, "promote", version=version)

    def remove_canary(self, name: str, version: str | None = None) -> wire.ChangedView:
        """Take the canary away, only if it is ``version`` where that is given."""
        path = _path("services", name, "canary")
        query = {} if version is None else {"version": version}
        return self._view("DELETE", path, wire.ChangedView, query=query)

    def set_replicas(self, name: str, replicas: int) -> wire.ChangedView:
        """Scale."""
        return self._put(name, "replicas", replicas=replicas)

    def set_version(self, name: str, version: str) -> wire.ChangedView:
        """Deploy the stable version at once."""
        return self._put(name, "version", version=version)

    def flags(self) -> tuple[wire.FlagView, ...]:
        """All feature flags."""
        return self._list("/flags", "flags", wire.FlagView)

    def set_flag(
        self, name: str, enabled: bool | None = None, percentage: int | None = None
    ) -> wire.ChangedView:
        """Set a flag, or make it."""
        body = {"enabled": enabled, "percentage": percentage}
        return self._view("PUT", _path("flags", name), wire.ChangedView, body=_without_none(body))

    def remove_flag(self, name: str) -> wire.ChangedView:
        """Take a flag away."""
        return self._view("DELETE", _path("flags", name), wire.ChangedView)

    # --- what was done --------------------------------------------------------------------

    def changes(self, since: int = 0) -> tuple[wire.ChangeView, ...]:
        """The changes after the one numbered ``since``."""
        return self._list("/changes", "changes", wire.ChangeView, {"since": since})

    def change_counts(self, **only: str) -> wire.CountsView:
        """How often each change was asked for; ``only`` takes ``service``, ``what`` and ``to``."""
        return self._view("GET", "/changes/count", wire.CountsView, query=only)

    def messages(self, hook: str) -> tuple[wire.MessageView, ...]:
        """What was posted to a hook."""
        return self._list(_path("hooks", hook), "messages", wire.MessageView)

    # --- the sandbox itself ---------------------------------------------------------------

    def healthy(self) -> bool:
        """Whether it answers."""
        try:
            self._call("GET", "/healthz")
        except UnavailableError:
            return False
        return True

    def fault(self, kind: str, service: str = "*", **more: Any) -> wire.FaultView:
        """Put a fault in force; what ``more`` takes is in ``wire.FaultBody`` (``for_`` stands for
        ``for``).
        """
        body = {"kind": kind, "service": service, **{k.rstrip("_"): v for k, v in more.items()}}
        return self._view("POST", "/faults", wire.FaultView, body=body)

    def faults(self) -> tuple[wire.FaultView, ...]:
        """The faults in force."""
        return self._list("/faults", "faults", wire.FaultView)

    def lift_fault(self, fault_id: int) -> wire.FaultView:
        """Lift a fault."""
        return self._view("DELETE", _path("faults", str(fault_id)), wire.FaultView)

    def sim(self) -> wire.SimView:
        """The simulated clock."""
        return self._view("GET", "/sim", wire.SimView)

    def advance(self, seconds: float) -> wire.SimView:
        """Move a stepped clock on."""
        return self._view("POST", "/sim/advance", wire.SimView, body={"seconds": seconds})

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        return self._call("GET", "/metrics").text

    # --- calling --------------------------------------------------------------------------

    def _put(self, name: str, what: str, **body: object) -> wire.ChangedView:
        path = _path("services", name, what)
        return self._view("PUT", path, wire.ChangedView, body=_without_none(body))

    def _view(
        self,
        method: str,
        path: str,
        of: type[V],
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> V:
        return of.model_validate_json(self._call(method, path, body, query).content)

    def _list(
        self, path: str, key: str, of: type[V], query: Mapping[str, str | int] | None = None
    ) -> tuple[V, ...]:
        rows = self._call("GET", path, None, query).json()[key]
        return tuple(of.model_validate(row) for row in rows)

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> requests.Response:
        try:
            answer = self._session.request(
                method, self._url + path, json=body, params=query, timeout=self._timeout
            )
        except requests.RequestException as error:
            raise UnavailableError(
                f"{method} {path}: the sandbox did not answer: {error}"
            ) from error
        if answer.ok:
            return answer
        try:
            view = wire.ErrorView.model_validate_json(answer.content)
            said = f"{view.detail}; {view.hint}"
        except ValidationError:
            said = answer.text[:200]
        kind = UnavailableError if answer.status_code in (429, *range(500, 600)) else RefusedError
        raise kind(f"{method} {path}: {answer.status_code}: {said}")


def _path(*parts: str) -> str:
    return "".join("/" + quote(part, safe="") for part in parts)


def _without_none(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if value is not None}
