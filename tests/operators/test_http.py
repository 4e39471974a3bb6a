from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from planner_provider.errors import (
    CheckFailedError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
)
from planner_provider.spec.actions import Http
from tests.hooks.http_server import Asked, Reply, Server, http_server
from tests.operators.airflow_context import PLAN_ID, act, build, context_for

SECRET = "hunter2-and-more"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with http_server() as running:
        monkeypatch.setenv(
            "AIRFLOW_CONN_ROUTER", f"http://deployer:{SECRET}@127.0.0.1:{running.port}"
        )
        yield running


def http(**values: Any) -> Http:
    return Http.model_validate({"connection": "router", **values})


def reply(status: int = 200, body: Any = None, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda asked: Reply(status, content, headers)


def test_sends_what_the_spec_says(server: Server) -> None:
    server.answer = reply(200, {"canary": {"version": "1.4.2"}})
    operator = build(
        "http",
        http(
            method="POST",
            path="/v1/{{ params.service }}?w={{ params.weight }}",
            headers={"X-Change": "{{ params.version }}", "Baggage": "tenant=a"},
            body={"targets": [{"image": "checkout:{{ params.version }}"}], "weight": 5},
            expect={"status": [200], "json": {"canary.version": "{{ params.version }}"}},
        ),
    )
    given = {"service": "checkout", "weight": 5, "version": "1.4.2"}
    result = act(operator, context_for(given))

    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/checkout?w=5")
    assert asked.json == {"targets": [{"image": "checkout:1.4.2"}], "weight": 5}
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-change"] == "1.4.2"
    assert asked.headers["authorization"].startswith("Basic ")
    plan = f"plan_id={PLAN_ID},plan=checkout-release,step=shift"
    assert asked.headers["baggage"] == f"tenant=a,{plan}"
    assert result["status"] == 200
    assert result["excerpt"] == '{"canary": {"version": "1.4.2"}}'
    assert json.loads(json.dumps(result)) == result


def test_idempotency_key_is_stable_over_tries_and_only_where_something_changes(
    server: Server,
) -> None:
    for number in (1, 2):
        act(build("http", http(method="PUT")), context_for(try_number=number))
    act(build("http", http(method="PUT")), context_for(task_id="execute.other"))
    act(build("http", http(method="GET")))
    keys = [asked.headers.get("idempotency-key") for asked in server.asked]
    assert keys[0] == keys[1]
    assert keys[0] is not None
    assert keys[2] not in (None, keys[0])
    assert keys[3] is None


def test_a_key_of_the_spec_is_kept(server: Server) -> None:
    act(build("http", http(method="PUT", headers={"idempotency-key": "mine"})))
    assert server.asked[0].headers["idempotency-key"] == "mine"


def test_text_is_sent_as_text(server: Server) -> None:
    act(
        build("http", http(method="PUT", body="weight=5 für {{ params.x }}")), context_for({"x": 1})
    )
    assert server.asked[0].body.decode() == "weight=5 für 1"
    assert server.asked[0].headers["content-type"] == "text/plain; charset=utf-8"


def test_without_a_plan_there_is_no_baggage(server: Server) -> None:
    act(build("http", http(method="PUT"), plan_ref=None))
    assert "baggage" not in server.asked[0].headers
    assert "idempotency-key" in server.asked[0].headers


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RefusedError),
        (401, RefusedError),
        (404, RefusedError),
        (408, UnavailableError),
        (409, RefusedError),
        (425, UnavailableError),
        (429, UnavailableError),
        (500, UnavailableError),
        (502, UnavailableError),
        (503, UnavailableError),
        (504, UnavailableError),
        (206, CheckFailedError),
    ],
)
def test_errors_by_consequence(server: Server, status: int, error: type[Exception]) -> None:
    server.answer = reply(status, b"no such weight")
    with pytest.raises(error) as caught:
        act(build("http", http(method="POST", path="/w?token=abc")))
    assert type(caught.value) is error
    message = str(caught.value)
    assert f"POST {server.url}/w (connection router)" in message
    assert "expected status 200, 201, 202 or 204, got " + str(status) in message
    assert "It said: 'no such weight'" in message
    assert len(server.asked) == 1, "no hidden retries"


def test_no_message_or_result_holds_the_password(server: Server) -> None:
    server.answer = reply(400, f"the password {SECRET} is wrong".encode())
    with pytest.raises(RefusedError) as caught:
        act(build("http", http()))
    assert SECRET not in str(caught.value)
    assert "the password *** is wrong" in str(caught.value)
    server.answer = reply(200, f"hello {SECRET}".encode())
    assert act(build("http", http()))["excerpt"] == "hello ***"


@pytest.mark.parametrize(
    ("expect", "body", "said"),
    [
        ({"body_matches": "^ok$"}, b"not ok", "expected a body that contains /^ok$/, got 'not ok'"),
        ({"json": {"a": 1}}, b"{", "expected JSON, got '{'"),
        (
            {"json": {"a.b": 1}},
            b'{"a": {"c": 1}}',
            "expected a.b = 1 in the JSON, but it has no a.b",
        ),
        ({"json": {"a": 1}}, b'{"a": true}', "expected a = 1, got true"),
        ({"json": {"a": "1"}}, b'{"a": 1}', "expected a = '1', got 1"),
        ({"json": {"a": 0}}, b'{"a": null}', "expected a = 0, got null"),
        ({"json": {"a.2": 1}}, b'{"a": [1, 1]}', "but it has no a.2"),
    ],
)
def test_an_answer_that_is_not_as_expected(
    server: Server, expect: dict[str, Any], body: bytes, said: str
) -> None:
    server.answer = reply(200, body)
    with pytest.raises(CheckFailedError) as caught:
        act(build("http", http(expect=expect)))
    assert said in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(server: Server) -> None:
    server.answer = reply(200, {"a": 1, "b": 2})
    with pytest.raises(CheckFailedError, match=r"expected a = 2, got 1; expected b = 1, got 2"):
        act(build("http", http(expect={"json": {"a": 2, "b": 1}})))


@pytest.mark.parametrize(
    ("wanted", "body"),
    [
        ({"a.b": 1.0}, {"a": {"b": 1}}),
        ({"a.1.b": None}, {"a": [0, {"b": None}]}),
        ({"a.b": "x"}, {"a.b": "x"}),
        ({"a": [1, {"x": True}]}, {"a": [1, {"x": True}]}),
        ({"replicas": "{{ params.n }}"}, {"replicas": 3}),
        ({"replicas": "{{ params.n }}"}, {"replicas": "3"}),
    ],
)
def test_json_as_expected(server: Server, wanted: dict[str, Any], body: Any) -> None:
    server.answer = reply(200, body)
    act(build("http", http(expect={"json": wanted})), context_for({"n": 3}))


def test_redirects_stay_on_the_same_server(server: Server) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(302, headers={"Location": "/new"}) if asked.path == "/old" else Reply(200)

    server.answer = answer
    assert act(build("http", http(path="/old")))["status"] == 200
    assert [asked.path for asked in server.asked] == ["/old", "/new"]
    with pytest.raises(RefusedError, match="redirects to another address"):
        act(build("http", http(path="/old", method="POST")))
    assert act(build("http", http(path="/old", expect={"status": [302]})))["status"] == 302


def test_credentials_never_follow_a_redirect(server: Server) -> None:
    with http_server() as other:
        server.answer = lambda asked: Reply(302, headers={"Location": f"{other.url}/x"})
        with pytest.raises(RefusedError, match="redirects to another address"):
            act(build("http", http()))
        assert other.asked == []


def test_a_server_that_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AIRFLOW_CONN_ROUTER", f"http://127.0.0.1:{held.getsockname()[1]}")
        with pytest.raises(UnavailableError, match="Connection refused"):
            act(build("http", http()))


def test_the_timeout_bounds_the_whole_answer(server: Server) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(100):
            time.sleep(0.05)
            yield b"."

    server.answer = lambda asked: Reply(200, chunks=drip)
    with pytest.raises(UnavailableError) as caught:
        act(build("http", http(method="POST", timeout="300ms")))
    assert "no complete answer within 0.3 s" in str(caught.value)
    assert "Whether the request was carried out is not known" in str(caught.value)


def test_a_body_without_end_is_not_read_to_its_end(server: Server) -> None:
    server.answer = lambda asked: Reply(200, b"x" * (5 * 1024 * 1024))
    assert act(build("http", http()))["status"] == 200
    with pytest.raises(CheckFailedError, match="too long to be checked"):
        act(build("http", http(expect={"body_matches": "x"})))


def test_a_missing_connection_says_how_to_add_it() -> None:
    with pytest.raises(MisconfiguredError) as caught:
        act(build("http", http(connection="canary_router")))
    assert "airflow connections add canary_router --conn-uri" in str(caught.value)
    assert "AIRFLOW_CONN_CANARY_ROUTER=" in str(caught.value)


def test_a_connection_that_would_skip_tls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ROUTER", "https://127.0.0.1:1")
    with pytest.raises(MisconfiguredError, match="without TLS"):
        act(build("http", http()))


def test_a_connection_without_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ROUTER", '{"conn_type": "http"}')
    with pytest.raises(MisconfiguredError, match="has no host"):
        act(build("http", http()))


def test_tls_that_fails_is_misconfigured(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_ROUTER",
        json.dumps({"conn_type": "http", "host": f"https://127.0.0.1:{server.port}"}),
    )
    with pytest.raises(MisconfiguredError, match="TLS failed"):
        act(build("http", http()))


@pytest.mark.parametrize("headers", [{"X": "a\nB: c"}, {"X y": "a"}])
def test_headers_that_would_split_the_request(server: Server, headers: dict[str, str]) -> None:
    with pytest.raises(RefusedError, match=r"header"):
        act(build("http", http(headers=headers)))
    assert server.asked == []
