"""The last task of a run: its outcome, and a summary for whoever reads it at night."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from planner_provider.ledger.journal import Journal, StepStatus
from planner_provider.ledger.outcome import Conclusion, RunFacts, conclude
from planner_provider.ledger.rows import (
    Act,
    ActRole,
    Approval,
    ApprovalState,
    Course,
    Outcome,
    PlanRun,
)
from planner_provider.notifications.outbox import send_left
from planner_provider.notifications.plans import Audience, note_end
from planner_provider.operators.cost import RunCost
from planner_provider.operators.failures import Failure, failures
from planner_provider.operators.frame_task import FrameOperator, FrameTask
from planner_provider.operators.outline import StepOutline
from planner_provider.operators.release import release_locks
from planner_provider.operators.tracing import end_trace
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.spec.cost import Cost

NEXT = {
    Outcome.SUCCEEDED: "Nothing.",
    Outcome.ROLLED_BACK: "Mend what stopped the run, then start a new one.",
    Outcome.ROLLBACK_FAILED: (
        "Look now. Either mend what the rollback failed on and clear the task `acquire` with "
        "everything downstream: it tries the rollback again. Or undo by hand what is left."
    ),
    Outcome.FAILED: "Mend what stopped the run, then start a new one.",
    Outcome.REJECTED: "Ask the approver what is missing, change the plan, start a new run.",
    Outcome.EXPIRED: "Start a new run.",
    Outcome.BLOCKED: "Mend what blocked it, or wait until it allows the run; start a new one.",
    Outcome.ABORTED: "Nothing, or start a new run.",
}
RAN_OUT = ("ExpiredError", "WindowClosedError")
"""Classes of error that say that a time ran out before anything was done."""
NEXT_LEFT = (
    "Look whether what is left may stay. To go on with this run, mend what stopped it and clear "
    "the task `acquire` with everything downstream: steps that are done stay done."
)


class FinishOperator(FrameOperator):
    """Write the outcome and fail the run unless the change is in. The teardown of ``begin``.

    ``ledger.outcome`` says what each outcome means.

    :param steps: the steps in the order in which they are done.
    :param verify: task id of the verification after the last step, if there is one.
    :param verify_rollback: task id of the verification after a rollback, if there is one.
    :param front: task ids before the steps, ``begin`` left out.
    :param approvals: task ids that ask for approval.
    :param runbook: where people read on.
    :param audience: who is told how it ended; by default whom the newest compilation names.
    :param cost: what the plan costs, read once more before the outcome is written.
    """

    def __init__(
        self,
        *,
        steps: tuple[StepOutline, ...],
        verify: str | None = None,
        verify_rollback: str | None = None,
        front: tuple[str, ...] = (),
        approvals: tuple[str, ...] = (),
        runbook: str | None = None,
        audience: Audience | None = None,
        cost: Cost | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.steps = steps
        self.verify = verify
        self.verify_rollback = verify_rollback
        self.front = front
        self.approvals = approvals
        self.runbook = runbook
        self.audience = audience
        self.cost = cost

    def run_task(self, task: FrameTask, context: Context) -> None:
        """Write the outcome. Raises ``AirflowFailException`` unless it is ``succeeded``."""
        if release_locks(task, self.clock):
            # `release` does not run when `acquire` ended badly after it took the locks
            self.log.warning("The run still held its locks; they are given back now.")
        run = task.ledger.run_of(task.dag_id, task.run_id)
        plan_id = run.plan_id if run else task.key.plan_id
        journal = Journal(task.ledger.acts_of(plan_id) if run else ())
        found = failures(task.ledger.audit_of(plan_id))
        lease = task.ledger.last_lease(plan_id)
        asked = [task.ledger.approval_of(plan_id, name) for name in self.approvals if run]
        facts = self._facts(
            journal,
            run,
            found,
            _task_states(context),
            lease.course if lease else None,
            {approval.state: approval for approval in asked if approval},
        )
        conclusion = conclude(facts)
        ti = context["ti"]
        ti.xcom_push(key="outcome", value=conclusion.outcome.value)
        ti.xcom_push(key="plan_id", value=plan_id)
        costs = self._costs(task, plan_id)
        now = self.clock.now()
        task.ledger.finish_run(
            run.key if run else task.key,
            conclusion.outcome,
            conclusion.reason,
            actor=task.actor,
            now=now,
        )
        end_trace(task.ledger, plan_id, conclusion)
        for line in self._summary(plan_id, conclusion, journal, _started(run, context), now):
            self.log.info("%s", line)
        if costs:
            self.log.info("Cost: %s", costs)
        note_end(task.ledger, plan_id, now=now, audience=self.audience)
        send_left(task.ledger, now=self.clock.now)
        if conclusion.outcome is not Outcome.SUCCEEDED:
            raise AirflowFailException(f"{conclusion.outcome.value}: {conclusion.reason}")

    def _costs(self, task: FrameTask, plan_id: str) -> str | None:
        """What it costs now, in words. It keeps no run from its end."""
        if self.cost is None:
            return None
        return RunCost(self.cost, task.ledger, plan_id, task.actor, self.clock.now).read_end()

    def _facts(
        self,
        journal: Journal,
        run: PlanRun | None,
        found: dict[str, Failure],
        states: dict[str, str | None],
        course: Course | None,
        approvals: dict[ApprovalState, Approval],
    ) -> RunFacts:
        rejection = approvals.get(ApprovalState.REJECTED)
        skipped = any(
            states.get(task_id) == "skipped"
            for task_id in (*self.front, *(step.task_id for step in self.steps))
        )
        aborted = (run is not None and run.abort_at is not None) or (
            skipped and rejection is None and not found
        )
        why = _stopped(run) if aborted else self._why(journal, found)
        return RunFacts(
            steps=tuple(step.fact(journal) for step in self.steps),
            course=course,
            verified=None if self.verify is None else journal.checked(self.verify),
            rollback_verified=(
                None if self.verify_rollback is None else journal.checked(self.verify_rollback)
            ),
            why=_rejected(rejection) if rejection else why,
            rejected=rejection is not None,
            expired=ApprovalState.EXPIRED in approvals
            or any(f.error in RAN_OUT for f in found.values()),
            aborted=aborted,
            blocked=any(states.get(task_id) != "success" for task_id in self.front),
        )

    def _why(self, journal: Journal, found: dict[str, Failure]) -> str:
        """The first thing that went wrong for good, and what went wrong in undoing."""
        troubles: list[tuple[datetime, str]] = [
            (failure.at, f"{failure.task_id}: {failure.message}") for failure in found.values()
        ]
        undoing: list[str] = []
        judged = {step.step for step in self.steps}
        for act in _last_acts(journal):
            if act.role is ActRole.STEP and act.step not in judged:
                continue  # one of many items: a later part judges whether it matters
            if act.result is None or act.result.value == "done" or act.ended_at is None:
                continue
            detail = str(act.detail).removesuffix(".")
            what = f"{_title(act)} ended {act.result.value} at try {act.try_number}: {detail}."
            if act.role is ActRole.UNDO:
                undoing.append(what)
            else:
                troubles.append((act.ended_at, what))
        first = [text for _, text in sorted(troubles)[:1]]
        return " ".join([*first, *undoing])

    def _summary(
        self,
        plan_id: str,
        conclusion: Conclusion,
        journal: Journal,
        started: datetime | None,
        now: datetime,
    ) -> list[str]:
        begun = {s.step: journal[s.step].status for s in self.steps}
        failed = tuple(s for s, status in begun.items() if status is StepStatus.FAILED)
        never = tuple(s for s, status in begun.items() if status is StepStatus.UNTOUCHED)
        lines = [
            f"===== {plan_id}: {conclusion.outcome.value.upper()} =====",
            conclusion.reason,
            f"Done and in place: {_listed(conclusion.done, 'nothing')}",
            f"Undone: {_listed(tuple(reversed(conclusion.undone)), 'nothing')}",
            f"Left changed: {_listed(conclusion.left, 'nothing')}",
        ]
        if conclusion.unclear:
            lines.append(f"Not clear: {_listed(conclusion.unclear, '')}")
        if failed:
            lines.append(f"Failed: {_listed(failed, '')}")
        lines.append(f"Never begun: {_listed(never, 'none')}")
        if started:
            lasted = timedelta(seconds=max(0, round((now - started).total_seconds())))
            lines.append(f"Took: {format_duration(lasted)}")
        left = conclusion.outcome is Outcome.FAILED and (conclusion.left or conclusion.unclear)
        lines.append(f"Next: {NEXT_LEFT if left else NEXT[conclusion.outcome]}")
        if self.runbook and conclusion.outcome is not Outcome.SUCCEEDED:
            lines.append(f"Runbook: {self.runbook}")
        return lines


def _stopped(run: PlanRun | None) -> str:
    reason = f" {run.abort_reason.rstrip('.')}." if run and run.abort_reason else ""
    who = run.stopped_by if run else "a person"
    return f"{who.capitalize()} stopped the run.{reason}"


def _rejected(approval: Approval) -> str:
    against = [answer for answer in approval.answers if not answer.approve]
    if not against:
        return "It was not approved."
    reason = f": {against[-1].reason}" if against[-1].reason else ""
    return f"{against[-1].user} said no{reason}.".replace("..", ".")


def _last_acts(journal: Journal) -> list[Act]:
    last: dict[tuple[str, ActRole, int], Act] = {}
    for act in journal.acts:
        last[act.step, act.role, act.map_index] = act
    gone = {step for step, state in journal.items() if state.status is StepStatus.DONE}
    return [a for a in last.values() if a.role is not ActRole.STEP or a.step not in gone]


def _title(act: Act) -> str:
    return {
        ActRole.STEP: f"Step {act.step}",
        ActRole.UNDO: f"The undoing of {act.step}",
        ActRole.CHECK: f"The check {act.step}",
    }[act.role]


def _task_states(context: Context) -> dict[str, str | None]:
    ti = context["ti"]
    states: dict[str, dict[str, str | None]] = ti.get_task_states(
        dag_id=ti.dag_id, run_ids=[ti.run_id]
    )
    return states.get(ti.run_id, {})


def _started(run: PlanRun | None, context: Context) -> datetime | None:
    start: datetime | None = getattr(context.get("dag_run"), "start_date", None)
    return start or (run.assessed_at if run else None)


def _listed(names: tuple[str, ...], nothing: str) -> str:
    return ", ".join(names) or nothing
