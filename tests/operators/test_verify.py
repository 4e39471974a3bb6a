from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner_provider.errors import (
    CheckFailedError,
    MisconfiguredError,
    NotAvailableError,
    PlannerError,
    UnavailableError,
)
from planner_provider.ledger import Ledger
from planner_provider.operators.acting import Acting, Stopped
from planner_provider.operators.clock import Clock
from planner_provider.operators.verify import VerifyOperator
from planner_provider.spec.actions import Verify
from tests.hooks.http_server import Reply, Server, http_server
from tests.operators.airflow_context import PLAN_ID, act, build, context_for
from tests.operators.plan_runs import database
from tests.operators.slo_looks import BAD, GOOD, SLO, UNKNOWN, Looks, looks

__all__ = ["looks"]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with http_server(lambda asked: Reply(200, b'{"version": "1.4.2"}')) as running:
        monkeypatch.setenv("AIRFLOW_CONN_APP", running.url)
        monkeypatch.setenv("AIRFLOW_CONN_GONE", "http://127.0.0.1:9")
        yield running


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table orders (state text)")
        connection.execute("insert into orders values ('open')")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    return path


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    clock = Clock(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr(VerifyOperator, "clock", clock)
    return slept


def verify(**values: Any) -> Any:
    return build("verify", Verify.model_validate(values))


HTTP = {
    "connection": "app",
    "path": "/health/{{ params.name }}",
    "expect": {"json": {"version": "{{ params.version }}"}},
}
SQL = {
    "connection": "shop",
    "statement": "select count(*) from orders where state = :state",
    "parameters": {"state": "{{ params.state }}"},
    "expect": {"value": {"equals": 1}},
}
PARAMS = {"name": "checkout", "version": "1.4.2", "state": "open"}


def test_all_checks_hold(app: Server, shop: Path) -> None:
    assert act(verify(http=[HTTP], sql=[SQL]), context_for(PARAMS)) == {"checks": 2, "rounds": 1}
    assert app.asked[0].path == "/health/checkout"
    assert "plan_id=" in app.asked[0].headers["baggage"]


def test_all_failures_are_reported_together(app: Server, shop: Path) -> None:
    operator = verify(http=[HTTP, {"connection": "gone"}], sql=[SQL])
    with pytest.raises(CheckFailedError) as caught:
        act(operator, context_for({**PARAMS, "version": "2", "state": "paid"}))
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 of 3 checks do not hold (asked once):"
    assert lines[1].startswith("- http 1 (GET /health/checkout on app): failed: ")
    assert lines[1].endswith("expected version = '2', got '1.4.2'")
    assert lines[2].startswith("- http 2 (GET / on gone): not known: ")
    assert lines[3].startswith("- sql 1 (on shop): failed: ")
    assert lines[3].endswith("expected the value to be 1, got 0")


def test_what_is_not_known_never_passes(app: Server) -> None:
    with pytest.raises(UnavailableError, match="not known"):
        act(verify(http=[HTTP, {"connection": "gone"}]), context_for(PARAMS))


@pytest.mark.parametrize("status", [404, 403])
def test_a_clear_no_is_a_failed_check(app: Server, status: int) -> None:
    app.answer = lambda asked: Reply(status)
    with pytest.raises(CheckFailedError):
        act(verify(http=[HTTP]), context_for(PARAMS))


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_not_known(app: Server, status: int) -> None:
    app.answer = lambda asked: Reply(status)
    with pytest.raises(UnavailableError):
        act(verify(http=[HTTP]), context_for(PARAMS))


def test_it_asks_again_until_all_hold(app: Server, slept: list[float]) -> None:
    answers = iter([Reply(503), Reply(200, b"{}"), Reply(200, b'{"version": "1.4.2"}')])
    app.answer = lambda asked: next(answers)
    result = act(verify(http=[HTTP], within="1m", every="10s"), context_for(PARAMS))
    assert result["rounds"] == 3
    assert sum(slept) == pytest.approx(20)


def test_it_gives_up_when_the_time_is_over(app: Server, slept: list[float]) -> None:
    app.answer = lambda asked: Reply(200, b"{}")
    with pytest.raises(CheckFailedError, match=r"asked 4 times"):
        act(verify(http=[HTTP], within="25s", every="10s"), context_for(PARAMS))
    assert sum(slept) == pytest.approx(25)


def test_it_stops_asking_when_told_to(app: Server, slept: list[float]) -> None:
    app.answer = lambda asked: Reply(503)
    operator = verify(http=[HTTP], within="1h")
    operator._acting = Acting(needed=True)
    operator._acting.tell_to_stop("test")
    with pytest.raises(Stopped):
        act(operator, context_for(PARAMS))
    assert len(app.asked) == 1


def test_a_missing_connection_is_not_waited_for(slept: list[float]) -> None:
    with pytest.raises(MisconfiguredError, match="airflow connections add"):
        act(verify(http=[{"connection": "nothing"}], within="1h"))
    assert slept == []


@pytest.mark.parametrize(
    "statement",
    [
        "insert into orders values ('paid')",
        "select 1; delete from orders",
        "with x as (select 1) delete from orders",
        "pragma query_only = off; with x as (select 1) delete from orders",
        "commit; with x as (select 1) delete from orders",
    ],
)
def test_a_check_changes_nothing(shop: Path, statement: str) -> None:
    check = {"connection": "shop", "statement": statement, "expect": {"rows": {"min": 0}}}
    with contextlib.suppress(PlannerError):
        act(verify(sql=[check]))
    with sqlite3.connect(shop) as connection:
        assert connection.execute("select * from orders").fetchall() == [("open",)]


def test_slos_that_were_not_resolved_are_refused_before_anything_is_asked(app: Server) -> None:
    with pytest.raises(NotAvailableError, match="cannot be measured"):
        act(verify(slos=["checkout-availability"], http=[HTTP]), context_for(PARAMS))
    assert app.asked == []


def verify_slos(**more: Any) -> Any:
    action = Verify.model_validate({"slos": [SLO.name], **more})
    return build("verify", action, slos=(SLO,))


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = database(tmp_path)
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    return Ledger(url)


def test_slos_hold(looks: Looks, ledger: Ledger) -> None:
    assert act(verify_slos()) == {"checks": 1, "rounds": 1}
    ((slos, rules),) = looks.asked
    assert slos == (SLO,)
    assert rules.min_remaining is None
    (recorded,) = ledger.decisions_of(PLAN_ID)
    assert recorded.decision.outcome.passes


def test_slos_are_asked_until_they_hold(looks: Looks, ledger: Ledger, slept: list[float]) -> None:
    looks.bad = [UNKNOWN, BAD, GOOD]
    assert act(verify_slos(within="1m"))["rounds"] == 3
    assert len(ledger.decisions_of(PLAN_ID)) == 1


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        (BAD, CheckFailedError, r"slos \(checkout-availability\): failed: .*burn rate"),
        (UNKNOWN, UnavailableError, r"slos \(checkout-availability\): not known: inconclusive"),
    ],
)
def test_slos_do_not_hold(
    looks: Looks, ledger: Ledger, bad: float | None, error: type[Exception], said: str
) -> None:
    looks.bad = [bad]
    with pytest.raises(error, match=said):
        act(verify_slos())
    assert len(ledger.decisions_of(PLAN_ID)) == 1
