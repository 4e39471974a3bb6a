"""Counts the events of canary and baseline, interval by interval, for the canary judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from planner_provider.decide.canary import CanaryMetric, Cut, LearnedNoise, Row, learn_noise
from planner_provider.decide.model import Frozen
from planner_provider.errors import PlannerError, RefusedError
from planner_provider.graph.slos import Slo
from planner_provider.hooks.prometheus import Prometheus, prometheus
from planner_provider.spec.delivery import Metric
from planner_provider.spec.promql import plain_selector, with_matchers
from planner_provider.spec.values import Duration

SETTLE = timedelta(seconds=1)
"""An interval is counted so long after its end, when the last scrape of it is stored."""
PAST = timedelta(hours=6)
"""How far back the baseline is looked at."""
MAX_PAST = 2000
"""Intervals of the past that are looked at, at most."""
NEGLIGIBLE = 0.01
"""Share of all events by which ``all - good`` may be below zero: Prometheus extrapolates both."""


class Comparison(Frozen):
    """Counters that are compared between the arms of a canary."""

    name: str
    connection: str
    """Airflow Connection of the Prometheus."""
    part: str
    """Series selector of the counter of bad, or of good, events."""
    part_is: Literal["bad", "good"] = "bad"
    total: str
    """Series selector of the counter of all events."""
    direction: Literal["increase", "decrease", "either"] = "increase"
    importance: Literal["critical", "normal", "informational"] = "normal"
    missing_bad_is_zero: bool = False
    tolerable: float | None = None
    """A share of bad events that the service may have anyway: what its SLO leaves."""


class Watched(Frozen):
    """Everything that tells the arms of a canary apart and says when to count."""

    comparisons: tuple[Comparison, ...]
    canary: str
    """Label matchers of the canary, without braces."""
    baseline: str
    began_at: datetime
    """When the canary got its first traffic."""
    every: Duration
    """Length of an interval."""
    noise: dict[str, LearnedNoise] = Field(default_factory=dict)
    """By comparison: what the baseline's past says of the noise."""

    def intervals(self, now: datetime) -> int:
        """Whole intervals since the canary began."""
        return max(0, int((now - SETTLE - self.began_at) / self.every))


def comparison_of_slo(slo: Slo) -> Comparison | str:
    """The counters of an SLO's indicator, or why they cannot be compared."""
    indicator = slo.indicator
    if indicator.kind not in ("good", "bad") or indicator.total is None or not indicator.counter:
        return f"SLO {slo.name} is no ratio of two counters, so its arms cannot be compared"
    if {indicator.query.source, indicator.total.source} != {"prometheus"}:
        return f"SLO {slo.name} is not measured by Prometheus, so its arms cannot be compared"
    return Comparison(
        name=slo.name,
        connection=indicator.query.connection,
        part=indicator.query.text,
        part_is="good" if indicator.kind == "good" else "bad",
        total=indicator.total.text,
        missing_bad_is_zero=slo.missing_bad_is_zero,
        tolerable=round(1 - max(target.target for target in slo.targets), 12),
    )


def comparison_of_metric(metric: Metric) -> Comparison:
    """The counters of a metric of a spec, with its templates rendered."""
    return Comparison(
        name=metric.name,
        connection=metric.connection,
        part=metric.bad,
        total=metric.total,
        direction=metric.direction,
        importance=metric.importance,
    )


def count(
    watched: Watched, now: datetime, client: Callable[[str], Prometheus] = prometheus
) -> tuple[CanaryMetric, ...]:
    """The events of both arms in every whole interval. What cannot be had is a problem."""
    return tuple(_metric(watched, item, now, client) for item in watched.comparisons)


def _metric(
    watched: Watched, item: Comparison, now: datetime, client: Callable[[str], Prometheus]
) -> CanaryMetric:
    rows: tuple[Row, ...] = ()
    problem: str | None = None
    try:
        rows = _rows(watched, item, now, client)
    except PlannerError as error:
        problem = str(error)
    return CanaryMetric(
        name=item.name,
        direction=item.direction,
        importance=item.importance,
        tolerable=item.tolerable,
        cuts=() if problem else (Cut(minutes=rows, noise=watched.noise.get(item.name)),),
        problem=problem,
    )


def learn_past(
    watched: Watched, client: Callable[[str], Prometheus] = prometheus
) -> dict[str, LearnedNoise]:
    """What the baseline did before the canary tells how much its numbers wander by themselves.

    A comparison whose past cannot be had is left out: then the judge reckons with more noise.
    """
    span = min(PAST, MAX_PAST * watched.every)
    before = watched.model_copy(update={"began_at": watched.began_at - span})
    learned: dict[str, LearnedNoise] = {}
    for item in watched.comparisons:
        try:
            rows = _rows(before, item, watched.began_at + SETTLE, client)
        except PlannerError:
            continue
        baseline_only: list[Row] = [row and (None, None, row[2], row[3]) for row in rows]
        if any(row and None not in row[2:] for row in baseline_only):
            learned[item.name] = learn_noise(baseline_only)
    return learned


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts of one selector in each interval; ``None`` where there are none."""

    values: tuple[float | None, ...]
    has_series: bool


def _rows(
    watched: Watched, item: Comparison, now: datetime, client: Callable[[str], Prometheus]
) -> tuple[Row, ...]:
    intervals = watched.intervals(now)
    if intervals == 0:
        return ()
    server, arms = client(item.connection), (watched.canary, watched.baseline)
    total, part = (
        [_ask(server, watched, selector, arm, intervals) for arm in arms]
        for selector in (item.total, item.part)
    )
    # Bad events that were never seen in either arm may have been asked for by a wrong name.
    none_is_zero = item.part_is == "bad" and (
        item.missing_bad_is_zero or any(arm.has_series for arm in part)
    )
    bad = [
        _bad(item, whole.values, some.values, none_is_zero=none_is_zero)
        for whole, some in zip(total, part, strict=True)
    ]
    return tuple(
        zip(total[0].values, bad[0], total[1].values, bad[1], strict=True),
    )


def _ask(
    server: Prometheus, watched: Watched, selector: str, matchers: str, intervals: int
) -> _Counts:
    plain = plain_selector(selector)
    if plain is None:
        raise RefusedError(
            f"`{selector}` is not one series selector, so it cannot be asked of one arm only"
        )
    seconds = watched.every.total_seconds()
    span = f"{max(1, round(seconds * 1000))}ms"
    text = f"sum(increase({with_matchers(plain, matchers)}[{span}]))"
    first = watched.began_at.timestamp() + seconds
    series = server.query_range(text, first, first + (intervals - 1) * seconds, seconds)
    found = series[0].values if series else {}
    near = {round((at - first) / seconds): value for at, value in found.items()}
    return _Counts(tuple(_whole(near.get(number)) for number in range(intervals)), bool(series))


def _whole(value: float | None) -> float | None:
    """Events are whole; Prometheus extrapolates them to the edges of the interval."""
    if value is None or not math.isfinite(value):
        return value
    return float(round(value))


def _bad(
    item: Comparison,
    total: Sequence[float | None],
    part: Iterable[float | None],
    *,
    none_is_zero: bool,
) -> tuple[float | None, ...]:
    bad: list[float | None] = []
    for whole, some in zip(total, part, strict=True):
        if whole is None:
            bad.append(None)
        elif some is None:
            bad.append(0.0 if none_is_zero else None)
        elif item.part_is == "bad":
            over = some - whole
            bad.append(whole if 0 < over <= max(1.0, NEGLIGIBLE * whole) else some)
        else:
            left = whole - some
            bad.append(0.0 if -max(1.0, NEGLIGIBLE * whole) <= left < 0 else left)
    return tuple(bad)
