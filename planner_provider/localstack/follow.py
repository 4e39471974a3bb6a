"""Follow a run in the terminal: a live table, or a line for every change without a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.table import Table

from planner_provider.localstack.answers import DagRun, TaskInstance
from planner_provider.localstack.api import AirflowApi

POLL_SECONDS = 0.5

STYLES = {
    "success": "green",
    "failed": "bold red",
    "upstream_failed": "red",
    "running": "bold cyan",
    "deferred": "magenta",
    "awaiting_input": "bold yellow",
    "up_for_retry": "yellow",
    "skipped": "dim",
}


@dataclass(frozen=True)
class Look:
    """A run and its tasks at one moment."""

    run: DagRun
    tasks: tuple[TaskInstance, ...]
    elapsed: float


def follow(
    api: AirflowApi,
    dag_id: str,
    run_id: str,
    console: Console,
    *,
    timeout: float,
    watch: Callable[[], None] = lambda: None,
) -> Look:
    """Show a run until it has finished, and return the last look.

    ``watch`` is called at every look and may raise. Raises :class:`TimeoutError` when the run has
    not finished after ``timeout`` seconds.
    """
    started = time.monotonic()

    def look() -> Look:
        watch()
        run = api.run(dag_id, run_id)
        tasks = api.task_instances(dag_id, run_id)
        elapsed = time.monotonic() - started
        if elapsed > timeout and not run.is_finished:
            raise TimeoutError(f"run {run_id} of {dag_id} is {run.state} after {timeout:.0f} s")
        return Look(run, in_order(tasks), elapsed)

    return _follow_live(look, console) if console.is_terminal else _follow_plain(look, console)


def in_order(tasks: tuple[TaskInstance, ...]) -> tuple[TaskInstance, ...]:
    """Sort tasks by their start; those that have not started come last, by name."""
    never = datetime.max.replace(tzinfo=UTC)
    return tuple(
        sorted(tasks, key=lambda t: (t.start_date or t.end_date or never, t.task_id, t.map_index))
    )


def lasted(task: TaskInstance, now: datetime) -> str:
    """Return how long a task has run, in seconds; empty before its start."""
    if task.start_date is None:
        return ""
    end = task.end_date if task.is_finished and task.end_date else now
    return f"{max(0.0, (end - task.start_date).total_seconds()):.1f} s"


def render(look: Look) -> Table:
    """Return the table of one look."""
    table = Table(
        title=f"{look.run.dag_id}   {look.run.state}   {look.elapsed:.0f} s",
        title_justify="left",
        caption=caption(look),
        caption_justify="left",
    )
    for heading, justify in (
        ("step", "left"),
        ("state", "left"),
        ("tries", "right"),
        ("", "right"),
    ):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    now = datetime.now(UTC)
    for task in look.tasks:
        state = task.state or "-"
        table.add_row(
            task.label,
            f"[{STYLES.get(state, 'default')}]{state}[/]",
            str(task.try_number or ""),
            lasted(task, now),
        )
    return table


def caption(look: Look) -> str | None:
    """Return what a person has to do, if anything waits for one."""
    waiting = [task.label for task in look.tasks if task.state == "awaiting_input"]
    return f"waits for an answer in the UI: {', '.join(waiting)}" if waiting else None


def _follow_live(look: Callable[[], Look], console: Console) -> Look:
    seen = look()
    with Live(render(seen), console=console, auto_refresh=False) as live:
        while not seen.run.is_finished:
            time.sleep(POLL_SECONDS)
            seen = look()
            live.update(render(seen), refresh=True)
    return seen


def _follow_plain(look: Callable[[], Look], console: Console) -> Look:
    told: dict[str, tuple[str | None, int]] = {}
    while True:
        seen = look()
        now = datetime.now(UTC)
        for task in seen.tasks:
            fact = (task.state, task.try_number)
            if task.state is None or told.get(task.label) == fact:
                continue
            told[task.label] = fact
            parts = [f"{seen.elapsed:6.1f} s", f"{task.label:<40}", f"{task.state:<16}"]
            if task.try_number > 1:
                parts.append(f"try {task.try_number}")
            if task.is_finished and task.duration is not None:
                parts.append(lasted(task, now))
            console.out("  ".join(parts).rstrip(), highlight=False)
        if seen.run.is_finished:
            return seen
        time.sleep(POLL_SECONDS)
