"""The client of Prometheus against servers that answer badly, over real HTTP."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.hooks import http
from planner_provider.hooks import prometheus as module
from planner_provider.hooks.http import connect
from planner_provider.hooks.prometheus import Prometheus, Sample, prometheus
from tests.hooks.http_server import Reply, Server, http_server


def vector(*series: tuple[dict[str, str], str], **more: Any) -> bytes:
    result = [{"metric": labels, "value": [1_790_000_000.5, value]} for labels, value in series]
    data = {"resultType": "vector", "result": result}
    return json.dumps({"status": "success", "data": data, **more}).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with http_server(lambda asked: Reply(body=vector(({"a": "b"}, "1.5")))) as running:
        monkeypatch.setenv("AIRFLOW_CONN_PROM", f"http://ann:hunter22@127.0.0.1:{running.port}")
        module.forget_connections()
        yield running
    module.forget_connections()


def client(timeout: float = 5.0) -> Prometheus:
    return Prometheus(connect("prom"), timeout=timeout, sleep=lambda seconds: None)


def test_a_query_is_a_form_with_basic_authentication(server: Server) -> None:
    text = 'sum(increase(x{code=~"5.."}[1h])) + 1'
    assert client().query(text) == (Sample({"a": "b"}, 1.5, 1_790_000_000.5),)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/api/v1/query")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(asked.body.decode()) == {"query": [text], "timeout": ["5s"]}
    login = base64.b64encode(b"ann:hunter22").decode()
    assert asked.headers["authorization"] == f"Basic {login}"


def test_bearer_token_and_headers_of_the_extra(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"bearer_token": "s3cret-token", "X-Scope-OrgID": "shop"}
    connection = {"conn_type": "http", "host": "127.0.0.1", "port": server.port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_PROM", json.dumps(connection))
    client().query("up")
    headers = server.asked[0].headers
    assert headers["authorization"] == "Bearer s3cret-token"
    assert headers["x-scope-orgid"] == "shop"
    assert "bearer_token" not in headers
    server.answer = lambda asked: Reply(500, b"token s3cret-token was refused")
    with pytest.raises(UnavailableError) as error:
        client().query("up")
    assert "s3cret-token" not in str(error.value)


def test_values_that_are_no_numbers_are_told_as_they_are(server: Server) -> None:
    server.answer = lambda asked: Reply(
        body=vector(({"n": "1"}, "NaN"), ({"n": "2"}, "+Inf"), ({"n": "3"}, "-Inf"))
    )
    values = [sample.value for sample in client().query("x")]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf]


UNUSABLE = {
    "half a JSON": vector(({}, "1"))[:-20],
    "no JSON": b"<html>Log in</html>",
    "empty": b"",
    "a list": b"[]",
    "an error": b'{"status":"error","errorType":"x","error":"y"}',
    "no data": b'{"status":"success"}',
    "a matrix": b'{"status":"success","data":{"resultType":"matrix","result":[]}}',
    "a scalar": b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}',
    "no value": b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}',
    "value as number": vector(({}, "1")).replace(b'"1"', b"1"),
    "value as word": vector(({}, "many")),
    "value with underscore": vector(({}, "1_0")),
    "time is NaN": vector(({}, "1")).replace(b"1790000000.5", b"NaN"),
    "a warning": vector(({}, "1"), warnings=["store 2 did not answer"]),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_answers_that_cannot_be_relied_on(server: Server, case: str) -> None:
    server.answer = lambda asked: Reply(body=UNUSABLE[case])
    with pytest.raises(UnavailableError, match="the answer cannot be used"):
        client().query("x")
    assert len(server.asked) == 1


def test_a_body_that_is_cut_off(server: Server) -> None:
    whole = vector(({}, "1"))
    server.answer = lambda asked: Reply(
        headers={"Content-Length": str(len(whole))}, chunks=lambda: iter([whole[:20]])
    )
    with pytest.raises(UnavailableError):
        client().query("x")


def test_an_answer_that_is_too_long(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1000)
    server.answer = lambda asked: Reply(body=vector(({}, "1")) + b" " * 70_000)
    with pytest.raises(UnavailableError, match="longer than"):
        client().query("x")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(server: Server, status: int) -> None:
    answers = iter([Reply(status), Reply(status), Reply(body=vector(({}, "2")))])
    server.answer = lambda asked: next(answers)
    assert client().query("x")[0].value == 2
    assert len(server.asked) == 3


def test_but_not_for_ever(server: Server) -> None:
    server.answer = lambda asked: Reply(503, b'{"errorType":"timeout","error":"too slow"}')
    with pytest.raises(UnavailableError, match=r"503.*timeout: too slow \(tried 3 times\)"):
        client().query("x")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 422])
def test_a_refusal_is_final(server: Server, status: int) -> None:
    server.answer = lambda asked: Reply(
        status, b'{"errorType":"bad_data","error":"parse error"}', {"Location": "/elsewhere"}
    )
    with pytest.raises(RefusedError) as error:
        client().query("x")
    assert len(server.asked) == 1
    assert str(status) in str(error.value)
    assert "hunter22" not in str(error.value)


def test_the_time_out_bounds_the_whole_answer_and_all_tries(server: Server) -> None:
    def slowly() -> Iterator[bytes]:
        for _ in range(100):
            time.sleep(0.05)
            yield b" "

    server.answer = lambda asked: Reply(chunks=slowly)
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="no complete answer within"):
        client(timeout=0.4).query("x")
    assert time.monotonic() - begun < 3


def test_nobody_listens(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PROM", "http://127.0.0.1:1")
    with pytest.raises(UnavailableError, match=r"refused.*tried 3 times"):
        client().query("x")


def test_a_missing_connection_is_misconfigured() -> None:
    with pytest.raises(MisconfiguredError, match="no connection 'nowhere'"):
        prometheus("nowhere")


def test_a_connection_is_looked_up_once_a_minute(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("planner_provider.hooks.prometheus.time.monotonic", lambda: now[0])
    first = prometheus("prom")
    now[0] += 59
    assert prometheus("prom") is first
    now[0] += 2
    assert prometheus("prom") is not first


def test_a_connection_whose_login_is_refused_is_looked_up_again(server: Server) -> None:
    server.answer = lambda asked: Reply(401)
    first = prometheus("prom")
    with pytest.raises(RefusedError, match="check login, password or bearer_token"):
        first.query("x")
    assert prometheus("prom") is not first
