"""Throttles: a limit between a minimum and a maximum that moves while a run goes on.

Many may change one at once: each says what version it has seen, and only one of them wins.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from planner_provider.ledger.engine import insert_if_absent
from planner_provider.ledger.rows import Throttle
from planner_provider.ledger.schema import THROTTLES


def find(connection: Connection, plan_id: str, name: str) -> Throttle | None:
    """The throttle as it is now."""
    query = select(THROTTLES).where(THROTTLES.c.plan_id == plan_id, THROTTLES.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else throttle_of(row)


def of_run(connection: Connection, plan_id: str) -> tuple[Throttle, ...]:
    """All throttles of a run, by name."""
    query = select(THROTTLES).where(THROTTLES.c.plan_id == plan_id).order_by(THROTTLES.c.name)
    return tuple(throttle_of(row) for row in connection.execute(query))


def begin(connection: Connection, throttle: Throttle) -> bool:
    """Write it down, unless it is there. Gives whether it was new."""
    _check(throttle)
    return insert_if_absent(
        connection,
        THROTTLES,
        plan_id=throttle.plan_id,
        name=throttle.name,
        version=0,
        ticked_at=throttle.ticked_at,
        **_values(throttle),
    )


def claim(connection: Connection, plan_id: str, name: str, *, version: int, now: datetime) -> bool:
    """Be the one who ticks now; ``False`` if somebody changed or claimed it since ``version``."""
    return _change(connection, plan_id, name, version, {"ticked_at": now})


def change(connection: Connection, throttle: Throttle) -> bool:
    """Set it; ``False`` if somebody changed it since ``throttle.version``."""
    _check(throttle)
    return _change(connection, throttle.plan_id, throttle.name, throttle.version, _values(throttle))


def _change(
    connection: Connection, plan_id: str, name: str, version: int, values: dict[str, Any]
) -> bool:
    done = connection.execute(
        update(THROTTLES)
        .where(
            THROTTLES.c.plan_id == plan_id,
            THROTTLES.c.name == name,
            THROTTLES.c.version == version,
        )
        .values(**values, version=version + 1)
    )
    return done.rowcount > 0


def _check(throttle: Throttle) -> None:
    if not throttle.minimum <= throttle.limit <= throttle.maximum:
        raise ValueError(
            f"throttle {throttle.name}: {throttle.limit:g} is not between {throttle.minimum:g} "
            f"and {throttle.maximum:g}"
        )


def _values(throttle: Throttle) -> dict[str, Any]:
    return {
        "current": throttle.limit,
        "minimum": throttle.minimum,
        "maximum": throttle.maximum,
        "changed_by": throttle.changed_by,
        "changed_at": throttle.changed_at,
        "state": throttle.state,
    }


def throttle_of(row: Row[Any]) -> Throttle:
    """A throttle from its row."""
    return Throttle(
        name=row.name,
        plan_id=row.plan_id,
        limit=row.current,
        minimum=row.minimum,
        maximum=row.maximum,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
        state=row.state,
        version=row.version,
        ticked_at=row.ticked_at,
    )
