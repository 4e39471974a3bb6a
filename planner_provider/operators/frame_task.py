"""What the tasks around the steps have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from planner_provider.errors import AttentionError, MisconfiguredError, PlannerError, RefusedError
from planner_provider.hooks.settings import open_ledger
from planner_provider.operators.clock import SYSTEM_CLOCK, Clock
from planner_provider.operators.failures import record_failure
from planner_provider.operators.plan_log import bind_plan
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.tracing import task_span

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.ledger import Ledger
    from planner_provider.ledger.rows import RunKey


@dataclass(frozen=True, slots=True)
class FrameTask:
    """A running task of the frame: which run it belongs to, and what it works with."""

    ref: PlanRef
    task_id: str
    dag_id: str
    run_id: str
    actor: str
    ledger: Ledger

    @property
    def key(self) -> RunKey:
        """The run, under the version that the task was compiled from."""
        from planner_provider.ledger.rows import RunKey

        return RunKey(
            self.ref.plan_id(self.run_id), self.ref.plan, self.dag_id, self.run_id, self.ref.digest
        )


class FrameOperator(BaseOperator):
    """A task of the frame. Errors that trying again cannot mend fail it at once.

    One that defers names a method ``(context, event)`` to go on with; it is run as ``execute`` is,
    and finds its task with ``frame_task``.
    """

    clock: ClassVar[Clock] = SYSTEM_CLOCK

    def __init__(self, *, plan_ref: PlanRef, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_ref = plan_ref

    @abstractmethod
    def run_task(self, task: FrameTask, context: Context) -> Any:
        """Do what the task is for. What it returns becomes its XCom."""

    def pre_execute(self, context: Context) -> None:
        """Put the plan ID into the log."""
        super().pre_execute(context)
        bind_plan(self.plan_ref, context["ti"].run_id)

    def execute(self, context: Context) -> Any:
        """Run the task; write down why it failed, if it fails."""
        task = self.frame_task(context)
        with task_span(self.plan_ref, context), self._failures_written(task):
            return self.run_task(task, context)

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Go on after a deferral; write down why it failed, if it fails."""
        task = self.frame_task(context)
        with task_span(self.plan_ref, context), self._failures_written(task):
            return super().resume_execution(next_method, next_kwargs, context)

    def frame_task(self, context: Context) -> FrameTask:
        """The running task, with the ledger."""
        ti = context["ti"]
        return FrameTask(
            ref=self.plan_ref,
            task_id=ti.task_id,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            actor=f"task:{ti.task_id}#{ti.try_number}",
            ledger=open_ledger(),
        )

    @contextmanager
    def _failures_written(self, task: FrameTask) -> Iterator[None]:
        try:
            yield
        except PlannerError as error:
            record_failure(task.ledger, self.plan_ref, task, error, self.clock.now())
            if isinstance(error, RefusedError | MisconfiguredError | AttentionError):
                raise AirflowFailException(str(error)) from error
            raise
