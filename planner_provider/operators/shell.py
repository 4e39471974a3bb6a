"""Action ``shell``: run a command on the Airflow worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import (
    CheckFailedError,
    MisconfiguredError,
    PlannerError,
    RefusedError,
    UnavailableError,
)
from planner_provider.operators.acting import Stopped
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.tracing import environment, trace_of, traceparent
from planner_provider.spec.actions import Shell

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact
    from planner_provider.hooks.process import ProcessGroup

EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78
NOT_EXECUTABLE = 126
NOT_FOUND = 127


class ShellActionOperator(PlanStepMixin, BaseOperator):
    """Run a command on the worker; its output goes to the log line by line.

    A list is run as it is. Text is run by ``bash -euo pipefail -c``: it ends at the first command
    that fails, at an unset variable, and at a failure within a pipe. The XCom is the last line of
    output.

    The command sees PATH, HOME, LANG, LC_ALL and TZ of the worker, what ``env`` gives, and
    PLANNER_PLAN_ID, PLANNER_PLAN, PLANNER_STEP and BAGGAGE; none of Airflow's settings and
    secrets. It runs in a process group of its own. Whatever ends the step (a time-out, a stop, the
    death of the worker) ends the whole group: TERM, and KILL ten seconds later (five if the worker
    itself died). Processes that the command leaves behind are ended too.

    Exit codes: 0 is success. 75 (EX_TEMPFAIL) means try later, 77 (EX_NOPERM) refused, 78
    (EX_CONFIG), 126 and 127 (not executable, not found) misconfigured. Any other, and death by a
    signal, is a failed check.

    Args:
        command: text for bash, or a list of program and arguments (templated).
        env: environment variables (values templated).
        working_directory: where to run; the worker's own directory if left out (templated).
        plan_ref: the plan that this is a step of, if any.

    Raises:
        CheckFailedError, UnavailableError, RefusedError, MisconfiguredError: by exit code.
    """

    template_fields: Sequence[str] = ("command", "env", "working_directory")
    template_fields_renderers = {"command": "bash", "env": "json"}  # noqa: RUF012
    ui_color = "#dcfce7"

    _group: ProcessGroup | None = None

    def __init__(
        self,
        *,
        command: str | Sequence[str],
        env: Mapping[str, str] | None = None,
        working_directory: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.env = env or {}
        self.working_directory = working_directory

    @classmethod
    def from_action(
        cls,
        action: Shell,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for a ``shell`` action of a spec."""
        return cls(
            command=action.command,
            env=action.env,
            working_directory=action.working_directory,
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> str:
        """Run the command to its end."""
        from planner_provider.hooks.process import Command, ProcessGroup

        traced = environment(trace_of(self.plan_ref, context), traceparent())
        if isinstance(self.command, str):
            argv = ["bash", "-euo", "pipefail", "-c", self.command]
        else:
            argv = [str(part) for part in self.command]
        given = {name: str(value) for name, value in self.env.items()}
        command = Command(argv, {**given, **traced}, self.working_directory)
        try:
            self._group = ProcessGroup(command)
        except (OSError, ValueError) as error:
            raise MisconfiguredError(
                f"The command {argv[0]} could not be started: {error}"
            ) from error
        with self._group as group:
            ended = group.follow(lambda line: self.log.info("%s", line), lambda: self.stopping)
        if ended.left_behind:
            self.log.warning("The command left processes running; they were ended with it.")
        if ended.stopped:
            raise Stopped("the command was stopped before its end")
        failure = exit_error(ended.exit_code, ended.last_line, "The command")
        if failure is not None:
            raise failure
        self.log.info("The command ended well after %.1f s.", ended.seconds)
        return ended.last_line

    def on_kill(self) -> None:
        """End the command and everything that it started."""
        if self._group is not None:
            self._group.stop()
        super().on_kill()


def exit_error(code: int, last_line: str, what: str) -> PlannerError | None:
    """What an exit code means by its consequence; ``None`` for 0.

    Args:
        code: exit code, or minus the number of a signal.
        last_line: last line of output, repeated in the message.
        what: "The command", or the name of a pod.
    """
    if code == 0:
        return None
    last = f" Its last line: '{last_line[:200]}'" if last_line else " It wrote nothing."
    if code < 0:
        hint = "; was there enough memory?" if code == -9 else ""
        return CheckFailedError(f"{what} was ended by signal {-code}{hint}.{last}")
    if code == EX_TEMPFAIL:
        return UnavailableError(f"{what} ended with exit code 75: try again later.{last}")
    if code == EX_NOPERM:
        return RefusedError(f"{what} ended with exit code 77: not permitted.{last}")
    if code == EX_CONFIG:
        return MisconfiguredError(f"{what} ended with exit code 78: wrong configuration.{last}")
    if code in (NOT_EXECUTABLE, NOT_FOUND):
        why = "not found" if code == NOT_FOUND else "not executable"
        return MisconfiguredError(
            f"{what} ended with exit code {code}: a program is {why} where it runs.{last}"
        )
    return CheckFailedError(f"{what} ended with exit code {code}.{last}")
