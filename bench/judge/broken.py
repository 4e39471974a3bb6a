"""Broken data with a broken canary behind it: who lets it pass?"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from bench.judge.kayenta import Setup, classify, passes
from bench.judge.scenarios import BAKE, Fault, World, draw
from planner_provider.decide.canary import CanaryInputs, CanaryMetric, Cut, Row, judge

Table = npt.NDArray[np.float64]
"""One row a minute: events and bad events of the canary, then of the baseline."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRIES = 5
NAN = math.nan


def _set(column: int, value: float) -> Callable[[Table], Table]:
    def change(table: Table) -> Table:
        table[:, column] = value
        return table

    return change


def _constant(table: Table) -> Table:
    table[:] = (3000, 120, 3000, 15)
    return table


def _scaled(factor: float) -> Callable[[Table], Table]:
    return lambda table: table * factor


def _rare(factor: float) -> Callable[[Table], Table]:
    """The same bad events among many more good ones."""

    def change(table: Table) -> Table:
        table[:, [0, 2]] /= factor
        return table

    return change


def _some_nan(table: Table) -> Table:
    table[::2, 1] = NAN
    return table


def _few_points(table: Table) -> Table:
    table[:] = (100, 1, 100, 1)
    table[:7, 1] = 100
    return table[:10]


CASES: dict[str, Callable[[Table], Table]] = {
    "canary all NaN": _set(1, NAN),
    "baseline all NaN": _set(3, NAN),
    "every second value NaN": _some_nan,
    "canary's total NaN": _set(0, NAN),
    "canary without events": lambda table: table * np.array([0, 0, 1, 1]),
    "baseline without events": lambda table: table * np.array([1, 1, 0, 0]),
    "one sample": lambda table: table[:1],
    "two samples": lambda table: table[:2],
    "no sample": lambda table: table[:0],
    "negative counts": _set(1, -5.0),
    "more bad than all": lambda table: table * np.array([1, 1e5, 1, 1]),
    "infinite": _set(0, math.inf),
    "huge": _scaled(1e300),
    "constant": _constant,
    "7 of 10 points 100 times worse": _few_points,
    "judge raises": lambda table: table,
    **{f"units of {factor:g}": _scaled(factor) for factor in (1e-6, 1e-9, 1e-12)},
    **{f"one bad in {1 / factor:g} times more": _rare(factor) for factor in (1e-6, 1e-9, 1e-12)},
}


def broken_cells(rng: np.random.Generator) -> dict[str, dict[str, bool]]:
    """For each case and judge, whether an eight times worse canary passed in any try."""
    result: dict[str, dict[str, bool]] = {}
    for name, spoil in CASES.items():
        passed = {"ours": False, "kayenta": False, "failure condition only": False}
        for _ in range(TRIES):
            arms = draw(rng, World(), 1, BAKE, Fault(times=8.0))
            columns = (arms.canary, arms.canary_bad, arms.baseline, arms.baseline_bad)
            table = spoil(np.stack([column[0] for column in columns], axis=1))
            raises = name == "judge raises"
            passed["ours"] |= _ours(table, raises=raises)
            passed["kayenta"] |= _kayenta(table, raises=raises)
            passed["failure condition only"] |= _condition(table, raises=raises)
        result[name] = passed
    return result


def _ours(table: Table, *, raises: bool) -> bool:
    rows: tuple[Row, ...] = tuple(
        (float(row[0]), float(row[1]), float(row[2]), float(row[3])) for row in table
    )
    metric = CanaryMetric(name="errors", importance="critical", cuts=(Cut(minutes=rows),))
    inputs = CanaryInputs(now=NOW, look=BAKE, minute=BAKE, horizon=BAKE, metrics=(metric,))
    if raises:
        with patch("planner_provider.decide.canary.metric.score", side_effect=RuntimeError("no")):
            return judge(inputs).passes
    return judge(inputs).passes


def _shares(table: Table) -> tuple[Table, Table]:
    with np.errstate(all="ignore"):
        return table[:, 1] / table[:, 0], table[:, 3] / table[:, 2]


def _kayenta(table: Table, *, raises: bool) -> bool:
    canary, baseline = _shares(table)
    if raises:
        with patch("bench.judge.kayenta.interval", side_effect=RuntimeError("no")):
            return passes(classify(baseline.tolist(), canary.tolist(), Setup(critical=True)))
    return passes(classify(baseline.tolist(), canary.tolist(), Setup(critical=True)))


def _condition(table: Table, *, raises: bool) -> bool:
    """An analysis with nothing but ``failureCondition: canary > 2 * baseline``."""
    canary, baseline = _shares(table)
    with np.errstate(all="ignore"):
        return not raises and not bool((canary > 2 * baseline).any())
