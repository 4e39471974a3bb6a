"""The benchmark of the judge: its parts tell the truth, and a small run has its summary."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.judge import benchmark, ours, rivals
from bench.judge.benchmark import interval, simulate, sum_up
from bench.judge.broken import CASES, broken_cells
from bench.judge.cells import FAULTS, NULLS
from bench.judge.kayenta import Classified, Setup, classify, lower_bounds, passes
from bench.judge.kayenta import interval as shift_interval
from bench.judge.scenarios import BAKE, Cell, Fault, Noise, World, draw, draw_cell
from planner_provider.decide.canary import judge
from planner_provider.decide.canary.past import no_past
from planner_provider.decide.model import VerdictKind
from tests.decide.canaries import inputs, metric


def test_intervals_are_clopper_and_pearsons() -> None:
    assert interval(0, 2000) == [0.0, 0.00184]
    assert interval(10, 10)[1] == 1.0
    low, high = interval(5, 100)
    assert (low, high) == pytest.approx((0.0164, 0.1128), abs=1e-4)


def test_what_is_measured_is_what_is_shipped() -> None:
    cell = Cell("some", World(noise=Noise(0.2, 0.8)), Fault(times=2.0), history=0)
    arms = draw(np.random.default_rng(1), cell.world, 6, BAKE, cell.fault)
    measured = ours.first_alarms(arms, None, cell)["ours"]
    columns = (arms.canary, arms.canary_bad, arms.baseline, arms.baseline_bad)
    for run, first in enumerate(measured):
        table = [tuple(map(float, row)) for row in np.stack([c[run] for c in columns], axis=1)]
        verdict = judge(inputs(metric(table)))  # type: ignore[arg-type]
        assert (verdict.kind is VerdictKind.ROLL_BACK) == (first <= BAKE)
        if first <= BAKE:
            minute = int(first)
            before = judge(inputs(metric(table[: minute - 1]), minute=minute - 1))  # type: ignore[arg-type]
            at = judge(inputs(metric(table[:minute]), minute=minute))  # type: ignore[arg-type]
            assert before.kind is VerdictKind.HOLD
            assert at.kind is VerdictKind.ROLL_BACK


def test_the_many_at_once_kayenta_agrees_with_the_one_at_a_time() -> None:
    rng = np.random.default_rng(2)
    canary, baseline = rng.gamma(20, 6, (30, 40)), rng.gamma(20, 5, (30, 40))
    bounds = lower_bounds(canary, baseline)
    for run in range(30):
        low, _, estimate = shift_interval(baseline[run], canary[run])
        if canary[run].mean() >= baseline[run].mean():
            assert bounds[run] == pytest.approx(low / abs(estimate), abs=0.02)
        else:
            assert bounds[run] == -math.inf


def test_kayentas_holes_are_its_own() -> None:
    assert passes(Classified("Error"))
    assert not passes(classify([1.0] * 5, [], Setup(critical=True)))
    assert not passes(classify([1, 2, 3, 4, 5], [11, 12, 13, 14, 15], Setup(critical=True)))


def test_tuning_gives_the_rate_that_is_asked_for() -> None:
    bounds = np.random.default_rng(3).uniform(0, 1, (2000, len(rivals.LOOKS)))
    tolerance = rivals.kayenta_tolerance([bounds], once=False)
    alarms = rivals.kayenta_first(bounds, tolerance, once=False) < rivals.NEVER
    assert 0.005 < alarms.mean() <= 0.01


def test_the_other_judges_see_a_gross_fault_and_only_that() -> None:
    cell = replace(NULLS[0], history=0)
    rng = np.random.default_rng(4)
    good, _ = draw_cell(rng, cell, 40)
    bad, _ = draw_cell(rng, replace(cell, fault=Fault(times=8.0)), 40)
    for rival in (rivals.mann_whitney, rivals.group_sequential):
        assert (rival(bad, 1) <= BAKE).all()
        assert (rival(good, 1) <= BAKE).mean() < 0.15


def test_worlds_are_what_they_say() -> None:
    rng = np.random.default_rng(5)
    missing = draw(rng, World(missing=0.2), 200, BAKE)
    assert np.isnan(missing.canary).mean() == pytest.approx(0.2, abs=0.02)
    late = draw(rng, World(), 400, BAKE, Fault(times=2.0, onset=30))
    assert late.canary_bad[:, 30:].sum() / late.canary_bad[:, :30].sum() == pytest.approx(
        2, abs=0.05
    )
    slow = draw(rng, World(latency=True), 50, BAKE)
    ratio = (slow.canary_bad.sum(axis=1) / slow.canary.sum(axis=1)).reshape(50, 3).mean(axis=0)
    assert ratio == pytest.approx([0.5, 0.1, 0.01], rel=0.02)
    assert no_past(3).minutes.tolist() == [0, 0, 0]


def test_nobody_of_ours_passes_broken_data() -> None:
    found = broken_cells(np.random.default_rng(6))
    assert set(found) == set(CASES)
    assert not any(judges["ours"] for judges in found.values())
    assert found["judge raises"]["kayenta"]


def test_a_small_run_has_its_summary() -> None:
    rng = np.random.default_rng(7)
    cells = (NULLS[0], next(cell for cell in FAULTS if cell.name == "8x"))
    results = [simulate(cell, 10, rng) for cell in cells]
    report = sum_up(results, {"case": {"ours": False}}, {NULLS[0].name})
    assert report["summary"]["fail_open_cells"] == 0
    assert report["summary"]["null_false_alarm_max"] <= 0.1
    assert report["summary"]["delay_ratio_vs_kayenta_median"] >= 1
    assert report["faults"][0]["ours"]["power"] == 1
    report.update(seed=1, seconds=0.0, quick=True)
    assert "## False roll backs" in benchmark.as_text(report)
