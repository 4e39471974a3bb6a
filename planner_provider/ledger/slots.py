"""Slots: so many may hold one at once as whoever asks says. Held until they are given back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from planner_provider.ledger.engine import LOCK_SLOTS, insert_if_absent, lock
from planner_provider.ledger.rows import Slot
from planner_provider.ledger.schema import SLOTS


def take(
    connection: Connection, plan_id: str, name: str, holder: str, limit: int, now: datetime
) -> bool:
    """Take a slot if fewer than ``limit`` are held; ``False`` if not.

    Who holds one already keeps it, and does not hold two: also if the limit fell meanwhile.
    """
    lock(connection, LOCK_SLOTS)  # nobody counts between our count and our taking
    mine = select(SLOTS.c.holder).where(
        SLOTS.c.plan_id == plan_id, SLOTS.c.name == name, SLOTS.c.holder == holder
    )
    if connection.execute(mine).one_or_none() is not None:
        return True
    counted = select(func.count()).where(SLOTS.c.plan_id == plan_id, SLOTS.c.name == name)
    if connection.execute(counted).scalar_one() >= limit:
        return False
    return insert_if_absent(
        connection, SLOTS, plan_id=plan_id, name=name, holder=holder, taken_at=now
    )


def give_back(connection: Connection, plan_id: str, name: str, holder: str) -> bool:
    """Let others have it; ``False`` if the holder had none."""
    done = connection.execute(
        delete(SLOTS).where(
            SLOTS.c.plan_id == plan_id, SLOTS.c.name == name, SLOTS.c.holder == holder
        )
    )
    return done.rowcount > 0


def holders(connection: Connection, plan_id: str, name: str) -> tuple[Slot, ...]:
    """Who holds one, longest first."""
    query = (
        select(SLOTS)
        .where(SLOTS.c.plan_id == plan_id, SLOTS.c.name == name)
        .order_by(SLOTS.c.taken_at, SLOTS.c.holder)
    )
    return tuple(Slot(row.holder, row.taken_at) for row in connection.execute(query))
