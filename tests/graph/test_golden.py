"""Renderings of whole plans against files. ``UPDATE_GOLDEN=1`` writes them anew; read the diff."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from planner_provider.graph.build import build_graph
from planner_provider.graph.explain import explain, explanation_text
from planner_provider.graph.model import PlanGraph
from planner_provider.graph.render_mermaid import render_mermaid
from planner_provider.graph.render_text import render_text
from planner_provider.graph.runbook import render_runbook
from planner_provider.spec.folder import LoadOptions, SourceFile, load

GOLDEN = Path(__file__).parents[1] / "golden" / "graph"
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
RENDERINGS: dict[str, Callable[[PlanGraph], str]] = {
    ".tree.txt": render_text,
    ".mmd": render_mermaid,
    ".runbook.md": render_runbook,
    ".explain.txt": lambda graph: explanation_text(explain(graph, NOW)),
    ".explain.json": lambda graph: explain(graph, NOW).to_json() + "\n",
    ".json": lambda graph: (
        graph.model_dump_json(by_alias=True, exclude_defaults=True, indent=2) + "\n"
    ),
}


def graph_from_file(name: str) -> PlanGraph:
    file = SourceFile(f"{name}.yaml", (GOLDEN / f"{name}.yaml").read_bytes())
    specs = load([file], LoadOptions())
    assert not specs.has_errors, specs.diagnostics
    return build_graph(specs.plans[0], specs.catalog)


@pytest.mark.parametrize("suffix", RENDERINGS)
@pytest.mark.parametrize("name", ["traffic-shift", "not-available", "patch-rollout"])
def test_rendering(name: str, suffix: str) -> None:
    found = RENDERINGS[suffix](graph_from_file(name))
    path = GOLDEN / f"{name}{suffix}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def test_every_golden_file_is_compared() -> None:
    suffixes = (*RENDERINGS, ".yaml")
    assert [file.name for file in GOLDEN.iterdir() if not file.name.endswith(suffixes)] == []
