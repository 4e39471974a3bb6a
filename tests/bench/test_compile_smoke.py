"""``python -m bench compile``: the shape of its answer, and that all contenders do the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONTENDERS = {"planner_warm", "planner_cold", "handwritten", "empty", "dag_factory", "blueprint"}

pytest.importorskip("dagfactory")
pytest.importorskip("blueprint")


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    command = [sys.executable, "-m", "bench", "compile", "--plans", "2", "--repeat", "1", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.timeout(300)
def test_all_contenders_make_the_same_dags(report: dict[str, Any]) -> None:
    whole = [result for result in report["results"] if not result["one"]]
    assert {result["contender"] for result in whole} == CONTENDERS
    made = {(result["dags"], result["tasks"], result["edges"]) for result in whole}
    assert len(made) == 1
    dags, tasks, _ = made.pop()
    assert dags == 2
    assert tasks > 2 * 2 * report["steps_per_plan"]  # each step, its rollback, and the frame


@pytest.mark.timeout(300)
def test_under_a_parsing_context_there_is_one_dag(report: dict[str, Any]) -> None:
    alone = [result for result in report["results"] if result["one"]]
    assert {result["contender"] for result in alone} == {"planner_warm", "planner_cold"}
    assert {result["dags"] for result in alone} == {1}


@pytest.mark.timeout(300)
def test_the_summary_has_every_figure(report: dict[str, Any]) -> None:
    summary = report["summary"]
    for name in (
        "per_plan_ms_above_handwritten",
        "ratio_vs_dag_factory",
        "ratio_vs_blueprint",
        "one_of_1000_warm_ms",
        "one_of_1000_cold_ms",
    ):
        assert isinstance(summary[name], float), name
    assert summary["targets_met"].keys() == summary["targets"].keys()
    assert all(isinstance(met, bool) for met in summary["targets_met"].values())
