from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.decide.canary import CanaryMetric
from planner_provider.errors import UnavailableError
from planner_provider.graph.slos import Indicator, Query, Slo, SloTarget
from planner_provider.hooks.arm_counts import (
    Comparison,
    Watched,
    comparison_of_slo,
    count,
    learn_past,
)
from planner_provider.hooks.prometheus import Series
from planner_provider.spec.promql import with_matchers

BEGAN = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class FakePrometheus:
    """Answers by the selector in the query; remembers what it was asked."""

    def __init__(self, answers: dict[str, list[float]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, float, float, float]] = []

    def query_range(self, promql: str, start: float, end: float, step: float) -> tuple[Series, ...]:
        self.asked.append((promql, start, end, step))
        for part, values in self.answers.items():
            if part in promql:
                return (Series({}, {start + n * step: v for n, v in enumerate(values)}),)
        return ()


def comparison(**changes: Any) -> Comparison:
    given = {
        "name": "errors", "connection": "prom",
        "part": 'requests_total{code="500"}', "total": "requests_total",
    }  # fmt: skip
    return Comparison(**{**given, **changes})


def watched(*comparisons: Comparison) -> Watched:
    return Watched(
        comparisons=comparisons or (comparison(),),
        canary='track="canary"', baseline='track="stable"', began_at=BEGAN, every=MINUTE,
    )  # fmt: skip


def counted(
    answers: dict[str, list[float]], item: Comparison | None = None, minutes: float = 2.1
) -> tuple[CanaryMetric, FakePrometheus]:
    server = FakePrometheus(answers)
    (metric,) = count(
        watched(item or comparison()),
        BEGAN + timedelta(minutes=minutes),
        lambda _: server,  # type: ignore[arg-type, return-value]
    )
    return metric, server


CANARY, BASELINE = '{track="canary"}', '{track="stable"}'
BAD_CANARY, BAD_BASELINE = '"500",track="canary"', '"500",track="stable"'
TOTALS = {CANARY: [100.0, 101.0], BASELINE: [900.0, 899.0]}


def test_rows_have_both_arms_of_every_whole_interval() -> None:
    metric, server = counted({BAD_CANARY: [1.0, 2.0], BAD_BASELINE: [9.0, 8.0], **TOTALS})
    assert metric.problem is None
    assert metric.cuts[0].minutes == ((100, 1, 900, 9), (101, 2, 899, 8))
    promql, start, end, step = server.asked[0]
    assert promql == 'sum(increase(requests_total{track="canary"}[60000ms]))'
    assert (start, end, step) == (BEGAN.timestamp() + 60, BEGAN.timestamp() + 120, 60)


def test_before_the_first_interval_is_over_there_is_nothing() -> None:
    metric, server = counted(TOTALS, minutes=1.0)
    assert metric.cuts[0].minutes == ()
    assert server.asked == []


def test_events_are_rounded_because_prometheus_extrapolates() -> None:
    answers = {BAD_CANARY: [1.03], BAD_BASELINE: [8.97], CANARY: [100.4], BASELINE: [899.6]}
    metric, _ = counted(answers, minutes=1.1)
    assert metric.cuts[0].minutes == ((100, 1, 900, 9),)


def test_good_events_are_taken_from_all() -> None:
    item = comparison(part='requests_total{code="500"}', part_is="good")
    answers = {BAD_CANARY: [99.0], BAD_BASELINE: [901.0], CANARY: [100.0], BASELINE: [900.0]}
    metric, _ = counted(answers, item, minutes=1.1)
    assert metric.cuts[0].minutes == ((100, 1, 900, 0),)  # 901 of 900: both are extrapolated


def test_more_good_than_all_by_far_is_left_for_the_judge_to_refuse() -> None:
    item = comparison(part_is="good")
    answers = {BAD_CANARY: [99.0], BAD_BASELINE: [990.0], CANARY: [100.0], BASELINE: [900.0]}
    metric, _ = counted(answers, item, minutes=1.1)
    assert metric.cuts[0].minutes == ((100, 1, 900, -90),)


def test_an_arm_without_series_is_missing() -> None:
    metric, _ = counted({BAD_BASELINE: [9.0, 8.0], BASELINE: [900.0, 899.0]})
    assert metric.cuts[0].minutes == ((None, None, 900, 9), (None, None, 899, 8))


def test_no_bad_series_in_one_arm_means_none_there() -> None:
    metric, _ = counted({BAD_BASELINE: [9.0, 8.0], **TOTALS})
    assert metric.cuts[0].minutes == ((100, 0, 900, 9), (101, 0, 899, 8))


def test_no_bad_series_in_either_arm_may_be_a_wrong_name_and_is_not_known() -> None:
    metric, _ = counted(TOTALS)
    assert metric.cuts[0].minutes == ((100, None, 900, None), (101, None, 899, None))


def test_the_slo_may_say_that_no_series_means_none() -> None:
    metric, _ = counted(TOTALS, comparison(missing_bad_is_zero=True))
    assert metric.cuts[0].minutes == ((100, 0, 900, 0), (101, 0, 899, 0))


def test_a_number_that_is_none_is_handed_on_to_be_refused() -> None:
    metric, _ = counted({BAD_CANARY: [float("nan")], **TOTALS}, minutes=1.1)
    assert metric.cuts[0].minutes == ((100, "NaN", 900, 0),)


@pytest.mark.parametrize("text", ["rate(x[5m])", "a / b", ""])
def test_what_cannot_be_asked_of_one_arm_is_a_problem(text: str) -> None:
    metric, _ = counted(TOTALS, comparison(total=text))
    assert metric.problem is not None
    assert "is not one series selector" in metric.problem


def test_a_source_that_does_not_answer_is_a_problem_and_raises_nothing() -> None:
    def nobody(_: str) -> Any:
        raise UnavailableError("no answer")

    (metric,) = count(watched(), BEGAN + 3 * MINUTE, nobody)
    assert (metric.problem, metric.cuts) == ("no answer", ())


def slo(**changes: Any) -> Slo:
    def query(text: str, source: str = "prometheus") -> Query:
        return Query(source=source, connection="prom", text=text)  # type: ignore[arg-type]

    indicator = {"kind": "good", "query": query("good_total"), "total": query("all_total")}
    indicator |= changes
    return Slo(
        name="checkout", service="checkout", targets=(SloTarget(target=0.995),),
        window=timedelta(days=30), indicator=Indicator(**indicator),
    )  # fmt: skip


def test_an_slo_is_compared_by_its_counters() -> None:
    found = comparison_of_slo(slo())
    assert isinstance(found, Comparison)
    assert (found.part, found.part_is, found.total) == ("good_total", "good", "all_total")
    assert found.tolerable == pytest.approx(0.005)


def test_what_has_no_counters_of_prometheus_is_not_compared() -> None:
    assert "no ratio of two counters" in str(comparison_of_slo(slo(kind="raw_failure", total=None)))
    sql = Query(source="sql", connection="db", text="SELECT 1")
    assert "not measured by Prometheus" in str(comparison_of_slo(slo(query=sql, total=sql)))


@pytest.mark.parametrize(
    ("selector", "narrowed"),
    [
        ("up", 'up{a="b"}'),
        ("up{}", 'up{a="b"}'),
        ('up{x="}"}', 'up{x="}",a="b"}'),
        ('up{x="1", }', 'up{x="1",a="b"}'),
        ('{__name__="up"}', '{__name__="up",a="b"}'),
    ],
)
def test_matchers_are_added_to_a_selector(selector: str, narrowed: str) -> None:
    assert with_matchers(selector, 'a="b"') == narrowed
    assert with_matchers(selector, " ") == selector


@given(st.floats(0, 5000, allow_nan=False), st.floats(0.1, 600))
def test_only_whole_intervals_that_have_settled_count(passed: float, every: float) -> None:
    item = Watched(
        comparisons=(), canary="", baseline="", began_at=BEGAN, every=timedelta(seconds=every)
    )
    number = item.intervals(BEGAN + timedelta(seconds=passed))
    assert number >= 0
    assert number * item.every.total_seconds() <= max(0.0, passed - 1) + 1e-6


class TestThePast:
    def test_the_baseline_alone_is_learned_from(self) -> None:
        server = FakePrometheus({BAD_BASELINE: [9.0] * 360, BASELINE: [900.0] * 360})
        learned = learn_past(watched(), lambda _: server)  # type: ignore[arg-type, return-value]
        (one,) = learned.values()
        assert (list(learned), one.minutes, one.level_minutes) == (["errors"], 0, 360)
        _, start, end, step = server.asked[0]
        assert (BEGAN.timestamp() - start, end - BEGAN.timestamp(), step) == (6 * 3600 - 60, 0, 60)

    def test_a_past_that_cannot_be_had_is_left_out(self) -> None:
        def nobody(_: str) -> Any:
            raise UnavailableError("no answer")

        assert learn_past(watched(), nobody) == {}
        assert learn_past(watched(), lambda _: FakePrometheus({})) == {}  # type: ignore[arg-type, return-value]

    def test_what_was_learned_goes_to_the_judge(self) -> None:
        server = FakePrometheus({BAD_BASELINE: [9.0] * 360, BASELINE: [900.0] * 360})
        learned = learn_past(watched(), lambda _: server)  # type: ignore[arg-type, return-value]
        asked = watched().model_copy(update={"noise": learned})
        again = Watched.model_validate_json(asked.model_dump_json())
        (metric,) = count(again, BEGAN + 2.1 * MINUTE, lambda _: server)  # type: ignore[arg-type, return-value]
        assert metric.cuts[0].noise == learned["errors"]
