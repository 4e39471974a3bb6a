from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner_provider.graph.model import PlanGraph
from tests.cli.runner import BAD, GOOD, planner

OTHER = GOOD.replace("name: good", "name: other")


@pytest.fixture
def folder(here: Path) -> Path:
    path = here / "specs"
    path.mkdir()
    (path / "good.yaml").write_text(GOOD)
    (path / "other.yaml").write_text(OTHER)
    return path


@pytest.mark.parametrize(
    ("format_", "words"),
    [("text", "└─ finish"), ("mermaid", "flowchart TD"), ("runbook", "# Runbook: A good plan")],
)
def test_one_plan(good: Path, format_: str, words: str) -> None:
    ended = planner("render", good, "--format", format_)
    assert ended.code == 0
    assert words in ended.out


def test_json_is_the_graph(good: Path) -> None:
    graph = PlanGraph.from_json(planner("render", good, "--format", "json").out)
    assert graph.name == "good"
    assert len(graph.digest) == 64


def test_several_plans(folder: Path) -> None:
    assert [item["name"] for item in json.loads(planner("render", folder, "-f", "json").out)] == [
        "good",
        "other",
    ]
    assert planner("render", folder).out.count("└─ finish") == 2
    ended = planner("render", folder, "--format", "runbook")
    assert (ended.code, ended.out) == (2, "")
    assert "--plan" in ended.err
    assert planner("render", folder, "-f", "runbook", "--plan", "other").code == 0


def test_a_file_of_each_plan(folder: Path, here: Path) -> None:
    assert planner("render", folder, "-f", "runbook", "-o", "books/").code == 0
    assert sorted(path.name for path in (here / "books").iterdir()) == ["good.md", "other.md"]


def test_a_file_among_others_gives_its_own_plans(folder: Path) -> None:
    assert planner("render", folder / "good.yaml").out.startswith("good, owner team-a")


def test_another_version_of_the_plan_beside_it_does_not_matter(folder: Path) -> None:
    (folder / "backup.yaml").write_text(GOOD)
    assert planner("render", folder / "good.yaml").code == 0
    assert planner("render", folder).code == 1


def test_errors(folder: Path) -> None:
    (folder / "bad.yaml").write_text(BAD)
    ended = planner("render", folder)
    assert (ended.code, ended.out) == (1, "")
    assert "PLN202" in ended.err
    assert planner("render", folder, "--plan", "good").code == 0
    assert planner("render", folder, "--plan", "good").err == ""
    assert planner("render", folder, "--plan", "bad").code == 1


def test_no_such_plan(folder: Path) -> None:
    ended = planner("render", folder, "--plan", "nope")
    assert ended.code == 2
    assert ended.err.endswith("hint: plans: good, other\n")


def test_digest_of_a_file_is_that_of_its_folder(folder: Path) -> None:
    team = "apiVersion: planner/v1\nkind: Team\nmetadata: {name: team-a}\nspec: {notify: [chat]}\n"
    (folder / "team.yaml").write_text(team)
    alone = json.loads(planner("render", folder / "good.yaml", "-f", "json").out)
    together = json.loads(planner("render", folder, "-f", "json").out)[0]
    assert alone == together
