from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.sandbox.config import Noise, ServiceConfig, WorldConfig
from planner_provider.sandbox.faults import TrafficEffect
from planner_provider.sandbox.model import Canary, Service, TrackKey
from planner_provider.sandbox.traffic import (
    BOUNDS_MS,
    SLOW_MS,
    Totals,
    Traffic,
    behaviour,
    binomial,
    latency_cells,
    multinomial,
    poisson,
    request_rate,
)


def config(**more: object) -> ServiceConfig:
    return ServiceConfig.model_validate({"name": "checkout", "version": "1", **more})


def run(
    one: ServiceConfig, service: Service, quanta: int, seed: str = "s"
) -> dict[TrackKey, list[Totals]]:
    traffic = Traffic(WorldConfig(services=(one,)), seed)
    drawn: dict[TrackKey, list[Totals]] = {}
    for step in range(quanta):
        for key, totals in traffic.quantum(service, step * 1000, ()):
            drawn.setdefault(key, []).append(totals)
    return drawn


@pytest.mark.parametrize("mean", [0.3, 5.0, 23.9, 60.0, 900.0])
def test_poisson_has_the_mean_and_variance_of_its_law(mean: float) -> None:
    rng, n = random.Random(1), 4000
    draws = [poisson(rng, mean) for _ in range(n)]
    average = sum(draws) / n
    variance = sum((x - average) ** 2 for x in draws) / n
    assert average == pytest.approx(mean, abs=4 * math.sqrt(mean / n))
    assert variance == pytest.approx(mean, rel=0.15)


@pytest.mark.parametrize(("n", "p"), [(10, 0.3), (25, 0.5), (400, 0.01), (5000, 0.7)])
def test_binomial_has_the_mean_and_variance_of_its_law(n: int, p: float) -> None:
    rng, times = random.Random(2), 4000
    draws = [binomial(rng, n, p) for _ in range(times)]
    average = sum(draws) / times
    expected = n * p * (1 - p)
    assert average == pytest.approx(n * p, abs=4 * math.sqrt(expected / times))
    variance = sum((x - average) ** 2 for x in draws) / times
    assert variance == pytest.approx(expected, rel=0.15)


@given(st.integers(0, 3000), st.integers(0, 2**32))
def test_multinomial_keeps_the_number(n: int, seed: int) -> None:
    cut = latency_cells(60, 240)
    counts = multinomial(random.Random(seed), n, cut.cumulative)
    assert sum(counts) == n
    assert min(counts) >= 0


@given(st.floats(0.1, 60_000), st.floats(1, 1000))
def test_latency_cells_are_a_distribution(median: float, spread: float) -> None:
    cut = latency_cells(median, median * spread)
    assert cut.cumulative[-1] == 1
    assert list(cut.cumulative) == sorted(cut.cumulative)
    for mean, bound in zip(cut.mean_us, BOUNDS_MS, strict=False):
        assert 0 <= mean <= bound * 1000


def test_median_and_p99_are_where_the_configuration_says() -> None:
    cut = latency_cells(100, 500)
    at = dict(zip(BOUNDS_MS, cut.cumulative, strict=False))
    assert at[100] == pytest.approx(0.5)
    assert at[500] == pytest.approx(0.99)


def test_rates_errors_and_latency_come_out_as_configured() -> None:
    one = config(rps=50, error_ratio=0.02, median_ms=100, p99_ms=500)
    (drawn,) = run(one, Service("checkout", "1", 3), 2000).values()
    total = sum(drawn, Totals())
    assert total.requests == pytest.approx(100_000, rel=0.02)
    assert total.errors / total.requests == pytest.approx(0.02, rel=0.1)
    sigma = math.log(5) / 2.3263
    assert total.latency_us / 1000 / total.requests == pytest.approx(
        100 * math.exp(sigma**2 / 2), rel=0.02
    )
    slow = 0.5 * math.erfc(math.log(SLOW_MS / 100) / sigma / math.sqrt(2))
    assert total.slow / total.requests == pytest.approx(slow, rel=0.1)


def test_weight_splits_the_requests() -> None:
    drawn = run(config(rps=100), Service("checkout", "1", 3, Canary("2", 25)), 400)
    counts = {key.track: sum(drawn[key], Totals()).requests for key in drawn}
    assert counts["canary"] / sum(counts.values()) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("seed", ["a", "b"])
def test_same_seed_same_requests(seed: str) -> None:
    service = Service("checkout", "1", 3, Canary("2", 25))
    assert run(config(), service, 50, seed) == run(config(), service, 50, seed)
    assert run(config(), service, 50, seed) != run(config(), service, 50, seed + "x")


def test_a_weight_on_one_track_leaves_the_stream_of_another_service_alone() -> None:
    world = WorldConfig(services=(config(), config(name="auth")))
    seen = []
    for canary in (None, Canary("2", 50)):
        traffic = Traffic(world, "s")
        auth: list[object] = []
        for step in range(20):
            traffic.quantum(Service("checkout", "1", 3, canary), step * 1000, ())
            auth += traffic.quantum(Service("auth", "1", 3), step * 1000, ())
        seen.append(auth)
    assert seen[0] == seen[1]


def test_bad_and_slow_versions_behave_badly() -> None:
    one = config(error_ratio=0.001, median_ms=50, p99_ms=200)
    world = WorldConfig(services=(one,))
    assert behaviour(world, one, "2-bad").error_ratio == 0.05
    assert behaviour(world, one, "2-slow").median_ms == 150
    assert behaviour(world, one, "2-slow").p99_ms == 600
    assert behaviour(world, one, "2").error_ratio == 0.001


def test_faults_and_missing_replicas_hit_the_requests() -> None:
    one = config(error_ratio=0.01, capacity_rps=10)
    world = WorldConfig(services=(one,))
    effect = TrafficEffect(error_added=0.1, error_factor=3, latency_factor=2)
    hit = behaviour(world, one, "1", effect)
    assert (hit.error_ratio, hit.median_ms) == (pytest.approx(0.13), 100)
    assert behaviour(world, one, "1", TrafficEffect(down=True)).error_ratio == 1
    assert behaviour(world, one, "1", utilisation=2).error_ratio == pytest.approx(0.505)
    assert behaviour(world, one, "1", utilisation=0.9).median_ms > 50
    drawn = run(one, Service("checkout", "1", 0), 5)
    total = sum(next(iter(drawn.values())), Totals())
    assert total.errors == total.requests > 0


def test_daily_curve_has_its_peak_and_its_mean() -> None:
    one = config(rps=10, daily_amplitude=0.5, daily_peak_hour=15)
    hours = [request_rate(one, hour * 3_600_000) for hour in range(24)]
    assert hours[15] == max(hours) == pytest.approx(15)
    assert hours[3] == pytest.approx(5)
    assert sum(hours) / 24 == pytest.approx(10)


def autocorrelation(values: list[float]) -> float:
    mean = sum(values) / len(values)
    top = sum((a - mean) * (b - mean) for a, b in pairwise(values))
    return top / sum((a - mean) ** 2 for a in values)


def test_noise_is_autocorrelated_keeps_the_mean_and_can_be_shared() -> None:
    noise = Noise(error_sd=0.5, rho=0.95)
    service = Service("checkout", "1", 3, Canary("2", 50))
    noisy = config(rps=4000, error_ratio=0.05, noise=noise)
    plain = config(rps=4000, error_ratio=0.05)

    def ratios(one: ServiceConfig, track: str) -> list[float]:
        drawn = run(one, service, 3000)
        (key,) = (key for key in drawn if key.track == track)
        return [totals.errors / totals.requests for totals in drawn[key]]

    stable, canary = ratios(noisy, "stable"), ratios(noisy, "canary")
    assert autocorrelation(stable) > 0.7
    assert abs(autocorrelation(ratios(plain, "stable"))) < 0.1
    assert sum(stable) / len(stable) == pytest.approx(0.05, rel=0.15)
    together = [a > 0.05 for a in stable], [b > 0.05 for b in canary]
    agree = Counter(a == b for a, b in zip(*together, strict=True))
    assert agree[True] > 2 * agree[False]
