"""Throttles: a limit between a minimum and a maximum that can be changed while a run goes on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select, update

from planner_provider.ledger.engine import insert_if_absent
from planner_provider.ledger.rows import Throttle
from planner_provider.ledger.schema import THROTTLES


def find(connection: Connection, plan_id: str, name: str) -> Throttle | None:
    """The throttle as it is set now."""
    query = select(THROTTLES).where(THROTTLES.c.plan_id == plan_id, THROTTLES.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else _throttle(row)


def of_run(connection: Connection, plan_id: str) -> tuple[Throttle, ...]:
    """All throttles of a run, by name."""
    query = select(THROTTLES).where(THROTTLES.c.plan_id == plan_id).order_by(THROTTLES.c.name)
    return tuple(_throttle(row) for row in connection.execute(query))


def put(connection: Connection, throttle: Throttle) -> None:
    """Set it, over what was there. Raises ``ValueError`` for a limit out of its bounds."""
    if not throttle.minimum <= throttle.limit <= throttle.maximum:
        raise ValueError(
            f"throttle {throttle.name}: {throttle.limit:g} is not between {throttle.minimum:g} "
            f"and {throttle.maximum:g}"
        )
    values: dict[str, Any] = {
        "current": throttle.limit,
        "minimum": throttle.minimum,
        "maximum": throttle.maximum,
        "changed_by": throttle.changed_by,
        "changed_at": throttle.changed_at,
    }
    key = {"plan_id": throttle.plan_id, "name": throttle.name}
    if not insert_if_absent(connection, THROTTLES, **key, **values):
        connection.execute(
            update(THROTTLES)
            .where(THROTTLES.c.plan_id == throttle.plan_id, THROTTLES.c.name == throttle.name)
            .values(**values)
        )


def _throttle(row: Row[Any]) -> Throttle:
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
