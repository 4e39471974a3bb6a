"""The queue for locks: who asks is given all that it wants, or a place in the order of arrival."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from planner_provider.ledger import acts, leases, runs
from planner_provider.ledger.authority import acquire_refusal
from planner_provider.ledger.contention import ahead, claims, in_the_way, line_up, strongest
from planner_provider.ledger.engine import LOCK_LEASES, lock
from planner_provider.ledger.rows import Blocker, Hold, Lease, Mode, Waiter, Waiting
from planner_provider.ledger.schema import LEASE_QUEUE, PLAN_RUNS

PATIENCE = timedelta(seconds=60)
"""Somebody who waits and gave no sign of life for so long is overtaken. Its place stays: once it
gives a sign again, those who came later wait for it."""
SIGNS = 4
"""Who asks again gives this many signs of life within the patience, not one each time it asks."""


def ask(
    connection: Connection,
    plan_id: str,
    holds: Sequence[Hold],
    now: datetime,
    *,
    patience: timedelta = PATIENCE,
    line: bool = True,
) -> tuple[Lease | Waiting, bool]:
    """Take all, or nothing and a place in the queue (without ``line``: just nothing).

    Gives the lease or the place, and whether the lease is a new one.

    A run that holds a lease keeps it, unless that one is being wound up: then it is replaced, so
    that tasks of the earlier attempt have lost theirs. It need not queue for that, for those who
    wait, wait for it.

    Raises ``NoAuthorityError`` for a run that was never assessed, ``AbortedError`` for one that a
    person stopped and that has not ended since.
    """
    lock(connection, LOCK_LEASES)
    run = runs.get(connection, plan_id, lock=True)
    refused = acquire_refusal(plan_id, run)
    if refused:
        raise refused
    held = leases.live(connection, plan_id)
    queue = _queue(connection)
    own = next((waiter for waiter, _ in queue if waiter.plan_id == plan_id), None)
    is_new = held is None or held.closing_at is not None
    if held is None or is_new:
        wanted = strongest(holds)
        first = _before(queue, own, now - patience) if held is None else []
        blockers = _blockers(connection, plan_id, wanted, first)
        if blockers and not line:
            waiter = own or Waiter(0, plan_id, now, now, wanted)
            return Waiting(waiter, blockers, ahead(blockers)), False
        if blockers:
            if held and not any(act.may_act for act in acts.of_run(connection, plan_id)):
                leases.release(connection, plan_id, now)  # who waits holds nothing: no deadlock
            waiter = _line_up(connection, own, plan_id, wanted, now)
            return Waiting(waiter, blockers, ahead(blockers)), False
        if held is not None:
            leases.release(connection, plan_id, now)
        held = leases.give(connection, plan_id, wanted, now)
    if own is not None:
        leave(connection, [plan_id])
    if run is not None and run.outcome is not None:
        runs.reopen(connection, plan_id)
    return held, is_new


def still_waits(
    connection: Connection,
    plan_id: str,
    holds: Sequence[Hold],
    now: datetime,
    *,
    patience: timedelta = PATIENCE,
) -> Waiting | None:
    """Look, without writing, whether the answer is what it was: wait.

    ``None``: ``ask``. Something is in nobody's way, is to be refused or differs from what the run
    waits for, or it is time for another sign of life. Many who wait for one lock would otherwise
    keep the writers' queue of the database so full that its holder could hardly give it back.
    """
    queue = _queue(connection)
    own = next((waiter for waiter, _ in queue if waiter.plan_id == plan_id), None)
    wanted = strongest(holds)
    if own is None or own.holds != wanted or own.alive_at <= now - patience / SIGNS:
        return None
    if acquire_refusal(plan_id, runs.get(connection, plan_id)):
        return None
    if leases.live(connection, plan_id) is not None:
        return None
    blockers = _blockers(connection, plan_id, wanted, _before(queue, own, now - patience))
    return Waiting(own, blockers, ahead(blockers)) if blockers else None


def find(connection: Connection, plan_id: str) -> Waiter | None:
    """The place of a run in the queue."""
    query = select(LEASE_QUEUE).where(LEASE_QUEUE.c.plan_id == plan_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _waiter(row)


def leave(connection: Connection, plan_ids: Collection[str]) -> bool:
    """Give up places in the queue. ``False`` if there were none."""
    done = connection.execute(delete(LEASE_QUEUE).where(LEASE_QUEUE.c.plan_id.in_(plan_ids)))
    return done.rowcount > 0


def keep(connection: Connection, plan_ids: Collection[str], now: datetime) -> None:
    """Say that these runs still wait."""
    connection.execute(
        update(LEASE_QUEUE)
        .where(LEASE_QUEUE.c.plan_id.in_(plan_ids), LEASE_QUEUE.c.alive_at < now)
        .values(alive_at=now)
    )


def lined_up(
    connection: Connection, now: datetime, patience: timedelta = PATIENCE
) -> tuple[Waiting, ...]:
    """All who wait and are alive, in order of arrival, each with what is in its way."""
    queue = [
        (waiter, name) for waiter, name in _queue(connection) if waiter.alive_at > now - patience
    ]
    if not queue:
        return ()
    names = {waiter.plan_id: name for waiter, name in queue}
    return line_up(leases.held(connection, None), (waiter for waiter, _ in queue), names)


_Queue = list[tuple[Waiter, tuple[str, str]]]
"""Waiters in order of arrival, each with its DAG and run."""


def _before(queue: _Queue, own: Waiter | None, silent: datetime) -> _Queue:
    """Those who came before, without those who gave no sign of life since ``silent``."""
    return [
        (waiter, name)
        for waiter, name in queue
        if waiter.alive_at > silent and (own is None or waiter.ticket < own.ticket)
    ]


def _blockers(
    connection: Connection, plan_id: str, wanted: Sequence[Hold], first: _Queue
) -> tuple[Blocker, ...]:
    others = list(leases.held(connection, [hold.resource for hold in wanted]))
    for waiter, name in first:
        others += claims(waiter, name)
    return in_the_way(wanted, others, plan_id=plan_id)


def _line_up(
    connection: Connection, own: Waiter | None, plan_id: str, wanted: Sequence[Hold], now: datetime
) -> Waiter:
    plain = [[hold.resource, hold.mode.value] for hold in wanted]
    if own is not None:
        connection.execute(
            update(LEASE_QUEUE)
            .where(LEASE_QUEUE.c.ticket == own.ticket)
            .values(alive_at=now, holds=plain)
        )
        return Waiter(own.ticket, plan_id, own.since, now, tuple(wanted))
    ticket: int = connection.execute(
        LEASE_QUEUE.insert()
        .values(plan_id=plan_id, since=now, alive_at=now, holds=plain)
        .returning(LEASE_QUEUE.c.ticket)
    ).scalar_one()
    return Waiter(ticket, plan_id, now, now, tuple(wanted))


def _queue(connection: Connection) -> _Queue:
    query = (
        select(LEASE_QUEUE, PLAN_RUNS.c.dag_id, PLAN_RUNS.c.run_id)
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == LEASE_QUEUE.c.plan_id)
        .order_by(LEASE_QUEUE.c.ticket)
    )
    return [(_waiter(row), (row.dag_id, row.run_id)) for row in connection.execute(query)]


def _waiter(row: Row[Any]) -> Waiter:
    return Waiter(
        ticket=row.ticket,
        plan_id=row.plan_id,
        since=row.since,
        alive_at=row.alive_at,
        holds=tuple(Hold(resource, Mode(mode)) for resource, mode in row.holds),
    )
