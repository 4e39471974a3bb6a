"""Evidence that the canary is worse: likelihood ratios, minute by minute.

Everything here takes a leading batch axis, so that many metrics, or many simulated canaries, are
followed at once by the same code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner_provider.decide.canary.counts import Arms, Contrast
from planner_provider.decide.canary.noise import GRID, Floats, log_sum

EFFECT_VARIANCE = 0.5
"""Of the half-normal prior of the shift, in squared log odds: a shift of 2x is one deviation."""
ONSET_EVERY = 2
"""Minutes between the moments at which a fault is supposed to begin."""
ONSET_AT_ONCE = 0.4
"""Prior share of faults that are there from the first minute."""
RATIOS = np.exp(np.linspace(np.log(1.15), np.log(8.0), 14))
"""How many times worse a canary may be, for the exact test."""

_ERFCX = (
    -0.671794085152, 0.672643154775, 0.0473434175211, -0.04689364056, -0.00987453491828,
    0.00880882536942, 0.0017706661186, -0.00228876523867, -0.000182782141653, 0.000573766372081,
    -3.21137723904e-05, -8.72838102437e-05, 1.33715035258e-05,
)  # fmt: skip
"""Polynomial in ``2 t - 1``, ``t = 1 / (1 + x / 2)``, of ``log(erfcx(x) / t)``; a least squares fit
at Chebyshev nodes, at most 6e-9 off."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What one pass over the minutes of a bake gives, for each candidate of the noise."""

    log_likelihood: Floats
    """Of no shift, ``(batch, minutes, candidates)``, up to what is equal for all candidates."""
    log_ratio: Floats
    """Likelihood of a shift against none, averaged over size and onset; same shape."""
    shift: Floats
    """Best estimate of a shift from the first minute on, same shape."""
    information: Floats
    """One by the variance of ``shift``, same shape."""


def onset_weights(horizon: int, every: int) -> tuple[list[int], Floats]:
    """Minutes (from 0) at which a fault may begin, and the prior weight of each."""
    onsets = list(range(0, horizon, every))
    rest = (1 - ONSET_AT_ONCE) / (len(onsets) - 1) if len(onsets) > 1 else 0.0
    weights = np.full(len(onsets), rest)
    weights[0] = ONSET_AT_ONCE if len(onsets) > 1 else 1.0
    return onsets, weights


def log_half_normal(score: Floats, information: Floats, both: bool) -> Floats:
    """Logarithm of the likelihood ratio, averaged over a half-normal shift.

    For a shift ``d`` the ratio is ``exp(d * score - d^2 * information / 2)``. With ``both``, half
    of the prior is on either side.
    """
    grown = 1 + EFFECT_VARIANCE * information
    z = score * np.sqrt(EFFECT_VARIANCE / grown)
    if both:
        averaged: Floats = 0.5 * (z * z - np.log(grown))
        return averaged
    x = np.abs(z) * np.sqrt(0.5)
    t = 1 / (1 + 0.5 * x)
    u = 2 * t - 1
    poly = np.full_like(u, _ERFCX[-1])
    for coefficient in _ERFCX[-2::-1]:
        poly *= u
        poly += coefficient
    tail = t * np.exp(poly)  # erfcx(x) = exp(x^2) erfc(x)
    square = x * x
    log_phi = np.where(
        z > 0, square + np.log(np.maximum(2 - tail * np.exp(-square), 1.0)), np.log(tail)
    )
    averaged = log_phi - 0.5 * np.log(grown)
    return averaged


def follow(data: Contrast, horizon: int, *, both: bool) -> Followed:
    """Filter the log odds ratios of a bake, and a shift from each onset, for each candidate.

    Kalman filters of one dimension. A shift enters linearly: what a filter leaves of a unit step
    is as predictable as the step itself, and gives the score and the information of the shift.
    """
    onsets, weights = onset_weights(horizon, ONSET_EVERY)
    log_weights = np.log(weights)
    begun = np.cumsum(weights)
    rho, tau2 = GRID.rho, GRID.tau**2
    batch, minutes = data.y.shape
    shape = (batch, minutes, len(tau2))
    likelihood, ratio, shift, known = (np.zeros(shape) for _ in range(4))
    level = np.zeros((batch, len(tau2)))
    spread = np.broadcast_to(tau2, level.shape).copy()
    total = np.zeros_like(level)
    step = np.zeros((*level.shape, len(onsets)))
    score, information = np.zeros_like(step), np.zeros_like(step)
    for minute in range(minutes):
        w = data.weight[:, minute, None]
        room = 1 + spread * w
        precision = w / room
        gain = spread * precision
        surprise = data.y[:, minute, None] - level
        total = total - 0.5 * (np.log(room) + surprise**2 * precision)
        active = sum(onset <= minute for onset in onsets)
        left = 1 - step[..., :active]
        weighed = left * precision[..., None]
        score[..., :active] += weighed * surprise[..., None]
        information[..., :active] += weighed * left
        step[..., :active] += gain[..., None] * left
        step[..., :active] *= rho[:, None]
        level = rho * (level + gain * surprise)
        spread = rho**2 * spread * (1 - gain) + tau2 * (1 - rho**2)
        terms = log_half_normal(score[..., :active], information[..., :active], both)
        started = log_sum(terms + log_weights[:active])
        waiting = max(1 - float(begun[active - 1]), 0.0)
        ratio[:, minute] = np.logaddexp(started, np.log(waiting)) if waiting > 1e-9 else started
        likelihood[:, minute] = total
        known[:, minute] = information[..., 0]
        shift[:, minute] = score[..., 0] / np.maximum(information[..., 0], 1e-300)
    return Followed(likelihood, ratio, shift, known)


def exact(arms: Arms, horizon: int, *, both: bool) -> Floats:
    """Logarithm of the conditional binomial e-process, ``(batch, minutes)``.

    Given the bad events of a minute, each is the canary's with probability ``n_c / n`` if the arms
    are equal, and ``r n_c / (r n_c + n_b)`` if the canary is ``r`` times worse. Exact for
    independent events, however few; it knows of no other noise.
    """
    up = _exact_increase(arms, horizon)
    if not both:
        return up
    mixed: Floats = np.logaddexp(up, _exact_increase(arms.swapped(), horizon)) - np.log(2)
    return mixed


def _exact_increase(arms: Arms, horizon: int) -> Floats:
    usable = arms.usable()
    n_c, n_b = np.where(usable, arms.canary, 1.0), np.where(usable, arms.baseline, 1.0)
    k_c, k_b = np.where(usable, arms.canary_bad, 0.0), np.where(usable, arms.baseline_bad, 0.0)
    onsets, weights = onset_weights(horizon, 1)
    share = n_c / (n_c + n_b)
    # Log likelihood ratio of one bad event of the canary, and of one of the baseline.
    worse = RATIOS * share[..., None] + (1 - share[..., None])
    steps = k_c[..., None] * (np.log(RATIOS) - np.log(worse)) - k_b[..., None] * np.log(worse)
    batch, minutes = k_c.shape
    result = np.zeros((batch, minutes))
    running = np.full((batch, len(RATIOS)), -np.inf)
    waiting = 1.0
    for minute in range(minutes):
        weight = weights[minute] if minute < len(onsets) else 0.0
        if weight > 0:
            running = np.logaddexp(running, np.log(weight / len(RATIOS)))
            waiting = max(waiting - weight, 0.0)
        running = running + steps[:, minute]
        result[:, minute] = log_sum(running)
        if waiting > 1e-9:
            result[:, minute] = np.logaddexp(result[:, minute], np.log(waiting))
    return result
