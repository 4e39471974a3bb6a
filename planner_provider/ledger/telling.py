"""The part of ``Ledger`` that keeps what people are told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from planner_provider.ledger import audit, notices
from planner_provider.ledger.database import Database
from planner_provider.ledger.engine import reading, writing
from planner_provider.ledger.notices import Draft, Notice, NoticeState

SENT, LOST = "notice.sent", "notice.lost"
"""What the audit trail calls it."""


class Telling(Database):
    """Notices: each is written down once, and sent at least once. See ``Ledger``."""

    def note_event(
        self,
        plan_id: str,
        event: str,
        subject: str,
        body: str,
        drafts: Iterable[Draft],
        *,
        now: datetime,
    ) -> bool:
        """Write an event of a run down, with whom to tell. ``False`` if it is known already."""
        with writing(self._engine) as connection:
            return notices.note(connection, plan_id, event, subject, body, drafts, now)

    def event_known(self, plan_id: str, event: str, subject: str) -> bool:
        """Whether an event was written down."""
        with reading(self._engine) as connection:
            return notices.known(connection, plan_id, event, subject)

    def events_since(self, events: Iterable[str], since: datetime) -> tuple[Notice, ...]:
        """The rows that note events of these names since a moment, oldest first."""
        with reading(self._engine) as connection:
            return notices.noted(connection, events, since)

    def claim_notices(
        self, *, now: datetime, until: datetime, limit: int = 8
    ) -> tuple[Notice, ...]:
        """Take notices that are due; nobody else takes them before ``until``."""
        with writing(self._engine) as connection:
            return notices.claim(connection, now=now, until=until, limit=limit)

    def notice_sent(
        self,
        notice: Notice,
        *,
        thread: str | None,
        actor: str,
        now: datetime,
        state: str | None = None,
    ) -> bool:
        """It was sent, or an issue set to a state. ``False`` if others have claimed it since."""
        with writing(self._engine) as connection:
            done = notices.settle(connection, notice, NoticeState.SENT, now=now, thread=thread)
            if done:
                detail = {"event": notice.event, "channel": notice.channel}
                audit.append(
                    connection, what=SENT, actor=actor, plan_id=notice.plan_id,
                    detail=detail | ({"state": state} if state else {}), now=now,
                )  # fmt: skip
            return done

    def notice_failed(
        self, notice: Notice, error: str, *, again_at: datetime | None, actor: str, now: datetime
    ) -> bool:
        """It could not be sent; without ``again_at``, it never is. ``False`` as above."""
        state = NoticeState.LOST if again_at is None else NoticeState.DUE
        with writing(self._engine) as connection:
            done = notices.settle(connection, notice, state, now=now, due_at=again_at, error=error)
            if done and again_at is None:
                audit.append(
                    connection, what=LOST, actor=actor, plan_id=notice.plan_id,
                    detail={"event": notice.event, "channel": notice.channel, "error": error},
                    now=now,
                )  # fmt: skip
            return done

    def notice_dropped(self, notice: Notice, why: str, *, now: datetime) -> bool:
        """There is no need for it any more. ``False`` if others have claimed it since."""
        with writing(self._engine) as connection:
            return notices.settle(connection, notice, NoticeState.DROPPED, now=now, error=why)

    def notice_thread(self, plan_id: str, channel: str) -> str | None:
        """The conversation that the first notice of a run to this channel began."""
        with reading(self._engine) as connection:
            return notices.thread(connection, plan_id, channel)

    def notices_of(self, plan_id: str) -> tuple[Notice, ...]:
        """What people are told of a run, oldest first."""
        with reading(self._engine) as connection:
            return notices.of_run(connection, plan_id)

    def open_holds(self) -> dict[str, datetime]:
        """The runs that are under way and held: plan ID -> since when."""
        with reading(self._engine) as connection:
            return notices.holds(connection)

    def next_notice_due(self) -> datetime | None:
        """When the next notice is due; ``None`` if none waits."""
        with reading(self._engine) as connection:
            return notices.next_due(connection)
