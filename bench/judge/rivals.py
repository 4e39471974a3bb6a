"""The other judges, each on the same counts. All give the minute of the first roll back."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from bench.judge.kayenta import lower_bounds
from bench.judge.scenarios import BAKE
from planner_provider.decide.canary.counts import Arms

Floats = npt.NDArray[np.float64]
NEVER = BAKE + 1
EVERY = 5
LOOKS = tuple(range(EVERY, BAKE + 1, EVERY))
ALPHA = 0.01


def ratios(arms: Arms) -> tuple[Floats, Floats]:
    """Share of bad events of both arms, NaN where an arm had no event."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            np.where(arms.canary > 0, arms.canary_bad / arms.canary, np.nan),
            np.where(arms.baseline > 0, arms.baseline_bad / arms.baseline, np.nan),
        )


def kayenta_bounds(arms: Arms, counts: int) -> Floats:
    """For each run and look, the tolerance under which Kayenta would fail it.

    A run has ``counts`` metrics, all critical, so that each can fail it.
    """
    canary, baseline = ratios(arms)
    bounds = np.stack([lower_bounds(canary[:, :t], baseline[:, :t]) for t in LOOKS], axis=1)
    worst: Floats = bounds.reshape(-1, counts, len(LOOKS)).max(axis=1)
    return worst


def kayenta_first(bounds: Floats, tolerance: float, *, once: bool) -> Floats:
    """Minute of the first failure at a tolerance, looking every five minutes or at the end."""
    failed = bounds > tolerance
    if once:
        return np.where(failed[:, -1], float(BAKE), float(NEVER))
    return np.where(failed.any(axis=1), np.array(LOOKS)[failed.argmax(axis=1)], float(NEVER))


def kayenta_tolerance(bounds: list[Floats], *, once: bool, rate: float = ALPHA) -> float:
    """The smallest tolerance with at most this rate of false alarms on each of the nulls."""
    worst = 0.0
    for cell in bounds:
        highest = np.sort(cell[:, -1] if once else cell.max(axis=1))[::-1]
        worst = max(worst, float(highest[int(rate * len(highest))]))
    return worst


def thresholds(arms: Arms, counts: int, failures: int) -> Floats:
    """As an analysis with a fixed limit: failed for more than ``failures`` minutes of over 2x."""
    canary, baseline = ratios(arms)
    with np.errstate(invalid="ignore"):
        over = np.cumsum(canary > 2 * baseline, axis=1) > failures
    return _first(over, counts)


def mann_whitney(arms: Arms, counts: int) -> Floats:
    """One test of the ratios at the end, at 1% over all metrics together."""
    canary, baseline = ratios(arms)
    failed = np.zeros(len(canary), bool)
    for row in range(len(canary)):
        x, y = canary[row], baseline[row]
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
        if len(x) < 2 or len(y) < 2:
            continue
        failed[row] = _one_sided(x, y) < ALPHA / counts
    over = np.zeros(canary.shape, bool)
    over[:, -1] = failed
    return _first(over, counts)


def _one_sided(x: Floats, y: Floats) -> float:
    ordered = np.sort(y)
    wins = np.searchsorted(ordered, x, "left").sum()
    level = np.searchsorted(ordered, x, "right").sum() - wins
    n, m = len(x), len(y)
    groups = np.unique(np.concatenate([x, y]), return_counts=True)[1].astype(float)
    total = n + m
    variance = n * m / 12 * (total + 1 - (groups**3 - groups).sum() / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    return float(norm.sf((wins + level / 2 - n * m / 2 - 0.5) / np.sqrt(variance)))


@lru_cache(maxsize=8)
def boundary(alpha: float) -> float:
    """O'Brien and Fleming's constant for twelve even looks, one-sided, by simulation."""
    rng = np.random.default_rng(20)
    steps = rng.normal(size=(400_000, len(LOOKS)))
    walk = np.cumsum(steps, axis=1).max(axis=1) / np.sqrt(len(LOOKS))
    return float(np.quantile(walk, 1 - alpha))


def group_sequential(arms: Arms, counts: int) -> Floats:
    """Score test of the counts at twelve looks, O'Brien and Fleming's limits, 1% over all."""
    n_c, k_c, n_b, k_b = (
        np.nan_to_num(values)
        for values in (arms.canary, arms.canary_bad, arms.baseline, arms.baseline_bad)
    )
    n = np.maximum(n_c + n_b, 1)
    bad = k_c + k_b
    score = np.cumsum(k_c - bad * n_c / n, axis=1)
    information = np.cumsum(bad / n * (1 - bad / n) * n_c * n_b / n, axis=1)
    z = score / np.sqrt(np.maximum(information, 1e-12))
    over = np.zeros(z.shape, bool)
    limit = boundary(round(ALPHA / counts, 6))
    for place, minute in enumerate(LOOKS, start=1):
        over[:, minute - 1] = z[:, minute - 1] > limit * np.sqrt(len(LOOKS) / place)
    return _first(over, counts)


def _first(over: npt.NDArray[np.bool_], counts: int) -> Floats:
    """First minute with a failure in any of a run's metrics."""
    runs: npt.NDArray[np.bool_] = over.reshape(-1, counts, over.shape[1]).max(axis=1)
    return np.where(runs.any(axis=1), runs.argmax(axis=1) + 1.0, float(NEVER))
