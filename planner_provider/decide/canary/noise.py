"""The noise between two arms that run the same version: candidates, and what history says of them.

The log odds ratio of two equal arms is not zero plus counting error alone: pods differ, caches warm
up, a neighbour is busy for ten minutes. Such noise is described as a stationary AR(1) process with
standard deviation ``tau`` and correlation ``rho`` from minute to minute. Which pair is right is not
known, so all pairs of a grid are followed side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TAUS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.1)
TAU_WEIGHTS = (0.12, 0.16, 0.25, 0.28, 0.15, 0.03, 0.01)
RHOS = (0.0, 0.5, 0.8, 0.93)
RHO_WEIGHTS = (1.0, 1.0, 1.5, 2.0)
QUIET_WEIGHT = 0.2
"""Prior weight of no noise at all beyond counting."""
LEAST_DOUBT = 0.02
DOUBT_MINUTES = 3.0
"""Share of the prior that history cannot take away: the larger of ``LEAST_DOUBT`` and
``DOUBT_MINUTES`` by the number of minutes of history."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Pairs of ``tau`` and ``rho``, with the weight that each has before anything is seen."""

    tau: Floats
    rho: Floats
    log_prior: Floats


def _grid() -> Grid:
    pairs = [(0.0, 0.0, QUIET_WEIGHT)]
    scale = (1 - QUIET_WEIGHT) / sum(TAU_WEIGHTS) / sum(RHO_WEIGHTS)
    for tau, tau_weight in zip(TAUS, TAU_WEIGHTS, strict=True):
        for rho, rho_weight in zip(RHOS, RHO_WEIGHTS, strict=True):
            pairs.append((tau, rho, scale * tau_weight * rho_weight))
    columns = np.array(pairs, dtype=np.float64).T
    return Grid(columns[0], columns[1], np.log(columns[2]))


GRID = _grid()


def log_sum(values: Floats) -> Floats:
    """Logarithm of the sum of exponentials over the last axis; ``-inf`` for nothing at all."""
    top = values.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total: Floats = top[..., 0] + np.log(np.exp(values - top).sum(axis=-1))
    return total


def log_likelihood(y: Floats, weight: Floats) -> Floats:
    """How well each candidate explains a series of log odds ratios, ``(batch, candidates)``.

    ``y`` and ``weight`` are ``(batch, minutes)``; ``weight`` is one by the variance of the counting
    error, and 0 where a minute is missing. A Kalman filter of one dimension per candidate; what is
    equal for all candidates is left out.
    """
    rho, tau2 = GRID.rho, GRID.tau**2
    level = np.zeros((len(y), len(tau2)))
    spread = np.broadcast_to(tau2, level.shape).copy()
    total = np.zeros_like(level)
    for minute in range(y.shape[1]):
        w = weight[:, minute, None]
        room = 1 + spread * w
        surprise = y[:, minute, None] - level
        total -= 0.5 * (np.log(room) + surprise**2 * (w / room))
        gain = spread * w / room
        level = rho * (level + gain * surprise)
        spread = rho**2 * spread * (1 - gain) + tau2 * (1 - rho**2)
    return total


def learn(log_likelihoods: Floats, minutes: Floats) -> Floats:
    """Weights of the candidates after history, as logarithms, ``(batch, candidates)``.

    ``minutes`` counts those that history really has; with none, the prior stays as it is.
    """
    posterior = GRID.log_prior + log_likelihoods
    posterior = posterior - log_sum(posterior)[:, None]
    doubt = np.clip(
        np.maximum(LEAST_DOUBT, DOUBT_MINUTES / np.maximum(minutes, DOUBT_MINUTES)), None, 1.0
    )[:, None]
    with np.errstate(divide="ignore"):
        learned: Floats = np.logaddexp(np.log1p(-doubt) + posterior, np.log(doubt) + GRID.log_prior)
    return learned
