"""Fleets from inventories over HTTP, and what a scanner found, over HTTP too."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import tests.operators.airflow_context  # noqa: F401
from planner_provider.errors import RefusedError, UnavailableError
from planner_provider.graph.fleets import ResolvedFleet
from planner_provider.hooks.fleet import look_at_fleet, read_severities
from planner_provider.spec.kinds import FleetTarget, HttpInventory
from planner_provider.spec.workloads import Findings
from tests.hooks.http_server import Reply, Server, http_server

HOSTS = ResolvedFleet(
    name="hosts", http=HttpInventory(connection="cmdb", path="/hosts?up=1", items="data.hosts")
)
NAMES = {"target": "node", "cve": "id", "cvss": "score", "kev": "exploited", "since": "seen"}
FINDINGS = Findings.model_validate({"connection": "cmdb", "items": "found", "fields": NAMES})


def asked(
    monkeypatch: pytest.MonkeyPatch, reply: Reply, ask: Callable[[], Any]
) -> tuple[Any, Server]:
    with http_server(lambda request: reply) as server:
        monkeypatch.setenv("AIRFLOW_CONN_CMDB", server.url)
        return ask(), server


def of_json(data: Any) -> Reply:
    return Reply(200, json.dumps(data).encode())


def test_a_list_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [{"name": "h1", "zone": "a", "cores": 8, "tags": ["x"]}, {"name": "h2", "zone": ""}]
    reply = of_json({"data": {"hosts": hosts}})
    seen, server = asked(monkeypatch, reply, lambda: look_at_fleet(HOSTS))
    assert [(t.name, t.labels) for t in seen.targets] == [
        ("h1", {"zone": "a", "cores": "8"}), ("h2", {}),
    ]  # fmt: skip
    assert seen.unavailable == {}
    (request,) = server.asked
    assert (request.method, request.path) == ("GET", "/hosts?up=1")


def test_a_list_in_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = Reply(200, b"\xef\xbb\xbfname,zone\nh1,a\nh2,b\n")
    seen, _ = asked(monkeypatch, reply, lambda: look_at_fleet(HOSTS))
    assert [(t.name, t.labels["zone"]) for t in seen.targets] == [("h1", "a"), ("h2", "b")]


@pytest.mark.parametrize(
    ("reply", "error", "why"),
    [
        (Reply(503, b"later"), UnavailableError, "answered 503"),
        (Reply(404, b"no"), RefusedError, "answered 404"),
        (Reply(200, b"{half"), UnavailableError, "this is not JSON"),
        (of_json({"data": {}}), UnavailableError, "there is no 'data.hosts' in the answer"),
        (of_json({"data": {"hosts": "h1"}}), UnavailableError, "'data.hosts' is not a list"),
        (of_json({"data": {"hosts": [{"host": "h1"}]}}), UnavailableError, "has no 'name'"),
        (of_json({"data": {"hosts": ["h1", "h1"]}}), UnavailableError, "'h1' is listed twice"),
        (Reply(200, b"name,zone\nh1\n"), UnavailableError, "as many columns as the header"),
    ],
)
def test_an_inventory_that_cannot_be_used_is_no_empty_fleet(
    monkeypatch: pytest.MonkeyPatch, reply: Reply, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        asked(monkeypatch, reply, lambda: look_at_fleet(HOSTS))


def test_a_list_in_the_spec_asks_nobody() -> None:
    listed = ResolvedFleet(name="hosts", targets=(FleetTarget(name="h1"),))
    assert look_at_fleet(listed).names == {"h1"}


def test_what_a_scanner_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        {"node": "h1", "id": "CVE-2026-1000", "score": 7.1, "exploited": False, "seen": None},
        {"node": "h2", "id": "CVE-2026-1001", "score": "9.8", "exploited": True,
         "seen": "2026-11-01T00:00:00Z"},
    ]  # fmt: skip
    read, server = asked(
        monkeypatch, of_json({"found": found}), lambda: read_severities(FINDINGS, "/findings?v=3")
    )
    assert {name: item.rank for name, item in read.items()} == {"h1": (1, -7.1), "h2": (0, -9.8)}
    assert server.asked[0].path == "/findings?v=3"


def test_a_finding_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = of_json({"found": [{"node": "h1", "score": "very high"}]})
    with pytest.raises(RefusedError, match="finding 1 has the CVSS 'very high'"):
        asked(monkeypatch, reply, lambda: read_severities(FINDINGS, "/findings"))
