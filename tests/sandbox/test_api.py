from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from planner_provider.sandbox import Sandbox, SandboxClient


def call(
    sandbox: Sandbox, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
    with requests.request(
        method, sandbox.url + path, data=data, headers=headers, timeout=5
    ) as answer:
        return answer.status_code, answer.json()


def test_a_canary_from_deploy_to_promotion(sandbox: Sandbox) -> None:
    deploy = ("PUT", "/services/checkout/canary", {"version": "1.5.0"})
    status, body = call(sandbox, *deploy)
    assert (status, body["changed"]) == (200, True)
    assert body["service"]["canary"] == {"version": "1.5.0", "weight": 0}
    call(sandbox, "PUT", "/services/checkout/weight", {"weight": 25})
    status, body = call(sandbox, *deploy)
    assert (status, body["changed"]) == (200, False)
    assert body["service"]["canary"]["weight"] == 25, "deploying again keeps the weight"
    assert body["service"]["stable"] == {"version": "1.4.1", "weight": 75}
    for method, changed in (("POST", True), ("PUT", False)):
        status, body = call(sandbox, method, "/services/checkout/promote", {"version": "1.5.0"})
        assert (status, body["changed"]) == (200, changed)
    status, body = call(sandbox, "GET", "/services/checkout")
    assert body["stable"] == {"version": "1.5.0", "weight": 100}
    assert body["canary"] is None


def test_changes_are_counted_with_their_headers(sandbox: Sandbox) -> None:
    headers = {
        "baggage": "plan_id=p-1",
        "Traceparent": "00-11-22-01",
        "Idempotency-Key": "k1",
        "X-Plan-Id": "p-1",
        "Authorization": "Bearer secret",
        "Cookie": "secret",
    }
    for replicas in (5, 5, 3, 5):
        call(sandbox, "PUT", "/services/auth/replicas", {"replicas": replicas}, **headers)
    _, body = call(sandbox, "GET", "/changes")
    first = body["changes"][0]
    assert (first["seq"], first["from"], first["to"]) == (1, 2, 5)
    assert first["at"] == "2026-01-05T12:00:00Z"
    assert first["headers"]["baggage"] == "plan_id=p-1"
    assert first["headers"].keys() >= {"traceparent", "idempotency-key", "x-plan-id"}
    assert "secret" not in json.dumps(body)
    assert [change["effective"] for change in body["changes"]] == [True, False, True, True]
    _, counts = call(sandbox, "GET", "/changes/count?service=auth&what=replicas&to=5")
    assert counts["counts"] == [
        {"service": "auth", "what": "replicas", "to": 5, "effective": 2, "no_op": 1}
    ]
    assert (counts["effective"], counts["no_op"]) == (2, 1)
    _, later = call(sandbox, "GET", "/changes?since=3&service=auth")
    assert [change["seq"] for change in later["changes"]] == [4]
    _, other = call(sandbox, "GET", "/changes?service=orders")
    assert other["changes"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("PUT", "/services/checkout/weight", {"weight": 25}, 409, "no canary"),
        ("POST", "/services/checkout/promote", {"version": "9"}, 409, "no canary"),
        ("POST", "/services/checkout/promote", None, 409, "no canary"),
        ("PUT", "/services/checkout/weight", {"weight": 101}, 400, "less than or equal to 100"),
        ("PUT", "/services/checkout/weight", {"weight": True}, 400, "valid integer"),
        ("PUT", "/services/checkout/weight", {"weight": "25"}, 400, "valid integer"),
        ("PUT", "/services/checkout/weight", {"wieght": 5}, 400, "did you mean weight?"),
        ("PUT", "/services/checkout/weight", None, 400, "Field required"),
        ("PUT", "/services/checkout/weight", b"{oops", 400, "Invalid JSON"),
        ("PUT", "/services/checkout/weight", b"[1]", 400, "object"),
        ("PUT", "/services/checkout/weight", b"\xff\xfe", 400, "JSON"),
        ("PUT", "/services/checkout/canary", {"version": "a b"}, 400, "pattern"),
        ("PUT", "/services/checkout/replicas", {"replicas": -1}, 400, "greater than or equal"),
        ("PUT", "/flags/new_checkout", {}, 400, "neither"),
        ("PUT", "/flags/a%20b", {"enabled": True}, 400, "cannot be the name"),
        ("GET", "/flags/nowhere", None, 404, "no flag"),
        ("GET", "/services/chekout", None, 404, "did you mean checkout?"),
        ("PUT", "/services/zzz/canary", {"version": "1"}, 404, "there are frontend"),
        ("GET", "/nowhere", None, 404, "GET / lists"),
        ("DELETE", "/faults/99", None, 404, "not in force"),
        ("DELETE", "/faults/x", None, 404, "not in force"),
        ("POST", "/faults", {"kind": "down", "service": "chekout"}, 400, "did you mean"),
        ("POST", "/faults", {"kind": "errors", "value": 2}, 400, "ratio"),
        ("POST", "/sim/advance", {"seconds": 0}, 400, "greater than 0"),
        ("POST", "/sim/advance", b'{"seconds": NaN}', 400, "seconds"),
        ("GET", "/changes?since=x", None, 400, "not a number"),
        ("GET", "/services/checkout/stats?seconds=0", None, 400, "1 to 900"),
        ("DELETE", "/services", None, 405, "use GET"),
        ("PATCH", "/services/checkout/weight", None, 405, "use PUT"),
        ("POST", "/metrics", None, 405, "use GET"),
    ],
)
def test_bad_calls_get_a_clear_answer_and_change_nothing(
    sandbox: Sandbox, method: str, path: str, body: object, status: int, said: str
) -> None:
    got, error = call(sandbox, method, path, body)
    assert got == status
    assert error.keys() == {"error", "detail", "hint"}
    assert said in f"{error['detail']} {error['hint']}"
    assert sandbox.changes() == ()


def test_a_second_canary_is_refused_and_one_can_be_removed_by_name(client: SandboxClient) -> None:
    from planner_provider.errors import RefusedError

    client.put_canary("checkout", "2.0")
    for refused in (
        lambda: client.put_canary("checkout", "3.0"),
        lambda: client.remove_canary("checkout", "3.0"),
        lambda: client.set_weight("checkout", 5, "3.0"),
    ):
        with pytest.raises(RefusedError, match="409"):
            refused()
    assert client.remove_canary("checkout", "2.0").changed
    assert not client.remove_canary("checkout", "2.0").changed
    assert [change.what for change in client.changes()] == ["canary"] * 3


def test_flags(client: SandboxClient) -> None:
    assert client.set_flag("dark_mode", percentage=50).change.to == "on 50%"
    assert not client.set_flag("dark_mode", percentage=50).changed
    assert client.set_flag("fresh", enabled=True).change.from_ is None
    assert client.remove_flag("new_checkout").change.service == "checkout"
    assert not client.remove_flag("new_checkout").changed
    assert {f.name: f.percentage for f in client.flags()} == {"dark_mode": 50, "fresh": 100}
    assert client.service("checkout").flags == ()


def test_stats_say_none_where_nothing_happened(sandbox: Sandbox, client: SandboxClient) -> None:
    assert client.stats("checkout").tracks == ()
    client.set_replicas("checkout", 0)
    sandbox.advance(60)
    (track,) = client.stats("checkout", 60).tracks
    assert track.requests == track.errors > 0
    assert track.error_ratio == 1


def test_hooks_keep_whatever_is_posted(sandbox: Sandbox, client: SandboxClient) -> None:
    call(sandbox, "POST", "/hooks/chat", {"text": "canary at 25 %"}, baggage="plan_id=p")
    call(sandbox, "POST", "/hooks/chat", b"plain \xff text")
    first, second = client.messages("chat")
    assert first.body == {"text": "canary at 25 %"}
    assert first.headers["baggage"] == "plan_id=p"
    assert second.body == "plain \N{REPLACEMENT CHARACTER} text"
    assert client.messages("other") == ()
    assert call(sandbox, "GET", "/hooks")[1] == {"hooks": {"chat": 2}}


def test_the_first_page_lists_every_path(sandbox: Sandbox) -> None:
    paths = call(sandbox, "GET", "/")[1]["paths"]
    assert "PUT /services/{service}/weight" in paths
    assert "GET /metrics" in paths
    assert call(sandbox, "GET", "/healthz?probe=1") == (200, {"status": "ok"})


def test_the_clock_is_moved_by_a_call(sandbox: Sandbox, client: SandboxClient) -> None:
    assert client.sim().now == "2026-01-05T12:00:00Z"
    assert client.advance(90).now == "2026-01-05T12:01:30Z"
    assert client.stats("frontend").tracks[0].requests > 1000


def test_a_running_clock_cannot_be_moved() -> None:
    with Sandbox() as running:
        status, body = call(running, "POST", "/sim/advance", {"seconds": 1})
    assert (status, body["error"]) == (409, "conflict")
