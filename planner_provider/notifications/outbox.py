"""Notices are written into the ledger, then sent: at once if that works, else by whoever is next.

So a task that is tried again, a task that is cleared, and several processes at once tell people
once. A process that dies between sending and writing that down is the one case in which something
is sent twice; the services that keep keys (PagerDuty, Opsgenie, webhooks, mail) see that it is the
same.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from planner_provider.errors import PlannerError, RefusedError
from planner_provider.graph.contacts import Contact, ContactRoute
from planner_provider.ledger.notices import Notice, NoticeState, back_off
from planner_provider.notifications.clock import Now, utc_now
from planner_provider.notifications.delivery import deliver
from planner_provider.notifications.events import Event, event_key
from planner_provider.notifications.letter import Letter
from planner_provider.notifications.relevance import no_need
from planner_provider.notifications.routing import drafts, escalations
from planner_provider.notifications.services.parcel import Parcel

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger

log = logging.getLogger(__name__)

BUDGET = 8.0
"""Seconds that sending may hold up whoever sends."""
LEASE = timedelta(seconds=60)
"""After so long a notice that somebody was sending may be sent by somebody else."""
MAX_TRIES = 9
"""With the pauses between them, about 50 minutes."""
AT_ONCE = 8
"""How many notices are sent at the same time."""
ACTOR = "notifications"


def write(
    ledger: Ledger,
    event: Event,
    routes: Iterable[ContactRoute],
    contacts: Iterable[Contact] = (),
) -> bool:
    """Write down who is to be told. ``False`` if the event is known already.

    ``contacts`` say who is told as well if nobody acts. Raises ``UnavailableError`` if the ledger
    does not answer.
    """
    if ledger.event_known(event.plan_id, event.kind, event.subject):
        return False
    earlier = [
        letter
        for notice in (ledger.notices_of(event.plan_id) if event.alert == "resolve" else ())
        if _went_out(notice, event.at) and (letter := _read(notice)) is not None
    ]
    notices = (*drafts(event, routes, earlier), *escalations(event, contacts))
    body = event.model_dump_json(exclude_defaults=True)
    return ledger.note_event(event.plan_id, event.kind, event.subject, body, notices, now=event.at)


def send_due(ledger: Ledger, *, budget: float = BUDGET, now: Now = utc_now) -> int:
    """Send what is due, of all runs; gives how many went out. Raises nothing of the services.

    It returns after ``budget`` seconds at the latest. What is under way then goes on in the
    background, as long as the process lives; what is not sent in time is tried again.
    """
    end = time.monotonic() + budget
    sent = 0
    while time.monotonic() < end:
        moment = now()
        due = ledger.next_notice_due()
        if due is None or due > moment:
            break  # as nearly always: it costs one short query and no lock
        taken = ledger.claim_notices(now=moment, until=moment + LEASE, limit=AT_ONCE)
        if not taken:
            break
        results: list[bool] = []
        threads = [
            threading.Thread(
                target=_send, args=(ledger, notice, now, results), daemon=True, name="notice"
            )
            for notice in taken
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        sent += sum(results)
    return sent


def send_left(ledger: Ledger, *, budget: float = BUDGET, now: Now = utc_now) -> None:
    """Send what is due. Never raises: how a run goes on does not depend on who hears of it."""
    try:
        send_due(ledger, budget=budget, now=now)
    except PlannerError as error:
        log.error("Notices wait, because the ledger does not answer: %s", error)


def tell(
    ledger: Ledger,
    event: Event,
    routes: Iterable[ContactRoute],
    contacts: Iterable[Contact] = (),
    *,
    budget: float = BUDGET,
    now: Now = utc_now,
) -> None:
    """Write down who is to be told, and send. Never raises; what fails stands in the log."""
    try:
        write(ledger, event, routes, contacts)
        send_due(ledger, budget=budget, now=now)
    except PlannerError as error:
        log.error("People could not be told of %s: %s", event.title, error)


def _send(ledger: Ledger, notice: Notice, now: Now, results: list[bool]) -> None:
    try:
        results.append(_send_one(ledger, notice, now))
    except PlannerError as error:
        log.error("What became of notice %d is not written down: %s", notice.id, error)
    except Exception:
        log.exception("Notice %d could not be sent; it is tried again.", notice.id)


def _send_one(ledger: Ledger, notice: Notice, now: Now) -> bool:
    letter = _read(notice)
    if letter is None:
        ledger.notice_failed(notice, "it cannot be read", again_at=None, actor=ACTOR, now=now())
        return False
    done_with = no_need(ledger, letter)
    if done_with:
        ledger.notice_dropped(notice, done_with, now=now())
        return False
    parcel = Parcel(
        event=letter.event,
        connection=letter.connection,
        channel=letter.channel,
        tracker=letter.tracker,
        silence=letter.silence,
        state=letter.state,
        words=letter.words,
        key=event_key(letter.event, notice.channel),
        thread=ledger.notice_thread(notice.plan_id, notice.channel),
    )
    try:
        thread = deliver(parcel, closes=letter.closes)
    except PlannerError as error:
        final = isinstance(error, RefusedError) or notice.tries >= MAX_TRIES
        again = None if final else now() + back_off(notice.tries)
        log.error(
            "%s could not be %s (%s), %s: %s", notice.channel, _doing(letter), letter.event.title,
            "and is not" if final else f"and is {_doing(letter)} again later", error,
        )  # fmt: skip
        ledger.notice_failed(notice, str(error), again_at=again, actor=ACTOR, now=now())
        return False
    log.info("%s was %s: %s.", notice.channel, _doing(letter), letter.event.title)
    return ledger.notice_sent(notice, thread=thread, actor=ACTOR, now=now(), state=letter.state)


def _doing(letter: Letter) -> str:
    return "told" if letter.state is None else f"set to '{letter.state}'"


def _read(notice: Notice) -> Letter | None:
    try:
        return Letter.model_validate_json(notice.body)
    except ValidationError as error:  # of a release that writes it in another way
        log.error("Notice %d cannot be read: %s", notice.id, error)
        return None


def _went_out(notice: Notice, at: datetime) -> bool:
    """Whether it was sent, or will be although a later one closes what it opens."""
    if notice.state is NoticeState.DUE:
        return notice.tries > 0 or notice.due_at <= at
    return notice.state in (NoticeState.SENT, NoticeState.SENDING)
