"""When a run is over before its steps are: telling the ledger, and telling why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from planner_provider.errors import AbortedError, FailingRunError, PlannerError, RefusedError
from planner_provider.hooks.settings import open_ledger
from planner_provider.operators.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

ABORT = "abort"
"""Key in the event of a trigger: since when there is no use in waiting on."""


def stop_told(event: Any) -> bool:
    """Whether a trigger ended because the run was stopped, or is failing."""
    return isinstance(event, dict) and ABORT in event


def stopped_error(plan_id: str | None, event: dict[str, Any], then: str) -> RefusedError:
    """Why a task need not wait on, as the error that ends it.

    ``then`` says in words what that means for the task: "the gate stays closed".
    """
    run = open_ledger().run(plan_id) if plan_id is not None else None
    if run is not None and run.abort_at is None and run.failing_at is not None:
        return FailingRunError(
            f"Step {', '.join(run.failing_steps)} of this run failed for good at "
            f"{run.failing_at:%H:%M:%S} UTC and the run is rolled back, so {then}."
        )
    known = run.abort_at if run is not None else None
    at = known or datetime.fromisoformat(event[ABORT]).astimezone(UTC)
    why = f" ({run.abort_reason})" if run is not None and run.abort_reason else ""
    who = run.stopped_by if run is not None else "a person"
    return AbortedError(
        f"{who.capitalize()} stopped this run at {at:%H:%M:%S} UTC{why}, so {then}."
    )


def callbacks_of_step(given: Any) -> list[Callable[..., Any]]:
    """What is called when a step fails for good: ``note_failure``, and what was given."""
    others = list(given) if isinstance(given, Iterable) else [given] if given is not None else []
    return [note_failure, *(callback for callback in others if callback is not note_failure)]


def note_failure(context: Context) -> None:
    """Airflow calls this when a step will not be tried again: the ledger is told.

    Steps beside it that are deferred end, and none begins any more, so that the rollback need not
    wait for them.
    """
    task: Any = context["task"]
    if not task.failure_ends_run or task.plan_ref is None:
        return
    ti = context["ti"]
    step = task.plan_ref.step or ti.task_id
    try:
        open_ledger().record_failing(
            ti.dag_id,
            ti.run_id,
            step,
            actor=f"task:{ti.task_id}#{ti.try_number}",
            now=SYSTEM_CLOCK.now(),
        )
    except PlannerError as error:
        log.warning("That step %s failed for good could not be written down: %s", step, error)
