from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from planner_provider import __version__
from planner_provider.cli.main import COMMANDS
from planner_provider.cli.parameters import parameters
from tests.cli.runner import planner

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def test_help() -> None:
    ended = planner("--help")
    assert ended.code == 0
    assert all(name.split()[0] in ended.out for name in COMMANDS)
    assert "Exit codes" in ended.out


def test_no_command_shows_help() -> None:
    assert "Usage: planner" in planner().out


def test_version() -> None:
    assert planner("--version").out == f"planner {__version__}\n"


@pytest.mark.parametrize("argv", [["nope"], ["lint", "--nope"], ["render"], ["lint", "-f", "x"]])
def test_wrong_usage(argv: list[str]) -> None:
    ended = planner(*argv)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err


def sections() -> dict[str, str]:
    parts = re.split(r"^## `planner ([\w ]+)`$", DOCS.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_docs_have_every_command() -> None:
    assert set(sections()) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_docs_have_every_option_and_no_other(name: str) -> None:
    taken = parameters(COMMANDS[name])
    options = {flag for parameter in taken for flag in parameter.flags}
    text = sections()[name]
    written = set(re.findall(r"`(--?[a-z][a-z-]*)`", text))
    assert written == options
    for parameter in taken:
        assert all(choice in text for choice in parameter.choices)


@pytest.mark.parametrize("name", COMMANDS)
def test_parameters_are_those_that_help_shows(name: str) -> None:
    shown = planner(*name.split(), "--help").out
    for parameter in parameters(COMMANDS[name]):
        assert all(flag in shown for flag in parameter.flags)


def run_python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_commands_import_neither_airflow_nor_what_they_do_not_need(good: Path) -> None:
    code = f"""
import sys
from planner_provider.cli.main import run
for argv in (["lint", {str(good)!r}], ["explain", {str(good)!r}], ["render", {str(good)!r}],
             ["diff", {str(good)!r}, {str(good)!r}], ["new", "x", "--folder", "specs"]):
    assert run(argv) == 0, argv
unwanted = {{"airflow", "sqlalchemy", "rich", "requests", "kubernetes"}} & set(sys.modules)
assert not unwanted, unwanted
"""
    ended = run_python(code, good.parent)
    assert ended.returncode == 0, ended.stderr


def test_help_needs_no_spec_layer(here: Path) -> None:
    code = """
import sys
from planner_provider.cli.main import run
run(["--help"])
heavy = {"airflow", "yaml", "jinja2", "sqlalchemy", "pydantic", "planner_provider.spec.plan"}
unwanted = heavy & set(sys.modules)
assert not unwanted, unwanted
"""
    ended = run_python(code, here)
    assert ended.returncode == 0, ended.stderr


def test_reader_that_has_gone(here: Path, good: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "planner_provider.cli.main", "render", str(good)]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert ended.returncode == 141
    assert ended.stderr == b""


def test_output_in_a_narrow_encoding(good: Path) -> None:
    command = [sys.executable, "-m", "planner_provider.cli.main", "render", str(good)]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(command, env=env, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert b"?? begin" in ended.stdout
