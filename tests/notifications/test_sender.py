from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from planner_provider.errors import UnavailableError
from planner_provider.graph.contacts import ContactRoute
from planner_provider.ledger import Ledger
from planner_provider.notifications import outbox, sender
from planner_provider.notifications.sender import Sender
from tests.notifications.cases import event
from tests.notifications.deliveries import Deliveries
from tests.notifications.deliveries import deliveries as deliveries

CHAT = ContactRoute(connection="chat")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "SHORTEST_PAUSE", timedelta(milliseconds=20))
    monkeypatch.setattr(sender, "LONGEST_PAUSE", timedelta(milliseconds=50))
    monkeypatch.setattr(outbox, "back_off", lambda tries: timedelta(milliseconds=30))


def test_it_goes_on_until_everything_is_sent_and_ends(
    ledger: Ledger, deliveries: Deliveries
) -> None:
    deliveries.errors["chat"] = UnavailableError("down")
    outbox.write(ledger, event(at=datetime.now(UTC)), (CHAT,))
    running = Sender(lambda: ledger)
    running.wake()
    assert not running.wait(0.1)
    deliveries.errors.clear()
    assert running.wait(20)
    assert deliveries.told == [("chat", "rollback_failed")]
    running.wake()
    assert running.wait(20), "woken for nothing, it ends at once"


def test_a_ledger_that_does_not_answer_is_asked_again(
    ledger: Ledger, deliveries: Deliveries
) -> None:
    outbox.write(ledger, event(at=datetime.now(UTC)), (CHAT,))
    asked: list[int] = []

    def opened() -> Ledger:
        asked.append(1)
        if len(asked) < 3:
            raise UnavailableError("gone")
        return ledger

    running = Sender(opened)
    running.wake()
    running.wake()
    assert running.wait(20)
    assert deliveries.told == [("chat", "rollback_failed")]


def test_it_may_begin_later(ledger: Ledger, deliveries: Deliveries) -> None:
    outbox.write(ledger, event(at=datetime.now(UTC)), (CHAT,))
    running = Sender(lambda: ledger)
    running.wake(timedelta(seconds=30))
    assert not running.wait(0.2)
    assert deliveries.told == []
    running.wake()
    assert running.wait(20), "whoever has something to tell does not wait for that"
    assert deliveries.told == [("chat", "rollback_failed")]
