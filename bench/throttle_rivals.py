"""Other laws that move a limit, to compare with; each as its authors describe it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from bench.throttle_world import SLOTS, Tick

START = 4.0


@dataclass(slots=True)
class Fixed:
    """A limit that never moves."""

    limit: float

    def tick(self, seen: Tick) -> float:
        """The limit from now on."""
        return self.limit


@dataclass(slots=True)
class OnOff:
    """As fast as it goes, and nothing at all while the signal is above its target (gh-ost)."""

    target: float = 0.9

    def tick(self, seen: Tick) -> float:
        """The limit from now on."""
        return SLOTS if seen.y is not None and seen.y <= self.target else 0


@dataclass(slots=True)
class Aimd:
    """One more each tick, times ``cut`` when the signal is above its target (Gitaly)."""

    cut: float
    target: float = 0.9
    cool_down_s: float = 0.0
    limit: float = START
    since: float = 1e9

    def tick(self, seen: Tick) -> float:
        """The limit from now on."""
        self.since += 30
        if seen.y is None:
            return self.limit
        if seen.y > self.target:
            if self.since >= self.cool_down_s:
                self.limit, self.since = max(1.0, self.limit * self.cut), 0.0
        else:
            self.limit = min(SLOTS, self.limit + 1)
        return self.limit


@dataclass(slots=True)
class Gradient2:
    """Netflix' concurrency-limits, Gradient2, with its defaults: signal as the round trip time."""

    limit: float = START
    long: float | None = None

    def tick(self, seen: Tick) -> float:
        """The limit from now on."""
        if seen.y is None:
            return self.limit
        short = seen.y
        self.long = short if self.long is None else self.long + (short - self.long) * 2 / 601
        if self.long > 2 * short:
            self.long *= 0.95
        if seen.running < self.limit / 2:
            return self.limit
        gradient = max(0.5, min(1.0, 1.5 * self.long / short))
        new = gradient * self.limit + 4
        self.limit = min(max(self.limit * 0.8 + new * 0.2, 1.0), SLOTS)
        return self.limit


@dataclass(slots=True)
class GradientToTarget:
    """The same step, but towards a target of the signal."""

    target: float = 0.9
    limit: float = START

    def tick(self, seen: Tick) -> float:
        """The limit from now on."""
        if seen.y is None or seen.running < self.limit / 2:
            return self.limit
        gradient = max(0.5, min(1.2, self.target / max(seen.y, 1e-6)))
        new = gradient * self.limit + math.sqrt(self.limit) * (seen.y < self.target)
        self.limit = min(max(self.limit * 0.8 + new * 0.2, 1.0), SLOTS)
        return self.limit


@dataclass(slots=True)
class Pi:
    """A proportional-integral controller of the logarithm, with a limit to its wind-up."""

    proportional: float = 0.2
    integral: float = 0.1
    target: float = 0.9
    limit: float = START
    before: float | None = None

    def tick(self, seen: Tick) -> float:
        """The limit from now on."""
        if seen.y is None:
            return self.limit
        error = math.log(self.target) - min(max(math.log(max(seen.y, 1e-6)), -1.6), 1.5)
        change = self.integral * error
        if self.before is not None:
            change += self.proportional * (error - self.before)
        self.before = error
        if change > 0 and seen.running < self.limit - 1:
            return self.limit
        self.limit = min(max(self.limit * math.exp(min(max(change, -0.7), 0.2)), 1.0), SLOTS)
        return self.limit


@dataclass(slots=True)
class Published:
    """Drain, remember the ceiling, cruise below it: the law that ours started from."""

    lag: int = 0
    set_point: float = 0.9
    queue: bool = False
    minimum: float = 1.0
    limit: float = START
    wall: float | None = None
    patience_s: float = 300.0
    spread: float = 0.0
    level: float | None = None
    last: float | None = None
    last_y: float | None = None
    excess: float = 0.0
    draining: bool = False
    near: bool = False
    foreign: bool = False
    before_cut: float = 0.0
    base: float = 0.0
    low_since: int | None = None
    now: int = 0
    tripped_at: int = -99
    raised_at: int = -99
    quiet: int = 0
    missing: int = 0
    busy_s: float = 0.0
    done: float = 0.0
    cruise: float | None = None
    dropped: int = 0
    slope: float = 0.0
    means: deque[float] = field(default_factory=deque)

    @property
    def wait(self) -> int:
        """Ticks until an act can be seen."""
        return 2 + self.lag

    @property
    def job_s(self) -> float:
        """How long a job lasts."""
        return (self.busy_s + 120) / (self.done + 1)

    def tick(self, seen: Tick) -> float:
        """The limit from now on."""
        self.now += 1
        self.means.append(seen.running_mean)
        while len(self.means) > self.lag + 1:
            self.means.popleft()
        self.busy_s += seen.running_mean * 30
        self.done += seen.completed
        if self.done > 60:
            self.busy_s, self.done = self.busy_s * 60 / self.done, 60.0
        if seen.y is None:
            self.missing += 1
            self.raised_at = self.now
            if self.missing % 6 == 0:
                self.limit = max(self.minimum, 0.75 * self.limit)
            return self.limit
        self.missing = 0
        log_y = self._filter(seen.y)
        if self.draining:
            self._drain(seen, log_y)
        elif not self._trips(seen, log_y):
            self._cruise(seen)
        self.limit = min(max(self.limit, self.minimum), SLOTS)
        return self.limit

    def _filter(self, y: float) -> float:
        self.slope = 0.0 if self.last_y is None else y - self.last_y
        self.last_y = y
        if self.queue:
            ahead = self.wait + min(4.0, self.job_s / 60)
            y += 2 * ahead * max(0.0, self.slope)
        log_y = min(max(math.log(max(y, 1e-9)), -1.6), 1.5)
        if self.last is not None:
            self.spread += 0.1 * (0.886 * min(abs(log_y - self.last), 0.8) - self.spread)
        self.last = log_y
        if self.level is None:
            self.level = log_y
        self.level += (log_y - self.level) / (1 + 3 * self.spread)
        self.excess = max(0.0, self.excess + log_y - math.log(self.set_point))
        return log_y

    def _trips(self, seen: Tick, log_y: float) -> bool:
        if self.now - self.tripped_at < self.wait:
            return False
        severe = log_y > math.log(3) + self.spread
        if not severe and self.excess <= 0.2 + 0.5 * self.spread:
            return False
        self.base = max(min(self.limit, self.means[0]), self.minimum)
        self.before_cut = self.limit
        self.near = self.wall is not None and self.limit >= 0.85 * self.wall
        if severe:
            self.limit, self.patience_s, self.near = self.minimum, 300.0, False
        elif self.near:
            self.limit = math.floor(0.85 * self.base)
            self.patience_s = min(2 * self.patience_s, 1800.0)
        else:
            self.limit, self.patience_s = math.floor(0.6 * self.base), 300.0
        self.draining, self.foreign, self.low_since = True, False, None
        self.tripped_at, self.quiet, self.dropped, self.cruise = self.now, 0, 0, None
        return True

    def _drain(self, seen: Tick, log_y: float) -> None:
        assert self.level is not None
        edge = math.log(self.set_point)
        if self.level <= edge and log_y <= edge:
            healthy = min(max(self.means[0], self.limit), self.base)
            if self.foreign:
                self.limit = max(self.limit, self.before_cut / 2)
            else:
                if self.near and healthy >= 0.8 * self.base:
                    self.limit = max(healthy, 0.95 * self.base)
                else:
                    self.limit = healthy + 0.25 * (self.base - healthy)
                self.wall = self.base
            self.draining, self.excess, self.quiet, self.raised_at = False, 0.0, 0, self.now
            return
        if log_y > math.log(3) + self.spread:
            self.limit = self.minimum
        if seen.running > self.limit:
            self.low_since = None
            return
        if self.low_since is None:
            self.low_since = self.now
        if self.now - self.low_since >= self.wait:
            if self.limit <= self.minimum:
                self.foreign = True
            else:
                self.base = self.limit
                self.limit = max(self.minimum, math.floor(0.6 * self.limit))
                self.low_since = None

    def _cruise(self, seen: Tick) -> None:
        assert self.level is not None
        self.quiet = self.quiet + 1 if self.excess == 0 else 0
        if self.cruise is None:
            self.cruise = self.level
        fell = self.cruise - self.level > max(0.35, 2 * self.spread)
        self.dropped = self.dropped + 1 if fell and self.level < math.log(0.65) else 0
        if self.dropped >= 2:
            self.wall, self.cruise, self.dropped = None, self.level, 0
        self.cruise += 0.05 * (self.level - self.cruise)
        if (
            self.excess > 0
            or self.level > math.log(0.83 * self.set_point)
            or seen.running < math.floor(self.limit) - 1
            or self.now - self.raised_at < self.wait
            or (self.queue and self.slope > 0.03)
        ):
            return
        step = min(max(30 / self.job_s, 0.08), 0.25)
        raised = max(self.limit + 1, self.limit * (1 + step))
        if self.wall is None:
            self.limit = raised
        elif self.limit < 0.95 * self.wall - 1e-9:
            self.limit = min(raised, 0.95 * self.wall)
        elif self.quiet * 30 >= self.patience_s:
            if self.limit > self.wall:
                self.wall, self.patience_s = None, 300.0
            else:
                self.limit += 1
        else:
            return
        self.raised_at = self.now
