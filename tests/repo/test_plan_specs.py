"""The example specs: clean, up to date, and nothing in them that this release cannot run."""

import json
import re
from pathlib import Path

import pytest

from planner_provider.graph.build import build_graph
from planner_provider.spec.availability import unavailable
from planner_provider.spec.folder import load, read_files
from planner_provider.spec.plan import READ_ONLY_ACTIONS
from tests.cli.runner import planner

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "plan_specs"
FILES = sorted(SPECS.glob("*.yaml"))
LOADED = load(read_files([SPECS])[0])
PLANS = {document.plan.metadata.name: document for document in LOADED.plans}
MODELINE = "# yaml-language-server: $schema=planner.schema.json\n"
CONNECTION = re.compile(r'"connection":\s*"([^"]+)"')


def test_they_lint_without_errors_and_warnings() -> None:
    ended = planner("lint", SPECS, "--strict", "--format", "json")
    assert json.loads(ended.out) == []
    assert ended.code == 0
    assert PLANS


@pytest.mark.parametrize("name", sorted(PLANS))
def test_every_part_is_available(name: str) -> None:
    assert unavailable(PLANS[name].plan) == ()


def test_the_demo_plan_is_there_and_needs_only_the_sandbox() -> None:
    demo = PLANS["demo-release"].plan
    assert all(parameter.default is not None for parameter in demo.spec.parameters.values())
    used = set(CONNECTION.findall(demo.model_dump_json(by_alias=True)))
    assert used == {"sandbox", "sandbox_db"}
    assert len(demo.spec.steps) <= 12


def test_the_demo_plan_undoes_every_change() -> None:
    graph = build_graph(PLANS["demo-release"], LOADED.catalog)
    undone = {item.step for item in graph.compensations}
    changing = {
        task.step
        for task in graph.steps
        if task.action
        and task.action.action_name not in READ_ONLY_ACTIONS
        and not task.leaves_nothing
    }
    assert {"deploy-canary", "shift-20", "shift-50", "promote"} <= changing <= undone


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files_are_numbered_and_tell_editors_their_schema(file: Path) -> None:
    assert re.match(r"\d{3}-[a-z0-9-]+\.yaml$", file.name)
    text = file.read_text(encoding="utf-8")
    if "apiVersion: planner/v1" in text:
        assert text.startswith(MODELINE)


def test_the_schema_is_the_one_of_this_release() -> None:
    written = (SPECS / "planner.schema.json").read_text(encoding="utf-8")
    again = "planner schema --output plan_specs/planner.schema.json"
    assert planner("schema").out == written, f"out of date; run: {again}"


def test_every_sql_file_is_used() -> None:
    specs = "".join(file.read_text(encoding="utf-8") for file in FILES)
    unused = [file.name for file in SPECS.glob("sql/*.sql") if f"sql/{file.name}" not in specs]
    assert unused == []
