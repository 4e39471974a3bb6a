"""``airflow planner`` through Airflow's own parser, in a process and a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from planner_provider.cli.main import COMMANDS

SCRIPT = """
import argparse, sys
from airflow.cli import cli_parser
from planner_provider.cli.airflow_commands import airflow_commands
(group,) = airflow_commands()
cli_parser.ALL_COMMANDS_DICT["planner"] = group
parser = argparse.ArgumentParser(prog="airflow")
cli_parser._add_command(parser.add_subparsers(dest="subcommand"), group)
args = parser.parse_args(["planner", *sys.argv[1:]])
args.func(args)
"""


def run(here: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "AIRFLOW_HOME": str(here / "airflow")}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *argv],
        cwd=here, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["lint", "--format", "json", "good.yaml"], 0, "[]"),
        (["lint", "-q", "good.yaml", "nowhere.yaml"], 2, "no such file or folder: nowhere.yaml"),
        (
            ["lint", "--strict", "--allow-operator", "a.B", "--allow-operator", "c.D", "."],
            0,
            "1 plan",
        ),
        (["diff", "good.yaml", "good.yaml", "--exit-code"], 0, "No plan differs."),
        (["render", "--format", "nope", "good.yaml"], 2, "invalid choice"),
        (["history"], 2, "There is no ledger at"),
        (["audit", "verify", "--ledger", "sqlite:///nowhere.db"], 2, "There is no ledger at"),
    ],
)
def test_runs(here: Path, good: Path, argv: list[str], code: int, words: str) -> None:
    ended = run(here, *argv)
    assert ended.returncode == code, ended.stderr
    assert words in ended.stdout + ended.stderr


def test_help_has_every_command(here: Path) -> None:
    ended = run(here, "--help")
    assert ended.returncode == 0, ended.stderr
    assert all(name.split()[0] in ended.stdout for name in COMMANDS)


def test_a_group_has_its_commands(here: Path) -> None:
    ended = run(here, "audit", "--help")
    assert ended.returncode == 0, ended.stderr
    assert all(name in ended.stdout for name in ("verify", "show", "head"))
