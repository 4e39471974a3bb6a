"""What the README shows is true: specs, the answer to a wrong one, commands, tables, links."""

import re
import shutil
from pathlib import Path

import pytest

from planner_provider.cli.main import COMMANDS
from planner_provider.ledger.rows import Outcome
from planner_provider.provider_info import get_provider_info
from planner_provider.spec.plan import AVAILABLE_ACTIONS, ActionHolder
from tests.cli.runner import planner

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = FENCE.findall(README)
GOOD = [text for kind, text in BLOCKS if kind == "yaml"]
WRONG = [text for kind, text in BLOCKS if kind == "yaml wrong"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
LINKS = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert found, title
    return found[1]


@pytest.mark.parametrize("text", GOOD)
def test_the_spec_lints_beside_the_examples(text: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "plan_specs", tmp_path / "plan_specs")
    (tmp_path / "plan_specs" / "900-readme.yaml").write_text(text)
    ended = planner("lint", tmp_path / "plan_specs", "--strict")
    assert (ended.code, ended.err) == (0, ""), ended.out


def test_there_is_a_good_spec_and_a_wrong_one() -> None:
    assert (len(GOOD), len(WRONG)) == (1, 1)


def test_the_answer_to_the_wrong_spec_is_the_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = next(text for _, text in BLOCKS if text.startswith("$ planner lint broken.yaml\n"))
    monkeypatch.chdir(tmp_path)
    Path("broken.yaml").write_text(WRONG[0])
    assert planner("lint", "broken.yaml").out == shown.partition("\n")[2]


def test_every_make_target_exists() -> None:
    prose = FENCE.sub("", README)
    named = set(re.findall(r"`make ([a-z-]+)`", prose))
    named |= set(re.findall(r"^make ([a-z-]+)", README, re.M))
    assert {"demo", "test", "check"} <= named
    assert named <= TARGETS


def test_every_command_exists_and_is_named() -> None:
    named = re.findall(r"`planner ([a-z]+(?: [a-z]+)?)", section("The command line"))
    assert set(named) == set(COMMANDS)


def test_every_setting_is_there() -> None:
    options = get_provider_info()["config"]["planner"]["options"]
    rows = re.findall(r"^\| `([a-z_]+)` ", section("In your own Airflow"), re.M)
    assert set(rows) == set(options)


def test_every_outcome_is_explained() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` ", section("How a run ends"), re.M)
    assert set(rows) == {outcome.value for outcome in Outcome}


def test_every_action_is_in_the_right_row() -> None:
    runs, refused = re.findall(r"^\| (?:runs|compiles).*$", section("What works today"), re.M)
    every = set(ActionHolder.model_fields)
    assert set(re.findall(r"`([a-z_]+)`", runs)) == set(AVAILABLE_ACTIONS)
    assert every - AVAILABLE_ACTIONS <= set(re.findall(r"`([a-z_]+)`", refused))


@pytest.mark.parametrize("link", sorted({link for link in LINKS if "://" not in link}))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
