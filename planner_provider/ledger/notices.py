"""What people are told: written down once for each channel, then sent by whoever comes next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, or_, select, update

from planner_provider.ledger.engine import insert_if_absent
from planner_provider.ledger.schema import NOTICES, PLAN_RUNS

NOTED = ""
"""The channel of the row that says that an event was written down, also if nobody is told."""


class NoticeState(StrEnum):
    """Where a notice stands."""

    NOTED = "noted"
    """It only says that the event is known; see ``NOTED``."""
    DUE = "due"
    """To be sent at ``due_at``, or after."""
    SENDING = "sending"
    """Somebody sends it now; if that is not done by ``due_at``, somebody else does."""
    SENT = "sent"
    LOST = "lost"
    """It could not be sent, and is not tried again."""
    DROPPED = "dropped"
    """There was no need any more when its time came."""


WAITING = (NoticeState.DUE.value, NoticeState.SENDING.value)


@dataclass(frozen=True, slots=True)
class Draft:
    """A notice that is to be written down."""

    channel: str
    """Where it goes; no more than one notice of an event goes there."""
    body: str
    due_at: datetime
    subject: str | None = None
    """A subject of its own, for one that comes later."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice as it is on record."""

    id: int
    plan_id: str
    event: str
    subject: str
    channel: str
    state: NoticeState
    body: str
    thread: str | None
    """What the service calls the conversation that it began or went into."""
    tries: int
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None
    error: str | None


def note(
    connection: Connection,
    plan_id: str,
    event: str,
    subject: str,
    body: str,
    drafts: Iterable[Draft],
    now: datetime,
) -> bool:
    """Write an event down with its notices. ``False`` if it is known: nothing is written then."""
    common: dict[str, Any] = {"plan_id": plan_id, "event": event, "created_at": now}
    noted = insert_if_absent(
        connection, NOTICES, subject=subject, channel=NOTED, state=NoticeState.NOTED.value,
        body=body, due_at=now, **common,
    )  # fmt: skip
    if not noted:
        return False
    for draft in drafts:
        insert_if_absent(
            connection, NOTICES, subject=draft.subject or subject, channel=draft.channel,
            state=NoticeState.DUE.value, body=draft.body, due_at=draft.due_at, **common,
        )  # fmt: skip
    return True


def claim(
    connection: Connection, *, now: datetime, until: datetime, limit: int
) -> tuple[Notice, ...]:
    """Take notices that are due, oldest first; nobody else takes them before ``until``.

    What is told of one run to one channel keeps its order: nothing overtakes what is tried again.
    """
    earlier = NOTICES.alias("earlier")
    blocked = exists().where(
        earlier.c.plan_id == NOTICES.c.plan_id,
        earlier.c.channel == NOTICES.c.channel,
        earlier.c.id < NOTICES.c.id,
        earlier.c.state.in_(WAITING),
        or_(earlier.c.tries > 0, earlier.c.due_at <= now),
    )
    due = and_(NOTICES.c.state.in_(WAITING), NOTICES.c.due_at <= now)
    query = select(NOTICES).where(due, ~blocked).order_by(NOTICES.c.id).limit(limit)
    taken = []
    for row in connection.execute(query).all():
        done = connection.execute(
            update(NOTICES)
            .where(NOTICES.c.id == row.id, NOTICES.c.tries == row.tries, due)
            .values(state=NoticeState.SENDING.value, tries=row.tries + 1, due_at=until)
            .returning(NOTICES)
        ).one_or_none()
        if done is not None:
            taken.append(_notice(done))
    return tuple(taken)


def settle(
    connection: Connection,
    notice: Notice,
    state: NoticeState,
    *,
    now: datetime,
    due_at: datetime | None = None,
    thread: str | None = None,
    error: str | None = None,
) -> bool:
    """Write down what became of a notice that was claimed; ``False`` if others claimed it since."""
    done = connection.execute(
        update(NOTICES)
        .where(
            NOTICES.c.id == notice.id,
            NOTICES.c.tries == notice.tries,
            NOTICES.c.state == NoticeState.SENDING.value,
        )
        .values(
            state=state.value,
            due_at=due_at or now,
            sent_at=now if state is NoticeState.SENT else None,
            thread=thread,
            error=error,
        )
    )
    return done.rowcount > 0


def thread(connection: Connection, plan_id: str, channel: str) -> str | None:
    """The conversation that the first notice of a run to this channel began."""
    query = (
        select(NOTICES.c.thread)
        .where(
            NOTICES.c.plan_id == plan_id, NOTICES.c.channel == channel,
            NOTICES.c.thread.is_not(None),
        )
        .order_by(NOTICES.c.id)
        .limit(1)
    )  # fmt: skip
    return connection.execute(query).scalar_one_or_none()


def known(connection: Connection, plan_id: str, event: str, subject: str) -> bool:
    """Whether an event was written down."""
    query = select(NOTICES.c.id).where(
        NOTICES.c.plan_id == plan_id,
        NOTICES.c.event == event,
        NOTICES.c.subject == subject,
        NOTICES.c.channel == NOTED,
    )
    return connection.execute(query).one_or_none() is not None


def of_run(connection: Connection, plan_id: str) -> tuple[Notice, ...]:
    """All notices of a run, oldest first, without the rows that only note an event."""
    query = (
        select(NOTICES)
        .where(NOTICES.c.plan_id == plan_id, NOTICES.c.channel != NOTED)
        .order_by(NOTICES.c.id)
    )
    return tuple(_notice(row) for row in connection.execute(query))


def noted(connection: Connection, events: Iterable[str], since: datetime) -> tuple[Notice, ...]:
    """The rows that note events of these names since a moment, oldest first."""
    query = (
        select(NOTICES)
        .where(
            NOTICES.c.channel == NOTED,
            NOTICES.c.state == NoticeState.NOTED.value,
            NOTICES.c.due_at >= since,
            NOTICES.c.event.in_(list(events)),
        )
        .order_by(NOTICES.c.id)
    )
    return tuple(_notice(row) for row in connection.execute(query))


def holds(connection: Connection) -> dict[str, datetime]:
    """The runs that are under way and held: plan ID -> since when."""
    query = select(PLAN_RUNS.c.plan_id, PLAN_RUNS.c.held_at).where(
        PLAN_RUNS.c.held_at.is_not(None), PLAN_RUNS.c.outcome.is_(None)
    )
    return {row.plan_id: row.held_at for row in connection.execute(query)}


def next_due(connection: Connection) -> datetime | None:
    """When the next notice is due; ``None`` if none waits."""
    query = select(func.min(NOTICES.c.due_at)).where(NOTICES.c.state.in_(WAITING))
    found: datetime | None = connection.execute(query).scalar_one_or_none()
    return found


def back_off(tries: int) -> timedelta:
    """How long to wait after so many tries that failed: 15 s, doubled each time, at most 20 min."""
    return min(timedelta(seconds=15 * 2 ** min(max(0, tries - 1), 10)), timedelta(minutes=20))


def _notice(row: Row[Any]) -> Notice:
    values = dict(row._mapping)
    return Notice(**{**values, "state": NoticeState(values["state"])})
