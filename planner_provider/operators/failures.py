"""Why a task of a plan failed, written where ``finish`` finds it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from planner_provider.errors import PlannerError
from planner_provider.operators.plan_ref import PlanRef

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger
    from planner_provider.ledger.rows import AuditEntry, Claim

log = logging.getLogger(__name__)

WHAT = "task.failed"
ASSESSED = "run.assessed"


class _Failing(Protocol):
    """What is needed of a task; ``Claim`` has it too."""

    @property
    def dag_id(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def actor(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that failed, the last time it did."""

    task_id: str
    error: str
    """Name of the exception's class."""
    message: str
    at: datetime


def record_failure(
    ledger: Ledger, ref: PlanRef, task: _Failing, error: BaseException, now: datetime
) -> None:
    """Write the failure into the audit trail. If that fails too, the log has it."""
    try:
        run = ledger.run_of(task.dag_id, task.run_id)
        ledger.record(
            WHAT,
            plan_id=run.plan_id if run else ref.plan_id(task.run_id),
            actor=task.actor,
            detail={"error": type(error).__name__, "message": str(error)},
            now=now,
        )
    except PlannerError as unwritten:
        log.warning("The failure of this task could not be written down: %s", unwritten)


def record_closed(
    ledger: Ledger, ref: PlanRef, claim: Claim, error: BaseException, now: datetime
) -> None:
    """Write down from what it was decided that a window is closed, if that is the error."""
    from planner_provider.ledger.windows import WindowClosedError

    if not isinstance(error, WindowClosedError) or error.decision is None:
        return
    try:
        ledger.record_decision(
            error.decision,
            plan_id=ref.plan_id(claim.run_id),
            step=claim.step,
            actor=claim.actor,
            now=now,
        )
    except PlannerError as unwritten:
        log.warning("The decision about the window could not be written down: %s", unwritten)


def failures(entries: Iterable[AuditEntry]) -> dict[str, Failure]:
    """The last failure of each task since the run was last assessed, by task id, oldest first."""
    found: dict[str, Failure] = {}
    for entry in entries:
        if entry.what == ASSESSED:
            found.clear()
        elif entry.what == WHAT:
            task_id = entry.actor.removeprefix("task:").partition("#")[0]
            found.pop(task_id, None)
            found[task_id] = Failure(
                task_id, entry.detail["error"], entry.detail["message"], entry.at
            )
    return found
