from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.runner import BAD, GOOD, planner

NEWER = GOOD.replace("      rollback: {http: {connection: api, method: DELETE, path: /a}}\n", "")


@pytest.fixture
def newer(here: Path) -> Path:
    path = here / "newer.yaml"
    path.write_text(NEWER)
    return path


def test_says_what_differs(good: Path, newer: Path) -> None:
    ended = planner("diff", good, newer)
    assert ended.code == 0
    assert "  ! rollback of `put` removed; it was: DELETE /a on connection api" in ended.out
    assert ended.err == ""


def test_same(good: Path) -> None:
    ended = planner("diff", good, good, "--exit-code")
    assert (ended.code, ended.out) == (0, "No plan differs.\n")


def test_exit_codes(good: Path, newer: Path) -> None:
    assert planner("diff", good, newer, "--exit-code").code == 1
    assert planner("diff", newer, good, "--exit-code").code == 1
    assert planner("diff", good, newer, "--fail-on-weaker").code == 1
    assert planner("diff", newer, good, "--fail-on-weaker").code == 0


def test_json_and_markdown(good: Path, newer: Path) -> None:
    (found,) = json.loads(planner("diff", good, newer, "--format", "json").out)
    assert found["name"] == "good"
    assert found["changes"][0]["weakens_safety"] is True
    assert "⚠️" in planner("diff", good, newer, "--format", "markdown").out


def test_errors_on_one_side(here: Path, good: Path) -> None:
    folder = here / "new"
    folder.mkdir()
    (folder / "good.yaml").write_text(GOOD.replace("/a,", "/b,"))
    (folder / "bad.yaml").write_text(BAD)
    ended = planner("diff", good, folder)
    assert ended.code == 2
    assert "PLN202" in ended.err
    assert "http.path /a -> /b" in ended.out, "what is valid is compared all the same"
    assert planner("diff", good, folder, "--plan", "good").code == 0


def test_usage(good: Path) -> None:
    assert planner("diff", good).code == 2
    assert planner("diff", good, "nowhere.yaml").code == 2
    assert planner("diff", good, good, "--git", "HEAD").code == 2
    assert "no plan other" in planner("diff", good, good, "--plan", "other").err


@pytest.fixture
def repo(here: Path) -> Path:
    """A Git repository whose last commit has the good plan and a team, beside other files."""
    folder = here / "repo"
    (folder / "specs" / "sub").mkdir(parents=True)
    (folder / "specs" / "good.yaml").write_text(GOOD)
    team = "kind: Team\nmetadata: {name: team-a}\nspec: {notify: [chat]}\n"
    (folder / "specs" / "team.yaml").write_text(f"apiVersion: planner/v1\n{team}")
    (folder / "specs" / "sub" / "q.sql").write_text("SELECT 1")
    (folder / "README").write_text("x")
    (folder / "specs" / "link.yaml").symlink_to("good.yaml")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


def test_work_tree_against_a_revision(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    (repo / "specs" / "link.yaml").unlink()
    assert planner("diff", "--git", "HEAD", "specs", "--exit-code").code == 0
    (repo / "specs" / "good.yaml").write_text(NEWER)
    ended = planner("diff", "--git", "HEAD", "specs", "--exit-code")
    assert ended.code == 1, ended.err
    assert "rollback of `put` removed" in ended.out
    file = planner("diff", "--git", "main", "specs/good.yaml")
    assert "rollback of `put` removed" in file.out
    assert "team-a" not in file.out, "both sides know the team from the file beside it"


def test_two_revisions(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo / "specs" / "good.yaml").write_text(NEWER)
    git(repo, "commit", "-q", "-am", "second")
    monkeypatch.chdir(repo / "specs")
    for old, new in (
        ("HEAD~1:specs", "HEAD:specs"),
        ("HEAD~1:./", "HEAD:."),
        ("HEAD~1:./good.yaml", "HEAD:specs/good.yaml"),
        ("HEAD~1:", "HEAD:"),
        ("HEAD~1:specs/good.yaml", "good.yaml"),
    ):
        ended = planner("diff", old, new)
        assert "rollback of `put` removed" in ended.out, (old, new, ended.err)


def test_plan_that_a_revision_does_not_have(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    (repo / "specs" / "link.yaml").unlink()
    (repo / "specs" / "more.yaml").write_text(GOOD.replace("name: good", "name: more"))
    assert "plan more added" in planner("diff", "--git", "HEAD", "specs").out


@pytest.mark.parametrize(
    ("old", "message"),
    [
        ("nope:specs", "Git knows no revision 'nope'"),
        ("--help:specs", "Git knows no revision '--help'"),
        ("HEAD:nope", "HEAD:nope does not exist"),
    ],
)
def test_wrong_revisions(
    repo: Path, monkeypatch: pytest.MonkeyPatch, old: str, message: str
) -> None:
    monkeypatch.chdir(repo)
    ended = planner("diff", "--", old, "specs")
    assert ended.code == 2
    assert message in ended.err


def test_outside_a_repository(good: Path, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(here.parent))
    ended = planner("diff", "--git", "HEAD", "good.yaml")
    assert ended.code == 2
    assert "git" in ended.err.lower()
