"""An SLO as it is measured: OpenSLO documents with all references followed."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from planner_provider.errors import SpecError
from planner_provider.graph.frozen import Frozen
from planner_provider.spec.catalog import Catalog
from planner_provider.spec.measurable import (
    SourceKind,
    UnusableError,
    check_indicator,
    indicator_of,
    objectives_of,
    parts_of,
    query_of,
    settings_of,
    source_of,
    unusable,
    window_of,
)
from planner_provider.spec.openslo import MetricSpec, SliSpec
from planner_provider.spec.values import Duration

__all__ = ["Indicator", "Query", "Slo", "SloTarget", "resolve_slo", "unusable"]


class Query(Frozen):
    """A question to a source of metrics; ``planner_provider.spec.measurable`` says its forms."""

    source: SourceKind
    connection: str
    """Id of the Airflow Connection."""
    text: str


class Indicator(Frozen):
    """What is counted. Bad events out of all are what every form comes to."""

    kind: Literal["good", "bad", "raw_success", "raw_failure", "threshold"]
    """Good or bad events out of ``total``; a ready ratio; or samples compared with ``limit``."""
    query: Query
    """The good or bad events, the ratio, or the metric."""
    total: Query | None = None
    """All events, for ``good`` and ``bad``."""
    counter: bool = True
    """Whether ``query`` and ``total`` only ever rise."""
    op: Literal["lte", "gte", "lt", "gt"] | None = None
    """A sample of a ``threshold`` metric is good if it is so to ``limit``."""
    limit: float | None = None

    @property
    def unit(self) -> str:
        """What is counted: events, or samples in time."""
        return "events" if self.kind in ("good", "bad") else "samples"


class SloTarget(Frozen):
    """One objective."""

    name: str | None = None
    target: float = Field(ge=0, lt=1)
    """Share of good events."""


class Slo(Frozen):
    """A service level objective, ready to be measured."""

    name: str
    service: str
    targets: tuple[SloTarget, ...] = Field(min_length=1)
    """All must hold."""
    window: Duration
    """The rolling window that the error budget is for."""
    indicator: Indicator
    min_events: float = 10
    """Fewer events in a window are too few to judge by."""
    max_age: Duration = timedelta(minutes=3)
    """How old the newest sample may be."""
    missing_bad_is_zero: bool = False
    """Whether a query of bad events that finds no series means that there were none."""
    sloth_id: str | None = None
    """``sloth_id`` of Sloth's recording rules if it is not ``<service>-<name>``; or ``none``."""
    pyrra_slo: str | None = None
    """Label ``slo`` of Pyrra's recording rules if it is not the name; or ``none``."""


def resolve_slo(name: str, catalog: Catalog) -> Slo:
    """The SLO of this name, with its SLI and its sources.

    Raises ``SpecError`` if it is not there or cannot be measured; ``unusable`` says so before.
    """
    document = catalog.slos.get(name)
    if document is None:
        raise SpecError(f"There is no valid SLO '{name}' (an openslo/v1 document of kind SLO).")
    try:
        settings = settings_of(document)
        indicator = indicator_of(document, catalog)
        check_indicator(indicator, catalog)
        targets = objectives_of(document)
        return Slo(
            name=name,
            service=document.spec.service,
            targets=tuple(
                SloTarget(name=objective.display_name, target=round(objective.ratio, 12))
                for objective in targets
            ),
            window=window_of(document),
            indicator=_indicator(indicator, targets[0].op, targets[0].value, catalog),
            min_events=settings.min_events,
            max_age=settings.max_age,
            missing_bad_is_zero=settings.missing_bad_is_zero,
            sloth_id=settings.sloth_id,
            pyrra_slo=settings.pyrra_slo,
        )
    except UnusableError as why:
        raise SpecError(f"SLO '{name}' cannot be measured: {why}.") from None


def _indicator(
    spec: SliSpec,
    op: Literal["lte", "gte", "lt", "gt"] | None,
    limit: float | None,
    catalog: Catalog,
) -> Indicator:
    queries = {part: _query(part, metric, catalog) for part, metric in parts_of(spec)}
    if spec.threshold_metric is not None:
        if op is None or limit is None:
            raise UnusableError("a thresholdMetric needs `op` and `value` in its objective")
        return Indicator(
            kind="threshold", query=queries["thresholdMetric"], counter=False, op=op, limit=limit
        )
    ratio = spec.ratio_metric
    assert ratio is not None  # an SLI has one or the other
    if ratio.raw is not None:
        kind: Literal["raw_success", "raw_failure"] = (
            "raw_success" if ratio.raw_type == "success" else "raw_failure"
        )
        return Indicator(kind=kind, query=queries["raw"], counter=False)
    return Indicator(
        kind="good" if ratio.good is not None else "bad",
        query=queries["good" if ratio.good is not None else "bad"],
        total=queries["total"],
        counter=ratio.counter,
    )


def _query(part: str, metric: MetricSpec, catalog: Catalog) -> Query:
    source = source_of(metric, catalog)
    return Query(source=source.kind, connection=source.connection, text=query_of(part, metric))
