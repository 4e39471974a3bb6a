"""HTTP through an Airflow Connection: one request, one answer, nothing implicit.

There are no hidden retries (the step's own `retries` decide), and the time-out bounds the whole
answer, not each read. A redirect is followed only to the same scheme, host and port, so that the
Connection's credentials never travel to another server; any other redirect is the answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from airflow.providers.http.hooks.http import HttpHook

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.hooks.connections import get_connection, redact, secrets_of, shorten
from planner_provider.hooks.spans import traceparent

MAX_BODY = 4 * 1024 * 1024
"""Bytes of an answer that are read; an expectation about a longer body is not met."""
MAX_REDIRECTS = 5
_CHUNK = 65536
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What to ask. ``timeout`` is in seconds, from the first byte sent to the last one read."""

    connection: str
    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    timeout: float = 30.0
    follow_redirects: bool = True
    """Follow redirects to the same server; no use where a redirect is what is expected."""
    asks_only: bool = False
    """Whether it changes nothing though it is a POST, such as a query with a long text."""


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A Connection, looked up and ready to be called more than once."""

    connection: str
    base: str
    """Address without a slash at its end."""
    session: requests.Session = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def connect(conn_id: str) -> HttpServer:
    """Look up a Connection, without calling anything yet.

    Raises:
        MisconfiguredError: the Connection is missing or unusable.
        UnavailableError: Airflow or its secrets backend did not answer.
    """
    connection = get_connection(conn_id, "http")
    session, base = _session(conn_id, connection)
    return HttpServer(conn_id, base, session, (*secrets_of(connection), *_secret_path(base)))


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back. ``where`` names method, host, path and Connection, without query."""

    where: str
    status: int
    reason: str
    body: bytes
    complete: bool
    """Whether the whole body was read; see ``MAX_BODY``."""
    location: str | None
    milliseconds: int
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def excerpt(self) -> str:
        """The start of the body on one line, without the Connection's secrets."""
        return shorten(redact(self.text[:4000], self.secrets))


def send(request: HttpRequest, server: HttpServer | None = None) -> HttpAnswer:
    """Send the request and read the answer, whatever its status.

    With a ``server``, its session is used and stays open; else the Connection is looked up.

    Raises:
        UnavailableError: no connection, or no complete answer within the time-out.
        MisconfiguredError: the Connection is missing or unusable, or its TLS does not work.
        RefusedError: the request cannot be sent as it is, such as a header with a line break.
    """
    if server is None:
        server = connect(request.connection)
        with server.session:
            return send(request, server)
    secrets = server.secrets
    path = request.path if not request.path or request.path[0] in "/?" else f"/{request.path}"
    url = server.base + path
    where = f"{request.method} {_plain_url(url, path)} (connection {request.connection})"
    headers, data = _prepare(request, where)
    parent = traceparent()
    if parent is not None and not any(name.lower() == "traceparent" for name in headers):
        headers["traceparent"] = parent
    started = time.monotonic()
    deadline = started + request.timeout
    try:
        with _follow(server.session, request, url, headers, data, deadline) as response:
            body, complete = _read(response, request.method, deadline)
    except (requests.RequestException, urllib3.exceptions.HTTPError, TimeoutError) as error:
        raise _translate(error, where, request, secrets) from error
    return HttpAnswer(
        where=where,
        status=response.status_code,
        reason=response.reason or "",
        body=body,
        complete=complete,
        location=response.headers.get("location"),
        milliseconds=round((time.monotonic() - started) * 1000),
        secrets=secrets,
    )


def _session(conn_id: str, connection: Any) -> tuple[requests.Session, str]:
    host = connection.host or ""
    if not host:
        raise MisconfiguredError(f"Connection '{conn_id}' has no host; an http step needs one")
    if connection.conn_type == "https" and "://" not in host and connection.schema != "https":
        raise MisconfiguredError(
            f"Connection '{conn_id}' is of type https, which Airflow would call without TLS; make "
            "it type http with schema https, as a URI 'http://host:443/https'"
        )
    hook = HttpHook(http_conn_id=conn_id)
    try:
        session = hook.get_conn()
    except (ValueError, TypeError) as error:
        why = redact(str(error), secrets_of(connection))
        raise MisconfiguredError(f"Connection '{conn_id}' is not fit for HTTP: {why}") from error
    return session, hook.base_url.rstrip("/")


def _prepare(request: HttpRequest, where: str) -> tuple[dict[str, str], bytes | None]:
    headers = {name: str(value) for name, value in request.headers.items()}
    for name, value in headers.items():
        if not name or set(name) - _TOKEN:
            raise RefusedError(f"{where}: '{shorten(name)}' is not a header name; mend `headers`")
        if any(char in value for char in "\r\n\0"):
            raise RefusedError(f"{where}: the value of header {name} holds a line break; mend it")
    if request.body is None:
        return headers, None
    if isinstance(request.body, str):
        data, kind = request.body.encode(), "text/plain; charset=utf-8"
    else:
        try:
            data = json.dumps(request.body, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            raise RefusedError(f"{where}: the body cannot be sent as JSON: {error}") from error
        kind = "application/json"
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = kind
    return headers, data


def _follow(
    session: requests.Session,
    request: HttpRequest,
    url: str,
    headers: dict[str, str],
    data: bytes | None,
    deadline: float,
) -> requests.Response:
    method = request.method
    for _ in range(MAX_REDIRECTS):
        response = session.request(
            method,
            url,
            headers={name: value.encode() for name, value in headers.items()},
            data=data,
            timeout=max(0.001, deadline - time.monotonic()),
            allow_redirects=False,
            stream=True,
            verify=session.verify,
            cert=session.cert,
            proxies=dict(session.proxies or {}),
        )
        target = urljoin(url, response.headers.get("location") or "")
        repeatable = response.status_code in (307, 308) or (
            response.status_code in (301, 302, 303) and method in ("GET", "HEAD")
        )
        if not (request.follow_redirects and repeatable) or not _same_server(url, target):
            return response
        response.close()
        url = target
    return response


def _read(response: requests.Response, method: str, deadline: float) -> tuple[bytes, bool]:
    chunks: list[bytes] = []
    size = 0
    while method != "HEAD":
        chunk = response.raw.read1(_CHUNK, decode_content=True)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            return b"".join(chunks)[:MAX_BODY], False
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(chunks), True


def _same_server(url: str, target: str) -> bool:
    def server(text: str) -> tuple[str, str | None, int | None]:
        parts = urlsplit(text)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, parts.hostname, parts.port or default

    return target != url and server(url) == server(target)


def _plain_url(url: str, path: str) -> str:
    """The address without user, password, query, and the path that the Connection adds."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path.partition('?')[0]}"


def _secret_path(base: str) -> tuple[str, ...]:
    """The path in a Connection's host: with webhooks, it is the credential."""
    path = urlsplit(base).path
    return (path,) if len(path) > 1 else ()


def _translate(
    error: Exception, where: str, request: HttpRequest, secrets: tuple[str, ...]
) -> UnavailableError | MisconfiguredError | RefusedError:
    why = redact(_innermost(error), secrets)
    if isinstance(error, requests.exceptions.SSLError):
        return MisconfiguredError(
            f"{where}: TLS failed: {why}. Mend the certificate, or point `verify` in the "
            "connection's extra at the CA that signed it"
        )
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return MisconfiguredError(f"{where}: this is not a usable address: {why}")
    if isinstance(error, requests.exceptions.InvalidHeader):
        return RefusedError(f"{where}: a header cannot be sent: {why}")
    timeouts = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    if isinstance(error, timeouts) or "timed out" in why.lower():
        acted = (
            ""
            if request.method in ("GET", "HEAD") or request.asks_only
            else " Whether the request was carried out is not known; the next try carries the "
            "same Idempotency-Key."
        )
        return UnavailableError(f"{where}: no complete answer within {request.timeout:g} s.{acted}")
    return UnavailableError(f"{where}: {why}")


def _innermost(error: BaseException) -> str:
    """The part of nested errors of requests and urllib3 that a person can use."""
    inner: Any = error
    for _ in range(6):
        args = getattr(inner, "args", ())
        nested = getattr(inner, "reason", None) or next(
            (arg for arg in reversed(args) if isinstance(arg, BaseException)), None
        )
        if not isinstance(nested, BaseException) or nested is inner:
            break
        inner = nested
    text = shorten(str(inner) or type(inner).__name__)
    return text.split("Failed to establish a new connection: ")[-1]
