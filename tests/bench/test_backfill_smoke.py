"""The benchmark of the throttle: its worlds are what they say, and a small run has its summary."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from bench import backfill, throttle_study
from bench.throttle_laws import OURS, PUBLISHED, QUICK, Ours
from bench.throttle_rivals import Aimd, Fixed, Gradient2, OnOff
from bench.throttle_study import by_signal, mean, proportion, sum_up, summary
from bench.throttle_world import (
    CAPACITY,
    MARGIN,
    STEP,
    Cell,
    Tick,
    World,
    draw,
    grid,
    p99,
    play,
    scores,
    spans,
)

CELLS = (
    Cell(30, "p99", 0, 0.0, "half"),
    Cell(120, "lag", 1, 0.15, "double"),
    Cell(120, "cpu", 1, 0.0, "half"),
)


@pytest.fixture(scope="module")
def world() -> World:
    return draw(CELLS, 3)


def tick(y: float | None) -> Tick:
    return Tick(y, 8, 8.0, 2)


def test_the_grid_is_whole() -> None:
    assert len(grid()) == 216
    assert sum(cell.good for cell in grid()) == 72
    assert Cell(600, "lag", 1, 0.0, "half").bound_s == 2 * 3 * 30 + 300 + 120


def test_p99_of_a_queue() -> None:
    assert p99(0.0) == pytest.approx(np.log(100))
    assert p99(0.97) > 2 * p99(0.93)
    rng, free, took, now = np.random.default_rng(1), [0.0] * 8, [], 0.0
    gaps, works = rng.exponential(1 / (8 * 0.8), 100_000), rng.exponential(1, 100_000)
    for gap, work in zip(gaps.tolist(), works.tolist(), strict=True):
        now += gap
        begins = max(now, heapq.heappop(free))
        heapq.heappush(free, begins + work)
        took.append(begins + work - now)
    assert p99(0.8) == pytest.approx(np.percentile(took, 99), rel=0.04)


def test_worlds_are_what_they_say(world: World) -> None:
    for run, factor in ((0, 0.5), (1, 2.0)):
        changed = world.capacity[run] == factor * CAPACITY
        assert 1.0 <= changed.sum() * STEP / 3600 <= 3.0
    assert (world.capacity == 0.05 * CAPACITY).sum(axis=1).tolist() == [36, 36, 36]
    assert world.missing.mean() == pytest.approx(0.05, abs=0.02)
    assert list(spans(np.array([False, True, True, False, True]))) == [(1, 2), (4, 1)]


def test_the_all_knowing_limit_is_what_fits(world: World) -> None:
    oracle = play(world, None)
    load = (world.tenants + oracle.running) / world.capacity
    calm = world.capacity == CAPACITY
    assert load[0][calm[0]].mean() == pytest.approx(MARGIN, abs=0.04)
    score = scores(world, oracle, oracle)[0]
    assert (score.share, score.avoidable_s_h) == (1, 0)


def test_a_limit_that_is_too_high_is_seen(world: World) -> None:
    oracle = play(world, None)
    low, high = (scores(world, play(world, lambda _, n=n: Fixed(n)), oracle) for n in (2, 30))  # type: ignore[misc]
    assert low[0].share < 0.4
    assert low[0].avoidable_s_h < 60
    assert high[0].share > 1.5
    assert high[0].avoidable_s_h > 2000
    assert high[0].longest_s > 3600


def test_the_same_seed_is_the_same_world(world: World) -> None:
    again = draw(CELLS, 3)
    assert (again.tenants == world.tenants).all()
    make = QUICK[OURS]
    assert (play(again, make).running == play(world, make).running).all()


def test_others_do_what_they_are_known_for() -> None:
    aimd = Aimd(0.5)
    assert [aimd.tick(tick(y)) for y in (0.5, None, 0.95, 0.5)] == [5, 5, 2.5, 3.5]
    assert (OnOff().tick(tick(0.89)), OnOff().tick(tick(0.91))) == (40, 0)
    learns = Gradient2()
    assert [learns.tick(tick(5.0)) for _ in range(60)][-1] > 15  # overload is the new normal


def test_what_is_measured_is_what_is_shipped() -> None:
    law = Ours.of(CELLS[1], 0.9)
    assert law.settings.queue
    assert law.settings.wait == 3
    assert [law.tick(tick(6.0)) for _ in range(3)] == [1, 1, 1]


def test_intervals() -> None:
    assert mean([1.0, 3.0]) == [2.0, 0.0, 4.0]
    assert proportion(90, 100) == [90.0, 82.6, 94.5]
    assert proportion(5, 5)[0] == 100


def test_a_small_run_has_its_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(throttle_study, "grid", lambda *_: CELLS)
    monkeypatch.setattr(throttle_study, "QUICK_REPEATS", 2)
    report = throttle_study.study(quick=True, seed=5, told=lambda _: None)
    assert report["runs"] == 6
    assert set(report["laws"]) == set(QUICK)
    assert set(report["summary"]["targets_met"]) == set(throttle_study.TARGETS)
    backfill.run(quick=True, as_json=False, seed=5)
    printed = capsys.readouterr().out
    assert "Good signals" in printed
    assert "at least 85" in printed


def test_summaries_split_good_from_others() -> None:
    world = draw(CELLS, 4)
    oracle = play(world, None)
    pairs = list(zip(world.cells, scores(world, oracle, oracle), strict=True))
    rows = {name: sum_up(pairs) for name in (OURS, PUBLISHED)}
    assert [rows[OURS][group]["runs"] for group in ("all", "good", "else")] == [3, 2, 1]
    assert summary(rows)["targets_met"] == dict.fromkeys(throttle_study.TARGETS, True)
    assert len(by_signal(pairs)) == 3
