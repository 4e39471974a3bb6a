"""The throttle's law beside others, over the grid of what it may meet: part (a) of the benchmark.

``good`` are signals that are at most one period late and little noisy, CPU left out; ``else`` are
the others. Shares are of the work that an all-knowing limit gets done in the same world.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bench.throttle_laws import FIXED, HINDSIGHT_S_H, LAWS, OURS, PUBLISHED, QUICK, Ours
from bench.throttle_rivals import Fixed
from bench.throttle_world import Cell, Maker, Played, Score, World, draw, grid, play, scores

REPEATS, QUICK_REPEATS = 4, 1
TARGETS = {"good_share_pct": 85.0, "good_bound_kept_pct": 90.0, "else_share_pct": 75.0}
HINDSIGHT = "fixed, best in hindsight"
GAP_S = 1200.0
Pairs = list[tuple[Cell, Score]]


@dataclass(slots=True)
class Study:
    """All runs, by law."""

    runs: dict[str, Pairs] = field(default_factory=dict)
    oracle_raw: list[float] = field(default_factory=list)

    def add(self, name: str, pairs: Pairs) -> None:
        """Take in runs of a law."""
        self.runs.setdefault(name, []).extend(pairs)


def study(*, quick: bool, seed: int, told: Callable[[str], None]) -> dict[str, Any]:
    """Play the grid and sum it up."""
    begun = time.process_time()
    laws = QUICK if quick else LAWS
    found = Study()
    for number in range(QUICK_REPEATS if quick else REPEATS):
        world = draw(grid(), seed + 1000 * number)
        oracle = play(world, None)
        found.oracle_raw += [score.raw_s_h for score in scores(world, oracle, oracle)]
        for name, make in laws.items():
            told(f"round {number + 1}: {name}")
            found.add(name, _run(world, make, oracle))
        if not quick:
            found.add(HINDSIGHT, _hindsight(world, oracle, told))
    gaps = {} if quick else _gaps(seed + 77, told)
    rows = {name: sum_up(pairs) for name, pairs in found.runs.items()}
    return {
        "seed": seed,
        "runs": len(next(iter(found.runs.values()))),
        "oracle_breach_s_h": round(float(np.mean(found.oracle_raw)), 1),
        "laws": rows,
        "by_signal": {
            name: by_signal(found.runs[name]) for name in (OURS, PUBLISHED) if name in found.runs
        },
        "gaps": gaps,
        "cpu_s": round(time.process_time() - begun, 1),
        "summary": summary(rows),
    }


def summary(rows: dict[str, Any]) -> dict[str, Any]:
    """What counts, and whether the targets are met; only ours has targets."""
    ours, theirs = rows[OURS], rows[PUBLISHED]
    values = {
        "good_share_pct": ours["good"]["share_pct"],
        "good_bound_kept_pct": ours["good"]["bound_kept_pct"],
        "else_share_pct": ours["else"]["share_pct"],
    }
    return {
        **values,
        "else_bound_kept_pct": ours["else"]["bound_kept_pct"],
        "avoidable_s_h": ours["all"]["avoidable_s_h"],
        "published_good_share_pct": theirs["good"]["share_pct"],
        "published_good_bound_kept_pct": theirs["good"]["bound_kept_pct"],
        "published_else_share_pct": theirs["else"]["share_pct"],
        "published_avoidable_s_h": theirs["all"]["avoidable_s_h"],
        "targets_met": {name: values[name][0] >= limit for name, limit in TARGETS.items()},
    }


def sum_up(pairs: Pairs) -> dict[str, Any]:
    """One law: all runs, those with a good signal, and the others."""
    groups = {
        "all": pairs,
        "good": [pair for pair in pairs if pair[0].good],
        "else": [pair for pair in pairs if not pair[0].good],
    }
    return {name: _group(group) for name, group in groups.items()}


def by_signal(pairs: Pairs) -> list[dict[str, Any]]:
    """One law, by signal and length of jobs."""
    keys = sorted({(cell.kind, cell.job_s, cell.late_or_noisy) for cell, _ in pairs})
    return [
        {
            "signal": kind,
            "job_s": job_s,
            "late_or_noisy": rough,
            **_group(
                [
                    pair
                    for pair in pairs
                    if (pair[0].kind, pair[0].job_s, pair[0].late_or_noisy) == (kind, job_s, rough)
                ]
            ),
        }
        for kind, job_s, rough in keys
    ]


def _group(pairs: Pairs) -> dict[str, Any]:
    if not pairs:
        return {}
    shares = [100 * score.share for _, score in pairs]
    longest = [score.longest_s for _, score in pairs]
    uses = [score.uses_s for _, score in pairs if score.uses_s is not None]
    kept = sum(score.longest_s <= cell.bound_s for cell, score in pairs)
    return {
        "share_pct": mean(shares),
        "share_p10_pct": round(float(np.percentile(shares, 10)), 1),
        "bound_kept_pct": proportion(kept, len(pairs)),
        "avoidable_s_h": mean([score.avoidable_s_h for _, score in pairs]),
        "longest_s_p50_p95": [round(float(np.percentile(longest, q))) for q in (50, 95)],
        "uses_double_s": mean(uses) if uses else None,
        "moves_h": mean([score.moves_h for _, score in pairs]),
        "runs": len(pairs),
    }


def mean(values: Sequence[float]) -> list[float]:
    """Mean, and the ends of its 95% interval (normal approximation)."""
    middle = float(np.mean(values))
    half = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return [round(middle, 1), round(middle - half, 1), round(middle + half, 1)]


def proportion(kept: int, of: int) -> list[float]:
    """Share in percent, and the ends of its 95% interval (Wilson's)."""
    z, share = 1.96, kept / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return [round(100 * x, 1) for x in (share, max(0.0, middle - half), min(1.0, middle + half))]


def _run(world: World, make: Maker, oracle: Played) -> Pairs:
    return list(zip(world.cells, scores(world, play(world, make), oracle), strict=True))


def _hindsight(world: World, oracle: Played, told: Callable[[str], None]) -> Pairs:
    """The best of the fixed limits for each run, which nobody can know before."""
    played = []
    for limit in FIXED:
        told(f"fixed {limit}")
        played.append(_run(world, lambda _, limit=limit: Fixed(limit), oracle))  # type: ignore[misc]
    return [_best(runs) for runs in zip(*played, strict=True)]


def _best(runs: Iterable[tuple[Cell, Score]]) -> tuple[Cell, Score]:
    listed = list(runs)
    healthy = [pair for pair in listed if pair[1].avoidable_s_h <= HINDSIGHT_S_H]
    return max(healthy or listed[:1], key=lambda pair: pair[1].share)


def _gaps(seed: int, told: Callable[[str], None]) -> dict[str, Any]:
    """Twenty minutes without a signal, from a minute before the capacity falls to half."""
    from bench.throttle_laws import DEFAULT

    world = draw([replace(cell, gap_s=GAP_S) for cell in grid(("half",))], seed)
    oracle = play(world, None)
    found = {}
    for name, back_off in (("back_off", True), ("hold", False)):
        told(f"gaps: {name}")
        pairs = _run(
            world,
            lambda cell, back_off=back_off: Ours.of(cell, DEFAULT, back_off=back_off),  # type: ignore[misc]
            oracle,
        )
        found[name] = _group(pairs)
    return found
