"""How long things took: counts by upper bound, as Prometheus' histograms want them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import timedelta

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
WORK = (1.0, 5.0, 15.0, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, DAY)
PEOPLE = (MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR, 8 * HOUR, DAY, 3 * DAY)
BOUNDS: dict[str, tuple[float, ...]] = {
    "approval": PEOPLE,
    "completion": (5 * MINUTE, 15 * MINUTE, *PEOPLE[3:]),
    "rollback": (30.0, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR),
    "lock_wait": (1.0, 10.0, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR),
    "run": (15.0, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, DAY, 3 * DAY),
    "act": WORK,
}
"""Name -> upper bounds in seconds. They never change their meaning while a process lives."""


@dataclass(slots=True)
class Histogram:
    """Counts of what was at most as long as each bound, and the sum."""

    counts: list[int]
    total: float = 0.0


@dataclass(slots=True)
class Distributions:
    """Histograms by name and labels."""

    found: dict[str, dict[tuple[str, ...], Histogram]] = field(default_factory=dict)

    def add(self, name: str, labels: tuple[str, ...], span: timedelta) -> None:
        """Add one. A span below zero, from clocks that differ, counts as none."""
        seconds = max(0.0, span.total_seconds())
        bounds = BOUNDS[name]
        of_name = self.found.setdefault(name, {})
        histogram = of_name.get(labels)
        if histogram is None:
            histogram = of_name[labels] = Histogram([0] * (len(bounds) + 1))
        histogram.counts[bisect_left(bounds, seconds)] += 1
        histogram.total += seconds

    def buckets(self, name: str, histogram: Histogram) -> list[tuple[str, float]]:
        """Upper bound -> how many are not above it, the last one unbounded."""
        out: list[tuple[str, float]] = []
        below = 0
        bounds = [f"{bound:g}" for bound in BOUNDS[name]]
        for bound, count in zip([*bounds, "+Inf"], histogram.counts, strict=True):
            below += count
            out.append((bound, float(below)))
        return out
