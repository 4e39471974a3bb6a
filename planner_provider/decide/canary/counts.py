"""From counts of both arms to what the tests work on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner_provider.decide.canary.noise import Bools, Floats

LOG_ODDS_FROM = 2.5
"""From this much information a minute on, the log odds ratio is taken as it is."""
PSEUDO_EVENTS = 4.0
"""Bad events at equal odds that stand before what was seen."""
MEMORY = 0.9
"""What one more minute of age leaves of a count; ten minutes are remembered."""
CLIP_BASE = 0.9
CLIP_SPREAD = 1.5
"""A minute counts for at most ``CLIP_BASE`` plus ``CLIP_SPREAD`` standard errors."""


@dataclass(frozen=True, slots=True)
class Arms:
    """Events of both arms minute by minute, each array ``(batch, minutes)``; NaN where missing."""

    canary: Floats
    canary_bad: Floats
    baseline: Floats
    baseline_bad: Floats

    def swapped(self) -> Arms:
        """The same with the arms exchanged."""
        return Arms(self.baseline, self.baseline_bad, self.canary, self.canary_bad)

    def rows(self, chosen: Bools) -> Arms:
        """Some rows of the batch."""
        return Arms(
            self.canary[chosen],
            self.canary_bad[chosen],
            self.baseline[chosen],
            self.baseline_bad[chosen],
        )

    def usable(self) -> Bools:
        """Minutes in which both arms had events that make sense."""
        with np.errstate(invalid="ignore"):
            usable: Bools = (
                np.isfinite(self.canary + self.canary_bad + self.baseline + self.baseline_bad)
                & (self.canary > 0)
                & (self.baseline > 0)
                & (self.canary_bad >= 0)
                & (self.baseline_bad >= 0)
                & (self.canary_bad <= self.canary)
                & (self.baseline_bad <= self.baseline)
            )
        return usable


@dataclass(frozen=True, slots=True)
class Contrast:
    """The log odds ratio of a bad event, canary against baseline, ``(batch, minutes)``."""

    y: Floats
    weight: Floats
    """One by the variance that counting alone gives ``y``; 0 for a minute that says nothing."""


def contrast(arms: Arms) -> Contrast:
    """Log odds ratio of each minute, with what counting error leaves of it.

    Given the bad events of both arms together, those of the canary are binomial with odds
    ``n_c e^d / n_b`` (up to the share of bad events). With enough of them, ``y`` is the log odds
    ratio, half an event added to each cell. With few, it is the working response of a logistic
    regression, ``d + (k_c - bad p) / (bad p (1 - p))`` at the ``d`` of the last minutes: at
    ``d = 0`` a noise that is symmetric in the logarithm would seem to lean towards the canary
    being worse. Source: McCullagh and Nelder, Generalized Linear Models (1989), section 2.5.
    """
    usable = arms.usable()
    n_c, k_c, n_b, k_b = (
        np.where(usable, values, fill)
        for values, fill in (
            (arms.canary, 1.0),
            (arms.canary_bad, 0.0),
            (arms.baseline, 1.0),
            (arms.baseline_bad, 0.0),
        )
    )
    n, bad = n_c + n_b, k_c + k_b
    good_share = 1 - bad / n
    share = n_c / n
    recent = _recent(k_c, k_b, share)
    odds = n_c * np.exp(recent) / n_b
    p = odds / (1 + odds)
    spread = bad * p * (1 - p)
    working = recent + (k_c - bad * p) / np.where(spread > 0, spread, 1.0)
    plain = np.log((k_c + 0.5) / (n_c - k_c + 0.5)) - np.log((k_b + 0.5) / (n_b - k_b + 0.5))
    plain_weight = bad * share * (1 - share) * good_share
    enough = plain_weight >= LOG_ODDS_FROM
    weight = np.where(enough, plain_weight, spread * good_share)
    clip = CLIP_BASE + CLIP_SPREAD / np.sqrt(np.where(weight > 0, weight, 1.0))
    y = np.clip(np.where(enough, plain, working), -clip, clip)
    nothing = weight <= 0
    return Contrast(np.where(nothing, 0.0, y), np.where(nothing, 0.0, weight))


def _recent(k_c: Floats, k_b: Floats, share: Floats) -> Floats:
    """The log odds ratio of the minutes before each, drawn towards zero when there were few."""
    result = np.zeros_like(k_c)
    seen_c, seen_b, fair_c, fair_b = (np.zeros(len(k_c)) for _ in range(4))
    for minute in range(k_c.shape[1]):
        s = share[:, minute]
        here_c, here_b = PSEUDO_EVENTS * s, PSEUDO_EVENTS * (1 - s)
        result[:, minute] = np.log((seen_c + here_c) / (seen_b + here_b)) - np.log(
            (fair_c + here_c) / (fair_b + here_b)
        )
        bad = k_c[:, minute] + k_b[:, minute]
        seen_c = MEMORY * seen_c + k_c[:, minute]
        seen_b = MEMORY * seen_b + k_b[:, minute]
        fair_c = MEMORY * fair_c + bad * s
        fair_b = MEMORY * fair_b + bad * (1 - s)
    return result
