"""What the pages under docs/ say is true: links, commands, specs, tables, numbers."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner_provider.cli.main import COMMANDS
from planner_provider.decide.model import Fact
from planner_provider.decide.risk import LOW_UP_TO, MEDIUM_UP_TO, RiskInputs, assess_risk
from planner_provider.decide.slo import DEFAULT_WINDOWS, SloRules
from planner_provider.graph.approvals import ChangeProfile
from planner_provider.ledger import reaper, waiting
from planner_provider.ledger.rows import Outcome
from planner_provider.operators.acquire import WAIT
from planner_provider.provider_info import get_provider_info
from planner_provider.spec import measurable
from planner_provider.spec.delivery import Analysis, Arms
from planner_provider.spec.folder import load, read_files
from planner_provider.spec.kinds import Service
from planner_provider.spec.plan import AVAILABLE_ACTIONS, NOT_YET, READ_ONLY_ACTIONS
from planner_provider.spec.values import format_duration
from tests.cli.runner import planner

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "CHANGELOG.md"])
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = {n for n, row in enumerate(cells) if set("".join(row)) <= set("-:")}
    return [row for n, row in enumerate(cells) if n not in rules and n + 1 not in rules]


SAFETY = page("safety.md")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            there = target.read_text(encoding="utf-8")
            titles = {
                re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
                for title in re.findall(r"^#+ (.+)$", there, re.M)
            }
            assert f'id="{anchor}"' in there or anchor in titles, link


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    words = {name.split()[0] for name in COMMANDS}
    named = re.findall(r"(?:`|^ {4})planner ([a-z]+)(?: ([a-z]+))?", text, re.M)
    for first, second in named:
        assert first in words, first
        if any(name.startswith(f"{first} ") for name in COMMANDS):
            assert f"{first} {second}" in COMMANDS


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (path, text)
        for path in PAGES
        for kind, text in FENCE.findall(path.read_text(encoding="utf-8"))
        if kind == "yaml"
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_specs_lint_beside_the_examples(path: Path, text: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "plan_specs", tmp_path / "plan_specs")
    (tmp_path / "plan_specs" / "900-docs.yaml").write_text(text)
    ended = planner("lint", tmp_path / "plan_specs", "--strict")
    assert (ended.code, ended.err) == (0, ""), ended.out


def test_there_is_a_spec_in_safety() -> None:
    assert [kind for kind, _ in FENCE.findall(SAFETY)] == ["yaml", "yaml"]


def test_burn_rates_are_those_of_the_code() -> None:
    written = [row for row in rows(section(SAFETY, "SLOs")) if len(row) == 3]
    assert written == [
        [format_duration(pair.long), format_duration(pair.short), f"{pair.limit:g}"]
        for pair in DEFAULT_WINDOWS
    ]
    assert SloRules().min_remaining == 0


def test_every_annotation_is_explained_with_its_default() -> None:
    table = {row[0].strip("`"): row[2] for row in rows(section(SAFETY, "SLOs")) if len(row) == 4}
    known = {
        value
        for value in vars(measurable).values()
        if isinstance(value, str) and value.startswith("planner.dev/")
    }
    assert set(table) == known
    defaults = measurable.Settings()
    assert table[measurable.MIN_EVENTS] == f"`{defaults.min_events:g}`"
    assert table[measurable.MAX_AGE] == f"`{format_duration(defaults.max_age)}`"
    assert table[measurable.MISSING_BAD] == "`unknown`"
    assert not defaults.missing_bad_is_zero


def test_the_canary_is_as_explained() -> None:
    text = section(SAFETY, "Canary")
    arms = Arms()
    assert f"`{arms.canary}` and `{arms.baseline}`" in text
    assert {"slos", "compare", "metrics", "every", "patience", "max_ratio"} <= {
        *re.findall(r"`([a-z_]+)`", text)
    } & Analysis.model_fields.keys()


def test_approvals_are_as_explained() -> None:
    text = section(SAFETY, "Approvals")
    assert f"`low` is up to {LOW_UP_TO} points, `medium` up to {MEDIUM_UP_TO}." in text
    assert len([row for row in rows(text) if len(row) == 5]) == 5


NOW = datetime(2026, 11, 23, tzinfo=UTC)
BUDGET = Fact.measured("left", 0.9, source="test", observed_at=NOW)


@pytest.mark.parametrize(
    ("part", "at", "points"),
    [
        (0, {"tier": 5}, 0), (0, {"tier": 4}, 0), (0, {"tier": 3}, 1), (0, {"tier": 2}, 2),
        (0, {"tier": 1}, 3), (0, {"tier": 0}, 3),
        (1, {"dependents": 0}, 0), (1, {"dependents": 1}, 1), (1, {"dependents": 2}, 1),
        (1, {"dependents": 3}, 2), (1, {"dependents": 8}, 2), (1, {"dependents": 9}, 3),
        (2, {"irreversible_steps": 0}, 0), (2, {"irreversible_steps": 1}, 2),
        (2, {"irreversible_steps": 4}, 3),
        (3, {"left": 0.5}, 0), (3, {"left": 0.2}, 1), (3, {"left": 0.1}, 2), (3, {"left": 0.0}, 3),
        (4, {"runs": (3, 0)}, 0), (4, {"runs": (2, 0)}, 1), (4, {"runs": (10, 2)}, 1),
        (4, {"runs": (10, 5)}, 2), (4, {"runs": (10, 6)}, 3),
    ],
)  # fmt: skip
def test_the_risk_is_scored_as_the_table_says(part: int, at: dict[str, Any], points: int) -> None:
    left, runs = at.get("left", 0.9), at.get("runs", (5, 0))
    profile = {"tier": 4, "exclusive_resources": 1, "dependents": 0, "changing_steps": 4}
    profile |= {name: value for name, value in at.items() if name not in ("left", "runs")}
    inputs = RiskInputs(
        now=NOW,
        profile=ChangeProfile.model_validate(profile),
        budgets=(BUDGET.model_copy(update={"value": left}),),
        recent_runs=runs[0],
        recent_failures=runs[1],
    )
    assert assess_risk(inputs).contributions[part].points == points
    table = [row for row in rows(section(SAFETY, "Approvals")) if len(row) == 5]
    assert table[part][1 + points] != "-"


def test_times_of_the_locks_are_those_of_the_code() -> None:
    text = " ".join(section(SAFETY, "Locks").split())
    said = {
        "four hours at most": WAIT,
        "no sign of life for a minute": waiting.PATIENCE,
        "after a day without any act": reaper.IDLE,
        "(a week while a step is deferred or the run is held)": reaper.IDLE_PARKED,
    }
    assert [words for words in said if words not in text] == []
    assert list(said.values()) == [
        timedelta(hours=4), timedelta(minutes=1), timedelta(days=1), timedelta(weeks=1),
    ]  # fmt: skip


def test_every_outcome_is_explained_to_operators() -> None:
    text = section(page("operating.md"), "What each outcome means")
    assert {row[0].strip("`") for row in rows(text)} == {outcome.value for outcome in Outcome}


def test_every_setting_is_in_operating() -> None:
    options = get_provider_info()["config"]["planner"]["options"]
    text = section(page("operating.md"), "Configuration")
    assert {row[0].strip("`") for row in rows(text) if row[0].startswith("`")} >= set(options)


def test_every_action_is_in_the_table_for_authors() -> None:
    table = rows(section(page("writing-plans.md"), "Steps"))
    named = {name: row[2] for row in table for name in re.findall(r"`([a-z_]+)`", row[1])}
    assert set(named) == set(AVAILABLE_ACTIONS)
    assert {name for name, changes in named.items() if changes == "no"} == set(READ_ONLY_ACTIONS)
    later = re.search(r"^This release cannot run yet.*$", page("writing-plans.md"), re.M)
    assert later
    assert set(re.findall(r"`([a-z_]+)`", later[0])) == set(NOT_YET)


def test_every_package_is_in_the_architecture() -> None:
    packages = {path.parent.name for path in (ROOT / "planner_provider").glob("*/__init__.py")} | {
        "errors",
        "provider_info",
    }
    table = [row for row in rows(page("architecture.md")) if len(row) == 3]
    named = {name for row in table for name in re.findall(r"`([a-z_]+)`", row[0])}
    assert named == packages


def test_every_decision_is_listed_and_numbered() -> None:
    files = sorted(path.name for path in (DOCS / "decisions").glob("*.md"))
    listed = re.findall(
        r"\(decisions/([\w-]+\.md)\)", section(page("architecture.md"), "Decisions")
    )
    assert listed == files
    for number, file in enumerate(files, 1):
        assert file.startswith(f"{number:04d}-")
        assert page(f"decisions/{file}").startswith(f"# {number}. ")


def test_slos_of_services_and_teams_of_approvals_are_there() -> None:
    catalog = load(read_files([ROOT / "plan_specs"])[0]).catalog
    services: dict[str, Service] = dict(catalog.services)
    assert all(slo in catalog.slos for item in services.values() for slo in item.spec.slos)
    asked = re.findall(
        r"group:([\w-]+)",
        "".join(
            path.read_text(encoding="utf-8")
            for path in (ROOT / "plan_specs").glob("*.yaml")
            if not path.name.startswith("001")
        ),
    )
    assert asked
    assert all(catalog.teams[name].spec.members for name in asked)


def test_the_compose_file_has_every_connection_that_the_canary_needs() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    env = compose["services"]["scheduler"]["environment"]
    assert {"AIRFLOW_CONN_SANDBOX", "AIRFLOW_CONN_PROMETHEUS"} <= set(env)
