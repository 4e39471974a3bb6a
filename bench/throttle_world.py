"""Played worlds for the throttle: jobs that load something downstream, and a signal that tells.

Many runs are played at once, each six hours in steps of ``STEP`` seconds. The load of a run is

    rho = AT_SLO * (what tenants need + what the jobs need) / capacity

in units of one job, so that whatever the signal, it is at its SLO when ``capacity`` is used.
Every signal is a function of ``rho`` (and of a backlog, where it has one), divided by its SLO:
1 is the most that is allowed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Kind = Literal["p99", "errors", "lag", "cpu"]
Change = Literal["half", "double", "none"]

STEP = 5.0
"""Seconds of a step of the simulation."""
PERIOD = 30.0
"""Seconds between two ticks of a law."""
HOURS = 6.0
PER_TICK = round(PERIOD / STEP)
STEPS = round(HOURS * 3600 / STEP)
TICKS = STEPS // PER_TICK
SLOTS = 40
"""Most jobs at once; the upper bound of every limit."""
CAPACITY, TENANTS, SWING = 20.0, 6.0, 0.2
"""In jobs. Tenants need 6 of the 20 on the mean, a fifth less by night and more by day, so that
about 13 jobs fit; 2 while half the capacity is gone, 33 while it is doubled."""
AT_SLO: dict[Kind, float] = {"p99": 0.93, "errors": 1.0, "lag": 1.0, "cpu": 0.85}
"""The load at which a signal that has settled is at its SLO."""
MARGIN = 0.95
"""The all-knowing limit keeps the load at this share of what is at the SLO."""
OUTAGE_S = 180.0
MISSING = 0.05
"""Share of the ticks at which the signal cannot be had."""
SERVERS = 8
WORST = 30.0
"""No signal is higher than so many times its SLO."""
LAG_SLO_S, LAG_BASE_S = 30.0, 1.5
JOBS_S = (30.0, 120.0, 600.0)
KINDS: tuple[Kind, ...] = ("p99", "errors", "lag", "cpu")
LAGS = (0, 1, 3)
NOISES = (0.0, 0.15, 0.4)


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of what a throttle may meet."""

    job_s: float
    """Mean duration of a job."""
    kind: Kind
    lag: int
    """Periods by which the signal is late."""
    noise: float
    """Standard deviation of the logarithm of the signal's noise."""
    change: Change
    missing: float = MISSING
    gap_s: float = 0.0
    """Length of a gap without any signal, that begins a minute before the first change."""

    @property
    def good(self) -> bool:
        """Whether the signal is one that a law can go by."""
        return not self.late_or_noisy and self.kind != "cpu"

    @property
    def late_or_noisy(self) -> bool:
        """Whether the signal is more than a period late, or very noisy."""
        return self.lag > 1 or self.noise > 0.15

    @property
    def bound_s(self) -> float:
        """The longest breach that is allowed: ``2 D Tc + T/2 + 120 s``, with ``D = 2 + lag``."""
        return 2 * (2 + self.lag) * PERIOD + self.job_s / 2 + 120


def grid(changes: Sequence[Change] = ("half", "double")) -> tuple[Cell, ...]:
    """All combinations."""
    return tuple(
        Cell(job_s, kind, lag, noise, change)
        for job_s, kind, lag, noise, change in itertools.product(
            JOBS_S, KINDS, LAGS, NOISES, changes
        )
    )


@dataclass(frozen=True, slots=True)
class Tick:
    """What a law is told once a period."""

    y: float | None
    """The signal as a share of its SLO; ``None``: it is missing."""
    running: int
    running_mean: float
    """Over the period that ends now."""
    completed: int
    """Jobs that ended in the period."""


class Law(Protocol):
    """Something that moves a limit."""

    def tick(self, seen: Tick) -> float:
        """The limit from now on; what is behind the point is cut off."""


Maker = Callable[[Cell], Law]


@dataclass(frozen=True, slots=True)
class World:
    """What is the same whatever the law: capacity, tenants, outages, noise, gaps. By run, step."""

    cells: tuple[Cell, ...]
    capacity: Floats
    tenants: Floats
    excused: Bools
    """Steps within one period after something changed."""
    noise: Floats
    """By run and tick: what the signal is multiplied with."""
    missing: Bools
    """By run and tick."""
    seed: int

    @property
    def best(self) -> Floats:
        """The all-knowing limit by run and step, while there is no backlog."""
        return np.clip(MARGIN * self.capacity - self.tenants, 1, SLOTS)


@dataclass(frozen=True, slots=True)
class Played:
    """How a law did, by run and step."""

    y: Floats
    running: Floats
    limits: Floats
    """By run and tick."""


def draw(cells: Sequence[Cell], seed: int) -> World:
    """Draw one run for each cell given."""
    rng = np.random.default_rng(seed)
    runs, at = len(cells), np.arange(STEPS) * STEP
    phase = rng.uniform(0, 2 * math.pi, (runs, 1))
    tenants = TENANTS * (1 + SWING * np.sin(2 * math.pi * at / 86400 + phase))
    wobble = np.zeros((runs, STEPS))
    keep = math.exp(-STEP / 300)
    shocks = rng.normal(0, 0.05 * math.sqrt(1 - keep * keep), (runs, STEPS))
    for step in range(1, STEPS):
        wobble[:, step] = keep * wobble[:, step - 1] + shocks[:, step]
    tenants *= np.exp(wobble)
    begin = rng.uniform(1.2, 2.2, runs) * 3600
    end = rng.uniform(3.2, 4.2, runs) * 3600
    outage = rng.uniform(4.7, 5.3, runs) * 3600
    factor = np.array([{"half": 0.5, "double": 2.0, "none": 1.0}[c.change] for c in cells])
    within = (at >= begin[:, None]) & (at < end[:, None])
    out = (at >= outage[:, None]) & (at < outage[:, None] + OUTAGE_S)
    capacity = CAPACITY * np.where(within, factor[:, None], 1.0)
    capacity = np.where(out, 0.05 * CAPACITY, capacity)
    excused = np.zeros((runs, STEPS), dtype=bool)
    for moment in (begin, end, outage, outage + OUTAGE_S):
        excused |= (at >= moment[:, None]) & (at < moment[:, None] + PERIOD)
    ticks = (np.arange(TICKS) + 1) * PERIOD
    spread = np.array([cell.noise for cell in cells])[:, None]
    noise = np.exp(spread * rng.normal(size=(runs, TICKS)))
    missing = rng.random((runs, TICKS)) < np.array([cell.missing for cell in cells])[:, None]
    gap = np.array([cell.gap_s for cell in cells])
    since = (begin - 60)[:, None]
    missing |= (ticks >= since) & (ticks < since + gap[:, None])
    return World(tuple(cells), capacity, tenants, excused, noise, missing, seed)


def play(world: World, make: Maker | None) -> Played:
    """Let a law move the limits of all runs; ``None``: the all-knowing one."""
    cells = world.cells
    runs = len(cells)
    rng = np.random.default_rng(world.seed + 1)
    laws = [make(cell) for cell in cells] if make is not None else []
    mean_s = np.array([cell.job_s for cell in cells])
    left = np.zeros((runs, SLOTS))
    """Seconds that the job in a slot still needs; 0: the slot is free."""
    signals = _Signals(cells)
    ys, ns = np.zeros((runs, STEPS)), np.zeros((runs, STEPS))
    kept = np.zeros((runs, TICKS))
    limits = np.full(runs, 4.0)
    completed = np.zeros(runs, dtype=np.int64)
    best, late = world.best, [cell.lag for cell in cells]
    at_slo = np.array([AT_SLO[cell.kind] for cell in cells])
    for step in range(STEPS):
        busy = left > 0
        left = np.where(busy, left - STEP, 0.0)
        completed += (busy & (left <= 0)).sum(axis=1)
        np.maximum(left, 0.0, out=left)
        running = (left > 0).sum(axis=1)
        _start(left, running, limits, mean_s, rng)
        running = (left > 0).sum(axis=1)
        load = at_slo * (world.tenants[:, step] + running) / world.capacity[:, step]
        ns[:, step], ys[:, step] = running, signals.at(load)
        if (step + 1) % PER_TICK:
            continue
        tick = step // PER_TICK
        if make is None:
            limits = np.where(ys[:, step] > 1.0, 1.0, np.floor(best[:, min(step + 1, STEPS - 1)]))
            kept[:, tick] = limits
            continue
        recent = slice(step + 1 - PER_TICK, step + 1)
        means = ns[:, recent].mean(axis=1)
        for run, law in enumerate(laws):
            of = tick - late[run]
            y: float | None = None
            if of >= 0 and not world.missing[run, tick]:
                told = ys[run, of * PER_TICK : (of + 1) * PER_TICK].mean()
                y = float(told * world.noise[run, tick])
            seen = Tick(y, int(running[run]), float(means[run]), int(completed[run]))
            limits[run] = kept[run, tick] = min(max(law.tick(seen), 0.0), SLOTS)
        completed[:] = 0
    return Played(ys, ns, kept)


def _start(
    left: Floats,
    running: npt.NDArray[np.int64],
    limits: Floats,
    mean_s: Floats,
    rng: np.random.Generator,
) -> None:
    """Start jobs in free slots, up to the limit. Their durations vary by a factor of about 1.5."""
    wanted = np.maximum(np.floor(limits + 1e-9).astype(np.int64) - running, 0)
    if not wanted.any():
        return
    free = left <= 0
    rank = np.cumsum(free, axis=1)
    begin = free & (rank <= wanted[:, None])
    rows, columns = np.nonzero(begin)
    spread = 0.4
    draws = np.exp(spread * rng.normal(size=len(rows)) - spread * spread / 2)
    left[rows, columns] = np.maximum(mean_s[rows] * draws, STEP)


class _Signals:
    """The signals of all runs, with what they remember."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._is = {kind: np.array([cell.kind == kind for cell in cells]) for kind in KINDS}
        self._queue = np.zeros(len(cells))
        """Seconds of work that wait, in service times."""
        self._behind = np.zeros(len(cells))
        """Replication lag in seconds."""
        self._loads = np.linspace(0, 0.985, 400)
        values = np.array([p99(load) for load in self._loads])
        self._p99 = values / p99(AT_SLO["p99"])

    def at(self, load: Floats) -> Floats:
        """The signals at the end of a step with this load."""
        y = np.zeros_like(load)
        self._queue = np.clip(self._queue + (load - 1) * STEP * 2, 0, WORST / 3)
        slow = np.interp(np.minimum(load, 0.985), self._loads, self._p99) + self._queue
        y = np.where(self._is["p99"], slow, y)
        shed = np.where(load > 1, (1 - 1 / np.maximum(load, 1)) / 0.01, 0)
        errors = 0.15 + 0.85 * np.exp(np.minimum((load - 1) / 0.02, 0)) + shed
        y = np.where(self._is["errors"], errors, y)
        growth = np.maximum(1 - 1 / np.maximum(load, 0.05), -2.0)
        self._behind = np.maximum(self._behind + growth * STEP, 0)
        y = np.where(self._is["lag"], (LAG_BASE_S + self._behind) / LAG_SLO_S, y)
        y = np.where(self._is["cpu"], np.minimum(load, 1) / AT_SLO["cpu"], y)
        return np.minimum(y, WORST)


def p99(load: float) -> float:
    """99th percentile of the time in an M/M/8 queue, in mean service times, at a load below 1.

    The time is a service time plus, with Erlang C's probability, a wait that is exponential with
    rate ``c (1 - load)``.
    """
    if load <= 0:
        return math.log(100)
    offered = SERVERS * load
    terms = [offered**k / math.factorial(k) for k in range(SERVERS)]
    last = offered**SERVERS / math.factorial(SERVERS) / (1 - load)
    waits = last / (sum(terms) + last)
    rate = SERVERS * (1 - load)

    def beyond(t: float) -> float:
        if abs(rate - 1) < 1e-9:
            both = (1 + t) * math.exp(-t)
        else:
            both = (rate * math.exp(-t) - math.exp(-rate * t)) / (rate - 1)
        return (1 - waits) * math.exp(-t) + waits * both

    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > 0.01 else (low, middle)
    return high


def spans(flags: Bools) -> Iterator[tuple[int, int]]:
    """The stretches of a row that are true: first step, number of steps."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.view(np.int8), [0]))))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        yield int(begin), int(end - begin)


@dataclass(frozen=True, slots=True)
class Score:
    """How one run went."""

    share: float
    """Work done, as a share of what the all-knowing limit did."""
    avoidable_s_h: float
    """Seconds an hour above the SLO that the all-knowing limit was not, beyond one period after
    each change."""
    longest_s: float
    """The longest of these stretches."""
    raw_s_h: float
    """Seconds an hour above the SLO."""
    moves_h: float
    """Changes of the limit in an hour, as a share of its mean."""
    uses_s: float | None
    """Seconds from a doubled capacity until 80% of the work that then fits goes on."""


def scores(world: World, played: Played, oracle: Played) -> list[Score]:
    """How each run went."""
    above, excused_by = _mean60(played.y) > 1, _mean60(oracle.y) > 1
    avoidable = above & ~excused_by & ~world.excused
    found = []
    for run, cell in enumerate(world.cells):
        longest = max((length for _, length in spans(avoidable[run])), default=0) * STEP
        limits = played.limits[run]
        moved = np.abs(np.diff(limits)).sum() / max(limits.mean(), 1e-9)
        found.append(
            Score(
                share=float(played.running[run].sum() / oracle.running[run].sum()),
                avoidable_s_h=float(avoidable[run].sum() * STEP / HOURS),
                longest_s=longest,
                raw_s_h=float(above[run].sum() * STEP / HOURS),
                moves_h=float(moved / HOURS),
                uses_s=_uses(world, played, run) if cell.change == "double" else None,
            )
        )
    return found


def _mean60(values: Floats) -> Floats:
    width = round(60 / STEP)
    total = np.cumsum(np.pad(values, ((0, 0), (width, 0)), mode="edge"), axis=1)
    return (total[:, width:] - total[:, :-width]) / width


def _uses(world: World, played: Played, run: int) -> float:
    doubled = world.capacity[run] > CAPACITY * 1.5
    begin, length = next(spans(doubled))
    enough = played.running[run, begin : begin + length] >= 0.8 * np.floor(
        world.best[run, begin : begin + length]
    )
    return float(np.argmax(enough) * STEP if enough.any() else length * STEP)
