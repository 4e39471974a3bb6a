from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner_provider.ledger import Ledger
from planner_provider.ledger.notices import Draft, Notice, NoticeState, back_off
from tests.ledger.cases import NOW, later


def note(ledger: Ledger, event: str = "held", *channels: str, at: float = 0, **more: str) -> bool:
    drafts = [Draft(name, "{}", later(at)) for name in channels or ("chat",)]
    values = {"plan_id": "p", "subject": "s", "body": "{}", **more}
    return ledger.note_event(event=event, drafts=drafts, now=later(at), **values)


def claim(ledger: Ledger, at: float = 0) -> list[Notice]:
    return list(ledger.claim_notices(now=later(at), until=later(at + 60)))


def test_an_event_is_written_down_once(ledger: Ledger) -> None:
    assert note(ledger, "held", "chat", "pager")
    assert not note(ledger, "held", "chat", "mail"), "it is known, whoever tells it"
    assert note(ledger, "held", "chat", subject="another")
    found = [(n.event, n.subject, n.channel) for n in ledger.notices_of("p")]
    assert found == [
        ("held", "s", "chat"), ("held", "s", "pager"), ("held", "another", "chat"),
    ]  # fmt: skip


def test_an_event_that_nobody_hears_of_is_known_too(ledger: Ledger) -> None:
    assert ledger.note_event("p", "held", "s", "{}", (), now=NOW)
    assert ledger.event_known("p", "held", "s")
    assert not ledger.event_known("p", "held", "t")
    assert ledger.notices_of("p") == ()
    assert [n.subject for n in ledger.events_since(["held"], NOW)] == ["s"]
    assert ledger.events_since(["held"], later(1)) == ()
    assert ledger.next_notice_due() is None


def test_who_claims_a_notice_is_alone_with_it(ledger: Ledger) -> None:
    note(ledger)
    (mine,) = claim(ledger)
    assert (mine.state, mine.tries) == (NoticeState.SENDING, 1)
    assert claim(ledger, 59) == []
    (again,) = claim(ledger, 61)
    assert again.tries == 2
    assert not ledger.notice_sent(mine, thread=None, actor="t", now=later(62)), "too late"
    assert ledger.notice_sent(again, thread="t1", actor="t", now=later(62))
    (found,) = ledger.notices_of("p")
    assert (found.state, found.thread, found.sent_at) == (NoticeState.SENT, "t1", later(62))
    assert ledger.notice_thread("p", "chat") == "t1"
    assert ledger.notice_thread("p", "mail") is None


def test_nothing_overtakes_what_is_tried_again(ledger: Ledger) -> None:
    note(ledger, "held")
    note(ledger, "resumed")
    note(ledger, "resumed", "mail", subject="m")
    first, mail = claim(ledger)
    assert (first.event, mail.channel) == ("held", "mail")
    ledger.notice_failed(first, "down", again_at=later(15), actor="t", now=NOW)
    assert claim(ledger, 10) == []
    (again,) = claim(ledger, 15)
    assert (again.id, again.error) == (first.id, "down")
    ledger.notice_failed(again, "gone", again_at=None, actor="t", now=later(16))
    assert [n.event for n in claim(ledger, 17)] == ["resumed"]
    lost = [e for e in ledger.audit_of("p") if e.what == "notice.lost"]
    assert [e.detail["error"] for e in lost] == ["gone"]


def test_what_comes_later_holds_nothing_up(ledger: Ledger) -> None:
    note(ledger, "needs_approval", at=1800)
    assert claim(ledger) == []
    assert ledger.next_notice_due() == later(1800)
    note(ledger, "done")
    assert [n.event for n in claim(ledger)] == ["done"]
    (late,) = claim(ledger, 1800)
    assert ledger.notice_dropped(late, "It was answered.", now=later(1800))
    assert ledger.notices_of("p")[0].state is NoticeState.DROPPED


def test_pauses_grow() -> None:
    assert back_off(1) == timedelta(seconds=15)
    assert back_off(2) == timedelta(seconds=30)
    assert back_off(50) == timedelta(minutes=20)


@pytest.mark.parametrize("senders", [4])
def test_many_senders_send_each_notice_once(ledger: Ledger, senders: int) -> None:
    """Also as they write: all try to write the same events, and send what is there."""
    wanted = [("done", "chat"), ("done", "pager"), ("held", "chat"), ("held", "mail")]
    sent: list[tuple[str, str]] = []
    start = threading.Barrier(senders)

    def work() -> None:
        start.wait()
        for event in ("held", "done"):
            note(ledger, event, *(c for e, c in wanted if e == event))
        while taken := claim(ledger):
            for notice in taken:
                sent.append((notice.event, notice.channel))
                ledger.notice_sent(notice, thread=None, actor="t", now=NOW)

    threads = [threading.Thread(target=work) for _ in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    while taken := claim(ledger):  # what a sender held back for its order
        for notice in taken:
            sent.append((notice.event, notice.channel))
            ledger.notice_sent(notice, thread=None, actor="t", now=NOW)
    assert Counter(sent) == Counter(wanted)
    assert sent.index(("held", "chat")) != sent.index(("done", "chat"))


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("note"), st.sampled_from(["held", "done"]),
            st.lists(st.sampled_from(["a", "b"]), min_size=1, unique=True),
        ),
        st.tuples(st.just("send"), st.sampled_from(["ok", "fails", "dies"]), st.just(None)),
        st.tuples(st.just("wait"), st.integers(1, 90), st.just(None)),
    ),
    max_size=25,
)  # fmt: skip


@given(STEPS)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_happens_each_notice_goes_out_in_order_and_once_if_nobody_dies(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, list[str] | None]]
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('notices') / 'planner.db'}")
    clock, died = 0.0, False
    wanted: dict[str, list[str]] = {"a": [], "b": []}
    sent: list[tuple[str, str]] = []

    def send(how: str) -> None:
        for notice in claim(ledger, clock):
            if how == "fails":
                again = later(clock + 15)
                ledger.notice_failed(notice, "x", again_at=again, actor="t", now=later(clock))
                continue
            sent.append((notice.channel, notice.event))
            if how == "ok":
                ledger.notice_sent(notice, thread=None, actor="t", now=later(clock))

    for what, value, channels in steps:
        if what == "note" and note(ledger, value, *(channels or ()), at=clock):
            for channel in channels or ():
                wanted[channel].append(value)
        elif what == "send":
            died |= value == "dies"
            send(value)
        elif what == "wait":
            clock += float(value)
    for _ in range(20):
        clock += 60
        send("ok")
    assert ledger.next_notice_due() is None
    for channel, events in wanted.items():
        told = [event for name, event in sent if name == channel]
        assert list(dict.fromkeys(told)) == events
        assert died or told == events
