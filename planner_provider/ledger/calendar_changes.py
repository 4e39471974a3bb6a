"""Freezes and overrides that people add to calendars while plans wait or run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, select, update

from planner_provider.ledger.rows import CalendarChange, ChangeKind
from planner_provider.ledger.schema import CALENDAR_CHANGES

if TYPE_CHECKING:
    from planner_provider.decide.windows.model import Change, Changes
    from planner_provider.graph.calendars import PlanCalendar

KEPT_IN_SIGHT = timedelta(days=7)
"""For so long after its end a change is still looked at, to tell how a window came about."""


def user_of(actor: str) -> str:
    """The user name in an actor such as ``cli:alice``."""
    return actor.rpartition(":")[2]


def add(connection: Connection, change: CalendarChange) -> CalendarChange:
    """Write it down; give it with its id."""
    row = connection.execute(
        CALENDAR_CHANGES.insert()
        .values(
            calendar=change.calendar,
            kind=change.kind.value,
            begins_at=change.begins_at,
            ends_at=change.ends_at,
            reason=change.reason,
            who=change.who,
            created_at=change.created_at,
        )
        .returning(CALENDAR_CHANGES)
    ).one()
    return _change(row)


def withdraw(
    connection: Connection, change_id: int, who: str, now: datetime
) -> CalendarChange | None:
    """Take it back; ``None`` if there is none. Who took it back first stays written."""
    connection.execute(
        update(CALENDAR_CHANGES)
        .where(CALENDAR_CHANGES.c.id == change_id, CALENDAR_CHANGES.c.withdrawn_at.is_(None))
        .values(withdrawn_at=now, withdrawn_by=who)
    )
    return find(connection, change_id)


def find(connection: Connection, change_id: int, *, lock: bool = False) -> CalendarChange | None:
    """One change."""
    query = select(CALENDAR_CHANGES).where(CALENDAR_CHANGES.c.id == change_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _change(row)


def of_calendar(connection: Connection, calendar: str | None) -> tuple[CalendarChange, ...]:
    """All that was ever added to a calendar, or to any, in the order in which it begins."""
    query = select(CALENDAR_CHANGES).order_by(CALENDAR_CHANGES.c.begins_at, CALENDAR_CHANGES.c.id)
    if calendar is not None:
        query = query.where(CALENDAR_CHANGES.c.calendar == calendar)
    return tuple(_change(row) for row in connection.execute(query))


def in_sight(
    connection: Connection, names: Collection[str] | None, now: datetime
) -> tuple[CalendarChange, ...]:
    """What may matter now or later, for these calendars or for all; withdrawn ones as well."""
    query = (
        select(CALENDAR_CHANGES)
        .where(CALENDAR_CHANGES.c.ends_at > now - KEPT_IN_SIGHT)
        .order_by(CALENDAR_CHANGES.c.begins_at, CALENDAR_CHANGES.c.id)
    )
    if names is not None:
        query = query.where(CALENDAR_CHANGES.c.calendar.in_(sorted(names)))
    return tuple(_change(row) for row in connection.execute(query))


def counted(
    calendar: PlanCalendar, changes: Iterable[CalendarChange], override_users: Collection[str]
) -> Changes:
    """What of these counts for a calendar.

    Overrides count only from users who may override, and so does taking back somebody else's
    freeze: ``override_users`` comes from the configuration of whoever asks, not from the one who
    wrote the change.
    """
    from planner_provider.decide.windows.model import Changes

    needed = calendar.all_names
    freezes, overrides = [], []
    for change in changes:
        if change.kind is ChangeKind.FREEZE:
            if change.calendar in needed and not _is_lifted(change, override_users):
                freezes.append(_as_change(change))
        elif (
            change.calendar == calendar.name
            and change.withdrawn_at is None
            and user_of(change.who) in override_users
        ):
            overrides.append(_as_change(change))
    return Changes(freezes=tuple(freezes), overrides=tuple(overrides))


def may_lift(change: CalendarChange, who: str, override_users: Collection[str]) -> bool:
    """Whether this user may take it back: an override anybody, a freeze not."""
    return change.kind is ChangeKind.OVERRIDE or who == change.who or user_of(who) in override_users


def _is_lifted(change: CalendarChange, override_users: Collection[str]) -> bool:
    if change.withdrawn_at is None or change.withdrawn_by is None:
        return False
    return may_lift(change, change.withdrawn_by, override_users)


def _as_change(change: CalendarChange) -> Change:
    from planner_provider.decide.windows.model import Change

    return Change(start=change.begins_at, end=change.ends_at, reason=change.reason, who=change.who)


def _change(row: Row[Any]) -> CalendarChange:
    return CalendarChange(
        id=row.id,
        calendar=row.calendar,
        kind=ChangeKind(row.kind),
        begins_at=row.begins_at,
        ends_at=row.ends_at,
        reason=row.reason,
        who=row.who,
        created_at=row.created_at,
        withdrawn_at=row.withdrawn_at,
        withdrawn_by=row.withdrawn_by,
    )
