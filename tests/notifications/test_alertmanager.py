"""Silences, against a real Alertmanager, and against one that answers as a test says."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.ledger import Ledger
from planner_provider.ledger.notices import NoticeState
from planner_provider.ledger.rows import Outcome
from planner_provider.notifications.delivery import deliver
from planner_provider.notifications.outbox import send_left
from planner_provider.notifications.plans import Audience, note_end, note_start
from planner_provider.notifications.services.parcel import Parcel
from planner_provider.spec.attached import Silence
from tests.hooks.http_server import Reply, http_server
from tests.ledger.cases import Run
from tests.notifications.alertmanager_server import alertmanager
from tests.notifications.cases import connect, event, parcel

SILENCE = Silence.model_validate(
    {
        "connection": "alerts",
        "matchers": [
            {"label": "service", "value": "{{ params.service }}"},
            {"label": "alertname", "value": "Shop.+", "regex": True},
            {"label": "severity", "value": "page", "equal": False},
        ],
        "for": "3h",
    }
)
AUDIENCE = Audience(owner="team-shop", silence=SILENCE)
OTHER = {
    "matchers": [{"name": "a", "value": "b", "isRegex": False, "isEqual": True}],
    "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2999-01-01T00:00:00Z",
    "createdBy": "ann", "comment": "mine",
}  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager")) as url:
        yield url


@pytest.fixture
def url(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    connect(monkeypatch, "alerts", "http", host=address)
    return address


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{url}/api/v2/silences", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def in_force(url: str, run: Run) -> list[Any]:
    mark = f"[{run.key.plan_id}]"
    return [
        silence
        for silence in ask(url)
        if silence["status"]["state"] != "expired" and silence["comment"].startswith(mark)
    ]


def begun(ledger: Ledger, run_id: str) -> Run:
    run = Run(ledger, run_id=run_id)
    ledger.pin_run(
        run.key, expires_at=None, parameters={"service": "shop"}, actor="t", now=datetime.now(UTC)
    )
    note_start(ledger, run.key.plan_id, now=datetime.now(UTC), audience=AUDIENCE)
    send_left(ledger)
    return run


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.ROLLED_BACK, Outcome.ABORTED])
def test_alerts_are_silenced_while_a_run_acts_and_no_longer(
    ledger: Ledger, url: str, outcome: Outcome
) -> None:
    others = ask(url, OTHER)["silenceID"]
    run = begun(ledger, f"run-{outcome}")
    (made,) = in_force(url, run)
    assert made["status"]["state"] == "active"
    assert made["createdBy"] == "planner"
    shape = ("name", "value", "isRegex", "isEqual")
    found = {tuple(item[key] for key in shape) for item in made["matchers"]}
    assert found == {
        ("service", "shop", False, True), ("alertname", "Shop.+", True, True),
        ("severity", "page", False, False),
    }  # fmt: skip
    lasts = datetime.fromisoformat(made["endsAt"]) - datetime.fromisoformat(made["startsAt"])
    assert timedelta(hours=2, minutes=59) < lasts <= timedelta(hours=3)

    ledger.finish_run(run.key, outcome, "", actor="t", now=datetime.now(UTC))
    note_end(ledger, run.key.plan_id, now=datetime.now(UTC), audience=AUDIENCE)
    send_left(ledger)
    assert in_force(url, run) == []
    (kept,) = [silence for silence in ask(url) if silence["id"] == others]
    assert kept["status"]["state"] == "active", "that of somebody else stays"


def test_one_run_does_not_end_the_silence_of_another(ledger: Ledger, url: str) -> None:
    first, second = begun(ledger, "run-a"), begun(ledger, "run-b")
    ledger.finish_run(first.key, Outcome.SUCCEEDED, "", actor="t", now=datetime.now(UTC))
    note_end(ledger, first.key.plan_id, now=datetime.now(UTC), audience=AUDIENCE)
    send_left(ledger)
    assert in_force(url, first) == []
    assert len(in_force(url, second)) == 1


def test_a_silence_that_nobody_wrote_down_is_found_again(ledger: Ledger, url: str) -> None:
    """Whoever made it was killed before it could be written down: it is not made twice."""
    run = begun(ledger, "run-c")
    told = event("started", plan_id=run.key.plan_id, at=datetime.now(UTC))
    filled = SILENCE.model_copy(update={"matchers": SILENCE.matchers[1:2]})
    deliver(parcel("alerts", told, tracker="alertmanager", silence=filled))
    assert len(in_force(url, run)) == 1


def test_what_comes_too_late_silences_nothing(ledger: Ledger, url: str) -> None:
    run = Run(ledger, run_id="run-d").pin()
    note_start(ledger, run.key.plan_id, now=datetime.now(UTC), audience=AUDIENCE)
    ledger.finish_run(run.key, Outcome.FAILED, "", actor="t", now=datetime.now(UTC))
    send_left(ledger)
    assert in_force(url, run) == []
    assert ledger.notices_of(run.key.plan_id)[0].state is NoticeState.DROPPED
    old = event("started", plan_id="old", at=datetime.now(UTC) - timedelta(hours=4))
    assert deliver(silencing(old)) is None
    assert not [s for s in ask(url) if s["comment"].startswith("[old]")]


def test_a_run_that_is_taken_up_again_is_silenced_again(ledger: Ledger, url: str) -> None:
    run = begun(ledger, "run-e")
    for _ in range(2):
        ledger.finish_run(run.key, Outcome.FAILED, "", actor="t", now=datetime.now(UTC))
        note_end(ledger, run.key.plan_id, now=datetime.now(UTC), audience=AUDIENCE)
        send_left(ledger)
        assert in_force(url, run) == []
        run = begun(ledger, "run-e")
        assert len(in_force(url, run)) == 1


def silencing(told: Any = None) -> Parcel:
    matchers = SILENCE.matchers[1:2]
    filled = SILENCE.model_copy(update={"matchers": matchers})
    started = told or event("started", at=datetime.now(UTC))
    return parcel("alerts", started, tracker="alertmanager", silence=filled)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "no", MisconfiguredError),
        (400, "bad matcher", RefusedError),
        (503, "later", UnavailableError),
        (200, "<html>", UnavailableError),
        (200, "{}", UnavailableError),
        (200, '[{"id": "x"}]', UnavailableError),
    ],
)
def test_an_answer_that_is_none(
    monkeypatch: pytest.MonkeyPatch, status: int, body: str, kind: Any
) -> None:
    with http_server(lambda _: Reply(status, body.encode())) as server:
        connect(monkeypatch, "alerts", "http", host=server.url)
        if body == "{}":
            assert deliver(silencing(event("done"))) is None
            return
        with pytest.raises(kind):
            deliver(silencing())
