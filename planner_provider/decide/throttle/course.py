"""A tick while it is worked out: the state laid open, and the filters that the law looks through.

Symbols are those of docs/throttle.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner_provider.decide.throttle.model import Observation, Settings, ThrottleState

LOWEST, HIGHEST = -1.6, 1.5
"""Bounds of a logarithm of the ratio (0.2 and 4.5 times what is allowed): beyond them a signal
tells nothing more."""
MEMORY = 0.1
"""Share of a new observation in the estimate of the noise."""
SECOND_DIFFERENCE = 0.512
"""Standard deviation of noise per mean absolute second difference, for normal noise:
``1 / (sqrt(6) * sqrt(2 / pi))``. Second differences leave out what rises or falls steadily."""
SURPRISE = 1.4
"""Largest second difference that counts as noise; what is above is a change of the world."""
SMOOTHING, SLOPE_SMOOTHING = 0.75, 4.0
"""Periods by which level and slope are smoothed more for each unit of noise."""
FIRST_JOB_S = 120.0
"""Seconds that a job is taken to last before one has ended."""
REMEMBERED_JOBS = 60.0
"""About so many of the last jobs make up the estimate of how long one lasts."""
AHEAD = 2.0
"""Times ``D`` that a queue is looked ahead."""
MOST_JOB_AHEAD = 4.0
"""Periods, at most, that the half of a job adds to how far a queue is looked ahead."""

FIELDS = tuple(ThrottleState.model_fields)


@dataclass(slots=True)
class Course:
    """The fields of ``ThrottleState``, open to change, with what the filters make of a signal."""

    limit: float
    wall: float | None
    patience_s: float
    tick: int
    draining: bool
    base: float
    before: float
    near_wall: bool
    not_ours: bool
    fits_since: int | None
    tripped_at: int
    moved_at: int
    rose_from: float | None
    abrupt: bool
    quiet: int
    missing: int
    spread: float
    level: float | None
    raw: float | None
    change: float | None
    ratio: float | None
    slope: float
    excess: float
    cruise: float | None
    fallen: int
    busy_s: float
    done: float
    means: tuple[float, ...]

    @classmethod
    def of(cls, state: ThrottleState) -> Course:
        """Lay a state open."""
        fields: Mapping[str, Any] = state.__dict__
        return cls(**fields)

    def state(self) -> ThrottleState:
        """Close it again."""
        return ThrottleState.model_construct(**{name: getattr(self, name) for name in FIELDS})

    @property
    def job_s(self) -> float:
        """How long a job lasts, in seconds; estimated also before one has ended."""
        return (self.busy_s + FIRST_JOB_S) / (self.done + 1)

    @property
    def ran(self) -> float:
        """How many ran in the time that the signal tells of."""
        return self.means[0]

    def count(self, seen: Observation, settings: Settings) -> None:
        """Take note of what ran."""
        self.tick += 1
        self.means = (*self.means[-settings.lag :], seen.running_mean)[-settings.lag - 1 :]
        self.busy_s += seen.running_mean * seen.elapsed_s
        self.done += seen.completed
        if self.done > REMEMBERED_JOBS:
            self.busy_s *= REMEMBERED_JOBS / self.done
            self.done = REMEMBERED_JOBS

    def forget_signal(self) -> None:
        """What was measured before a long time in which nobody looked says nothing any more."""
        self.level = self.raw = self.change = self.ratio = self.cruise = None
        self.slope = self.excess = 0.0
        self.quiet = self.fallen = 0
        self.fits_since = None

    def look(self, ratio: float, settings: Settings) -> float:
        """Filter a ratio. Gives its logarithm; of a queue, that of where it will be."""
        raw = _log(ratio)
        if self.raw is not None:
            change = raw - self.raw
            if self.change is not None:
                surprise = min(abs(change - self.change), SURPRISE)
                self.spread += MEMORY * (SECOND_DIFFERENCE * surprise - self.spread)
            self.change = change
        self.raw = raw
        seen = raw
        if settings.queue:
            growth = 0.0 if self.ratio is None else ratio - self.ratio
            self.slope += (growth - self.slope) / (1 + SLOPE_SMOOTHING * self.spread)
            half = self.job_s / (2 * settings.period_s)
            ahead = AHEAD * (settings.wait + min(MOST_JOB_AHEAD, half))
            seen = _log(ratio + ahead * max(0.0, self.slope))
        self.ratio = ratio
        if self.level is None:
            self.level = seen
        self.level += (seen - self.level) / (1 + SMOOTHING * self.spread)
        self.excess = max(0.0, self.excess + seen - math.log(settings.set_point))
        return seen


def _log(ratio: float) -> float:
    return min(max(math.log(max(ratio, 1e-9)), LOWEST), HIGHEST)
