"""Simulated canaries: counts of both arms, minute by minute, in many environments."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from planner_provider.decide.canary.counts import Arms

Floats = npt.NDArray[np.float64]
BAKE = 60
"""Minutes of a bake, and looks at it."""
DAY = 1440
PODS = 4
LATENCY_SIGMA = 0.5
"""Of the logarithm of a latency within one minute."""
LATENCY_CUTS = norm.ppf((0.5, 0.9, 0.99)) * LATENCY_SIGMA
"""Logarithms of the three thresholds: quantiles of the baseline, whose median is 1."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of one arm in the logarithm of what is measured, on its own in each arm."""

    sd: float = 0.0
    rho: float = 0.0
    shape: Literal["normal", "t3", "gamma"] = "normal"


QUIET = Noise()


@dataclass(frozen=True, slots=True)
class World:
    """What both arms live in."""

    rps: float = 100.0
    """Requests a second of both arms together."""
    share: float = 0.5
    """The canary's share of them."""
    base: float = 0.005
    """Share of bad events when all is well."""
    noise: Noise = QUIET
    common: Noise = QUIET
    """Noise that both arms share."""
    diurnal: bool = False
    missing: float = 0.0
    """Share of minutes whose scrape is missed."""
    metrics: int = 1
    latency: bool = False
    """Three counts of slow requests in place of one of errors."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the canary, in its first metric."""

    times: float = 1.0
    """How many times the errors."""
    slower: float = 1.0
    """How many times the latency."""
    spread: float = 1.0
    """How many times the spread of the latency."""
    onset: int = 0
    """Minute at which it begins."""
    pods: int = PODS
    """How many of the canary's four pods have it."""


NO_FAULT = Fault()


@dataclass(frozen=True, slots=True)
class Cell:
    """One environment, one fault or none, and what history there is."""

    name: str
    world: World = field(default_factory=World)
    fault: Fault = NO_FAULT
    history: int = DAY
    """Minutes of A/A history."""
    history_noise: Noise | None = None
    """Each arm's own noise in history, if other than that of the bake."""
    history_common: Noise | None = None
    """The noise that both arms share in history, if other than that of the bake."""

    baseline_alone: bool = False
    """Whether history has the baseline only, as before a canary's first traffic."""

    @property
    def past_world(self) -> World:
        """The world in which history was recorded."""
        world = self.world
        if self.history_noise is not None:
            world = replace(world, noise=self.history_noise)
        if self.history_common is not None:
            world = replace(world, common=self.history_common)
        return world

    @property
    def healthy(self) -> bool:
        """Whether a roll back is a false alarm."""
        return self.fault == NO_FAULT


def draw(
    rng: np.random.Generator,
    world: World,
    runs: int,
    minutes: int,
    fault: Fault = NO_FAULT,
    *,
    phase: Floats | None = None,
) -> Arms:
    """Counts of ``(runs * metrics * cuts, minutes)``, in that order.

    ``phase`` is the time of day at the first minute, ``(runs,)`` in radians; any if not given.
    """
    rows = runs * world.metrics
    shape = (rows, minutes)
    swing = np.zeros(shape)
    if world.diurnal:
        begin = any_phase(rng, runs) if phase is None else phase
        day = 2 * np.pi * np.arange(minutes) / DAY
        swing = np.sin(np.repeat(begin, world.metrics)[:, None] + day)
    events = 60 * world.rps * np.exp(0.5 * swing)
    n_c = rng.poisson(events * world.share, shape).astype(float)
    n_b = rng.poisson(events * (1 - world.share), shape).astype(float)
    shared = _noise(rng, world.common, shape) + 0.3 * swing
    u_c, u_b = (shared + _noise(rng, world.noise, shape) for _ in range(2))
    hit = np.zeros(shape, bool)
    hit[:: world.metrics] = np.arange(minutes) >= fault.onset
    part = np.ones(shape)
    if fault.pods < PODS:
        part = np.clip(fault.pods / PODS * np.exp(rng.normal(0, 0.3, shape)), 0, 1)
    if world.latency:
        k_c = _slow(rng, n_c, u_c, hit, fault)
        k_b = _slow(rng, n_b, u_b, np.zeros(shape, bool), fault)
        n_c, n_b = (np.repeat(n, len(LATENCY_CUTS), axis=0) for n in (n_c, n_b))
    else:
        factor = np.where(hit, 1 + part * (fault.times - 1), 1.0)
        k_c = _bad(rng, n_c, world.base * np.exp(u_c) * factor)
        k_b = _bad(rng, n_b, world.base * np.exp(u_b))
    gone = rng.random(shape) < world.missing
    if world.latency:
        gone = np.repeat(gone, len(LATENCY_CUTS), axis=0)
    columns = (np.where(gone, np.nan, values) for values in (n_c, k_c, n_b, k_b))
    return Arms(*columns)


def any_phase(rng: np.random.Generator, runs: int) -> Floats:
    """Any time of day for each run, in radians."""
    return rng.uniform(0, 2 * np.pi, runs)


def draw_cell(rng: np.random.Generator, cell: Cell, runs: int) -> tuple[Arms, Arms | None]:
    """The bake of a cell, and the history that ended when it began, if it has any."""
    phase = any_phase(rng, runs)
    bake = draw(rng, cell.world, runs, BAKE, cell.fault, phase=phase)
    return bake, _draw_past(rng, cell, runs, phase - 2 * np.pi * cell.history / DAY)


def _draw_past(rng: np.random.Generator, cell: Cell, runs: int, phase: Floats) -> Arms | None:
    if not cell.history:
        return None
    past = draw(rng, cell.past_world, runs, cell.history, phase=phase)
    if not cell.baseline_alone:
        return past
    gone = np.full(past.canary.shape, np.nan)
    return Arms(gone, gone, past.baseline, past.baseline_bad)


def cuts(world: World) -> int:
    """Counts of bad events in a metric."""
    return len(LATENCY_CUTS) if world.latency else 1


def autoregressive(
    rng: np.random.Generator, sd: float, rho: float, shape: tuple[int, int]
) -> Floats:
    """A stationary AR(1) process in each row."""
    steps = rng.normal(0, sd, shape)
    steps[:, 1:] *= np.sqrt(1 - rho**2)
    for minute in range(1, shape[1]):
        steps[:, minute] += rho * steps[:, minute - 1]
    return steps


def _noise(rng: np.random.Generator, noise: Noise, shape: tuple[int, int]) -> Floats:
    if noise.sd == 0:
        return np.zeros(shape)
    if noise.shape == "t3":
        return np.clip(rng.standard_t(3, shape) * noise.sd / np.sqrt(3), -3, 3)
    if noise.shape == "gamma":
        form = 1 / noise.sd**2
        return np.log(np.maximum(rng.gamma(form, 1 / form, shape), 1e-9))
    return autoregressive(rng, noise.sd, noise.rho, shape)


def _bad(rng: np.random.Generator, events: Floats, probability: Floats) -> Floats:
    counted = rng.binomial(events.astype(np.int64), _probability(probability))
    return np.asarray(counted, dtype=np.float64)


def _probability(values: Floats) -> Floats:
    return np.clip(values, 0.0, 1.0)


def _slow(
    rng: np.random.Generator,
    events: Floats,
    noise: Floats,
    hit: npt.NDArray[np.bool_],
    fault: Fault,
) -> Floats:
    """Requests slower than each threshold: of those over one, some are over the next."""
    level = noise + np.where(hit, np.log(fault.slower), 0.0)
    sigma = LATENCY_SIGMA * np.where(hit, fault.spread, 1.0)
    left, before = events.astype(np.int64), np.ones_like(events)
    counts = []
    for threshold in LATENCY_CUTS:
        over = norm.sf((threshold - level) / sigma)
        left = rng.binomial(left, _probability(over / np.maximum(before, 1e-300)))
        before = over
        counts.append(left.astype(float))
    stacked: Floats = np.stack(counts, axis=1).reshape(-1, events.shape[1])
    return stacked
