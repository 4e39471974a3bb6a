from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from planner_provider.errors import RefusedError, UnavailableError
from planner_provider.graph.contacts import Contact, ContactEscalation, ContactRoute
from planner_provider.ledger import Ledger
from planner_provider.ledger.notices import Draft, NoticeState
from planner_provider.ledger.rows import ApprovalRequest, ApprovalState, Outcome
from planner_provider.notifications.outbox import MAX_TRIES, send_due, send_left, tell, write
from tests.hooks.http_server import Server, http_server
from tests.ledger.cases import Run
from tests.notifications.cases import NOW, connect, event
from tests.notifications.deliveries import Deliveries
from tests.notifications.deliveries import deliveries as deliveries

CHAT, PAGER = ContactRoute(connection="chat"), ContactRoute(connection="pager")


def at(seconds: float) -> Any:
    return lambda: NOW + timedelta(seconds=seconds)


def states(ledger: Ledger) -> list[str]:
    return [notice.state.value for notice in ledger.notices_of(event().plan_id)]


def test_people_are_told_once_however_often_it_happens(
    ledger: Ledger, deliveries: Deliveries
) -> None:
    for _ in range(3):
        tell(ledger, event(), (CHAT, PAGER), now=at(0))
    assert sorted(deliveries.told) == [("chat", "rollback_failed"), ("pager", "rollback_failed")]
    assert states(ledger) == ["sent", "sent"]


def test_a_run_has_one_thread_in_each_channel(ledger: Ledger, deliveries: Deliveries) -> None:
    tell(ledger, event("held"), (CHAT,), now=at(0))
    tell(ledger, event("resumed"), (CHAT,), now=at(1))
    first, second = deliveries.parcels
    assert first.thread is None
    assert second.thread == f"thread of {first.key}"


def test_what_fails_is_tried_again_later_by_whoever_comes(
    ledger: Ledger, deliveries: Deliveries
) -> None:
    deliveries.errors["chat"] = UnavailableError("down")
    tell(ledger, event(), (CHAT, PAGER), now=at(0))
    assert deliveries.told == [("pager", "rollback_failed")]
    deliveries.errors.clear()
    assert send_due(ledger, now=at(14)) == 0
    assert send_due(ledger, now=at(15)) == 1
    assert states(ledger) == ["sent", "sent"]


def test_it_is_given_up_at_last(ledger: Ledger, deliveries: Deliveries) -> None:
    deliveries.errors["chat"] = UnavailableError("down")
    write(ledger, event(), (CHAT,))
    for hour in range(MAX_TRIES):
        assert states(ledger) == ["due"]
        send_left(ledger, now=at(hour * 3600))
    assert states(ledger) == ["lost"]


def test_what_a_service_refuses_is_not_tried_again(ledger: Ledger, deliveries: Deliveries) -> None:
    deliveries.errors["chat"] = RefusedError("invalid")
    tell(ledger, event(), (CHAT,), now=at(0))
    (notice,) = ledger.notices_of(event().plan_id)
    assert (notice.state, notice.error) == (NoticeState.LOST, "invalid")


def test_a_notice_of_another_release_that_cannot_be_read_is_lost(
    ledger: Ledger, deliveries: Deliveries
) -> None:
    plan_id = event().plan_id
    ledger.note_event(plan_id, "held", "s", "{}", [Draft("chat", "{}", NOW)], now=NOW)
    tell(ledger, event("done"), (PAGER,), now=at(0))
    assert deliveries.told == [("pager", "done")]
    assert states(ledger) == ["lost", "sent"]


def test_a_service_that_hangs_holds_nobody_up(ledger: Ledger, deliveries: Deliveries) -> None:
    deliveries.hangs = threading.Event()
    began = time.monotonic()
    tell(ledger, event(), (CHAT,), budget=0.3, now=at(0))
    assert time.monotonic() - began < 5, "nobody waits for the service"
    assert states(ledger) == ["sending"]
    deliveries.hangs.set()
    for _ in range(100):
        if states(ledger) == ["sent"]:
            break
        time.sleep(0.05)
    assert states(ledger) == ["sent"], "it goes on in the background"


def test_a_ledger_that_does_not_answer_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def __getattr__(self, name: str) -> Any:
            raise UnavailableError("gone")

    tell(Gone(), event(), (CHAT,))  # type: ignore[arg-type]
    send_left(Gone())  # type: ignore[arg-type]


def test_an_alert_that_was_opened_is_closed_though_the_route_wants_none_of_it(
    ledger: Ledger, deliveries: Deliveries
) -> None:
    critical = ContactRoute(connection="pager", min_severity="critical")
    tell(ledger, event(), (critical,), now=at(0))
    tell(ledger, event("done", at=NOW + timedelta(seconds=9)), (critical,), now=at(9))
    assert deliveries.told == [("pager", "rollback_failed"), ("pager", "done")]


def test_nothing_is_closed_that_was_not_opened(ledger: Ledger, deliveries: Deliveries) -> None:
    critical = ContactRoute(connection="pager", min_severity="critical")
    tell(ledger, event("done"), (critical,), now=at(0))
    assert deliveries.told == []


class TestEscalation:
    AFTER = 1800

    def contact(self) -> Contact:
        leads = ContactEscalation(
            after=timedelta(seconds=self.AFTER),
            team="leads",
            routes=(ContactRoute(connection="leads"),),
        )
        return Contact(team="team-checkout", connections=("chat",), escalations=(leads,))

    def told(self, ledger: Ledger, run: Run, kind: str, **values: Any) -> None:
        told = event(kind, plan_id=run.key.plan_id, **values)
        tell(ledger, told, self.contact().ways, (self.contact(),), now=at(0))
        assert ledger.next_notice_due() == NOW + timedelta(seconds=self.AFTER)

    def test_an_approval_that_nobody_gives(self, run: Run, deliveries: Deliveries) -> None:
        self.ask(run)
        self.told(run.ledger, run, "needs_approval", task="approve")
        send_left(run.ledger, now=at(self.AFTER))
        assert deliveries.told == [("chat", "needs_approval"), ("leads", "approval_escalated")]

    def test_an_approval_that_somebody_answered(self, run: Run, deliveries: Deliveries) -> None:
        self.ask(run)
        self.told(run.ledger, run, "needs_approval", task="approve")
        run.ledger.close_approval(
            run.key.plan_id, "approve", ApprovalState.REJECTED, None, actor="t", now=NOW
        )
        send_left(run.ledger, now=at(self.AFTER))
        assert deliveries.told == [("chat", "needs_approval")]
        assert run.ledger.notices_of(run.key.plan_id)[-1].state is NoticeState.DROPPED

    @pytest.mark.parametrize("mended", [False, True])
    def test_a_rollback_that_failed(self, run: Run, deliveries: Deliveries, mended: bool) -> None:
        run.ledger.finish_run(run.key, Outcome.ROLLBACK_FAILED, "x", actor="t", now=NOW)
        self.told(run.ledger, run, "rollback_failed")
        if mended:
            run.pin()
        send_left(run.ledger, now=at(self.AFTER))
        escalated = [("leads", "rollback_failed")]
        assert deliveries.told[1:] == ([] if mended else escalated)

    @pytest.mark.parametrize("resumed", [False, True])
    def test_a_hold(self, run: Run, deliveries: Deliveries, resumed: bool) -> None:
        run.ledger.hold_run(run.key.plan_id, actor="a", reason="r", now=NOW)
        self.told(run.ledger, run, "held")
        if resumed:
            run.ledger.resume_run(run.key.plan_id, actor="a", reason=None, now=NOW)
        send_left(run.ledger, now=at(self.AFTER))
        assert deliveries.told[1:] == ([] if resumed else [("leads", "held")])

    def ask(self, run: Run) -> None:
        request = ApprovalRequest(
            plan_id=run.key.plan_id, task="approve", digest=run.key.digest, parameters_sha="",
            requester=None, asked_at=NOW, expires_at=None, rule="{}",
        )  # fmt: skip
        run.ledger.open_approval(request, "t", NOW)


class TestManyProcesses:
    """The same, over real HTTP, on both databases."""

    @pytest.fixture
    def server(self) -> Iterator[Server]:
        with http_server() as running:
            yield running

    def test_all_tell_and_each_channel_hears_once(
        self, ledger_url: str, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = ("one", "two", "three")
        for name in names:
            connect(monkeypatch, name, "http", host=f"{server.url}/{name}")
        routes = [ContactRoute(connection=name) for name in names]
        ledger = Ledger(ledger_url)
        moment: datetime = NOW

        def work() -> None:
            for kind in ("needs_approval", "approved", "done"):
                tell(Ledger(ledger_url), event(kind), routes, now=lambda: moment)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        send_left(ledger, now=lambda: moment)
        heard = Counter((asked.path, asked.json["event"]) for asked in server.asked)
        assert set(heard.values()) == {1}
        assert len(heard) == 9
        keys = {asked.headers["idempotency-key"] for asked in server.asked}
        assert len(keys) == 9
        for name in names:
            order = [asked.json["event"] for asked in server.asked if asked.path == f"/{name}"]
            assert order == ["needs_approval", "approved", "done"]
