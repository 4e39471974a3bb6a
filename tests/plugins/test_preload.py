"""Processes that tasks are forked from import ahead what tasks need; others do not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from planner_provider.plugins import preload


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["airflow", "scheduler"], True),
        (["airflow", "scheduler", "--skip-serve-logs"], True),
        (["airflow", "celery", "worker"], True),
        (["airflow", "celery", "flower"], False),
        (["airflow", "api-server"], False),
        (["airflow"], False),
        (["pytest", "tests", "scheduler"], False),
    ],
)
def test_which_processes_fork_tasks(arguments: list[str], found: bool) -> None:
    assert preload.forks_tasks(arguments) is found


def test_what_cannot_be_imported_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preload, "MODULES", ("planner_provider.nowhere",))
    assert not preload.preload(["airflow", "scheduler"])


@pytest.mark.parametrize(("command", "found"), [("scheduler", "True"), ("api-server", "False")])
def test_the_plugin_does_it(command: str, found: str) -> None:
    script = (
        f"import sys; sys.argv = ['airflow', {command!r}]\n"
        "from planner_provider.plugins.planner_plugin import PlannerPlugin\n"
        "PlannerPlugin.on_load()\n"
        "print('planner_provider.operators.verify' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == found
