"""Throttled backfills: ``python -m bench backfill``.

Part (a) plays the law of the throttle beside others, in simulated worlds. Part (b), which takes
longer, runs a backfill in a real Airflow (``bench.backfill_real``).
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.util import find_spec
from random import SystemRandom
from typing import Any, Literal

from bench.throttle_study import TARGETS, study

REAL = "bench.backfill_real"
Part = Literal["simulated", "real"]
COLUMNS = (
    ("share %", "share_pct"),
    ("p10", "share_p10_pct"),
    ("bound kept %", "bound_kept_pct"),
    ("avoidable s/h", "avoidable_s_h"),
    ("longest s", "longest_s_p50_p95"),
    ("moves/h", "moves_h"),
)


def run(*, quick: bool, as_json: bool, seed: int | None = None, only: Part | None = None) -> int:
    chosen = SystemRandom().randrange(1, 10**6) if seed is None else seed
    report: dict[str, Any] = {"quick": quick, "summary": {"targets_met": {}}}
    if only != "real":
        report["simulated"] = study(quick=quick, seed=chosen, told=_tell)
        _take_in(report, report["simulated"].pop("summary"))
    if only == "real" or (only is None and not quick and find_spec(REAL) is not None):
        _tell("real Airflow")
        report["real"] = import_module(REAL).measure(quick=quick)
        _take_in(report, report["real"].pop("summary", {}))
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        print(as_text(report))
    return 0 if all(report["summary"]["targets_met"].values()) else 1


def _take_in(report: dict[str, Any], summary: dict[str, Any]) -> None:
    met = report["summary"]["targets_met"] | summary.get("targets_met", {})
    report["summary"] |= summary | {"targets_met": met}


def as_text(report: dict[str, Any]) -> str:
    """Tables for people."""
    lines = _simulated(report) if "simulated" in report else []
    if "real" in report:
        told = report["summary"] if "simulated" not in report else {}
        lines += ["", json.dumps(report["real"] | told, indent=2)]
    return "\n".join(lines)


def _simulated(report: dict[str, Any]) -> list[str]:
    simulated = report["simulated"]
    lines = [
        f"{simulated['runs']} runs of six hours, seed {simulated['seed']}, {simulated['cpu_s']} s "
        f"of CPU. The all-knowing limit is above the SLO {simulated['oracle_breach_s_h']} s/h.",
    ]
    for group, title in (("good", "Good signals"), ("else", "Others"), ("all", "All")):
        lines += ["", title, "", f"  {'law':<34}" + "".join(f"{name:>15}" for name, _ in COLUMNS)]
        for name, row in simulated["laws"].items():
            cells = "".join(f"{_cell(row[group][key]):>15}" for _, key in COLUMNS)
            lines.append(f"  {name:<34}{cells}")
    lines += ["", "Targets"]
    for name, limit in TARGETS.items():
        value, met = report["summary"][name], report["summary"]["targets_met"][name]
        told = f"{value[0]:g} (95% interval {value[1]:g} to {value[2]:g})"
        lines.append(f"  {name:<24}{told:<44}at least {limit:g}: {'met' if met else 'MISSED'}")
    return lines


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(f"{part:g}" for part in value) if len(value) == 2 else f"{value[0]:g}"
    return f"{value:g}"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
