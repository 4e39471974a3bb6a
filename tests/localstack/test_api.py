"""The REST client against a server that answers as told."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from planner_provider.localstack import api as api_module
from planner_provider.localstack.api import (
    AirflowApi,
    ApiRefusedError,
    ApiUnavailableError,
    log_line,
)
from planner_provider.localstack.settings import free_port

RUN = {"dag_id": "d", "dag_run_id": "r", "state": "queued", "run_after": "2026-11-23T10:00:00Z"}


class FakeAirflow(ThreadingHTTPServer):
    """Gives out the answers in ``script``, one for each request beside the login."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.tokens: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: FakeAirflow

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        if self.path == "/auth/token":
            status, value = 201, {"access_token": f"token{len(self.server.tokens)}"}
        else:
            self.server.tokens.append(self.headers.get("Authorization", ""))
            self.server.asked.append((self.command, self.path, body))
            status, value = self.server.script.pop(0)
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = answer  # noqa: N815 - http.server wants these names

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAirflow]:
    monkeypatch.setattr(api_module, "RETRY_PAUSES", (0.0, 0.0, 0.0))
    with FakeAirflow() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def api(airflow: FakeAirflow) -> Iterator[AirflowApi]:
    client = AirflowApi(airflow.url, "admin", "secret", timeout=5)
    yield client
    client.close()


def test_a_5xx_answer_is_tried_again(airflow: FakeAirflow, api: AirflowApi) -> None:
    airflow.script = [(500, {}), (503, {}), (200, RUN)]
    assert api.run("d", "r").state == "queued"
    assert len(airflow.asked) == 3


def test_at_last_it_gives_up(airflow: FakeAirflow, api: AirflowApi) -> None:
    airflow.script = [(503, {"detail": "database is locked"})] * 4
    with pytest.raises(ApiUnavailableError, match="database is locked"):
        api.run("d", "r")
    assert airflow.script == []


def test_a_refused_connection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "RETRY_PAUSES", (0.0,))
    with pytest.raises(ApiUnavailableError, match="no answer"):
        AirflowApi(f"http://127.0.0.1:{free_port()}", "admin", "secret").run("d", "r")


def test_a_4xx_answer_is_final(airflow: FakeAirflow, api: AirflowApi) -> None:
    airflow.script = [(404, {"detail": "no such run"})]
    with pytest.raises(ApiRefusedError, match="no such run") as caught:
        api.run("d", "r")
    assert caught.value.status == 404


def test_an_expired_token_is_replaced(airflow: FakeAirflow, api: AirflowApi) -> None:
    airflow.script = [(401, {}), (200, RUN)]
    api.run("d", "r")
    first, second = airflow.tokens
    assert first.startswith("Bearer token")
    assert first != second


def test_a_run_that_an_earlier_try_started_is_found(airflow: FakeAirflow, api: AirflowApi) -> None:
    airflow.script = [(500, {}), (409, {"detail": "exists"}), (200, RUN)]
    assert api.trigger("d", {"version": "1.2.3"}).run_id == "r"
    (_, _, first), (_, _, second), (method, path, _) = airflow.asked
    assert first == second
    assert first["conf"] == {"version": "1.2.3"}
    assert first["logical_date"] is None
    assert (method, path) == ("GET", f"/api/v2/dags/d/dagRuns/{first['dag_run_id']}")


def test_a_run_id_of_ones_own_that_is_taken_is_an_error(
    airflow: FakeAirflow, api: AirflowApi
) -> None:
    airflow.script = [(409, {"detail": "exists"})]
    with pytest.raises(ApiRefusedError, match="exists"):
        api.trigger("d", run_id="mine")


def test_long_lists_are_read_to_the_end(airflow: FakeAirflow, api: AirflowApi) -> None:
    tasks = [
        {"task_id": f"t{n}", "map_index": -1, "state": None, "try_number": 0} for n in range(130)
    ]
    airflow.script = [
        (200, {"task_instances": tasks[:100]}),
        (200, {"task_instances": tasks[100:]}),
    ]
    assert [task.task_id for task in api.task_instances("d", "r")] == [f"t{n}" for n in range(130)]
    offsets = [parse_qs(urlsplit(path).query)["offset"] for _, path, _ in airflow.asked]
    assert offsets == [["0"], ["100"]]


def test_what_is_not_there_is_nothing(airflow: FakeAirflow, api: AirflowApi) -> None:
    airflow.script = [(404, {}), (404, {})]
    assert api.find_dag("d") is None
    assert api.xcom("d", "r", "t") is None


def test_names_are_quoted(airflow: FakeAirflow, api: AirflowApi) -> None:
    airflow.script = [(200, RUN)]
    api.run("d", "manual__2026-11-23T10:00:00+00:00")
    assert airflow.asked[0][1].endswith("/dagRuns/manual__2026-11-23T10%3A00%3A00%2B00%3A00")


def test_marking_and_clearing_say_what_they_mean(airflow: FakeAirflow, api: AirflowApi) -> None:
    airflow.script = [(200, {}), (200, RUN), (200, {"task_instances": []})]
    api.set_task_state("d", "r", "t", "failed", map_index=2)
    api.set_run_state("d", "r", "failed")
    assert api.clear("d", "r", ["t"], downstream=False) == ()
    assert airflow.asked[0] == (
        "PATCH",
        "/api/v2/dags/d/dagRuns/r/taskInstances/t/2",
        {"new_state": "failed"},
    )
    assert airflow.asked[1][2] == {"state": "failed"}
    assert airflow.asked[2][2] == {
        "dry_run": False,
        "dag_run_id": "r",
        "only_failed": False,
        "include_downstream": False,
        "task_ids": ["t"],
    }


def test_health_names_what_is_not_healthy(airflow: FakeAirflow, api: AirflowApi) -> None:
    well = {"status": "healthy"}
    airflow.script = [
        (200, {"metadatabase": well, "scheduler": well, "triggerer": {"status": None}}),
    ]
    assert api.health().unhealthy() == ("triggerer", "dag-processor")


def test_log_lines() -> None:
    entry = {"timestamp": "T", "level": "info", "event": "done", "plan_id": "p-1"}
    assert log_line(entry) == 'T info done {"plan_id": "p-1"}'
    assert log_line("plain") == "plain"
