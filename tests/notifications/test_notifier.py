from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from planner_provider.errors import UnavailableError
from planner_provider.notifications.notifier import PlannerNotifier
from tests.hooks.http_server import Server, http_server
from tests.notifications.cases import connect


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    with http_server() as running:
        connect(monkeypatch, "web", "http", host=running.url)
        yield running


def context() -> dict[str, Any]:
    ti = SimpleNamespace(dag_id="nightly", run_id="r1", task_id="load", try_number=2)
    run = SimpleNamespace(dag_id="nightly", run_id="r1", triggering_user_name="rita")
    return {"ti": ti, "dag_run": run, "params": {"what": "orders"}, "dag": None}


def test_a_callback_tells(server: Server) -> None:
    told = PlannerNotifier(message="{{ params.what }} failed", to=["web"], event="failed")
    told(context())
    body = server.asked[0].json
    assert body["summary"] == "orders failed"
    assert (body["event"], body["severity"], body["step"]) == ("failed", "critical", "load")
    assert body["run_url"] == "https://airflow.example.com/dags/nightly/runs/r1"
    assert body["plan_id"] == "nightly r1"


def test_also_where_there_is_an_event_loop(server: Server) -> None:
    asyncio.run(PlannerNotifier(message="x", to=["web"]).async_notify(context()))
    assert server.asked[0].json["event"] == "message"


def test_all_are_tried(server: Server) -> None:
    told = PlannerNotifier(message="x", to=["nowhere", "web"])
    with pytest.raises(UnavailableError, match="airflow connections add nowhere"):
        told.notify(context())
    assert len(server.asked) == 1
