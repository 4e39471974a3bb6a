"""Following a run in the terminal."""

import io
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from rich.console import Console

from planner_provider.localstack import follow as follow_module
from planner_provider.localstack.answers import DagRun, TaskInstance
from planner_provider.localstack.api import AirflowApi
from planner_provider.localstack.follow import Look, follow, in_order, render

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def task(name: str, state: str | None, begun: int | None = None, tries: int = 1) -> TaskInstance:
    start = None if begun is None else START + timedelta(seconds=begun)
    done = state in {"success", "failed"} and start is not None
    return TaskInstance(
        task_id=name,
        map_index=-1,
        state=state,
        try_number=tries,
        start_date=start,
        end_date=start + timedelta(seconds=2) if done and start else None,
        duration=2.0 if done else None,
    )


def run_in(state: str) -> DagRun:
    return DagRun(dag_id="demo", dag_run_id="r", state=state, run_after=START)


class ScriptedApi:
    """Shows a run as a list of moments; the last one stays."""

    def __init__(self, *moments: tuple[str, list[TaskInstance]]) -> None:
        self.moments = list(moments)

    def run(self, dag_id: str, run_id: str) -> DagRun:
        return run_in(self.moments[0][0])

    def task_instances(self, dag_id: str, run_id: str) -> tuple[TaskInstance, ...]:
        tasks = self.moments[0][1]
        if len(self.moments) > 1:
            self.moments.pop(0)
        return tuple(tasks)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_module, "POLL_SECONDS", 0.0)


def watch_run(terminal: bool, *moments: tuple[str, list[TaskInstance]]) -> tuple[Look, str]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100)
    api = cast("AirflowApi", ScriptedApi(*moments))
    return follow(api, "demo", "r", console, timeout=60), out.getvalue()


MOMENTS = (
    ("running", [task("begin", "running", 0), task("canary", None)]),
    ("running", [task("begin", "running", 0), task("canary", None)]),
    ("running", [task("begin", "success", 0), task("canary", "up_for_retry", 3)]),
    ("success", [task("begin", "success", 0), task("canary", "success", 9, tries=2)]),
)


def test_without_a_terminal_each_change_is_one_line() -> None:
    last, text = watch_run(False, *MOMENTS)
    lines = [" ".join(line.split()[2:]) for line in text.splitlines()]
    assert lines == [
        "begin running",
        "begin success 2.0 s",
        "canary up_for_retry",
        "canary success try 2 2.0 s",
    ]
    assert last.run.state == "success"
    assert "\x1b" not in text


def test_at_a_terminal_there_is_a_table() -> None:
    last, text = watch_run(True, *MOMENTS)
    assert "canary" in text
    assert "up_for_retry" in text
    assert last.run.is_finished


def test_a_run_that_never_ends_is_given_up() -> None:
    api = cast("AirflowApi", ScriptedApi(("running", [])))
    with pytest.raises(TimeoutError, match="run r of demo is running after 0 s"):
        follow(api, "demo", "r", Console(file=io.StringIO()), timeout=0)


def test_what_watches_can_end_it() -> None:
    def broken() -> None:
        raise RuntimeError("the sandbox has ended")

    api = cast("AirflowApi", ScriptedApi(("running", [])))
    with pytest.raises(RuntimeError, match="sandbox"):
        follow(api, "demo", "r", Console(file=io.StringIO()), timeout=9, watch=broken)


def test_tasks_are_shown_in_the_order_of_their_start() -> None:
    shown = in_order((task("b", None), task("z", "running", 1), task("a", None), task("c", "x", 0)))
    assert [one.task_id for one in shown] == ["c", "z", "a", "b"]


def test_what_waits_for_a_person_is_said() -> None:
    look = Look(run_in("running"), (task("approve", "awaiting_input", 0),), 3.0)
    assert render(look).caption == "waits for an answer in the UI: approve"
