"""The plan ID, and the step, in every line of a task's log.

Airflow's task log is structured: ``structlog``'s context variables become fields of each line, of
lines written through ``logging`` too. They are bound as early as the version of the plan is known:
by the loader while it parses inside a task, else before the task executes. The three lines that
Airflow writes before it reads the DAG cannot have them.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from typing import TextIO

from structlog.contextvars import bind_contextvars, get_contextvars

from planner_provider.graph.digest import plan_id
from planner_provider.operators.plan_ref import PlanRef


def bind_plan(ref: PlanRef, run_id: str) -> None:
    """Put the plan ID, and the step, into every following line of this task's log."""
    bind_contextvars(plan_id=ref.plan_id(run_id))
    if ref.step:
        bind_contextvars(step=ref.step)


def bind_while_parsing(plan: str, digest: str) -> None:
    """Do so while the DAG is parsed inside a task; nothing happens anywhere else.

    Airflow has bound ``dag_id`` and ``run_id`` at that moment.
    """
    bound = get_contextvars()
    if bound.get("dag_id") == plan and bound.get("run_id"):
        bind_contextvars(plan_id=plan_id(plan, digest, str(bound["run_id"])))


@contextlib.contextmanager
def printed_lines_logged() -> Iterator[None]:
    """Log what Python code prints meanwhile.

    Airflow's supervisor would log it in its own process, where nothing of ours is bound.
    """
    out = _LoggedStream(sys.stdout, logging.getLogger("task.stdout"), logging.INFO)
    err = _LoggedStream(sys.stderr, logging.getLogger("task.stderr"), logging.ERROR)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield
        finally:
            out.close_line()
            err.close_line()


class _LoggedStream(io.TextIOBase):
    """A text stream whose lines become lines of the log."""

    def __init__(self, original: TextIO, logger: logging.Logger, level: int) -> None:
        self._original = original
        self._logger = logger
        self._level = level
        self._begun = ""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._original.fileno()

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._logger.log(self._level, "%s", line.rstrip("\r"))
        return len(text)

    def close_line(self) -> None:
        """Log a last line that has no end."""
        if self._begun:
            self.write("\n")
