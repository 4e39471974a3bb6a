"""One metric of a canary: are its numbers sound, and what do they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner_provider.decide.canary.counts import Arms
from planner_provider.decide.canary.inputs import (
    CanaryInputs,
    CanaryMetric,
    Cut,
    LearnedNoise,
    Row,
)
from planner_provider.decide.canary.noise import Bools, Floats
from planner_provider.decide.canary.past import Past, no_past, summarise
from planner_provider.decide.canary.scores import HIGHEST, Rule, score, trace

INTERVAL_Z = 1.96
"""Of the intervals that are shown, 95%."""
CRITICAL_Z = 2.33
NORMAL_Z = 1.645
"""How many standard errors must be between a metric and ``max_ratio``: one in 100, one in 20."""
VISIBLE_Z = 5.54
"""A fault of this many standard errors is found in nearly every bake at the limits of the test."""


MOST = 1e18
"""More events than this in a minute are no count of anything."""


class UnsoundError(ValueError):
    """The numbers of a metric contradict themselves or are not there."""


@dataclass(frozen=True, slots=True)
class CutFindings:
    """What one count of bad events came to at the last minute."""

    name: str
    canary: float
    canary_bad: float
    baseline: float
    baseline_bad: float
    shift: float
    """Log odds ratio, above 0 if the canary has the larger share of bad events."""
    deviation: float

    @property
    def ratio(self) -> float:
        """How many times the baseline's odds of a bad event the canary has."""
        return bounded_exp(self.shift)

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of ``ratio``."""
        reach = INTERVAL_Z * self.deviation
        return bounded_exp(self.shift - reach), bounded_exp(self.shift + reach)

    @property
    def visible(self) -> float:
        """Smallest ratio that would have been found."""
        return bounded_exp(VISIBLE_Z * self.deviation)


@dataclass(frozen=True, slots=True)
class MetricFindings:
    """What a metric came to. ``problem`` says why it can not let the canary go on, if so."""

    metric: CanaryMetric
    cuts: tuple[CutFindings, ...] = ()
    scores: tuple[float, ...] = ()
    """By minute: evidence by its limit."""
    suspicions: tuple[float, ...] = ()
    """By minute: evidence without the guard."""
    problem: str | None = None


def bounded_exp(value: float) -> float:
    """The exponential, at most 1e99 and at least 1e-99, so that it can be written down."""
    return math.exp(min(max(value, -228.0), 228.0))


def learn_noise(history: Sequence[Row]) -> LearnedNoise:
    """What minutes with the same version on both arms say of the noise, to be kept for later."""
    past = summarise(_arms([history], len(history))) if history else no_past(1)

    def kept(values: Floats) -> tuple[float, ...]:
        return tuple(float(f"{value:.9g}") for value in (values[0] - values[0].max()).tolist())

    return LearnedNoise(
        minutes=int(past.minutes[0]),
        level_minutes=int(past.level_minutes[0]),
        log_likelihoods=kept(past.contrast),
        level_log_likelihoods=kept(past.level_noise),
        level=float(f"{past.level[0]:.9g}"),
        bad=float(f"{past.bad[0]:.9g}"),
    )


def examine(metric: CanaryMetric, inputs: CanaryInputs) -> MetricFindings:
    """Judge one metric. Whatever goes wrong is the problem of this metric alone."""
    if metric.problem is not None or not metric.cuts:
        return MetricFindings(metric, problem=metric.problem or "it has no counts at all")
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            return _examine(metric, inputs)
    except UnsoundError as error:
        return MetricFindings(metric, problem=str(error))
    except Exception as error:  # noqa: BLE001 - a judge that raised knows nothing, and says so
        return MetricFindings(
            metric, problem=f"it could not be judged ({type(error).__name__}: {error})"
        )


def _examine(metric: CanaryMetric, inputs: CanaryInputs) -> MetricFindings:
    for cut in metric.cuts:
        if len(cut.minutes) > inputs.minute:
            raise UnsoundError(
                f"it has {len(cut.minutes)} minutes, but the bake began {inputs.minute} ago"
            )
    arms = _arms([cut.minutes for cut in metric.cuts], inputs.minute)
    usable = arms.usable()
    if not usable.any():
        raise UnsoundError(_nothing_usable(metric.cuts))
    learned = [cut.noise or learn_noise(cut.history) for cut in metric.cuts]
    past = Past(
        np.array([noise.log_likelihoods for noise in learned], dtype=np.float64),
        np.array([noise.level_log_likelihoods for noise in learned], dtype=np.float64),
        *(
            np.array(values, dtype=np.float64)
            for values in zip(
                *(
                    (noise.minutes, noise.level_minutes, noise.level, noise.bad)
                    for noise in learned
                ),
                strict=True,
            )
        ),
    )
    settings = inputs.settings
    rule = Rule(settings.alpha, settings.strict, settings.trust_history)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        found = trace(arms, past, inputs.horizon, metric.direction)
        scores = score(found, inputs.horizon, rule)
        suspicion = np.exp(np.minimum(found.expected, HIGHEST))
    for values in (scores, suspicion, found.shift):
        if not np.isfinite(values).all():
            raise FloatingPointError("the evidence is not a number")
    findings = tuple(
        CutFindings(
            name=f"{metric.name} {cut.name}".strip(),
            canary=_total(arms.canary, usable, place),
            canary_bad=_total(arms.canary_bad, usable, place),
            baseline=_total(arms.baseline, usable, place),
            baseline_bad=_total(arms.baseline_bad, usable, place),
            shift=float(found.shift[place, -1]),
            deviation=float(found.deviation[place, -1]),
        )
        for place, cut in enumerate(metric.cuts)
    )
    return MetricFindings(
        metric,
        cuts=findings,
        # The mean of evidence is evidence again, whatever hangs together with what.
        scores=tuple(scores.mean(axis=0).tolist()),
        suspicions=tuple(suspicion.mean(axis=0).tolist()),
        problem=_why_not(metric.cuts, findings, usable, inputs),
    )


def _arms(series: Sequence[Sequence[Row]], minutes: int) -> Arms:
    """Rows as arrays; what is missing or not a number becomes NaN."""
    data = np.full((4, len(series), minutes), np.nan)
    for place, rows in enumerate(series):
        for minute, row in enumerate(rows):
            for column, value in enumerate(row or ()):
                if isinstance(value, float) and value <= MOST:
                    data[column, place, minute] = value
    return Arms(*data)


def _total(values: Floats, usable: Bools, place: int) -> float:
    chosen: list[float] = values[place][usable[place]].tolist()
    return math.fsum(chosen)


def _unsound(row: Row) -> str | None:
    """Why a row contradicts itself; ``None`` for one that is sound or missing."""
    if row is None or any(value is None for value in row):
        return None
    numbers = [value for value in row if isinstance(value, float)]
    if len(numbers) < len(row):
        return f"{next(value for value in row if isinstance(value, str))} for a count"
    if max(numbers) > MOST:
        return f"{max(numbers):.6g} for a count"
    if min(numbers) < 0:
        return f"a negative count ({min(numbers):.6g})"
    for arm, total, bad in (("canary", 0, 1), ("baseline", 2, 3)):
        if numbers[bad] > numbers[total]:
            few, many = numbers[total], numbers[bad]
            return f"more bad events than events in the {arm} ({many:.6g} of {few:.6g})"
    return None


def _nothing_usable(cuts: Sequence[Cut]) -> str:
    for cut in cuts:
        for row in cut.minutes:
            found = _unsound(row)
            if found is not None:
                return f"no minute is usable; one has {found}"
    return "there is no minute in which both arms had events"


def _why_not(
    cuts: Sequence[Cut],
    findings: Sequence[CutFindings],
    usable: Bools,
    inputs: CanaryInputs,
) -> str | None:
    """Why the numbers are not enough to let the canary go on, for the first cut that has a why."""
    settings = inputs.settings
    for cut, found in zip(cuts, findings, strict=True):
        for minute, row in enumerate(cut.minutes, start=1):
            wrong = _unsound(row)
            if wrong is not None:
                return f"minute {minute} has {wrong}"
        there = [minute for minute in range(inputs.minute) if _answered(cut, minute)]
        if len(there) < settings.min_coverage * inputs.minute:
            return f"only {len(there)} of {inputs.minute} minutes are there"
        if inputs.minute - 1 - there[-1] > settings.max_gap:
            return f"nothing has come for {inputs.minute - 1 - there[-1]} minutes"
        fewest = min(found.canary, found.baseline)
        if fewest < settings.min_events:
            return f"{fewest:.6g} events in an arm, fewer than {settings.min_events:.6g}"
    return None


def _answered(cut: Cut, minute: int) -> bool:
    """Whether a minute has a sound answer, be it of no events."""
    if minute >= len(cut.minutes):
        return False
    row = cut.minutes[minute]
    return row is not None and all(isinstance(value, float) for value in row)
