"""From OpenSLO documents to SLOs that can be measured, and what cannot be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from planner_provider.errors import SpecError
from planner_provider.graph.slos import Slo, resolve_slo, unusable
from planner_provider.spec.catalog import Catalog
from tests.spec.specs import loaded

SOURCE = "{kind: DataSource, metadata: {name: my-prom%s}, spec: {type: %s, connectionDetails: {}}}"


def metric(query: str | None, source: str = "my-prom") -> str:
    spec = "{x: 1}" if query is None else f"{{query: '{query}'}}"
    return f"{{metricSource: {{metricSourceRef: {source}, spec: {spec}}}}}"


def ratio(good: str = "x_total", total: str = "y_total", part: str = "good") -> str:
    return f"{{ratioMetric: {{counter: true, {part}: {metric(good)}, total: {metric(total)}}}}}"


def catalog(
    sli: str | None = None,
    *,
    source: str = "Prometheus",
    source_annotations: str = "",
    annotations: str = "",
    **changes: str | None,
) -> Catalog:
    parts: dict[str, str | None] = {
        "service": "checkout",
        "indicatorRef": "sli",
        "timeWindow": "[{duration: 4w, isRolling: true}]",
        "budgetingMethod": "Occurrences",
        "objectives": "[{targetPercent: 99.9}]",
        **changes,
    }
    spec = ", ".join(f"{key}: {value}" for key, value in parts.items() if value is not None)
    noted = f", annotations: {{{source_annotations}}}" if source_annotations else ""
    mine = f", annotations: {{{annotations}}}" if annotations else ""
    documents = [
        SOURCE % (noted, source),
        f"{{kind: SLI, metadata: {{name: sli}}, spec: {sli or ratio()}}}",
        f"{{kind: SLO, metadata: {{name: slo{mine}}}, spec: {{{spec}}}}}",
    ]
    text = "\n---\n".join(
        item.replace("{kind", "{apiVersion: openslo/v1, kind", 1) for item in documents
    )
    found = loaded(text)
    assert not [item for item in found.diagnostics if item.is_error], found.diagnostics
    return found.catalog


def resolved(*args: Any, **more: Any) -> Slo:
    return resolve_slo("slo", catalog(*args, **more))


def test_a_ratio_by_reference() -> None:
    slo = resolved()
    assert (slo.name, slo.service, slo.window) == ("slo", "checkout", timedelta(days=28))
    assert [target.target for target in slo.targets] == [0.999]
    assert slo.indicator.kind == "good"
    assert slo.indicator.query.text == "x_total"
    assert slo.indicator.total is not None
    assert slo.indicator.total.text == "y_total"
    assert (slo.indicator.query.source, slo.indicator.query.connection) == ("prometheus", "my_prom")
    assert Slo.model_validate_json(slo.model_dump_json()) == slo


def test_an_inline_indicator() -> None:
    inline = f"{{metadata: {{name: sli}}, spec: {ratio(part='bad')}}}"
    assert resolved(indicatorRef=None, indicator=inline).indicator.kind == "bad"


def test_the_connection_by_annotation() -> None:
    slo = resolved(source_annotations="planner.dev/connection: prom.eu")
    assert slo.indicator.query.connection == "prom.eu"


def test_a_threshold() -> None:
    slo = resolved(
        f"{{thresholdMetric: {metric('max(latency)')}}}",
        objectives="[{op: lte, value: 0.3, target: 0.95}]",
    )
    assert (slo.indicator.kind, slo.indicator.op, slo.indicator.limit) == ("threshold", "lte", 0.3)
    assert slo.indicator.total is None
    assert slo.indicator.unit == "samples"


@pytest.mark.parametrize("kind", ["success", "failure"])
def test_a_raw_ratio(kind: str) -> None:
    raw = f"{{ratioMetric: {{rawType: {kind}, raw: {metric('a / b')}}}}}"
    assert resolved(raw).indicator.kind == f"raw_{kind}"


def test_sql() -> None:
    text = "SELECT COUNT(*) FROM payments WHERE at > :since"
    slo = resolved(ratio(text, text), source="PostgreSQL")
    assert slo.indicator.query.source == "sql"


def test_annotations_of_the_slo() -> None:
    slo = resolved(
        annotations='planner.dev/min-events: "3", planner.dev/max-age: 90s, '
        "planner.dev/missing-bad: zero, planner.dev/sloth-id: a-b, planner.dev/pyrra-slo: none"
    )
    assert (slo.min_events, slo.max_age) == (3, timedelta(seconds=90))
    assert slo.missing_bad_is_zero
    assert (slo.sloth_id, slo.pyrra_slo) == ("a-b", "none")


CALENDAR = "{startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin}"
INLINE = f"{{metadata: {{name: sli}}, spec: {ratio()}}}"
SLICED = "[{target: 0.9, timeSliceTarget: 0.9, timeSliceWindow: 5m}]"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"timeWindow": None}, "no timeWindow"),
        ({"timeWindow": f"[{{duration: 1M, calendar: {CALENDAR}}}]"}, "follows the calendar"),
        ({"timeWindow": "[{duration: 1M, isRolling: true}]"}, "no fixed length"),
        ({"timeWindow": "[{duration: 30m, isRolling: true}]"}, "shorter than an hour"),
        ({"timeWindow": "[{duration: 400d, isRolling: true}]"}, "cannot be used"),
        ({"budgetingMethod": "Timeslices", "objectives": SLICED}, "is Timeslices"),
        (
            {"indicatorRef": None, "objectives": f"[{{target: 0.9, indicator: {INLINE}}}]"},
            "a composite SLO",
        ),
        ({"source": "Datadog"}, "is of type Datadog"),
        (
            {"source_annotations": "planner.dev/connection: 'http://prom.example.com'"},
            "is not the id",
        ),
        ({"annotations": "planner.dev/min-events: few"}, "not a number"),
        ({"annotations": "planner.dev/max-age: soon"}, "planner.dev/max-age"),
        ({"annotations": "planner.dev/missing-bad: nothing"}, "not zero or unknown"),
        ({"sli": ratio("rate(x[5m])")}, "neither one series selector"),
        ({"sli": ratio("vector(1)")}, "reads no series"),
        ({"sli": ratio("SELECT 1"), "source": "sql"}, "does not use :since"),
        (
            {"sli": f"{{ratioMetric: {{good: {metric(None)}, total: {metric('y')}}}}}"},
            "`good` has no `query`",
        ),
        (
            {
                "sli": "{thresholdMetric: {metricSource: {type: Prometheus, spec: {query: up}}}}",
                "objectives": "[{op: lt, value: 1, target: 0.9}]",
            },
            "use `metricSourceRef`",
        ),
    ],
)
def test_unusable(given: dict[str, str | None], said: str) -> None:
    documents = catalog(**given)  # type: ignore[arg-type]
    why = unusable(documents.slos["slo"], documents)
    assert why is not None
    assert said in why
    with pytest.raises(SpecError, match="SLO 'slo' cannot be measured"):
        resolve_slo("slo", documents)


def test_usable() -> None:
    documents = catalog()
    assert unusable(documents.slos["slo"], documents) is None
    assert unusable(documents.slos["slo"]) is None


def test_there_is_no_such_slo() -> None:
    with pytest.raises(SpecError, match="no valid SLO 'other'"):
        resolve_slo("other", catalog())
