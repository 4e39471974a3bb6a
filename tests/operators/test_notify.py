from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from planner_provider.errors import MisconfiguredError, UnavailableError
from planner_provider.graph.contacts import Contact, ContactRoute, OwnWords
from planner_provider.ledger import Ledger
from planner_provider.ledger.notices import Draft
from planner_provider.spec.actions import Notify
from tests.hooks.http_server import Reply, Server, http_server
from tests.ledger.cases import NOW
from tests.operators.airflow_context import PLAN_ID, Store, act, build, context_for


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with http_server() as running:
        given = f'{{"conn_type": "http", "host": "{running.url}/services/T0KEN/hook"}}'
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", given)
        yield running


def notify(to: tuple[str, ...], contacts: tuple[Contact, ...] = (), **values: Any) -> Any:
    action = Notify.model_validate({"message": "Hello", "to": to, **values})
    return build("notify", action, contacts=contacts)


def logged(entries: list[Any]) -> str:
    return "\n".join(entry["event"] % entry.get("positional_args", ()) for entry in entries)


def test_a_webhook_gets_text_and_where_it_comes_from(
    chat: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/")
    result = act(
        notify(("connection:chat",), severity="critical", message="Rolling out {{ params.v }}"),
        context_for({"v": "1.4.2"}),
    )
    (asked,) = chat.asked
    assert (asked.method, asked.path) == ("POST", "/services/T0KEN/hook")
    assert asked.json == {
        "text": "Rolling out 1.4.2",
        "plan_id": PLAN_ID,
        "plan": "checkout-release",
        "step": "shift",
        "severity": "critical",
        "run_url": "https://airflow.example.com/dags/checkout-release/runs/"
        "manual__2026-11-23T10%3A00%3A00%2B00%3A00",
    }
    assert result == {"sent": ["chat"]}


def test_a_team_is_told_by_its_connections_each_once(chat: Server) -> None:
    contacts = (Contact(team="team-payments", connections=("chat",)),)
    act(notify(("team:team-payments", "connection:chat", "log"), contacts))
    assert len(chat.asked) == 1


def test_a_team_without_connections_is_said_in_the_log() -> None:
    contacts = (Contact(team="team-payments", connections=()),)
    with capture_logs() as entries:
        assert act(notify(("team:team-payments",), contacts)) == {"sent": []}
    assert "INFO: Hello" in logged(entries)
    assert "Team team-payments names no connection" in logged(entries)


def test_all_are_tried_and_a_retry_leaves_out_those_that_were_told(
    chat: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PAGER", f"http://127.0.0.1:{chat.port}")
    chat.answer = lambda asked: Reply(200 if "hook" in asked.path else 404, b"no such channel")
    store = Store()
    targets = ("connection:pager", "connection:chat")
    with pytest.raises(UnavailableError) as caught:
        act(notify(targets), context_for(store=store))
    assert "Not everybody was told" in str(caught.value)
    assert "(connection pager) answered 404 Not Found. It said: 'no such channel'" in str(
        caught.value
    )
    assert len(chat.asked) == 2

    chat.answer = lambda asked: Reply(200)
    assert act(notify(targets), context_for(store=store))["sent"] == ["chat", "pager"]
    assert [asked.path for asked in chat.asked[2:]] == ["/"]


def test_the_address_of_a_webhook_is_a_secret(chat: Server) -> None:
    chat.answer = lambda asked: Reply(500, f"cannot serve {asked.path}".encode())
    with pytest.raises(UnavailableError) as caught:
        act(notify(("connection:chat",)))
    assert "T0KEN" not in str(caught.value)
    assert "cannot serve ***" in str(caught.value)


def test_a_missing_connection_is_misconfigured() -> None:
    with pytest.raises(MisconfiguredError, match="airflow connections add chat"):
        act(notify(("connection:chat",)))


def test_a_route_of_a_team_takes_what_it_wants(
    chat: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PAGER", f"http://127.0.0.1:{chat.port}")
    routes = (
        ContactRoute(connection="chat"),
        ContactRoute(connection="pager", min_severity="critical"),
    )
    contacts = (Contact(team="team-payments", connections=("chat", "pager"), routes=routes),)
    assert act(notify(("team:team-payments",), contacts)) == {"sent": ["chat"]}
    told = act(notify(("team:team-payments",), contacts, severity="critical"))
    assert told == {"sent": ["chat", "pager"]}


def test_slack_gets_it_in_the_thread_of_the_run(
    chat: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'planner.db'}"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    bot = {"conn_type": "slack", "password": "x", "extra": {"base_url": f"{chat.url}/api/"}}
    monkeypatch.setenv("AIRFLOW_CONN_BOT", json.dumps(bot))
    answer = b'{"ok": true, "channel": "C1", "ts": "1.1"}'
    chat.answer = lambda asked: Reply(200, answer, {"Content-Type": "application/json"})
    ledger = Ledger(url)
    way = ContactRoute(connection="bot", channel="#deploys")
    ledger.note_event(PLAN_ID, "held", "s", "{}", [Draft(way.name, "{}", NOW)], now=NOW)
    (notice,) = ledger.claim_notices(now=NOW, until=NOW)
    ledger.notice_sent(notice, thread="C1 0.5", actor="t", now=NOW)
    contacts = (Contact(team="team-payments", connections=("bot",), routes=(way,)),)
    assert act(notify(("team:team-payments",), contacts)) == {"sent": ["bot/#deploys"]}
    assert chat.asked[0].json["thread_ts"] == "0.5"
    assert "Hello" in chat.asked[0].json["text"]


def test_a_team_hears_it_in_its_own_words(chat: Server) -> None:
    words = (OwnWords(event="message", title="unused", text="{{ severity }}: {{ summary }} @here"),)
    routes = (ContactRoute(connection="chat", words=words),)
    contacts = (Contact(team="team-payments", connections=("chat",), routes=routes),)
    act(notify(("team:team-payments",), contacts))
    act(notify(("connection:chat",), contacts))
    own, plain = (asked.json["text"] for asked in chat.asked)
    assert own.startswith("info: Hello @")
    assert "@here" not in own
    assert plain == "Hello", "who is named by the step alone is told what the step says"
