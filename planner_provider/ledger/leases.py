"""Leases: who may change what, all resources of a run at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from planner_provider.errors import UnavailableError
from planner_provider.ledger.engine import LOCK_LEASES, lock
from planner_provider.ledger.rows import Hold, Lease, Mode, Verdict
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


def take(connection: Connection, plan_id: str, holds: Sequence[Hold], now: datetime) -> Lease:
    """Take all resources or none.

    A run that already holds a lease keeps it, unless that one was being wound up: then it is
    replaced, so that tasks of the earlier attempt have lost theirs. Raises ``UnavailableError``,
    naming the holders, if another run holds something in a way that conflicts.
    """
    lock(connection, LOCK_LEASES)
    held = live(connection, plan_id)
    if held is not None and held.closing_at is None:
        return held
    wanted = _strongest(holds)
    conflicts = _conflicts(connection, plan_id, wanted)
    if conflicts:
        raise UnavailableError(_conflict_text(conflicts, now))
    if held is not None:
        release(connection, plan_id, now)
    generation: int = connection.execute(
        LEASES.insert().values(plan_id=plan_id, taken_at=now).returning(LEASES.c.generation)
    ).scalar_one()
    connection.execute(
        LEASE_RESOURCES.insert(),
        [
            {"generation": generation, "resource": hold.resource, "mode": hold.mode.value}
            for hold in wanted
        ],
    )
    return Lease(generation, plan_id, now, None, None, None, tuple(wanted))


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


def set_verdict(connection: Connection, generation: int, verdict: Verdict) -> None:
    """Write down what `decide` decided."""
    connection.execute(
        update(LEASES).where(LEASES.c.generation == generation).values(verdict=verdict.value)
    )


def release(connection: Connection, plan_id: str, now: datetime) -> bool:
    """Give everything back. ``False`` if nothing was held."""
    done = connection.execute(
        update(LEASES)
        .where(LEASES.c.plan_id == plan_id, LEASES.c.released_at.is_(None))
        .values(released_at=now)
    )
    return done.rowcount > 0


def _strongest(holds: Iterable[Hold]) -> list[Hold]:
    modes: dict[str, Mode] = {}
    for hold in holds:
        if modes.get(hold.resource) is not Mode.EXCLUSIVE:
            modes[hold.resource] = hold.mode
    return [Hold(resource, modes[resource]) for resource in sorted(modes)]


def _conflicts(connection: Connection, plan_id: str, wanted: Sequence[Hold]) -> list[Any]:
    modes = {hold.resource: hold.mode for hold in wanted}
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
        .where(
            LEASES.c.released_at.is_(None),
            LEASES.c.plan_id != plan_id,
            LEASE_RESOURCES.c.resource.in_(list(modes)),
        )
        .order_by(LEASE_RESOURCES.c.resource, LEASES.c.generation)
    )
    return [
        row
        for row in connection.execute(query)
        if Mode.EXCLUSIVE in (Mode(row.mode), modes[row.resource])
    ]


def _conflict_text(conflicts: Sequence[Any], now: datetime) -> str:
    lines = [
        f"{row.resource} is held ({row.mode}) by plan {row.plan_id} (DAG {row.dag_id}, run "
        f"{row.run_id}) since {row.taken_at:%Y-%m-%d %H:%M:%S} UTC, for {_age(now - row.taken_at)}"
        for row in conflicts
    ]
    return (
        "Another run holds what this plan touches; nothing was locked, nothing was touched. "
        + "; ".join(lines)
        + ". Try again when it has ended."
    )


def _age(time: timedelta) -> str:
    return str(timedelta(seconds=max(0, int(time.total_seconds()))))


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
        verdict=None if row.verdict is None else Verdict(row.verdict),
        released_at=row.released_at,
        holds=tuple(Hold(r.resource, Mode(r.mode)) for r in connection.execute(query)),
    )
