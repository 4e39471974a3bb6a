"""What becomes of canaries at the end of their bake, by the verdict that a plan would get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from bench.judge.scenarios import BAKE, Cell, draw_cell
from planner_provider.decide.canary import CanaryInputs, CanaryMetric, Cut, Row, judge
from planner_provider.decide.canary.counts import Arms

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rows_of(arms: Arms, run: int) -> tuple[Row, ...]:
    """The minutes of one run, as a plan would give them."""
    columns = (arms.canary, arms.canary_bad, arms.baseline, arms.baseline_bad)
    table = np.stack([column[run] for column in columns], axis=1)
    return tuple(
        None
        if np.isnan(row).any()
        else (float(row[0]), float(row[1]), float(row[2]), float(row[3]))
        for row in table
    )


def outcomes(cell: Cell, runs: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of the runs of a cell with one metric by the verdict at the last minute."""
    bake, past = draw_cell(rng, cell, runs)
    found: Counter[str] = Counter()
    for run in range(runs):
        cut = Cut(minutes=rows_of(bake, run), history=rows_of(past, run) if past else ())
        metric = CanaryMetric(name="errors", importance="critical", cuts=(cut,))
        inputs = CanaryInputs(now=NOW, look=BAKE, minute=BAKE, horizon=BAKE, metrics=(metric,))
        verdict = judge(inputs)
        found[verdict.kind.value] += 1
    return {kind: found[kind] / runs for kind in ("proceed", "hold", "roll_back")}


def all_outcomes(
    cells: Sequence[Cell], runs: int, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """``outcomes`` of each cell that has one count, by its name."""
    return {
        cell.name: outcomes(cell, runs, rng)
        for cell in cells
        if cell.world.metrics == 1 and not cell.world.latency and not cell.baseline_alone
    }
