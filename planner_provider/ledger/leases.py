"""Leases: who may change what, all resources of a run at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from planner_provider.ledger.rows import Blocker, Course, Hold, Lease, Mode
from planner_provider.ledger.schema import LEASE_RESOURCES, LEASES, PLAN_RUNS


def live(connection: Connection, plan_id: str) -> Lease | None:
    """The lease that the run holds now, if it holds one."""
    query = (
        select(LEASES)
        .where(LEASES.c.plan_id == plan_id, LEASES.c.released_at.is_(None))
        .order_by(LEASES.c.generation.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _lease(connection, row)


def latest(connection: Connection, plan_id: str) -> Lease | None:
    """The last lease that the run held, given back or not."""
    query = (
        select(LEASES)
        .where(LEASES.c.plan_id == plan_id)
        .order_by(LEASES.c.generation.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _lease(connection, row)


def give(connection: Connection, plan_id: str, holds: Sequence[Hold], now: datetime) -> Lease:
    """Write a new lease. The caller made sure that nobody is in its way."""
    generation: int = connection.execute(
        LEASES.insert().values(plan_id=plan_id, taken_at=now).returning(LEASES.c.generation)
    ).scalar_one()
    connection.execute(
        LEASE_RESOURCES.insert(),
        [
            {"generation": generation, "resource": hold.resource, "mode": hold.mode.value}
            for hold in holds
        ],
    )
    return Lease(generation, plan_id, now, None, None, None, tuple(holds))


def held(connection: Connection, resources: Sequence[str] | None) -> tuple[Blocker, ...]:
    """Who holds what now: of these resources, or of all."""
    query = (
        select(
            LEASE_RESOURCES.c.resource,
            LEASE_RESOURCES.c.mode,
            LEASES.c.taken_at,
            PLAN_RUNS.c.plan_id,
            PLAN_RUNS.c.dag_id,
            PLAN_RUNS.c.run_id,
        )
        .join(LEASES, LEASES.c.generation == LEASE_RESOURCES.c.generation)
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == LEASES.c.plan_id)
        .where(LEASES.c.released_at.is_(None))
        .order_by(LEASE_RESOURCES.c.resource, LEASES.c.generation)
    )
    if resources is not None:
        query = query.where(LEASE_RESOURCES.c.resource.in_(resources))
    return tuple(
        Blocker(row.resource, Mode(row.mode), row.plan_id, row.dag_id, row.run_id, row.taken_at)
        for row in connection.execute(query)
    )


def close(connection: Connection, plan_id: str, now: datetime) -> Lease | None:
    """Let no step begin any more. The first time stays."""
    connection.execute(
        update(LEASES)
        .where(
            LEASES.c.plan_id == plan_id,
            LEASES.c.released_at.is_(None),
            LEASES.c.closing_at.is_(None),
        )
        .values(closing_at=now)
    )
    return live(connection, plan_id)


def set_course(connection: Connection, generation: int, course: Course) -> None:
    """Write down what `decide` decided."""
    connection.execute(
        update(LEASES).where(LEASES.c.generation == generation).values(course=course.value)
    )


def release(connection: Connection, plan_id: str, now: datetime) -> bool:
    """Give everything back. ``False`` if nothing was held."""
    done = connection.execute(
        update(LEASES)
        .where(LEASES.c.plan_id == plan_id, LEASES.c.released_at.is_(None))
        .values(released_at=now)
    )
    return done.rowcount > 0


def _lease(connection: Connection, row: Row[Any]) -> Lease:
    query = (
        select(LEASE_RESOURCES)
        .where(LEASE_RESOURCES.c.generation == row.generation)
        .order_by(LEASE_RESOURCES.c.resource)
    )
    return Lease(
        generation=row.generation,
        plan_id=row.plan_id,
        taken_at=row.taken_at,
        closing_at=row.closing_at,
        course=None if row.course is None else Course(row.course),
        released_at=row.released_at,
        holds=tuple(Hold(r.resource, Mode(r.mode)) for r in connection.execute(query)),
    )
