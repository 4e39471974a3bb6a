"""What history tells: the noise between equal arms, and the level of the service."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner_provider.decide.canary.counts import Arms, Contrast, contrast
from planner_provider.decide.canary.noise import (
    GRID,
    Bools,
    Floats,
    learn,
    log_likelihood,
    log_sum,
)

FIRM = 1e4
"""How many times the events of the canary the level is taken to rest on: it counts as known."""


@dataclass(frozen=True, slots=True)
class Past:
    """Sums over history; ``contrast`` and ``level_noise`` are ``(batch, candidates)``."""

    contrast: Floats
    """Log likelihood of each candidate for the difference of the arms."""
    level_noise: Floats
    """The same for the baseline's wandering about the level."""
    minutes: Floats
    """Minutes with both arms, ``(batch,)``."""
    level_minutes: Floats
    """Minutes with a baseline, ``(batch,)``."""
    level: Floats
    """Share of bad events over the whole of history, ``(batch,)``."""
    bad: Floats
    """Bad events that the level was learned from, ``(batch,)``."""

    def rows(self, chosen: Bools) -> Past:
        """Some rows of the batch."""
        return Past(
            self.contrast[chosen],
            self.level_noise[chosen],
            self.minutes[chosen],
            self.level_minutes[chosen],
            self.level[chosen],
            self.bad[chosen],
        )


def no_past(batch: int) -> Past:
    """Nothing is known."""
    nothing = np.zeros((batch, len(GRID.tau)))
    return Past(nothing, nothing, *(np.zeros(batch) for _ in range(4)))


def summarise(history: Arms) -> Past:
    """Learn from minutes in which both arms, or the baseline alone, ran the old version."""
    n, bad = (np.zeros(len(history.canary)) for _ in range(2))
    for arm in (_alone(history), _alone(history.swapped())):
        usable = arm.usable()
        n = n + np.where(usable, arm.canary, 0.0).sum(axis=1)
        bad = bad + np.where(usable, arm.canary_bad, 0.0).sum(axis=1)
    level = bad / np.maximum(n, 1.0)
    data = contrast(history)
    about = against_level(_alone(history.swapped()), level)
    return Past(
        contrast=log_likelihood(data.y, data.weight),
        level_noise=log_likelihood(about.y, about.weight),
        minutes=(data.weight > 0).sum(axis=1).astype(np.float64),
        level_minutes=(about.weight > 0).sum(axis=1).astype(np.float64),
        level=level,
        bad=bad,
    )


def _alone(arms: Arms) -> Arms:
    """The canary's side on both sides, so that it is usable wherever it is there."""
    return Arms(arms.canary, arms.canary_bad, arms.canary, arms.canary_bad)


def against_level(arms: Arms, level: Floats) -> Contrast:
    """The canary against a level that is known, as if the baseline were huge and steady."""
    usable = arms.usable()
    firm = np.where(usable, arms.canary * FIRM, np.nan)
    return contrast(Arms(arms.canary, arms.canary_bad, firm, firm * level[:, None]))


def level_noise(past: Past) -> tuple[Floats, Floats]:
    """Weights of the candidates for the level, as logarithms, and the noise expected of it."""
    posterior = GRID.log_prior + past.level_noise
    share = np.exp(posterior - log_sum(posterior)[:, None])
    return learn(past.level_noise, past.level_minutes), (share * GRID.tau).sum(axis=1)
