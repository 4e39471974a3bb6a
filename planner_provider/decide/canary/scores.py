"""From evidence to scores that stop at one: limits and guards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from planner_provider.decide.canary.counts import Arms, Contrast, contrast
from planner_provider.decide.canary.evidence import Followed, exact, follow
from planner_provider.decide.canary.noise import GRID, Bools, Floats, learn, log_sum
from planner_provider.decide.canary.past import Past, against_level, level_noise

CALIBRATED_ALPHA = 0.01
"""The limits below are those of this rate; they rise and fall with one by the rate."""
LIMIT = (60.0, 15.0)
"""Of the evidence with the noise that is expected, at the beginning and at the end of a bake."""
GUARD_LIMIT = (34.0, 24.0)
"""Of the evidence against the most harmful noise that is reckoned with."""
TRUSTING_LIMIT = (180.0, 40.0)
"""Instead of both where history is believed."""
CEILING = 0.3
STRICT_CEILING = 0.45
"""Correlated noise up to this standard deviation, in log odds, is reckoned with whatever history
says. Noise without correlation is reckoned with at any size."""
ENOUGH_HISTORY = 270
"""Minutes of history, three quarters of six hours, below which it is not believed and gives no
level."""
ENOUGH_BAD = 400
"""Bad events of history below which it gives no level."""
LEVEL_LIMIT = 80.0
"""Of the evidence that the canary has left the level of the service."""
LEVEL_SUPPORT = 6.0
LEVEL_GUARD_SUPPORT = 2.0
"""What the comparison with the baseline must say at least, expected noise and guard, where the
level says the rest."""
LEVEL_CEILINGS = ((0.06, 0.2, 270), (0.25, 0.3, 1080))
"""Noise of the level in history; up to it, noise of one arm is reckoned with to a ceiling, if
history has that many minutes. A level that wanders is known from a whole day only."""
SUSPECT = 20.0
UNSUSPECTED = 10.0
"""Evidence from which a canary is suspect, and below which it may go on."""
HIGHEST = 600.0
"""Logarithms above this are cut off; the score is out of all doubt there."""
Direction = Literal["increase", "decrease", "either"]


@dataclass(frozen=True, slots=True)
class Rule:
    """How much evidence is asked for."""

    alpha: float = CALIBRATED_ALPHA
    strict: bool = False
    trust_history: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """Counts of bad events followed through a bake. Logarithms, ``(batch, minutes)``."""

    expected: Floats
    """Evidence with the noise that history and the bake suggest, and by exact counting."""
    worst: Floats
    """Against the most harmful noise."""
    strict_worst: Floats
    """The same with the higher ceiling."""
    level: Floats
    """That the canary left the level of the service, with the noise that is expected of it."""
    level_worst: Floats
    """Against the most harmful noise of the level; ``-inf`` where no level is known."""
    shift: Floats
    """Estimated log odds ratio of the bake so far, above 0 if the canary has more bad events."""
    deviation: Floats
    """Its standard deviation; infinite if nothing is known."""
    history: Floats
    """Minutes of history, ``(batch,)``."""


def limits(first: float, last: float, minutes: int, horizon: int, alpha: float) -> Floats:
    """Logarithm of the limit at each minute, falling evenly from ``first`` to ``last``.

    A test that looks at every minute but asks for less towards the end wastes little of what a
    single look at the end could see, as with O'Brien and Fleming's boundaries (1979). After the
    horizon the first limit holds again.
    """
    part = np.arange(1, minutes + 1) / horizon
    part = np.where(part > 1, 0.0, part)
    lines: Floats = np.log(first) + part * (np.log(last) - np.log(first))
    scaled: Floats = lines + np.log(CALIBRATED_ALPHA / alpha)
    return scaled


def guarded(ceiling: float) -> Bools:
    """The candidates that a guard reckons with."""
    chosen: Bools = (GRID.tau <= ceiling) | (GRID.rho == 0)
    return chosen


def trace(arms: Arms, past: Past, horizon: int, direction: Direction) -> Trace:
    """Follow counts through a bake, for all rules at once."""
    both = direction == "either"
    sign = -1.0 if direction == "decrease" else 1.0
    learned = learn(past.contrast, past.minutes)[:, None, :]
    bake = follow(_turned(contrast(arms), sign), horizon, both=both)
    counted = exact(arms.swapped() if sign < 0 else arms, horizon, both=both)
    against = bake.log_likelihood
    mixed = log_sum(learned + against + bake.log_ratio)
    expected = np.minimum(mixed - log_sum(learned + against), counted)
    level, level_worst = np.full(expected.shape, -np.inf), np.full(expected.shape, -np.inf)
    known = (past.level_minutes >= ENOUGH_HISTORY) & (past.bad >= ENOUGH_BAD) & (past.level < 1)
    if known.any():
        some = past.rows(known)
        canary = follow(
            _turned(against_level(arms.rows(known), some.level), sign), horizon, both=both
        )
        level[known], level_worst[known] = _level_evidence(canary, learned[known], some)
        level = np.minimum(level, counted)
    shift, deviation = _estimate(bake, learned)
    return Trace(
        expected=expected,
        worst=mixed - against[..., guarded(CEILING)].max(axis=-1),
        strict_worst=mixed - against[..., guarded(STRICT_CEILING)].max(axis=-1),
        level=level,
        level_worst=level_worst,
        shift=sign * shift,
        deviation=deviation,
        history=past.minutes,
    )


def score(found: Trace, horizon: int, rule: Rule) -> Floats:
    """Evidence by its limit at each minute: 1 is enough to roll back.

    Evidence is a likelihood ratio of "worse" against "equal". With the noise that history and the
    bake itself suggest it is a Bayes factor; against the most harmful noise it is that of universal
    inference (Wasserman, Ramdas, Balakrishnan 2020). Both, and exact counting, must be over their
    limits. Where history shows the level of the service, the canary's leaving it while the
    baseline stays is evidence too, and lowers what is asked of the comparison.
    """
    minutes = found.expected.shape[1]

    def over(values: Floats, first: float, last: float) -> Floats:
        return values - limits(first, last, minutes, horizon, rule.alpha)

    usual = over(found.expected, *LIMIT)
    guard = over(found.strict_worst if rule.strict else found.worst, *GUARD_LIMIT)
    total = np.minimum(usual, guard)
    if not rule.strict:
        by_level = np.minimum.reduce(
            (
                np.maximum(usual, over(found.level, *LIMIT)),
                over(found.level_worst, LEVEL_LIMIT, LEVEL_LIMIT),
                over(found.expected, LEVEL_SUPPORT, LEVEL_SUPPORT),
                over(found.worst, LEVEL_GUARD_SUPPORT, LEVEL_GUARD_SUPPORT),
            )
        )
        total = np.maximum(total, by_level)
    if rule.trust_history:
        trusting = over(found.expected, *TRUSTING_LIMIT)
        enough = (found.history >= ENOUGH_HISTORY)[:, None]
        total = np.where(enough, np.maximum(total, trusting), total)
    highest: Floats = np.exp(np.minimum(total, HIGHEST))
    return highest


def _turned(data: Contrast, sign: float) -> Contrast:
    return Contrast(sign * data.y, data.weight)


def _level_evidence(canary: Followed, learned: Floats, past: Past) -> tuple[Floats, Floats]:
    """That the canary left its level: with the noise that is expected, and against the worst."""
    against = canary.log_likelihood
    noise, size = level_noise(past)
    mixed = log_sum(noise[:, None, :] + against + canary.log_ratio)
    best = np.maximum(mixed, log_sum(learned + against + canary.log_ratio))
    worst = np.full(mixed.shape, -np.inf)
    for place, (up_to, ceiling, minutes) in enumerate(LEVEL_CEILINGS):
        least = LEVEL_CEILINGS[place - 1][0] if place else -1.0
        rows = (size > least) & (size <= up_to) & (past.level_minutes >= minutes)
        worst[rows] = best[rows] - against[rows][..., guarded(ceiling)].max(axis=-1)
    return mixed - log_sum(noise[:, None, :] + against), worst


def _estimate(bake: Followed, learned: Floats) -> tuple[Floats, Floats]:
    """Shift and its deviation, averaged over the noise by how well it fits with a shift."""
    known = np.maximum(bake.information, 1e-300)
    fit = learned + bake.log_likelihood
    fit = fit + 0.5 * (bake.shift**2 * bake.information - np.log(known))
    weights = np.exp(fit - log_sum(fit)[..., None])
    shift = (weights * bake.shift).sum(axis=-1)
    variance = (weights * (1 / known + (bake.shift - shift[..., None]) ** 2)).sum(axis=-1)
    return shift, np.where(bake.information[..., 0] > 0, np.sqrt(variance), np.inf)
