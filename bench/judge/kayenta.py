"""Kayenta's judge NetflixACAJudge-v1.0, from its description: one metric, and groups of them.

``classify`` follows it step by step, its solver's absolute tolerance included. ``lower_bounds``
gives the lower end of its interval for many canaries at once, from the sorted differences; there
the solver is exact, which favours Kayenta.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

Floats = npt.NDArray[np.float64]
SOLVER_TOLERANCE = 1e-4
CONFIDENCE = 0.98
TOLERANCE = 0.25


@dataclass(frozen=True, slots=True)
class Setup:
    """How one metric is classified. The thresholds are (decrease, increase)."""

    direction: str = "increase"
    replace_nan: bool = False
    critical: bool = False
    must_have_data: bool = False
    tolerance: float = TOLERANCE
    confidence: float = CONFIDENCE
    effect: str = "meanRatio"
    allowed: tuple[float, float] = (1.0, 1.0)
    critical_beyond: tuple[float, float] = (1.0, 1.0)
    seed: int = 0
    """Of the noise that is added to two constant arms."""


@dataclass(frozen=True, slots=True)
class Classified:
    """``High``, ``Low``, ``Pass``, ``Nodata``, ``NodataFailMetric`` or ``Error``."""

    label: str
    critical: bool = False
    effect: float = math.nan


def classify(control: Sequence[float], experiment: Sequence[float], setup: Setup) -> Classified:
    """One metric; an exception becomes ``Error``, which forgets whether it was critical."""
    try:
        return _classify(np.asarray(control, float), np.asarray(experiment, float), setup)
    except Exception:  # noqa: BLE001 - what Kayenta does
        return Classified("Error")


def _classify(control: Floats, experiment: Floats, setup: Setup) -> Classified:
    if setup.replace_nan:
        control = np.nan_to_num(control, nan=0.0) if len(control) else np.zeros(1)
        experiment = np.nan_to_num(experiment, nan=0.0) if len(experiment) else np.zeros(1)
        if len(control) == 1 or len(experiment) == 1:
            return Classified("Pass")
    else:
        control, experiment = control[~np.isnan(control)], experiment[~np.isnan(experiment)]
    if len(control) == 0 or len(experiment) == 0:
        if setup.critical:
            return Classified("Nodata", critical=True)
        return Classified("NodataFailMetric" if setup.must_have_data else "Nodata")
    if len(control) == len(experiment) and (np.sort(control) == np.sort(experiment)).all():
        return Classified("Pass", effect=1.0)
    if len(np.unique(np.concatenate([control, experiment]))) == 1:
        return Classified("Pass")
    measured = (
        mean_ratio(control, experiment)
        if setup.effect == "meanRatio"
        else cles(control, experiment)
    )
    low, high, estimate = interval(control, experiment, setup.confidence, setup.seed)
    bound = setup.tolerance * abs(estimate)
    if (
        setup.direction != "decrease"
        and low > bound
        and (math.isnan(measured) or measured >= setup.allowed[1])
    ):
        beyond = setup.critical and not measured < setup.critical_beyond[1]
        return Classified("High", beyond, measured)
    if (
        setup.direction != "increase"
        and high < -bound
        and (math.isnan(measured) or measured <= setup.allowed[0])
    ):
        beyond = setup.critical and not measured > setup.critical_beyond[0]
        return Classified("Low", beyond, measured)
    return Classified("Pass", effect=measured)


def mean_ratio(control: Floats, experiment: Floats) -> float:
    """Mean of the experiment by mean of the control; NaN if either is zero."""
    if control.mean() == 0 or experiment.mean() == 0:
        return math.nan
    return float(experiment.mean() / control.mean())


def cles(control: Floats, experiment: Floats) -> float:
    """How often the experiment is above the control, ties counted half."""
    differences = experiment[:, None] - control[None, :]
    return float((differences > 0).mean() + 0.5 * (differences == 0).mean())


def wilcoxon(experiment: Floats, control: Floats, shift: float, quantile: float) -> float:
    """The corrected statistic at a shift, less a quantile."""
    n, m = len(experiment), len(control)
    pooled = np.concatenate([experiment - shift, control])
    statistic = rankdata(pooled)[:n].sum() - n * (n + 1) / 2 - n * m / 2
    ties = np.unique(pooled, return_counts=True)[1].astype(float)
    total = n + m
    sigma = math.sqrt(
        n * m / 12 * (total + 1 - float((ties**3 - ties).sum()) / (total * (total - 1)))
    )
    correction = 0.5 * float(np.sign(statistic))
    if sigma == 0:
        raise ZeroDivisionError("all values are equal")
    return float((statistic - correction) / sigma - quantile)


def interval(
    control: Floats, experiment: Floats, confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float, float]:
    """Lower end, upper end and estimate of the shift of the experiment."""
    if len(np.unique(control)) == 1 and len(np.unique(experiment)) == 1:
        rng = np.random.default_rng(seed)
        control = control + rng.normal(0, 1e-5 * abs(control[0]) + 1e-300, len(control))
        experiment = experiment + rng.normal(0, 1e-5 * abs(experiment[0]) + 1e-300, len(experiment))
    least = float(experiment.min() - control.max())
    most = float(experiment.max() - control.min())
    z = float(norm.ppf(0.5 + confidence / 2))

    def root(quantile: float) -> float:
        first = wilcoxon(experiment, control, least, quantile)
        last = wilcoxon(experiment, control, most, quantile)
        if first <= 0:
            return least
        if last >= 0:
            return most
        found = brentq(
            lambda shift: wilcoxon(experiment, control, shift, quantile),
            least,
            most,
            xtol=SOLVER_TOLERANCE,
        )
        return float(found)

    return root(z), root(-z), root(0.0)


def outliers(values: Sequence[float], factor: float = 3.0) -> list[bool]:
    """By the interquartile range, with fences at least at the 1st and 99th percentile."""
    if not values:
        return []
    data = np.asarray(values, float)
    first, last, one, ninety_nine = np.percentile(data, [25, 75, 1, 99])
    low = min(first - factor * (last - first), one)
    high = max(last + factor * (last - first), ninety_nine)
    return [bool(value < low or value > high) for value in data]


def group_score(labels: Sequence[str]) -> float | None:
    """Share of the group that passes, in per cent; ``None`` if nothing of it was judged.

    ``Error`` is in neither count: a group of errors alone is one without data.
    """
    judged = [label for label in labels if label in {"High", "Low", "Pass", "NodataFailMetric"}]
    if not judged:
        return None
    return 100.0 * judged.count("Pass") / len(judged)


def summary_score(
    metrics: Sequence[tuple[Classified, Sequence[str]]], weights: Mapping[str, float]
) -> float:
    """The score of a canary from its metrics, each with the groups that it is in."""
    if any(found.critical and found.label != "Pass" for found, _ in metrics):
        return 0.0
    labels = [found.label for found, _ in metrics]
    if labels and labels.count("Nodata") * 2 >= len(labels):
        return 0.0
    groups: dict[str, list[str]] = {}
    for found, names in metrics:
        for name in names:
            groups.setdefault(name, []).append(found.label)
    unlisted = [name for name in groups if name not in weights]
    rest = (100.0 - sum(weights.values())) / max(len(unlisted), 1)
    total = 0.0
    for name, members in groups.items():
        score = group_score(members)
        total += (100.0 if score is None else score) * weights.get(name, rest) / 100
    return round(total, 2)


def passes(found: Classified, passing: float = 95.0) -> bool:
    """Whether a canary with this one metric goes on."""
    return summary_score([(found, ["all"])], {}) >= passing


def lower_bounds(canary: Floats, baseline: Floats) -> Floats:
    """Lower end of the interval by the absolute estimate, ``(runs,)``, for runs with no gaps alike.

    ``canary`` and ``baseline`` are ``(runs, minutes)`` of ratios, NaN where missing. The metric is
    High for a tolerance below this number. ``-inf`` where it never is.
    """
    result = np.full(len(canary), -np.inf)
    z = float(norm.ppf(0.5 + CONFIDENCE / 2))
    there = ~np.isnan(canary) & ~np.isnan(baseline)
    sizes = there.sum(axis=1)
    for size in np.unique(sizes):
        if size < 2:
            continue
        rows = np.flatnonzero(sizes == size)
        x = canary[rows][there[rows]].reshape(len(rows), size)
        y = baseline[rows][there[rows]].reshape(len(rows), size)
        differences = np.sort((x[:, :, None] - y[:, None, :]).reshape(len(rows), -1), axis=1)
        total = 2 * size
        tied = _ties(x) + _ties(y)
        sigma = np.sqrt(size * size / 12 * (total + 1 - tied / (total * (total - 1))))
        count = np.ceil(size * size / 2 + z * sigma + 0.5).astype(int)
        inside = count <= size * size
        place = np.clip(size * size - count, 0, size * size - 1)
        low = np.where(inside, np.take_along_axis(differences, place[:, None], 1)[:, 0],
                       differences[:, 0])  # fmt: skip
        estimate = np.abs(np.median(differences, axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(estimate > 0, low / estimate, -np.inf)
        result[rows] = np.where(x.mean(axis=1) >= y.mean(axis=1), ratio, -np.inf)
    return result


def _ties(values: Floats) -> Floats:
    """Sum of ``t^3 - t`` over the groups of equal values of each row."""
    ordered = np.sort(values, axis=1)
    total = np.zeros(len(values))
    length = np.ones(len(values))
    for column in range(1, values.shape[1]):
        same = ordered[:, column] == ordered[:, column - 1]
        total += np.where(same, 0.0, length**3 - length)
        length = np.where(same, length + 1, 1.0)
    return total + length**3 - length
