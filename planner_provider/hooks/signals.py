"""Whether the signals that a plan needs are there, and what it costs: one fact each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from planner_provider.decide.model import Fact
from planner_provider.errors import PlannerError
from planner_provider.hooks.prometheus import Prometheus, prometheus
from planner_provider.spec.cost import Cost
from planner_provider.spec.plan import Signal
from planner_provider.spec.promql import plain_selector

COST = "cost an hour"
"""Name of the fact."""


def read_signals(
    signals: Iterable[Signal],
    *,
    now: datetime,
    client: Callable[[str], Prometheus] = prometheus,
) -> tuple[Fact, ...]:
    """Ask for every signal. What cannot be had is not known; nothing is raised."""
    return tuple(
        read_number(item.name, item.connection, item.query, item.max_age, now=now, client=client)
        for item in signals
    )


def read_cost(
    cost: Cost, *, now: datetime, client: Callable[[str], Prometheus] = prometheus
) -> Fact:
    """Ask what an hour costs. What cannot be had is not known; no ``PlannerError`` is raised."""
    return read_number(
        COST, cost.connection, cost.query, cost.max_age, now=now, unit=cost.currency, client=client
    )


def read_number(
    name: str,
    connection: str,
    query: str,
    max_age: timedelta,
    *,
    now: datetime,
    unit: str = "",
    client: Callable[[str], Prometheus] = prometheus,
) -> Fact:
    """Ask a query that gives one series. What cannot be had is not known."""
    source = f"prometheus (connection {connection}): {query}"

    def unknown(why: str) -> Fact:
        return Fact.unknown(name, why, source=source, observed_at=now, unit=unit)

    try:
        server = client(connection)
        samples = server.query(query)
        if len(samples) != 1:
            found = f"{len(samples)} series where one is needed" if samples else "no series"
            return unknown(f"the query found {found}")
        at = samples[0].at
        selector = plain_selector(query)
        if selector == query.strip():
            dated = server.query(f"timestamp({selector})")
            at = dated[0].value if len(dated) == 1 else at
        moment = datetime.fromtimestamp(at, UTC)
    except PlannerError as error:
        return unknown(str(error))
    except (ValueError, OverflowError, OSError):
        return unknown("its newest sample has no date")
    return Fact.measured(
        name, samples[0].value, source=source, observed_at=moment, unit=unit, max_age=max_age
    )
