from __future__ import annotations

from pathlib import Path

import pytest

from planner_provider.cli import new
from planner_provider.cli.new import Starter
from tests.cli.runner import GOOD, planner

TEAM = "apiVersion: planner/v1\nkind: Team\nmetadata: {{name: {0}}}\nspec: {{}}\n"


@pytest.mark.parametrize("template", list(Starter))
def test_lints_clean_and_uses_only_what_is_available(here: Path, template: Starter) -> None:
    made = planner("new", "my-plan", "--template", template.value, "--folder", "specs")
    assert (made.code, made.out) == (0, "specs/010-my-plan.yaml\n")
    linted = planner("lint", "specs", "--strict", "--format", "json")
    assert (linted.code, linted.out) == (0, "[]\n")
    text = (here / "specs" / "010-my-plan.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=planner.schema.json\n")
    assert "@" not in text
    assert "CANNOT RUN" not in planner("explain", "specs").out


def test_numbers_go_on(here: Path) -> None:
    for name in ("a", "b", "c"):
        planner("new", name, "--folder", "specs")
    (here / "specs" / "035-z.yaml").write_text(GOOD)
    planner("new", "d", "--folder", "specs")
    assert sorted(path.name for path in (here / "specs").iterdir()) == [
        "010-a.yaml", "020-b.yaml", "030-c.yaml", "035-z.yaml", "040-d.yaml",
    ]  # fmt: skip


def test_overwrites_nothing(here: Path) -> None:
    planner("new", "a", "--folder", "specs")
    before = (here / "specs" / "010-a.yaml").read_text()
    ended = planner("new", "a", "--template", "release", "--folder", "specs")
    assert ended.code == 2
    assert "exists already" in ended.err
    (here / "specs" / "010-a.yaml").rename(here / "specs" / "first.yaml")
    ended = planner("new", "a", "--folder", "specs")
    assert ended.code == 2
    assert "defined twice" in ended.err
    assert [path.name for path in (here / "specs").iterdir()] == ["first.yaml"]
    assert (here / "specs" / "first.yaml").read_text() == before


def test_a_file_that_appears_meanwhile_is_kept(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def appear(text: str, path: Path, *rest: object) -> None:
        path.parent.mkdir()
        path.write_text("mine")

    monkeypatch.setattr(new, "_check", appear)
    assert planner("new", "a", "--folder", "specs").code == 2
    assert (here / "specs" / "010-a.yaml").read_text() == "mine"


def test_owner(here: Path) -> None:
    (here / "specs").mkdir()
    (here / "specs" / "teams.yaml").write_text(TEAM.format("team-one"))
    planner("new", "a", "--folder", "specs")
    assert "owner: team-one" in (here / "specs" / "010-a.yaml").read_text()
    (here / "specs" / "more.yaml").write_text(TEAM.format("team-two"))
    ended = planner("new", "b", "--folder", "specs")
    assert ended.code == 2
    assert "team-one, team-two" in ended.err
    assert planner("new", "b", "--folder", "specs", "--owner", "team-two").code == 0
    assert planner("new", "c", "--folder", "specs", "--owner", "team-three").code == 2


def test_schema_of_the_folder_is_used(here: Path) -> None:
    (here / "specs").mkdir()
    (here / "specs" / "own.schema.json").write_text("{}")
    planner("new", "a", "--folder", "specs")
    assert "$schema=own.schema.json" in (here / "specs" / "010-a.yaml").read_text()


@pytest.mark.parametrize("name", ["", "A", "a/b", "../a", "-a", "a" * 45, "a b"])
def test_bad_names(here: Path, name: str) -> None:
    assert planner("new", "--folder", "specs", "--", name).code == 2
    assert not (here / "specs").exists()


def test_folder_that_is_a_file(good: Path) -> None:
    assert planner("new", "a", "--folder", good).code == 2
