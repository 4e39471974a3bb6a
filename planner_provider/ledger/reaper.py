"""Taking back the locks of runs that ended without giving them back, or vanished.

Whether a process still acts is never judged by comparing clocks of different machines: the first
look writes down the last signs of life, and only a later look that finds the very same ones, at
least ``silence`` later, takes the process to be gone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, or_, select, update

from planner_provider.ledger import acts, audit, leases, runs
from planner_provider.ledger.engine import LOCK_LEASES, lock
from planner_provider.ledger.holding import HELD, RESUMED
from planner_provider.ledger.rows import Act, ActResult, ActRole, Lease
from planner_provider.ledger.schema import AUDIT, LEASES, PLAN_RUNS

SILENCE = timedelta(seconds=602)
"""Silence that is enough for every allowed interval between signs of life."""
IDLE = timedelta(days=1)
"""A lease under which nothing happened for so long, and nothing waits, has expired."""
IDLE_PARKED = timedelta(days=7)
"""The same while a step of the run is deferred, or a person holds it: it gives no signs of life."""


@dataclass(frozen=True, slots=True)
class Reaped:
    """What was found, as plan IDs."""

    released: tuple[str, ...] = ()
    """Their locks were given back."""
    closing: tuple[str, ...] = ()
    """Something of them may still be acting: look again after the time of silence."""


def candidates(connection: Connection, now: datetime, idle: timedelta) -> tuple[str, ...]:
    """Runs that may hold locks for nothing: ended, or old."""
    query = (
        select(LEASES.c.plan_id)
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == LEASES.c.plan_id)
        .where(
            LEASES.c.released_at.is_(None),
            or_(PLAN_RUNS.c.outcome.is_not(None), LEASES.c.taken_at < now - idle),
        )
        .order_by(LEASES.c.plan_id)
    )
    return tuple(connection.execute(query).scalars())


def reap(
    connection: Connection,
    plan_ids: Sequence[str],
    *,
    actor: str,
    now: datetime,
    silence: timedelta,
    idle: timedelta,
    idle_parked: timedelta,
) -> Reaped:
    """Take the locks of those runs back that ended, or expired, once nothing acts."""
    lock(connection, LOCK_LEASES)
    released, closing = [], []
    for plan_id in plan_ids:
        run = runs.get(connection, plan_id, lock=True)
        lease = leases.live(connection, plan_id)
        if run is None or lease is None:
            continue
        opened = [act for act in acts.of_run(connection, plan_id) if act.is_open]
        why = (
            f"the run ended as {run.outcome.value}"
            if run.outcome is not None
            else _expired(connection, lease, now, idle_parked if opened or run.held_at else idle)
        )
        if why is None:
            continue
        acting = [act for act in opened if act.may_act and act.role is not ActRole.CHECK]
        if acting and not _fell_silent(connection, lease, acting, now, silence):
            closing.append(plan_id)
            continue
        for act in opened:
            acts.end(connection, act.id, ActResult.UNKNOWN, f"its locks were taken: {why}", now)
        leases.release(connection, plan_id, now)
        audit.append(
            connection, what="lease.reaped", actor=actor, plan_id=plan_id,
            detail={"generation": lease.generation, "why": why, "acts": [a.id for a in opened]},
            now=now,
        )  # fmt: skip
        released.append(plan_id)
    return Reaped(tuple(released), tuple(closing))


def _expired(connection: Connection, lease: Lease, now: datetime, idle: timedelta) -> str | None:
    signs = [lease.taken_at]
    for act in acts.of_run(connection, lease.plan_id):
        signs += [act.alive_at, *([act.ended_at] if act.ended_at else [])]
    steered = select(func.max(AUDIT.c.at)).where(
        AUDIT.c.plan_id == lease.plan_id, AUDIT.c.what.in_((HELD, RESUMED))
    )
    if (at := connection.execute(steered).scalar_one()) is not None:
        signs.append(at)
    last = max(signs)
    if now - last < idle:
        return None
    return f"nothing happened in the run since {last:%Y-%m-%d %H:%M:%S} UTC"


def _fell_silent(
    connection: Connection, lease: Lease, acting: Sequence[Act], now: datetime, silence: timedelta
) -> bool:
    signs = json.dumps({str(act.id): act.alive_at.isoformat() for act in acting}, sort_keys=True)
    row = connection.execute(
        select(LEASES.c.watched, LEASES.c.watched_at).where(LEASES.c.generation == lease.generation)
    ).one()
    if row.watched == signs:
        return bool(now - row.watched_at >= silence)
    connection.execute(
        update(LEASES)
        .where(LEASES.c.generation == lease.generation)
        .values(watched=signs, watched_at=now, closing_at=lease.closing_at or now)
    )
    return False
