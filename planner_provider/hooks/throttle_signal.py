"""Measures what a throttle goes by: an SLO, or a query with the most that it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from planner_provider.decide.model import Fact
from planner_provider.decide.slo import BurnWindows, SloRules
from planner_provider.decide.throttle import burn_of
from planner_provider.errors import PlannerError
from planner_provider.graph.slos import Slo
from planner_provider.hooks.prometheus import Prometheus, prometheus
from planner_provider.hooks.slo_facts import gather
from planner_provider.spec.promql import plain_selector
from planner_provider.spec.workloads import ThrottleSignal

LEAST_AGE = timedelta(minutes=2)
"""A sample that is younger is not too old, however short the period."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement of a signal."""

    ratio: float | None
    """As a share of the most that it may be; ``None``: not known."""
    problem: str
    """Why it is not known; empty if it is."""
    fact: Fact
    """What was measured, for the record."""
    age: timedelta
    """How old the newest of it is."""

    @classmethod
    def of(cls, fact: Fact, ratio: float | str, now: datetime) -> Reading:
        """A reading from what was measured, and the ratio or why there is none."""
        age = max(now - fact.observed_at, timedelta(0))
        if isinstance(ratio, str):
            return cls(None, ratio, fact, age)
        return cls(ratio, "", fact, age)


def read_signal(
    signal: ThrottleSignal,
    slos: Iterable[Slo],
    every: timedelta,
    *,
    now: datetime,
    client: Callable[[str], Prometheus] = prometheus,
) -> Reading:
    """Measure. Whatever cannot be measured is not known; no ``PlannerError`` is raised.

    ``slos`` are those of the plan, of which the signal may name one.
    """
    if signal.slo is None:
        return _query(signal, every, now, client)
    found = next((slo for slo in slos if slo.name == signal.slo), None)
    if found is None:
        name = f"burn rate of {signal.slo}"
        why = "the plan does not have this SLO"
        fact = Fact.unknown(name, why, source="none", observed_at=now)
        return Reading.of(fact, why, now)
    return _burn(found, signal.window, now, client)


def _burn(
    slo: Slo, window: timedelta, now: datetime, client: Callable[[str], Prometheus]
) -> Reading:
    """How fast the error budget burns in a short window. 1 is as fast as it may."""
    rules = SloRules(
        windows=(BurnWindows(long=window, short=window, limit=1.0),), min_remaining=None
    )
    short = slo.model_copy(update={"window": window})
    facts = gather(short, rules, now=now, client=client)
    parts = [fact for count in facts.counts for fact in (count.part, count.total)]
    source = " / ".join(dict.fromkeys(fact.source for fact in parts)) or "none"
    observed = min((fact.observed_at for fact in parts), default=now)
    name, burn = f"burn rate of {slo.name}", burn_of(facts, now)
    if isinstance(burn, str):
        fact = Fact.unknown(name, burn, source=source, observed_at=observed, unit="ratio")
    else:
        fact = Fact.measured(name, burn, source=source, observed_at=observed, unit="ratio")
    return Reading.of(fact, burn, now)


def _query(
    signal: ThrottleSignal, every: timedelta, now: datetime, client: Callable[[str], Prometheus]
) -> Reading:
    assert signal.connection is not None  # the spec demands all three
    assert signal.query is not None
    assert signal.max is not None
    query = signal.query.strip()
    name = "signal of the throttle"
    source = f"prometheus (connection {signal.connection}): {query}"
    fact: Fact
    try:
        server = client(signal.connection)
        samples = server.query(query)
        if len(samples) != 1:
            found = f"{len(samples)} series where one is needed" if samples else "no series"
            why = f"the query found {found}"
            fact = Fact.unknown(name, why, source=source, observed_at=now)
            return Reading.of(fact, why, now)
        at = samples[0].at
        if plain_selector(query) == query:
            dated = server.query(f"timestamp({query})")
            at = dated[0].value if len(dated) == 1 else at
        moment = datetime.fromtimestamp(at, UTC)
    except PlannerError as error:
        fact = Fact.unknown(name, str(error), source=source, observed_at=now)
        return Reading.of(fact, str(error), now)
    except (ValueError, OverflowError, OSError):
        why = "its newest sample has no date"
        return Reading.of(Fact.unknown(name, why, source=source, observed_at=now), why, now)
    fact = Fact.measured(
        name,
        samples[0].value,
        source=source,
        observed_at=moment,
        max_age=max(LEAST_AGE, 3 * every),
    )
    trouble = fact.trouble(now)
    if trouble is not None or fact.value is None:
        return Reading.of(fact, trouble or "no value", now)
    return Reading.of(fact, fact.value / float(signal.max), now)
