"""Which OpenSLO SLOs this release can measure, and by which queries.

OpenSLO leaves open what a query looks like and how a source is reached. Here:

- A Prometheus query of a ratio is one series selector (``http_requests_total{code=~"5.."}``, also
  in ``sum(...)``), or an expression with Sloth's ``{{.window}}`` where the length of the window
  goes. For a threshold or a raw ratio it is any expression.
- A SQL query gives one number, and names the window as ``:since`` and ``:until`` (UTC, as text) or
  ``:since_epoch`` and ``:until_epoch`` (seconds). For a threshold or a raw ratio it gives one row
  for each sample, with its number in a column ``value``.
- The Airflow Connection is named by the annotation ``planner.dev/connection`` of the DataSource;
  left out, it has the DataSource's name with dashes as underscores.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from planner_provider.spec.catalog import Catalog
from planner_provider.spec.openslo import (
    MetricSpec,
    Objective,
    RatioMetric,
    SliSpec,
    Slo,
)
from planner_provider.spec.promql import WINDOW, plain_selector, selectors
from planner_provider.spec.values import parse_duration

SourceKind = Literal["prometheus", "sql"]

CONNECTION = "planner.dev/connection"
"""Annotation of a DataSource: id of the Airflow Connection."""
MIN_EVENTS = "planner.dev/min-events"
"""Annotation of an SLO: fewer events in a window are too few to judge by."""
MAX_AGE = "planner.dev/max-age"
"""Annotation of an SLO: how old the newest sample may be."""
MISSING_BAD = "planner.dev/missing-bad"
"""Annotation of an SLO: ``zero`` if a query of bad events that finds no series means none."""
SLOTH_ID = "planner.dev/sloth-id"
"""Annotation of an SLO: the ``sloth_id`` of its recording rules, or ``none``."""
PYRRA_SLO = "planner.dev/pyrra-slo"
"""Annotation of an SLO: the ``slo`` label of its Pyrra recording rules, or ``none``."""

_TYPES: dict[str, SourceKind] = {
    **dict.fromkeys(("prometheus", "thanos", "mimir", "cortex", "victoriametrics"), "prometheus"),
    **dict.fromkeys(("sql", "sqlite", "postgres", "postgresql", "mysql", "mariadb"), "sql"),
    **dict.fromkeys(("mssql", "oracle", "snowflake", "trino", "presto", "redshift"), "sql"),
}


@dataclass(frozen=True, slots=True)
class PromQuery:
    """What a Prometheus query of a ratio is made of."""

    selectors: tuple[str, ...]
    """The series that it counts; their newest samples tell how fresh it is."""
    is_selector: bool
    """Whether it is one selector, to be counted over a window, not an expression."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a query is asked."""

    kind: SourceKind
    connection: str


class UnusableError(ValueError):
    """Why an SLO cannot be measured; its text is part of a sentence."""


def unusable(document: Slo, catalog: Catalog | None = None) -> str | None:
    """Why this SLO cannot be asked at run time; ``None`` if it can.

    Without a catalog, what it refers to is not looked at.
    """
    try:
        window_of(document)
        settings_of(document)
        _check_method(document)
        if catalog is not None or document.spec.indicator is not None:
            check_indicator(indicator_of(document, catalog), catalog)
    except UnusableError as why:
        return str(why)
    return None


def window_of(document: Slo) -> timedelta:
    """Length of the rolling window."""
    if not document.spec.time_window:
        raise UnusableError("it has no timeWindow; give one such as 30d with `isRolling: true`")
    window = document.spec.time_window[0]
    if not window.is_rolling:
        raise UnusableError("its window follows the calendar; use one with `isRolling: true`")
    if window.duration[-1] not in "mhdw":
        raise UnusableError(
            f"a rolling window of {window.duration} has no fixed length; write it in days, as 30d"
        )
    try:
        length = parse_duration(window.duration)
    except ValueError as error:
        raise UnusableError(f"its window cannot be used: {error}") from None
    if length < timedelta(hours=1):
        raise UnusableError(f"its window of {window.duration} is shorter than an hour")
    return length


@dataclass(frozen=True, slots=True)
class Settings:
    """What the annotations of an SLO say about measuring it."""

    min_events: float = 10
    max_age: timedelta = timedelta(minutes=3)
    missing_bad_is_zero: bool = False
    sloth_id: str | None = None
    pyrra_slo: str | None = None


def settings_of(document: Slo) -> Settings:
    """Read the annotations of an SLO."""
    given = document.metadata.annotations
    events = given.get(MIN_EVENTS, "10")
    if not re.fullmatch(r"[1-9]\d{0,8}", events):
        raise UnusableError(f"its annotation {MIN_EVENTS} is '{events}', not a number such as 10")
    try:
        age = parse_duration(given.get(MAX_AGE, "3m"))
    except ValueError as error:
        raise UnusableError(f"its annotation {MAX_AGE} cannot be used: {error}") from None
    if not timedelta(0) < age <= timedelta(days=1):
        raise UnusableError(f"its annotation {MAX_AGE} must be above 0 and at most 1d")
    missing = given.get(MISSING_BAD, "unknown")
    if missing not in ("zero", "unknown"):
        raise UnusableError(f"its annotation {MISSING_BAD} is '{missing}', not zero or unknown")
    return Settings(
        min_events=float(events),
        max_age=age,
        missing_bad_is_zero=missing == "zero",
        sloth_id=given.get(SLOTH_ID),
        pyrra_slo=given.get(PYRRA_SLO),
    )


def indicator_of(document: Slo, catalog: Catalog | None) -> SliSpec:
    """The indicator of an SLO, written out or by name."""
    if document.spec.indicator is not None:
        return document.spec.indicator.spec
    name = document.spec.indicator_ref
    if name is None:
        raise UnusableError("its objectives have indicators of their own (a composite SLO)")
    sli = catalog.slis.get(name) if catalog else None
    if sli is None:
        raise UnusableError(f"its SLI '{name}' is not there, or is broken")
    found: SliSpec = sli.spec
    return found


def check_indicator(indicator: SliSpec, catalog: Catalog | None) -> None:
    """Raise ``UnusableError`` if a query of the indicator cannot be asked."""
    kinds: set[SourceKind] = set()
    for part, metric in parts_of(indicator):
        kind = source_of(metric, catalog).kind if catalog is not None else None
        text = query_of(part, metric)
        kinds.update({kind} if kind else ())
        of_ratio = part in ("good", "bad", "total")
        if kind == "prometheus":
            prom_query(text, part, of_ratio=of_ratio)
        elif kind == "sql" and not re.search(r":since(_epoch)?\b|%\(since", text):
            raise UnusableError(f"its SQL query of `{part}` does not use :since and :until")
    if len(kinds) > 1:
        raise UnusableError("its numerator and denominator come from different kinds of sources")


def parts_of(indicator: SliSpec) -> tuple[tuple[str, MetricSpec], ...]:
    """The metrics of an indicator, each with its key."""
    if indicator.threshold_metric is not None:
        return (("thresholdMetric", indicator.threshold_metric),)
    ratio = indicator.ratio_metric or RatioMetric()
    named = {"good": ratio.good, "bad": ratio.bad, "total": ratio.total, "raw": ratio.raw}
    return tuple((part, metric) for part, metric in named.items() if metric is not None)


def query_of(part: str, metric: MetricSpec) -> str:
    """The text of a query."""
    text = metric.metric_source.spec.get("query")
    if not isinstance(text, str) or not text.strip():
        raise UnusableError(f"`{part}` has no `query` in the `spec` of its metricSource")
    return text.strip()


def source_of(metric: MetricSpec, catalog: Catalog | None) -> Source:
    """Where a query is asked, with the id of the Airflow Connection."""
    name = metric.metric_source.metric_source_ref
    if name is None:
        raise UnusableError(
            f"a metricSource of type {metric.metric_source.type} names no DataSource, so that its "
            "Airflow Connection is not known; use `metricSourceRef`"
        )
    document = catalog.data_sources.get(name) if catalog else None
    if document is None:
        raise UnusableError(f"its DataSource '{name}' is not there, or is broken")
    kind = _TYPES.get(document.spec.type.strip().lower())
    if kind is None:
        raise UnusableError(
            f"DataSource '{name}' is of type {document.spec.type}; this release asks Prometheus "
            "and SQL databases"
        )
    connection = document.metadata.annotations.get(CONNECTION, name.replace("-", "_"))
    if not re.fullmatch(r"[\w.-]{1,200}", connection):
        raise UnusableError(
            f"annotation {CONNECTION} of DataSource '{name}' is not the id of an Airflow Connection"
        )
    return Source(kind, connection)


def prom_query(text: str, part: str = "query", *, of_ratio: bool = True) -> PromQuery:
    """Understand a Prometheus query. Raises ``UnusableError`` if it is of no known form."""
    plain = plain_selector(text) if of_ratio else None
    if plain is not None:
        return PromQuery((plain,), is_selector=True)
    found = selectors(text)
    if not found:
        raise UnusableError(f"its query of `{part}` reads no series")
    if of_ratio and not WINDOW.search(text):
        raise UnusableError(
            f"its query of `{part}` is neither one series selector nor an expression with "
            "{{.window}} where the length of the window goes"
        )
    return PromQuery(found, is_selector=False)


def objectives_of(document: Slo) -> tuple[Objective, ...]:
    """The objectives of an SLO that is not composite."""
    _check_method(document)
    return document.spec.objectives


def _check_method(document: Slo) -> None:
    method = document.spec.budgeting_method
    if method != "Occurrences":
        raise UnusableError(f"its budgetingMethod is {method}; this release counts Occurrences")
    if any(objective.is_composite for objective in document.spec.objectives):
        raise UnusableError("its objectives have indicators of their own (a composite SLO)")
