"""The requests that a service gets and how they end: Poisson counts, binomial errors, lognormal
latency.

Everything is drawn from ``random.Random`` streams, one for each service, version and track, so a
change to one service never changes what another one gets. Time goes in quanta of one simulated
second; the law of a quantum is fixed when it begins. The samplers are exact (no normal
approximation), because judges of canaries live in the tails:

- Poisson by gamma reduction and binomial by beta (order statistics) reduction: L. Devroye,
  *Non-Uniform Random Variate Generation* (1986), chapter X.
- Latency is drawn straight into the cells of the histogram; the sum uses each cell's conditional
  mean.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from planner_provider.sandbox.config import Noise, ServiceConfig, WorldConfig
from planner_provider.sandbox.faults import NO_EFFECT, TrafficEffect
from planner_provider.sandbox.model import Service, TrackKey

QUANTUM_MS = 1000
"""Length of a step of the simulation, in simulated milliseconds."""

BOUNDS_MS = (5, 10, 25, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000, 5000, 10000)
"""Upper bounds of the latency histogram in milliseconds; above the last is one more cell."""

SLOW_MS = 300
"""A request is slow when it took longer than this. One of ``BOUNDS_MS``, so both counts agree."""

_FIRST_SLOW_CELL = BOUNDS_MS.index(SLOW_MS) + 1
_CELLS = len(BOUNDS_MS) + 1
_Z99 = 2.3263478740408408  # the 99th percentile of the standard normal distribution
_LIST_LIMIT = 400  # up to here drawing request by request is cheaper than a multinomial


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a version answers in one quantum. Latency in milliseconds."""

    error_ratio: float
    median_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Counted requests.

    ``latency_us`` is the sum in microseconds; ``cells`` is the histogram, not cumulated.
    """

    requests: int = 0
    errors: int = 0
    latency_us: int = 0
    cells: tuple[int, ...] = (0,) * _CELLS

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.requests + other.requests,
            self.errors + other.errors,
            self.latency_us + other.latency_us,
            tuple(map(int.__add__, self.cells, other.cells)),
        )

    @property
    def slow(self) -> int:
        """Requests that took longer than ``SLOW_MS``."""
        return sum(self.cells[_FIRST_SLOW_CELL:])


NOTHING = Totals()


def poisson(rng: random.Random, mean: float) -> int:
    """Draw from a Poisson distribution, exactly, in time logarithmic in the mean."""
    count = 0
    while mean > 24:
        m = int(mean * 7 / 8)
        x = rng.gammavariate(m, 1.0)
        if x > mean:
            return count + binomial(rng, m - 1, mean / x)
        count += m
        mean -= x
    limit = math.exp(-mean)
    product = rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def binomial(rng: random.Random, n: int, p: float) -> int:
    """Draw the number of successes in ``n`` trials, exactly, in time logarithmic in ``n``."""
    if p <= 0 or n <= 0:
        return 0
    if p >= 1:
        return n
    count = 0
    while n > 24:
        a = 1 + n // 2
        x = rng.betavariate(a, n + 1 - a)
        if x >= p:
            n = a - 1
            p /= x
        else:
            count += a
            n -= a
            p = (p - x) / (1 - x)
    return count + sum(rng.random() < p for _ in range(n))


def multinomial(rng: random.Random, n: int, cumulative: tuple[float, ...]) -> tuple[int, ...]:
    """Spread ``n`` over cells whose cumulated probabilities are given (the last is 1)."""
    counts = [0] * len(cumulative)
    if n <= _LIST_LIMIT:
        draw = rng.random
        for _ in range(n):
            counts[bisect_right(cumulative, draw())] += 1
        return tuple(counts)
    left, below = n, 0.0
    for cell, upto in enumerate(cumulative):
        if left == 0:
            break
        rest = 1 - below
        counts[cell] = binomial(rng, left, (upto - below) / rest if rest > 0 else 1.0)
        left -= counts[cell]
        below = upto
    return tuple(counts)


@dataclass(frozen=True, slots=True)
class LatencyCells:
    """A lognormal latency cut into the cells of the histogram."""

    cumulative: tuple[float, ...]
    mean_us: tuple[float, ...]


@lru_cache(maxsize=512)
def latency_cells(median_ms: float, p99_ms: float) -> LatencyCells:
    """Cut the lognormal distribution with this median and 99th percentile at ``BOUNDS_MS``."""
    mu = math.log(median_ms)
    sigma = max(math.log(p99_ms / median_ms) / _Z99, 1e-6)
    whole_mean = math.exp(mu + sigma * sigma / 2)

    def phi(z: float) -> float:
        return 0.5 * math.erfc(-z / math.sqrt(2))

    uppers = [*((math.log(bound) - mu) / sigma for bound in BOUNDS_MS), math.inf]
    cumulative: list[float] = []
    means: list[float] = []
    lower = -math.inf
    for cell, upper in enumerate(uppers):
        mass = phi(upper) - phi(lower)
        part = whole_mean * (phi(upper - sigma) - phi(lower - sigma))
        low = BOUNDS_MS[cell - 1] if cell else 0
        high = BOUNDS_MS[cell] if cell < len(BOUNDS_MS) else max(2 * low, whole_mean)
        mean = part / mass if mass > 1e-9 else (low + high) / 2
        cumulative.append(phi(upper))
        means.append(min(max(mean, low), high if cell < len(BOUNDS_MS) else math.inf) * 1000)
        lower = upper
    # The last cell is open: every draw of [0, 1) must find one.
    cumulative[-1] = 1.0
    return LatencyCells(tuple(accumulate(cumulative, max)), tuple(means))


def request_rate(config: ServiceConfig, at_ms: int) -> float:
    """Requests a second of all versions together at a simulated time."""
    if config.daily_amplitude == 0:
        return config.rps
    hour = at_ms / 3_600_000 % 24
    angle = 2 * math.pi * (hour - config.daily_peak_hour) / 24
    return config.rps * (1 + config.daily_amplitude * math.cos(angle))


def behaviour(
    world: WorldConfig,
    config: ServiceConfig,
    version: str,
    effect: TrafficEffect = NO_EFFECT,
    utilisation: float = 0.0,
) -> Behaviour:
    """How a version answers, given the faults upon it and how busy its replicas are (1 is full).

    Above 70 % latency grows; above 100 % what cannot be served fails. Nothing runs: all fails.
    """
    errors = max(config.error_ratio, world.bad_error_ratio if world.is_bad(version) else 0.0)
    errors = min(1.0, errors * effect.error_factor + effect.error_added)
    slower = effect.latency_factor * (world.slow_factor if world.is_slow(version) else 1.0)
    if utilisation > 0.7:
        slower *= 1 + 2 * min((utilisation - 0.7) / 0.3, 2.0) ** 2
    if utilisation > 1:
        errors = 1 - (1 - errors) / utilisation
    if effect.down or math.isinf(utilisation):
        errors = 1.0
    return Behaviour(errors, config.median_ms * slower, config.p99_ms * slower)


class _NoiseStream:
    """The AR(1) process of one service or track, one step a quantum."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)  # noqa: S311  a simulation, not a secret
        self._x = self._rng.gauss(0, 1)

    def step(self, noise: Noise) -> tuple[float, float]:
        """Go on by one quantum; return the factors on the error ratio and on the latency."""
        self._x = noise.rho * self._x + math.sqrt(1 - noise.rho**2) * self._rng.gauss(0, 1)
        sd = noise.error_sd
        return math.exp(sd * self._x - sd * sd / 2), math.exp(noise.latency_sd * self._x)


class Traffic:
    """Draws the requests of every track, quantum by quantum.

    Deterministic in its seed and its calls.
    """

    def __init__(self, world: WorldConfig, seed: str) -> None:
        self._world = world
        self._seed = seed
        self._configs = {config.name: config for config in world.services}
        self._streams: dict[TrackKey, random.Random] = {}
        self._noises: dict[tuple[str, ...], _NoiseStream] = {}

    def quantum(
        self, service: Service, at_ms: int, effects: Iterable[tuple[TrackKey, TrafficEffect]]
    ) -> list[tuple[TrackKey, Totals]]:
        """Draw the requests of one service in the quantum that begins at ``at_ms``."""
        config = self._configs[service.name]
        rate = request_rate(config, at_ms)
        busy = self._utilisation(config, service, rate)
        shared = self._factors((service.name,), config.noise)
        known = dict(effects)
        drawn: list[tuple[TrackKey, Totals]] = []
        for key, share in service.tracks():
            own = self._factors(key, config.track_noise)
            effect = known.get(key, NO_EFFECT)
            acts = behaviour(self._world, config, key.version, effect, busy)
            errors = acts.error_ratio
            if errors < 1:
                errors = min(1.0, errors * shared[0] * own[0])
            slower = shared[1] * own[1]
            noisy = Behaviour(errors, acts.median_ms * slower, acts.p99_ms * slower)
            mean = rate * share * QUANTUM_MS / 1000
            drawn.append((key, self._draw(key, mean, noisy)))
        return drawn

    def _draw(self, key: TrackKey, mean: float, acts: Behaviour) -> Totals:
        rng = self._streams.get(key)
        if rng is None:
            rng = self._streams[key] = random.Random(  # noqa: S311
                f"{self._seed}/{key.service}/{key.track}/{key.version}"
            )
        requests = poisson(rng, mean) if mean > 0 else 0
        if requests == 0:
            return NOTHING
        cut = latency_cells(acts.median_ms, acts.p99_ms)
        errors = binomial(rng, requests, acts.error_ratio)
        cells = multinomial(rng, requests, cut.cumulative)
        latency = sum(n * mean for n, mean in zip(cells, cut.mean_us, strict=True) if n)
        return Totals(requests, errors, round(latency), cells)

    def _factors(self, key: tuple[str, ...], noise: Noise) -> tuple[float, float]:
        if noise.silent:
            return 1.0, 1.0
        stream = self._noises.get(key)
        if stream is None:
            stream = self._noises[key] = _NoiseStream(f"{self._seed}/noise/{'/'.join(key)}")
        return stream.step(noise)

    @staticmethod
    def _utilisation(config: ServiceConfig, service: Service, rate: float) -> float:
        if service.replicas == 0:
            return math.inf
        if config.capacity_rps is None:
            return 0.0
        return rate / (service.replicas * config.capacity_rps)
