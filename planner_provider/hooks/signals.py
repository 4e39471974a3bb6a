"""Whether the signals that a plan needs are there: one fact each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from planner_provider.decide.model import Fact
from planner_provider.errors import PlannerError
from planner_provider.hooks.prometheus import Prometheus, prometheus
from planner_provider.spec.plan import Signal
from planner_provider.spec.promql import plain_selector


def read_signals(
    signals: Iterable[Signal],
    *,
    now: datetime,
    client: Callable[[str], Prometheus] = prometheus,
) -> tuple[Fact, ...]:
    """Ask for every signal. What cannot be had is not known; nothing is raised."""
    return tuple(_read(signal, now, client) for signal in signals)


def _read(signal: Signal, now: datetime, client: Callable[[str], Prometheus]) -> Fact:
    source = f"prometheus (connection {signal.connection}): {signal.query}"

    def unknown(why: str) -> Fact:
        return Fact.unknown(signal.name, why, source=source, observed_at=now)

    try:
        server = client(signal.connection)
        samples = server.query(signal.query)
        if len(samples) != 1:
            found = f"{len(samples)} series where one is needed" if samples else "no series"
            return unknown(f"the query found {found}")
        at = samples[0].at
        selector = plain_selector(signal.query)
        if selector == signal.query.strip():
            dated = server.query(f"timestamp({selector})")
            at = dated[0].value if len(dated) == 1 else at
        moment = datetime.fromtimestamp(at, UTC)
    except PlannerError as error:
        return unknown(str(error))
    except (ValueError, OverflowError, OSError):
        return unknown("its newest sample has no date")
    return Fact.measured(
        signal.name,
        samples[0].value,
        source=source,
        observed_at=moment,
        max_age=signal.max_age,
    )
