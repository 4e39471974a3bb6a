"""Airflow's REST API as it is called: who one is, what is tried again, what errors say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from planner_provider.errors import (
    MisconfiguredError,
    PlannerError,
    RefusedError,
    UnavailableError,
)
from planner_provider.hooks.airflow_api import (
    TRY_AGAIN_AFTER,
    AirflowApi,
    ApiRefusedError,
    NewRun,
)
from tests.hooks.http_server import Asked, Reply, Server, http_server

T0 = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def reply(status: int, body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def run_of(hour: int, state: str = "success", **more: Any) -> dict[str, Any]:
    date = (T0 + hour * HOUR).isoformat()
    return {"dag_run_id": f"r{hour}", "logical_date": date, "state": state} | more


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with http_server() as running:
        monkeypatch.setenv(
            "AIRFLOW_CONN_AIRFLOW_API", f"http://ann:hunter22@127.0.0.1:{running.port}"
        )
        yield running


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def api(pauses: list[float]) -> Iterator[AirflowApi]:
    client = AirflowApi("airflow_api", pause=pauses.append)
    yield client
    client.close()


class World:
    """Gives a token, takes only the newest one, and answers what a test says."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.tokens = 0
        self.expired = False
        self.calls: list[Asked] = []

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/auth/token":
            assert asked.json == {"username": "ann", "password": "hunter22"}
            assert "authorization" not in asked.headers
            self.tokens += 1
            self.expired = False
            return reply(201, {"access_token": f"t{self.tokens}"})
        if asked.headers.get("authorization") != f"Bearer t{self.tokens}" or self.expired:
            return reply(401, {"detail": "Invalid JWT token"})
        self.calls.append(asked)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


DAG = {
    "dag_id": "orders", "is_paused": False, "max_active_runs": 16, "timetable_periodic": True,
    "next_dagrun_data_interval_start": "2026-11-23T11:00:00Z",
    "next_dagrun_data_interval_end": "2026-11-23T12:00:00Z",
}  # fmt: skip


def test_user_and_password_become_a_token(server: Server, api: AirflowApi) -> None:
    world = server.answer = World(reply(200, DAG))
    dag = api.dag("orders")
    assert (dag.is_paused, dag.max_active_runs, dag.periodic) == (False, 16, True)
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert dag.next_interval == (noon - HOUR, noon)
    api.dag("orders")
    assert world.tokens == 1, "one token does for many calls"


def test_a_token_that_has_run_out_is_fetched_anew(server: Server, api: AirflowApi) -> None:
    world = server.answer = World(reply(200, DAG))
    api.dag("orders")
    world.expired = True
    api.dag("orders")
    assert world.tokens == 2


def test_a_password_without_a_user_is_the_token(
    server: Server, api: AirflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", f"http://:secret-1@127.0.0.1:{server.port}")
    server.answer = lambda asked: reply(200, DAG)
    api.dag("orders")
    assert server.asked[0].headers["authorization"] == "Bearer secret-1"


def test_a_token_that_is_not_taken_is_not_tried_again(
    server: Server, api: AirflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", f"http://:secret-1@127.0.0.1:{server.port}")
    server.answer = lambda asked: reply(401, {"detail": "Invalid JWT token"})
    with pytest.raises(MisconfiguredError, match="connection 'airflow_api'"):
        api.dag("orders")
    assert len(server.asked) == 1


def test_a_wrong_password(server: Server, api: AirflowApi) -> None:
    server.answer = lambda asked: reply(401, {"detail": "Invalid credentials"})
    with pytest.raises(MisconfiguredError, match="Look at user and password") as caught:
        api.dag("orders")
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "http://ann@127.0.0.1:1"])
def test_a_connection_without_a_password(
    api: AirflowApi, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", uri)
    with pytest.raises(MisconfiguredError, match="has no password"):
        api.dag("orders")


def test_no_connection(api: AirflowApi) -> None:
    with pytest.raises(MisconfiguredError, match="airflow connections add airflow_api"):
        api.dag("orders")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(
    server: Server, api: AirflowApi, pauses: list[float], status: int
) -> None:
    server.answer = World(reply(status, {"detail": "busy"}), reply(200, DAG))
    api.dag("orders")
    assert pauses == [TRY_AGAIN_AFTER[0]]


def test_what_does_not_pass(server: Server, api: AirflowApi, pauses: list[float]) -> None:
    server.answer = World(reply(503, {"detail": "Database is locked"}))
    with pytest.raises(UnavailableError, match="503 Service Unavailable: Database is locked"):
        api.dag("orders")
    assert tuple(pauses) == TRY_AGAIN_AFTER


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (404, RefusedError, "There is no DAG 'orders' at connection 'airflow_api'"),
        (403, MisconfiguredError, "needs the right to read the DAG"),
        (422, ApiRefusedError, "422 Unprocessable"),
    ],
)
def test_what_trying_again_cannot_help(
    server: Server, api: AirflowApi, pauses: list[float], status: int,
    error: type[PlannerError], said: str,
) -> None:  # fmt: skip
    server.answer = World(reply(status, {"detail": "no"}))
    with pytest.raises(error, match=said):
        api.dag("orders")
    assert pauses == []


def test_something_that_is_no_airflow(server: Server, api: AirflowApi) -> None:
    server.answer = lambda asked: Reply(200, b"<html>")
    with pytest.raises(MisconfiguredError, match="is this the address of an Airflow"):
        api.dag("orders")


def test_logical_dates_are_half_open_and_rising(server: Server, api: AirflowApi) -> None:
    dates = [(T0 + hour * HOUR).isoformat() for hour in (2, 1, 0, -1)]
    world = server.answer = World(reply(200, {"backfills": [{"logical_date": d} for d in dates]}))
    found = api.logical_dates("orders", T0, T0 + 2 * HOUR)
    assert found == (T0, T0 + HOUR)
    assert world.calls[0].path == "/api/v2/backfills/dry_run"
    assert world.calls[0].json["reprocess_behavior"] == "completed"


def test_runs_over_many_pages(server: Server, api: AirflowApi) -> None:
    first = reply(200, {"dag_runs": [run_of(hour) for hour in range(100)]})
    second = reply(200, {"dag_runs": [run_of(100, "running")]})
    world = server.answer = World(first, second, reply(500, {}))
    found = api.runs("orders", T0, T0 + 200 * HOUR, states=("queued", "running"))
    assert len(found) == 101
    assert (found[-1].state, found[-1].has_ended) == ("running", False)
    asked = [parse_qs(urlsplit(call.path).query) for call in world.calls]
    assert [query["offset"] for query in asked] == [["0"], ["100"]]
    assert asked[0]["state"] == ["queued", "running"]
    assert asked[0]["logical_date_gte"] == ["2026-11-01T00:00:00+00:00"]


def test_intervals_of_the_schedules_own_runs(server: Server, api: AirflowApi) -> None:
    date, end = "2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z"
    good = run_of(0, data_interval_start=date, data_interval_end=end)
    by_hand = run_of(5, data_interval_start=date, data_interval_end=end)
    none = run_of(6, data_interval_start=None, data_interval_end=None)
    server.answer = World(reply(200, {"dag_runs": [good, by_hand, none]}))
    assert api.scheduled_runs("orders") == {T0: T0 + HOUR}


NEW = NewRun("planner__1", T0, T0 + HOUR, {"reason": "outage"}, "a note")


def test_making_a_run(server: Server, api: AirflowApi) -> None:
    world = server.answer = World(reply(200, run_of(0, "queued")))
    assert api.make_run("orders", NEW)
    assert world.calls[0].json == {
        "dag_run_id": "planner__1",
        "logical_date": "2026-11-01T00:00:00+00:00",
        "data_interval_start": "2026-11-01T00:00:00+00:00",
        "data_interval_end": "2026-11-01T01:00:00+00:00",
        "conf": {"reason": "outage"},
        "note": "a note",
    }


def test_a_run_that_is_there_is_not_made(server: Server, api: AirflowApi) -> None:
    server.answer = World(reply(409, {"detail": {"reason": "Unique constraint violation"}}))
    assert not api.make_run("orders", NEW)


def test_a_run_that_cannot_be_made(server: Server, api: AirflowApi) -> None:
    server.answer = World(reply(400, {"detail": "conf does not fit the params"}))
    with pytest.raises(ApiRefusedError, match="conf does not fit the params"):
        api.make_run("orders", NEW)


def test_a_run_that_is_not_there(server: Server, api: AirflowApi) -> None:
    server.answer = World(reply(404, {"detail": "not found"}))
    assert api.run("orders", "planner__2026-11-01T00:00:00Z") is None
    api.fail_run("orders", "planner__2026-11-01T00:00:00Z")


def test_clearing_pausing_and_counting(server: Server, api: AirflowApi) -> None:
    world = server.answer = World(reply(200, {"dag_runs": [], "total_entries": 7}))
    api.clear_run("orders", "scheduled__2026-11-01T00:00:00+00:00", "why")
    api.set_paused("orders", False)
    assert api.count_active("orders") == 7
    clear, pause, count = world.calls
    assert clear.path.endswith("/dagRuns/scheduled__2026-11-01T00%3A00%3A00%2B00%3A00/clear")
    assert clear.json == {"dry_run": False, "only_failed": False, "note": "why"}
    assert (pause.method, pause.json) == ("PATCH", {"is_paused": False})
    assert "limit=1" in count.path
