"""Runs of plans for lists: one statement for any number of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, desc, exists, func, or_, select

from planner_provider.ledger.rows import Outcome, PlanRun
from planner_provider.ledger.runs import run_of
from planner_provider.ledger.schema import PLAN_RUNS

order_moment: ColumnElement[datetime] = func.coalesce(
    PLAN_RUNS.c.assessed_at, PLAN_RUNS.c.finished_at
)
"""A run's place in lists, newest first. A run that was cleared counts from when it went on."""
MOST_LIVE = 1_000
"""So many runs that go on are looked at; more are no overview."""


def live_runs(connection: Connection) -> list[PlanRun]:
    """The runs that have not ended, newest first."""
    query = select(PLAN_RUNS).where(PLAN_RUNS.c.outcome.is_(None))
    query = query.order_by(desc(PLAN_RUNS.c.assessed_at), PLAN_RUNS.c.plan_id)
    return [run_of(row) for row in connection.execute(query.limit(MOST_LIVE))]


def ended_runs(connection: Connection, limit: int) -> list[PlanRun]:
    """The runs that ended last, newest first."""
    query = select(PLAN_RUNS).where(
        PLAN_RUNS.c.outcome.is_not(None), PLAN_RUNS.c.finished_at.is_not(None)
    )
    query = query.order_by(desc(PLAN_RUNS.c.finished_at), PLAN_RUNS.c.plan_id)
    return [run_of(row) for row in connection.execute(query.limit(limit))]


def ended_counts(connection: Connection, since: datetime) -> dict[tuple[str, str], int]:
    """How many runs ended since then: (DAG id, outcome) -> number."""
    columns = PLAN_RUNS.c
    query = (
        select(columns.dag_id, columns.outcome, func.count().label("n"))
        .where(columns.finished_at >= since, columns.outcome.is_not(None))
        .group_by(columns.dag_id, columns.outcome)
    )
    return {(row.dag_id, row.outcome): row.n for row in connection.execute(query)}


def not_put_right(connection: Connection, since: datetime) -> list[PlanRun]:
    """Runs whose rollback failed since then, and after which the plan did not succeed."""
    later = PLAN_RUNS.alias("later")
    put_right = exists().where(
        later.c.plan == PLAN_RUNS.c.plan,
        later.c.outcome == Outcome.SUCCEEDED.value,
        later.c.finished_at > PLAN_RUNS.c.finished_at,
    )
    query = select(PLAN_RUNS).where(
        PLAN_RUNS.c.outcome == Outcome.ROLLBACK_FAILED.value,
        PLAN_RUNS.c.finished_at >= since,
        ~put_right,
    )
    query = query.order_by(desc(PLAN_RUNS.c.finished_at))
    return [run_of(row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a page of a list has."""

    dag_ids: Collection[str] | None = None
    """Only runs of these DAGs; ``None``: of all."""
    plan: str | None = None
    run_id: str | None = None
    """Airflow's name of the run."""
    outcome: Outcome | None = None
    live: bool | None = None
    """Only runs that go on, or only runs that have ended."""
    since: datetime | None = None
    """Runs that go on count whenever they began."""
    after: tuple[datetime, str] | None = None
    """The moment and the plan ID of the last run of the page before."""


def page_of_runs(
    connection: Connection, wanted: RunFilter, limit: int
) -> list[tuple[PlanRun, datetime | None]]:
    """A page of runs, newest first, each with its moment in the order."""
    columns = PLAN_RUNS.c
    query = select(PLAN_RUNS, order_moment.label("moment")).where(*_conditions(wanted))
    query = query.order_by(desc(order_moment), columns.plan_id).limit(limit)
    return [(run_of(row), row.moment) for row in connection.execute(query)]


def _conditions(wanted: RunFilter) -> list[ColumnElement[bool]]:
    columns = PLAN_RUNS.c
    found: list[ColumnElement[bool]] = []
    if wanted.dag_ids is not None:
        found.append(columns.dag_id.in_(sorted(wanted.dag_ids)))
    if wanted.plan is not None:
        found.append(columns.plan == wanted.plan)
    if wanted.run_id is not None:
        found.append(columns.run_id == wanted.run_id)
    if wanted.outcome is not None:
        found.append(columns.outcome == wanted.outcome.value)
    if wanted.live is not None:
        found.append(columns.outcome.is_(None) if wanted.live else columns.outcome.is_not(None))
    if wanted.since is not None:
        found.append(or_(order_moment >= wanted.since, columns.outcome.is_(None)))
    if wanted.after is not None:
        at, plan_id = wanted.after
        found.append(or_(order_moment < at, and_(order_moment == at, columns.plan_id > plan_id)))
    return found


def known_dags(connection: Connection) -> set[str]:
    """The DAGs that any run in the ledger is of."""
    return set(connection.execute(select(PLAN_RUNS.c.dag_id).distinct()).scalars())
