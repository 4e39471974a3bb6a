"""Queries to Prometheus, or to what speaks its HTTP API, through an Airflow Connection.

The Connection is of type ``http``, as `planner_provider.hooks.http` takes it: login and password
for basic authentication; in its extra ``bearer_token``, ``verify`` (a CA file, or false), ``cert``
(client certificate), or any header such as ``X-Scope-OrgID``.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from planner_provider.errors import PlannerError, RefusedError, UnavailableError
from planner_provider.hooks.connections import redact, shorten
from planner_provider.hooks.http import HttpAnswer, HttpRequest, HttpServer, connect, send

TIMEOUT = 30.0
"""Seconds for an answer, tries and pauses included."""
TRIES = 3
PAUSE = 0.5
"""Seconds before the second try; twice as long before each further one."""
KEPT = 60.0
"""Seconds for which a Connection is not looked up again."""
MAX_SERIES = 10_000
"""More are not what a question here can be about."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an answer, with its value at the moment of the question."""

    labels: Mapping[str, str]
    value: float
    """May be NaN or infinite."""
    at: float
    """Seconds since 1970, by Prometheus' clock."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer about a time."""

    labels: Mapping[str, str]
    values: Mapping[float, float]
    """Moment, in seconds since 1970 -> value, which may be NaN or infinite."""


class Prometheus:
    """One Prometheus. May be used by several threads at once."""

    def __init__(
        self,
        server: HttpServer,
        *,
        timeout: float = TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._server = server
        self._timeout = timeout
        self._sleep = sleep
        token = server.session.headers.pop("bearer_token", None)
        if token:
            text = token.decode() if isinstance(token, bytes) else token
            server.session.headers["Authorization"] = f"Bearer {text}"

    def query(self, promql: str) -> tuple[Sample, ...]:
        """Ask an instant query, now.

        No connection, a time-out, 429 and 5xx are asked again, within the time for the answer.

        Raises:
            RefusedError: the query was refused.
            UnavailableError: no answer, or one that cannot be read or relied on.
            MisconfiguredError: TLS or the address does not work.
        """
        return read_vector(self._answered("/api/v1/query", {"query": promql}))

    def query_range(self, promql: str, start: float, end: float, step: float) -> tuple[Series, ...]:
        """Ask a query at ``start``, and every ``step`` seconds after it until ``end``.

        Times are in seconds since 1970. Tries and errors are those of `query`.
        """
        asked = {"query": promql, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return read_matrix(self._answered("/api/v1/query_range", asked))

    def _answered(self, path: str, form: Mapping[str, str]) -> HttpAnswer:
        deadline = time.monotonic() + self._timeout
        tries = 0
        while True:
            tries += 1
            try:
                return self._ask(path, form, max(0.05, deadline - time.monotonic()))
            except UnavailableError as error:
                pause = PAUSE * 2 ** (tries - 1)
                if tries >= TRIES or time.monotonic() + pause >= deadline:
                    if tries == 1:
                        raise
                    raise UnavailableError(f"{error} (tried {tries} times)") from error
                self._sleep(pause)

    def _ask(self, path: str, form: Mapping[str, str], timeout: float) -> HttpAnswer:
        answer = send(
            HttpRequest(
                connection=self._server.connection,
                method="POST",
                path=path,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode({**form, "timeout": f"{math.ceil(timeout)}s"}),
                timeout=timeout,
                asks_only=True,
            ),
            self._server,
        )
        if answer.status != 200:
            raise _refusal(answer)
        return answer


def read_vector(answer: HttpAnswer) -> tuple[Sample, ...]:
    """The series of an answer. Raises ``UnavailableError`` for anything but a complete vector."""
    return tuple(_sample(item, answer) for item in _result(answer, "vector"))


def read_matrix(answer: HttpAnswer) -> tuple[Series, ...]:
    """The series of an answer. Raises ``UnavailableError`` for anything but a complete matrix."""
    return tuple(_series(item, answer) for item in _result(answer, "matrix"))


def _result(answer: HttpAnswer, wanted: str) -> list[Any]:
    if not answer.complete:
        raise _unreadable(answer, f"it is longer than {len(answer.body)} bytes")
    document = _document(answer)
    if not isinstance(document, dict) or document.get("status") != "success":
        raise _unreadable(answer, f"it is not a success: '{answer.excerpt}'")
    warnings = document.get("warnings")
    if warnings:  # such as a store that did not answer behind Thanos
        told = redact(shorten(str(warnings)), answer.secrets)
        raise _unreadable(answer, f"it comes with warnings, so it may be incomplete: {told}")
    data = document.get("data")
    kind = data.get("resultType") if isinstance(data, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    if kind != wanted or not isinstance(result, list):
        raise _unreadable(answer, f"it is no {wanted} but '{shorten(str(kind))}'")
    if len(result) > MAX_SERIES:
        raise _unreadable(answer, f"it has {len(result)} series; ask for less")
    return result


def prometheus(conn_id: str) -> Prometheus:
    """The Prometheus of a Connection, which is looked up at most once a minute in each process.

    Raises ``MisconfiguredError`` and ``UnavailableError`` as ``hooks.http.connect`` does.
    """
    with _lock:
        known = _known.get(conn_id)
        now = time.monotonic()
        if known is None or now - known[0] >= KEPT:
            known = _known[conn_id] = (now, Prometheus(connect(conn_id)))
        return known[1]


def forget_connections() -> None:
    """Look every Connection up again when it is needed next."""
    with _lock:
        _known.clear()


_known: dict[str, tuple[float, Prometheus]] = {}
_lock = threading.Lock()


def _refusal(answer: HttpAnswer) -> PlannerError:
    why = f"{answer.where}: {answer.status} {answer.reason}".rstrip()
    try:
        told = json.loads(answer.body)
        text = f"{told['errorType']}: {told['error']}"
    except (ValueError, KeyError, TypeError):
        text = answer.excerpt
    text = redact(shorten(text), answer.secrets)
    if answer.status == 429 or answer.status >= 500:
        return UnavailableError(f"{why}: {text}")
    if answer.status in (401, 403):
        forget_connections()
        return RefusedError(f"{why}: check login, password or bearer_token of the connection")
    if answer.status == 404 or answer.status < 400:
        return RefusedError(f"{why}: there is no Prometheus API; check the connection's address")
    return RefusedError(f"{why}: {text}")


def _document(answer: HttpAnswer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise _unreadable(answer, f"it is not whole JSON: '{answer.excerpt}'") from None


def _sample(item: Any, answer: HttpAnswer) -> Sample:
    try:
        at, text = item["value"]
        labels = item["metric"]
        if not isinstance(labels, dict) or not isinstance(text, str) or "_" in text:
            raise TypeError
        if isinstance(at, bool) or not math.isfinite(at):
            raise TypeError
        return Sample(labels, float(text), float(at))
    except (KeyError, TypeError, ValueError):
        raise _unreadable(answer, "a series in it has no label set and value") from None


def _series(item: Any, answer: HttpAnswer) -> Series:
    try:
        labels, values = item["metric"], item["values"]
        if not isinstance(labels, dict) or not isinstance(values, list):
            raise TypeError
        points = [_sample({"metric": {}, "value": point}, answer) for point in values]
    except (KeyError, TypeError):
        raise _unreadable(answer, "a series in it has no label set and values") from None
    return Series(labels, {point.at: point.value for point in points})


def _unreadable(answer: HttpAnswer, why: str) -> UnavailableError:
    return UnavailableError(f"{answer.where}: the answer cannot be used: {why}")
