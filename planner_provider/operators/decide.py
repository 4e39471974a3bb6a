"""The change stays, or it is undone: decided from the journal, when nothing acts any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.skipmixin import SkipMixin

from planner_provider.errors import CheckFailedError, NoAuthorityError
from planner_provider.hooks.settings import load_settings
from planner_provider.ledger.authority import CLEAR_ACQUIRE, version_refusal
from planner_provider.ledger.journal import Journal, StepStatus
from planner_provider.ledger.rows import ActRole, Course, Lease, PlanRun
from planner_provider.operators.cost import RunCost
from planner_provider.operators.failures import record_failure
from planner_provider.operators.frame_task import FrameOperator, FrameTask
from planner_provider.operators.outline import StepOutline
from planner_provider.operators.quiet import wait_for_quiet

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.spec.cost import Cost


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of the change, why, and which teardowns are not needed."""

    course: Course
    reasons: tuple[str, ...]
    undo: tuple[str, ...]
    """Task ids of compensations that must run."""
    skip: tuple[str, ...]
    """Task ids of compensations and of the check after them that need not run."""


class DecideOperator(FrameOperator, SkipMixin):
    """Wait until no step acts, decide, and skip the compensations that are not needed.

    :param steps: the steps in the order in which they are done.
    :param verify: task id of the verification after the last step, if there is one.
    :param verify_rollback: task id of the verification after a rollback, if there is one. It and
        every compensation must be directly downstream of this task, else they cannot be skipped.
    :param cost: what the plan costs, with the limit above which the change does not stay.
    """

    inherits_from_skipmixin = True

    def __init__(
        self,
        *,
        steps: tuple[StepOutline, ...],
        verify: str | None = None,
        verify_rollback: str | None = None,
        cost: Cost | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.steps = steps
        self.verify = verify
        self.verify_rollback = verify_rollback
        self.cost = cost

    def run_task(self, task: FrameTask, context: Context) -> None:
        """Decide. Raises ``SupersededError`` or ``NoAuthorityError``."""
        run = task.ledger.run_of(task.dag_id, task.run_id)
        lease = task.ledger.close_lease(run.plan_id, now=self.clock.now()) if run else None
        if run is None or lease is None:
            raise NoAuthorityError(
                f"The run holds no locks, so there is nothing to decide. {CLEAR_ACQUIRE}."
            )
        self._wait(task, run)
        refused = version_refusal(task.ref.digest, run)
        if refused:
            raise refused
        run = task.ledger.run_of(task.dag_id, task.run_id) or run
        journal = Journal(task.ledger.acts_of(run.plan_id))
        ruling = decide(self.steps, journal, run, lease, self.verify, self.verify_rollback)
        if ruling.course is Course.KEEP and (why := self._too_much(task, run)):
            ruling = decide(
                self.steps, journal, run, lease, self.verify, self.verify_rollback, also=(why,)
            )
        task.ledger.record_course(
            run.plan_id,
            lease.generation,
            ruling.course,
            detail={
                "reasons": list(ruling.reasons),
                "undo": list(ruling.undo),
                "steps": {s.step: journal[s.step].status.value for s in self.steps},
            },
            actor=task.actor,
            now=self.clock.now(),
        )
        self._tell(ruling)
        if ruling.skip:
            unwanted = [self.dag.get_task(task_id) for task_id in ruling.skip]
            self.skip(context["ti"], unwanted)

    def _wait(self, task: FrameTask, run: PlanRun) -> None:
        wait_for_quiet(
            task.ledger,
            run.plan_id,
            lambda act: act.role is not ActRole.CHECK,
            silence=load_settings().silence,
            actor=task.actor,
            clock=self.clock,
            tell=self.log.info,
        )
        parked = {
            act.id: act.alive_at
            for act in task.ledger.acts_of(run.plan_id)
            if act.is_open and act.role is not ActRole.CHECK
        }
        if parked:
            task.ledger.end_silent_acts(run.plan_id, parked, actor=task.actor, now=self.clock.now())

    def _too_much(self, task: FrameTask, run: PlanRun) -> str | None:
        """Why the change costs too much to stay; `finish` finds it as what stopped the run."""
        if self.cost is None:
            return None
        asked = RunCost(self.cost, task.ledger, run.plan_id, task.actor, self.clock.now)
        why = asked.too_much(self.clock)
        if why is not None:
            record_failure(
                task.ledger, self.plan_ref, task, CheckFailedError(why), self.clock.now()
            )
        return why

    def _tell(self, ruling: Ruling) -> None:
        stays = ruling.course is Course.KEEP
        self.log.info("Decision: %s.", "the change stays" if stays else "the change is undone")
        for reason in ruling.reasons:
            self.log.info("- %s", reason)
        if ruling.undo:
            self.log.info("To undo, in this order: %s.", ", ".join(ruling.undo))


def decide(
    steps: tuple[StepOutline, ...],
    journal: Journal,
    run: PlanRun,
    lease: Lease,
    verify: str | None,
    verify_rollback: str | None,
    also: tuple[str, ...] = (),
) -> Ruling:
    """Decide from the journal, and from what else speaks against the change. Pure."""
    reasons = [
        f"step {step.step} is {journal[step.step].status.value}"
        for step in steps
        if journal[step.step].status is not StepStatus.DONE
    ]
    if verify is not None and not journal.checked(verify):
        reasons.append("the verification after the last step did not pass")
    if run.abort_at is not None:
        reasons.append(f"{run.stopped_by} stopped the run")
    reasons += also
    undos: dict[str, list[StepOutline]] = {}
    for step in reversed(steps):
        if step.undo is not None:  # all parts of a step have the same
            undos.setdefault(step.undo, []).append(step)
    if not reasons:
        needless = list(undos)
        return Ruling(
            Course.KEEP,
            ("every step is done" + (" and verified" if verify else ""),),
            undo=(),
            skip=(*needless, *([verify_rollback] if verify_rollback else [])),
        )
    needed = tuple(
        undo
        for undo, parts in undos.items()
        if any(journal[part.step].must_be_undone for part in parts)
    )
    skip = [undo for undo in undos if undo not in needed]
    if verify_rollback and not needed:
        skip.append(verify_rollback)
    return Ruling(Course.UNDO, tuple(reasons), undo=needed, skip=tuple(skip))
