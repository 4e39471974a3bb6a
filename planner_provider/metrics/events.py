"""The audit trail as a stream of events: read once, each time only what is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from planner_provider.ledger.schema import AUDIT, PLAN_RUNS


class Event(NamedTuple):
    """An entry of the audit trail that is about a run. There are many: no dataclass."""

    at: datetime
    plan_id: str
    what: str
    detail: dict[str, Any]
    plan: str
    """Name of the plan; from the plan ID where the run was never written down."""
    run_id: str
    """Airflow's name of the run; empty if the run was never written down."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far the trail was read. The hash tells whether it is still the same trail."""

    seq: int = 0
    hash: str = ""


def holds(connection: Connection, position: Position) -> bool:
    """Whether the trail still has what was read, so that reading can go on from there."""
    if position.seq == 0:
        return True
    query = select(AUDIT.c.hash).where(AUDIT.c.seq == position.seq)
    return connection.execute(query).scalar_one_or_none() == position.hash


def last(connection: Connection) -> Position:
    """The end of the trail."""
    query = select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return Position() if row is None else Position(row.seq, row.hash)


def between(connection: Connection, start: Position, end: Position) -> Iterator[Event]:
    """What was written after ``start`` and until ``end``, oldest first, about any run.

    Entries are numbered in the order in which they are committed, as their writers wait for each
    other: none turns up later below what was read.
    """
    columns = AUDIT.c
    query = (
        select(
            columns.at, columns.plan_id, columns.what, columns.detail, PLAN_RUNS.c.plan,
            PLAN_RUNS.c.run_id,
        )
        .join(PLAN_RUNS, PLAN_RUNS.c.plan_id == columns.plan_id, isouter=True)
        .where(columns.seq > start.seq, columns.seq <= end.seq, columns.plan_id.is_not(None))
        .order_by(columns.seq)
    )  # fmt: skip
    for at, plan_id, what, detail, plan, run_id in connection.execute(query):
        yield Event(at, plan_id, what, detail, plan or plan_of(plan_id), run_id or "")


def plan_of(plan_id: str) -> str:
    """The plan that a plan ID names: all of it but the digest and the number of the run."""
    return plan_id.rsplit("-", 2)[0]
