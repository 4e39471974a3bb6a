"""docs/metrics.md has each metric, with its labels."""

from __future__ import annotations

import re
from pathlib import Path

from planner_provider.metrics.definitions import DEFINITIONS

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_every_metric_is_explained_and_no_other() -> None:
    rows = [line.split("|")[1:-1] for line in TEXT.splitlines() if line.startswith("| `planner_")]
    told = {row[0].strip(" `"): tuple(re.findall(r"`(\w+)`", row[1])) for row in rows}
    assert told == {d.exposed: d.labels for d in DEFINITIONS}
    assert {len(row) for row in rows} == {6}
    for row in rows:
        assert all(cell.strip() for cell in row[2:5]), row


def test_every_figure_of_the_mission_is_there() -> None:
    found = set(re.findall(r"\bM(\d+)\b", TEXT))
    assert found == {str(number) for number in range(1, 13)}
