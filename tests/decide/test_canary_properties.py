"""What must hold of the canary judge whatever the numbers."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner_provider.decide.canary import CanaryMetric, Cut, Row, judge
from planner_provider.decide.canary.counts import Arms
from planner_provider.decide.canary.evidence import exact, log_half_normal
from planner_provider.decide.canary.judge import family_weights
from planner_provider.decide.canary.noise import GRID, learn, log_sum
from planner_provider.decide.canary.past import no_past, summarise
from planner_provider.decide.canary.scores import Rule, limits, score, trace
from planner_provider.decide.model import Verdict, VerdictKind
from tests.decide.canaries import HORIZON, inputs, metric, rows


def evidence(verdict: Verdict) -> float:
    found = next(measure.value for measure in verdict.measures if measure.name == "evidence")
    assert found is not None
    return found


@pytest.mark.parametrize("times", [1.0, 2.0])
def test_the_scale_of_the_ratio_does_not_matter(times: float) -> None:
    """The same bad events among up to a million million times as many."""
    data = rows(1, times=times, events=30_000, base=0.0005)

    def diluted(factor: float) -> Verdict:
        rarer: list[Row] = [
            (row[0] * factor, row[1], row[2] * factor, row[3])  # type: ignore[operator]
            for row in data
            if row is not None
        ]
        return judge(inputs(metric(rarer)))

    first = diluted(1.0)
    for decade in range(1, 13):
        other = diluted(10.0**decade)
        assert other.kind is first.kind
        assert math.log(evidence(other)) == pytest.approx(math.log(evidence(first)), abs=0.2)


@given(seed=st.integers(0, 10**6), times=st.sampled_from([0.5, 1.0, 1.5, 3.0]))
@settings(max_examples=15, deadline=None)
def test_swapping_the_arms_changes_nothing_for_either(seed: int, times: float) -> None:
    data = rows(seed, 20, times=times)
    swapped: list[Row] = [(row[2], row[3], row[0], row[1]) for row in data if row is not None]
    one, other = (
        judge(inputs(metric(series, direction="either"), minute=20)) for series in (data, swapped)
    )
    assert one.kind is other.kind
    assert evidence(one) == pytest.approx(evidence(other), rel=1e-6)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_a_fall_is_the_rise_of_the_other_arm(seed: int) -> None:
    data = rows(seed, 20, times=2.0)
    swapped: list[Row] = [(row[2], row[3], row[0], row[1]) for row in data if row is not None]
    rise = judge(inputs(metric(data, direction="increase"), minute=20))
    fall = judge(inputs(metric(swapped, direction="decrease"), minute=20))
    assert rise.kind is fall.kind
    assert evidence(rise) == pytest.approx(evidence(fall), rel=1e-6)


def test_the_order_of_metrics_does_not_matter() -> None:
    metrics = [
        metric(rows(1), "a", importance="critical"),
        metric(rows(2, times=1.3), "b"),
        metric(rows(3), "c", direction="either"),
    ]
    verdicts = [judge(inputs(*order)) for order in permutations(metrics)]
    assert len({(verdict.kind, evidence(verdict)) for verdict in verdicts}) == 1


@given(st.lists(st.sampled_from(["critical", "normal", "informational"]), min_size=1, max_size=30))
def test_the_shares_of_the_metrics_never_exceed_the_whole(importances: list[str]) -> None:
    metrics = [CanaryMetric.model_validate({"name": "m", "importance": i}) for i in importances]
    weights = family_weights(metrics)
    whole = 0.0 if set(importances) == {"informational"} else 1.0
    assert math.fsum(weights) == pytest.approx(whole)
    assert min(weights) >= 0


def test_more_good_metrics_ask_for_more_evidence_of_the_bad_one() -> None:
    """So that the rate of false alarms of the family stays that of one metric."""
    bad = metric(rows(4, times=1.6), "bad")
    found = [
        evidence(judge(inputs(bad, *(metric(rows(9 + n), f"good {n}") for n in range(others)))))
        for others in (0, 1, 4, 9)
    ]
    assert found == sorted(found, reverse=True)
    # A tenth of the weight: a tenth of the evidence, but for what the others add.
    assert found[-1] < found[0] / 5


readings = st.one_of(
    st.none(), st.just(math.nan), st.floats(-10, 5000), st.sampled_from([0.0, 3000.0, math.inf])
)


@given(st.lists(st.one_of(st.none(), st.tuples(*[readings] * 4)), max_size=HORIZON))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_there_is_a_verdict_and_gaps_never_proceed(data: list[Row]) -> None:
    verdict = judge(inputs(metric(rows(1), "good"), metric(data, "odd")))
    sound = [
        row
        for row in data
        if row is not None and all(isinstance(v, float) and math.isfinite(v) for v in row)
    ]
    if len(sound) < HORIZON / 2:
        assert verdict.kind is not VerdictKind.PROCEED


def test_missing_data_never_makes_a_bad_canary_proceed() -> None:
    bad = rows(5, times=2.0)
    for share in (0.0, 0.2, 0.5, 0.9, 1.0):
        rng = np.random.default_rng(6)
        data = [None if rng.random() < share else row for row in bad]
        assert judge(inputs(metric(data))).kind is not VerdictKind.PROCEED


def test_the_weights_of_the_noise_add_up_with_any_history() -> None:
    rng = np.random.default_rng(7)
    for minutes in (0.0, 1.0, 60.0, 1440.0):
        learned = learn(rng.normal(0, 50, (3, len(GRID.tau))), np.full(3, minutes))
        assert log_sum(learned) == pytest.approx(np.zeros(3), abs=1e-9)
    assert log_sum(GRID.log_prior) == pytest.approx(0, abs=1e-12)
    assert learn(np.zeros((1, len(GRID.tau))) + 5, np.zeros(1))[0] == pytest.approx(GRID.log_prior)


def test_the_average_over_the_size_of_a_shift_is_that_of_numerical_integration() -> None:
    sizes = np.linspace(0, 6, 60_001)
    density = 2 * np.exp(-(sizes**2)) / math.sqrt(math.pi)  # half-normal, variance 0.5
    for score_, information in ((-3.0, 2.0), (0.0, 1.0), (2.0, 0.5), (12.0, 20.0)):
        ratio = np.exp(sizes * score_ - sizes**2 * information / 2)
        expected = math.log(float(np.trapezoid(ratio * density, sizes)))
        found = log_half_normal(np.array([score_]), np.array([information]), both=False)
        assert found[0] == pytest.approx(expected, abs=1e-5)


def test_exact_evidence_of_equal_arms_averages_to_at_most_one() -> None:
    """It is a (super-)martingale under equality, so its mean does not grow."""
    rng = np.random.default_rng(8)
    shape = (20_000, 5)
    arms = Arms(
        np.full(shape, 100.0), rng.binomial(100, 0.01, shape).astype(float),
        np.full(shape, 300.0), rng.binomial(300, 0.01, shape).astype(float),
    )  # fmt: skip
    found = np.exp(exact(arms, HORIZON, both=False))
    assert (found.mean(axis=0) < 1.03).all()
    assert (found.mean(axis=0) > 0.85).all()


def test_limits_fall_to_the_horizon_and_are_high_again_after_it() -> None:
    found = np.exp(limits(60, 20, 80, HORIZON, 0.01))
    assert (np.diff(found[:HORIZON]) < 0).all()
    assert found[HORIZON - 1] == pytest.approx(20)
    assert found[HORIZON:] == pytest.approx(np.full(20, 60.0))
    assert np.exp(limits(60, 20, 1, HORIZON, 0.001))[0] == pytest.approx(
        10 * np.exp(limits(60, 20, 1, HORIZON, 0.01))[0]
    )


def wandering(seed: int, runs: int, times: float) -> Arms:
    """Counts of arms whose ratio wanders: AR(1), .2 in the logarithm, correlation .9."""
    rng = np.random.default_rng(seed)
    shape = (runs, HORIZON)
    counts = []
    for factor in (times, 1.0):
        noise = rng.normal(0, 0.2, shape)
        noise[:, 1:] *= math.sqrt(1 - 0.81)
        for minute in range(1, HORIZON):
            noise[:, minute] += 0.9 * noise[:, minute - 1]
        counts += [np.full(shape, 3000.0),
                   rng.binomial(3000, 0.005 * np.exp(noise) * factor).astype(float)]  # fmt: skip
    return Arms(*counts)


def rolled_back(arms: Arms) -> float:
    found = trace(arms, no_past(len(arms.canary)), HORIZON, "increase")
    return float((score(found, HORIZON, Rule()) >= 1).any(axis=1).mean())


def test_false_alarms_in_wandering_noise_are_rare_and_faults_are_found() -> None:
    """A check of the limits, not a measurement: that is what ``python -m bench judge`` is for."""
    assert rolled_back(wandering(11, 500, 1.0)) <= 0.02
    assert rolled_back(wandering(12, 100, 4.0)) >= 0.9


def steady(seed: int, runs: int, minutes: int = 360) -> Arms:
    """History without noise: counts of two equal arms."""
    rng = np.random.default_rng(seed)
    counts = [np.full((runs, minutes), 3000.0), np.full((runs, minutes), 3000.0)]
    bad = [rng.binomial(3000, 0.005, (runs, minutes)).astype(float) for _ in range(2)]
    return Arms(counts[0], bad[0], counts[1], bad[1])


@pytest.mark.parametrize("alone", [False, True])
def test_history_that_is_milder_than_the_bake_deceives_only_who_trusts_it(alone: bool) -> None:
    history = steady(21, 400)
    if alone:
        gone = np.full(history.canary.shape, np.nan)
        history = Arms(gone, gone, history.baseline, history.baseline_bad)
    found = trace(wandering(22, 400, 1.0), summarise(history), HORIZON, "increase")

    def rate(rule: Rule) -> float:
        return float((score(found, HORIZON, rule) >= 1).any(axis=1).mean())

    assert rate(Rule()) <= 0.02
    assert rate(Rule(strict=True)) <= 0.02
    if not alone:
        assert rate(Rule(trust_history=True)) > 0.1


@pytest.mark.parametrize("alone", [False, True])
def test_the_level_of_the_service_helps_to_find_a_fault(alone: bool) -> None:
    bad = rows(23, times=2.0)
    history = tuple(
        (None, None, row[2], row[3]) if alone else row for row in rows(24, 600) if row is not None
    )
    with_level, without = (
        evidence(judge(inputs(metric(bad[:12], history=given), minute=12)))
        for given in (history, ())
    )
    assert with_level > 3 * without


def test_cuts_that_are_alike_count_as_one() -> None:
    data = rows(13, times=1.5)
    once = judge(inputs(metric(data)))
    cut = Cut(minutes=data)
    thrice = judge(inputs(CanaryMetric(name="errors", cuts=(cut, cut, cut))))
    assert evidence(once) == pytest.approx(evidence(thrice))
