"""Run the cells, sum them up, and print them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from bench.judge import ours, rivals
from bench.judge.broken import broken_cells
from bench.judge.cells import BEYOND, FAULTS, NULLS, QUICK_FAULTS, QUICK_NULLS
from bench.judge.outcomes import all_outcomes
from bench.judge.rivals import NEVER
from bench.judge.scenarios import BAKE, Cell, cuts, draw_cell
from planner_provider.decide.canary.counts import Arms

Floats = npt.NDArray[np.float64]
ROWS = 240
"""Series followed at once: more do not fit the processor's cache."""
FIXED: dict[str, Callable[[Arms, int], Floats]] = {
    "thresholds, 0 failures": lambda arms, counts: rivals.thresholds(arms, counts, 0),
    "thresholds, 3 failures": lambda arms, counts: rivals.thresholds(arms, counts, 3),
    "Mann-Whitney at the end": rivals.mann_whitney,
    "group sequential": rivals.group_sequential,
}
KAYENTA = (
    ("kayenta once, stock", True, False),
    ("kayenta every 5, stock", False, False),
    ("kayenta once, tuned", True, True),
    ("kayenta every 5, tuned", False, True),
)
TUNED = "kayenta every 5, tuned"


@dataclass(frozen=True, slots=True)
class Result:
    """Minutes of the first roll back in each run of a cell, by judge."""

    cell: Cell
    first: dict[str, Floats]
    kayenta: Floats


def run(*, quick: bool, as_json: bool, seed: int | None) -> int:
    """Run the benchmark. Prints a table, or JSON."""
    entropy = np.random.SeedSequence(seed).entropy
    assert isinstance(entropy, int)
    began = time.monotonic()
    nulls = [cell for cell in NULLS if not quick or cell.name in QUICK_NULLS]
    faults = [cell for cell in FAULTS if not quick or cell.name in QUICK_FAULTS]
    plan = [(cell, 1000 if quick else 2000) for cell in (*nulls, *(() if quick else BEYOND))]
    plan += [(cell, 200 if quick else 500) for cell in faults]
    seeds = np.random.SeedSequence(entropy).spawn(len(plan) + 2)
    results = []
    for number, (cell, runs) in enumerate(plan, start=1):
        _progress(f"[{number}/{len(plan)}] {cell.name}", began)
        if quick and cell.world.metrics > 1:
            runs = 300
        results.append(simulate(cell, runs, np.random.default_rng(seeds[number])))
    _progress("broken data", began)
    broken = broken_cells(np.random.default_rng(seeds[0]))
    _progress("verdicts at the end", began)
    ends = all_outcomes(
        [cell for cell, _ in plan], 10 if quick else 40, np.random.default_rng(seeds[-1])
    )
    report = sum_up(results, broken, {cell.name for cell in nulls})
    report["at_the_end"] = ends
    report["seed"] = entropy
    report["seconds"] = round(time.monotonic() - began, 1)
    report["quick"] = quick
    print(file=sys.stderr)
    print(json.dumps(report, indent=1) if as_json else as_text(report))
    return 0


def simulate(cell: Cell, runs: int, rng: np.random.Generator) -> Result:
    """All judges on the same runs of a cell."""
    counts = cell.world.metrics * cuts(cell.world)
    step = max(ROWS // counts, 1)
    first: dict[str, list[Floats]] = {}
    kayenta = []
    for begin in range(0, runs, step):
        size = min(step, runs - begin)
        arms, past = draw_cell(rng, cell, size)
        for name, alarms in ours.first_alarms(arms, past, cell).items():
            first.setdefault(name, []).append(alarms)
        for name, judge in FIXED.items():
            first.setdefault(name, []).append(judge(arms, counts))
        kayenta.append(rivals.kayenta_bounds(arms, counts))
    return Result(
        cell,
        {name: np.concatenate(parts) for name, parts in first.items()},
        np.concatenate(kayenta),
    )


def sum_up(
    results: Sequence[Result], broken: dict[str, dict[str, bool]], nulls: set[str]
) -> dict[str, Any]:
    """The report: rates with intervals, delays, and the summary."""
    tuning = [result.kayenta for result in results if result.cell.name in nulls]
    tolerances = {once: rivals.kayenta_tolerance(tuning, once=once) for once in (False, True)}
    healthy: list[dict[str, Any]] = []
    beyond: list[dict[str, Any]] = []
    faulty: list[dict[str, Any]] = []
    for result in results:
        first = dict(result.first)
        for name, once, tuned in KAYENTA:
            tolerance = tolerances[once] if tuned else 0.25
            first[name] = rivals.kayenta_first(result.kayenta, tolerance, once=once)
        if not result.cell.healthy:
            faulty.append(
                {
                    "cell": result.cell.name,
                    "runs": len(result.kayenta),
                    **{name: _found(values, result.cell) for name, values in first.items()},
                }
            )
        else:
            row = {
                "cell": result.cell.name,
                "runs": len(result.kayenta),
                **{name: _rate(values < NEVER) for name, values in first.items()},
            }
            (healthy if result.cell.name in nulls else beyond).append(row)  # fmt: skip
    ratios = {row["cell"]: _ratio(row) for row in faulty}
    worst = max(healthy, key=lambda row: row["ours"]["rate"])
    weaker = [row["cell"] for row in faulty if row["ours"]["power"] < row[TUNED]["power"]]
    surely = [
        row["cell"] for row in faulty if row["ours"]["interval"][1] < row[TUNED]["interval"][0]
    ]
    return {
        "summary": {
            "null_false_alarm_max": worst["ours"]["rate"],
            "null_false_alarm_worst_cell": worst["cell"],
            "null_false_alarm_interval": worst["ours"]["interval"],
            "delay_ratio_vs_kayenta_median": round(float(np.median(list(ratios.values()))), 2),
            "fail_open_cells": sum(judges["ours"] for judges in broken.values()),
            "power_below_kayenta_cells": weaker,
            "power_surely_below_kayenta_cells": surely,
            "kayenta_tuned_tolerance": round(tolerances[False], 3),
        },
        "nulls": healthy,
        "beyond": beyond,
        "faults": faulty,
        "delay_ratios": ratios,
        "fail_open": broken,
    }


def interval(hits: int, runs: int) -> list[float]:
    """95% interval of a rate: Clopper and Pearson's, exact."""
    low = float(beta.ppf(0.025, hits, runs - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, runs - hits)) if hits < runs else 1.0
    return [round(low, 5), round(high, 5)]


def _rate(alarms: npt.NDArray[np.bool_]) -> dict[str, Any]:
    hits = int(alarms.sum())
    return {"rate": hits / len(alarms), "interval": interval(hits, len(alarms))}


def _found(first: Floats, cell: Cell) -> dict[str, Any]:
    """Power, and minutes from onset to roll back; a fault that is not found counts as the rest
    of the bake, an alarm before the onset as not found."""
    onset = cell.fault.onset
    found = (first > onset) & (first < NEVER)
    delay = np.where(found, first - onset, BAKE - onset)
    hits = int(found.sum())
    return {
        "power": hits / len(first),
        "interval": interval(hits, len(first)),
        "delay_median": float(np.median(delay)),
        "delay_p90": float(np.percentile(delay, 90)),
    }


def _ratio(row: dict[str, Any]) -> float:
    theirs, mine = (float(row[name]["delay_median"]) for name in (TUNED, "ours"))
    return round(theirs / mine, 2)


def as_text(report: dict[str, Any]) -> str:
    """The report as tables in Markdown."""
    judges = [name for name in report["nulls"][0] if name not in {"cell", "runs"}]
    lines = ["## False roll backs", "", _head(judges)]
    for row in (*report["nulls"], *report["beyond"]):
        cells = [f"{row[name]['rate']:.4f}" for name in judges]
        low, high = row["ours"]["interval"]
        cells[0] += f" [{low:.4f}, {high:.4f}]"
        lines.append(f"| {row['cell']} | " + " | ".join(cells) + " |")
    lines += ["", "## Power / median minutes to roll back", "", _head(judges)]
    for row in report["faults"]:
        cells = [f"{row[name]['power']:.2f} / {row[name]['delay_median']:g}" for name in judges]
        lines.append(f"| {row['cell']} | " + " | ".join(cells) + " |")
    lines += ["", "## Verdicts at the end of the bake", "", _head(("proceed", "hold", "roll back"))]
    for name, shares in report.get("at_the_end", {}).items():
        lines.append(f"| {name} | " + " | ".join(f"{v:.2f}" for v in shares.values()) + " |")
    lines += ["", "## Lets a fault pass on broken data", ""]
    for case, found in report["fail_open"].items():
        lines.append(f"- {case}: {', '.join(name for name in found if found[name]) or 'none'}")
    lines += ["", json.dumps(report["summary"], indent=1)]
    return "\n".join(lines)


def _head(judges: Sequence[str]) -> str:
    return f"| cell | {' | '.join(judges)} |\n|---{'|---' * len(judges)}|"


def _progress(text: str, began: float) -> None:
    print(
        f"\r{time.monotonic() - began:6.0f} s  {text:60.60s}", end="", file=sys.stderr, flush=True
    )
