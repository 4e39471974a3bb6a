"""The rules of OpenSLO v1, each broken once."""

from __future__ import annotations

import pytest

from planner_provider.spec.openslo import Objective
from tests.spec.specs import codes, loaded

METRIC = "{metricSource: {type: Prometheus, spec: {query: up}}}"
RATIO = f"{{ratioMetric: {{counter: true, good: {METRIC}, total: {METRIC}}}}}"
INLINE = f"{{metadata: {{name: sli}}, spec: {RATIO}}}"
THRESHOLD = f"{{metadata: {{name: sli}}, spec: {{thresholdMetric: {METRIC}}}}}"


def slo(**changes: str | None) -> str:
    parts: dict[str, str | None] = {
        "service": "checkout",
        "indicator": INLINE,
        "timeWindow": "[{duration: 30d, isRolling: true}]",
        "budgetingMethod": "Occurrences",
        "objectives": "[{target: 0.99}]",
    }
    parts.update(changes)
    spec = ", ".join(f"{key}: {value}" for key, value in parts.items() if value is not None)
    return f"apiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: slo}}\nspec: {{{spec}}}\n"


def other(kind: str, spec: str) -> str:
    return f"apiVersion: openslo/v1\nkind: {kind}\nmetadata: {{name: thing}}\nspec: {spec}\n"


CALENDAR = "{startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin}"


@pytest.mark.parametrize(
    "text",
    [
        slo(),
        slo(timeWindow=f"[{{duration: 1Q, calendar: {CALENDAR}}}]"),
        slo(timeWindow=f"[{{duration: 1Q, isRolling: false, calendar: {CALENDAR}}}]"),
        slo(timeWindow=None),
        slo(objectives="[{target: 0}, {targetPercent: 99.99}]"),
        slo(indicator=THRESHOLD, objectives="[{op: lt, value: 1, target: 0.5}]"),
        slo(budgetingMethod="Timeslices",
            objectives="[{target: 0.9, timeSliceTarget: 1, timeSliceWindow: 5m}]"),
        slo(budgetingMethod="RatioTimeslices", objectives="[{target: 0.9, timeSliceWindow: 5}]"),
        slo(indicator=None, objectives=f"[{{target: 0.9, indicator: {INLINE}}}]"),
        other("AlertCondition",
              "{severity: page, condition: {threshold: 2, lookbackWindow: 1h, alertAfter: 0m}}"),
    ],
)  # fmt: skip
def test_allowed(text: str) -> None:
    assert not loaded(text).diagnostics


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        (slo(service=None), "PLN203", "service"),
        (slo(indicator=None), "PLN233", "needs `indicator`"),
        (slo(indicatorRef="sli"), "PLN233", "either `indicator` or"),
        (slo(timeWindow="[{duration: 1d, isRolling: true}, {duration: 1w, isRolling: true}]"),
         "PLN207", "more than the 1"),
        (slo(timeWindow="[{duration: 30d}]"), "PLN233", "isRolling"),
        (slo(timeWindow=f"[{{duration: 30d, isRolling: true, calendar: {CALENDAR}}}]"),
         "PLN233", "no `calendar`"),
        (slo(timeWindow="[{duration: 30 days, isRolling: true}]"), "PLN205", "such as 30d"),
        (slo(timeWindow="[{duration: 0d, isRolling: true}]"), "PLN205", "such as 30d"),
        (slo(timeWindow="[{duration: 1d, calendar: {startTime: 2026-02-30 00:00:00, "
             "timeZone: UTC}}]"), "PLN233", "there is no time"),
        (slo(timeWindow="[{duration: 1d, calendar: {startTime: 2026-01-01T00:00:00, "
             "timeZone: UTC}}]"), "PLN205", "2026-01-01 00:00:00"),
        (slo(timeWindow="[{duration: 1d, calendar: {startTime: 2026-01-01 00:00:00, "
             "timeZone: Mars}}]"), "PLN224", "Mars"),
        (slo(budgetingMethod="occurrences"), "PLN204", "Occurrences"),
        (slo(objectives="[]"), "PLN207", "empty"),
        (slo(objectives="[{target: 1}]"), "PLN206", "less than 1"),
        (slo(objectives="[{target: 99.9}]"), "PLN206", "less than 1"),
        (slo(objectives="[{targetPercent: 100}]"), "PLN206", "less than 100"),
        (slo(objectives="[{target: -0.1}]"), "PLN206", "at least 0"),
        (slo(objectives="[{target: 0.9, targetPercent: 90}]"), "PLN233", "targetPercent"),
        (slo(objectives="[{displayName: x}]"), "PLN233", "targetPercent"),
        (slo(objectives="[{target: 0.9, op: eq}]"), "PLN204", "lte"),
        (slo(objectives="[{target: 0.9, trget: 1}]"), "PLN202", "trget"),
        (slo(indicator=THRESHOLD), "PLN233", "`op` and `value`"),
        (slo(indicator=THRESHOLD, objectives="[{op: lt, value: 1, target: 0.5}, "
             "{op: lt, value: 2, target: 0.6}]"), "PLN233", "only one objective"),
        (slo(budgetingMethod="Timeslices", objectives="[{target: 0.9, timeSliceWindow: 1m}]"),
         "PLN233", "timeSliceTarget"),
        (slo(budgetingMethod="Timeslices", objectives="[{target: 0.9, timeSliceTarget: 0.9}]"),
         "PLN233", "timeSliceWindow"),
        (slo(budgetingMethod="RatioTimeslices"), "PLN233", "timeSliceWindow"),
        (slo(budgetingMethod="Timeslices",
             objectives="[{target: 0.9, timeSliceTarget: 0, timeSliceWindow: 1m}]"),
         "PLN206", "more than 0"),
        (slo(objectives=f"[{{target: 0.9, indicator: {INLINE}}}]"), "PLN233", "not in both"),
        (slo(indicator=None, objectives=f"[{{target: 0.9, indicator: {INLINE}}}, {{target: 0.9}}]"),
         "PLN233", "composite"),
        (slo(alertPolicies="[{alertPolicyRef: a, kind: AlertPolicy}]"), "PLN233", "either"),
        (slo(alertPolicies="[{kind: AlertPolicy}]"), "PLN233", "belong together"),
        (slo(description="x" * 1051), "PLN207", "1051"),
        (other("SLI", "{}"), "PLN233", "thresholdMetric"),
        (other("SLI", f"{{thresholdMetric: {METRIC}, ratioMetric: {{total: {METRIC}}}}}"),
         "PLN233", "`good` or `bad`"),
        (other("SLI", f"{{ratioMetric: {{total: {METRIC}, good: {METRIC}, bad: {METRIC}}}}}"),
         "PLN233", "`good` or `bad`"),
        (other("SLI", f"{{ratioMetric: {{raw: {METRIC}}}}}"), "PLN233", "rawType"),
        (other("SLI", f"{{ratioMetric: {{raw: {METRIC}, total: {METRIC}}}}}"), "PLN233", "either"),
        (other("SLI", "{thresholdMetric: {metricSource: {spec: {query: up}}}}"),
         "PLN233", "`type`"),
        (other("SLI", "{thresholdMetric: {metricSource: {type: x, spec: {}}}}"), "PLN207", "empty"),
        (other("DataSource", "{type: x}"), "PLN203", "connectionDetails"),
        (other("AlertPolicy", "{conditions: [], notificationTargets: [{targetRef: a}]}"),
         "PLN207", "empty"),
        (other("AlertCondition", "{severity: page, condition: {kind: burn, threshold: 1, "
               "lookbackWindow: 1h}}"), "PLN204", "burnrate"),
        (other("AlertNotificationTarget", "{}"), "PLN203", "target"),
        (other("Service", "{}").replace("name: thing", "name: Thing"), "PLN205", "lower-case"),
    ],
)  # fmt: skip
def test_refused(text: str, code: str, part: str) -> None:
    found = [item for item in loaded(text).diagnostics if item.code != "PLN306"]
    assert [item.code for item in found] == [code]
    assert part in f"{found[0].message} {found[0].hint}"


def test_references_between_openslo_documents() -> None:
    assert codes(loaded(slo(indicator=None, indicatorRef="nothing"))) == ["PLN306"]
    sli = other("SLI", RATIO)
    assert codes(loaded(slo(indicator=None, indicatorRef="thing"), sli)) == []
    by_source = sli.replace("type: Prometheus", "metricSourceRef: prom")
    assert codes(loaded(by_source)) == ["PLN306", "PLN306"]


def test_a_threshold_metric_that_is_only_named_is_checked_too() -> None:
    sli = other("SLI", f"{{thresholdMetric: {METRIC}}}")
    assert codes(loaded(slo(indicator=None, indicatorRef="thing"), sli)) == ["PLN233"]


def test_a_target_is_a_share() -> None:
    assert Objective.model_validate({"targetPercent": 99.9}).ratio == pytest.approx(0.999)
    assert Objective.model_validate({"target": 0.5}).ratio == 0.5
