"""Taking the locks on everything that a plan touches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from planner_provider.errors import AbortedError, RefusedError
from planner_provider.hooks.settings import load_settings
from planner_provider.ledger.authority import version_refusal
from planner_provider.ledger.contention import conflict_text
from planner_provider.ledger.rows import Hold, Lease, Mode, PlanRun, Waiting
from planner_provider.notifications.outbox import send_left
from planner_provider.notifications.plans import Audience, note_start
from planner_provider.operators.cost import RunCost
from planner_provider.operators.frame_task import FrameOperator, FrameTask
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.spec.cost import Cost

WAIT = timedelta(hours=4)
"""How long is waited for other runs at most, unless something else is given."""
IN_WORKER = timedelta(seconds=10)
"""How long the worker waits before the task is deferred."""
LOOK_SECONDS = 1.0
FIRST_EVENT = timedelta(seconds=4)
"""The trigger may say nothing sooner after a deferral; see ``triggers.locks``."""
GRACE = timedelta(minutes=10)
"""How much later than its trigger Airflow itself gives up."""


class LocksHeldError(RefusedError):
    """Other runs held what the plan touches for as long as it may wait."""


class AcquireOperator(FrameOperator):
    """Take all resources at once, or none. A setup: its teardowns wind the run up.

    While another run is in the way it waits in a queue, in order of arrival: a short time on the
    worker, then deferred. Nobody who came later and wants something that conflicts gets it first.

    :param touches: resource and mode (``exclusive`` or ``shared``). The plan itself is always
        held exclusively besides: two runs of one plan never act at the same time.
    :param wait: how long to wait at most, from the first try; zero for one look.
    :param audience: who is told that the run begins to act, if they want to hear of it; by default
        whom the newest compilation names.
    :param cost: what the plan costs, read once the run holds its locks, before anything is changed.
    """

    def __init__(
        self,
        *,
        touches: tuple[tuple[str, str], ...] = (),
        wait: timedelta = WAIT,
        audience: Audience | None = None,
        cost: Cost | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.audience = audience
        self.cost = cost
        self.touches = touches
        self.wait = wait

    def run_task(self, task: FrameTask, context: Context) -> int:
        """Take the lease; give its generation, which is the fencing token of its acts.

        Raises ``LocksHeldError``, ``AbortedError``, ``SupersededError`` or ``NoAuthorityError``.
        """
        run = task.ledger.run_of(task.dag_id, task.run_id)
        plan_id = self._checked(task, run)
        end = self.clock.monotonic() + IN_WORKER.total_seconds()
        told: tuple[str, ...] | None = None
        while True:
            now = self.clock.now()
            task.ledger.reap(now=now, actor=task.actor, silence=load_settings().silence)
            answer = task.ledger.ask_for_lease(
                plan_id, self._holds(task), actor=task.actor, now=now
            )
            if isinstance(answer, Lease):
                note_start(task.ledger, plan_id, now=now, audience=self.audience)
                send_left(task.ledger, now=self.clock.now)
                if self.cost is not None:
                    RunCost(
                        self.cost, task.ledger, plan_id, task.actor, self.clock.now
                    ).read_start()
                return self._taken(answer)
            in_the_way = tuple(dict.fromkeys(b.plan_id for b in answer.blockers))
            if in_the_way != told:
                told = in_the_way
                self._tell(answer, now)
            left = answer.waiter.since + self.wait - now
            if left <= timedelta(0):
                task.ledger.leave_queue(plan_id)
                raise LocksHeldError(
                    f"Other runs hold what this plan touches, and it waits for that "
                    f"{format_duration(self.wait)} at most. Nothing was locked, nothing was "
                    f"touched. {conflict_text(answer.blockers, now)}. Look whether those runs "
                    "still go on (`planner locks`); then start a new run."
                )
            if self.clock.monotonic() >= end and left > IN_WORKER:
                self._defer(plan_id, answer.waiter.since + self.wait)
            self.clock.sleep(min(LOOK_SECONDS, left.total_seconds()))

    def asked(self, context: Context, event: dict[str, Any] | None = None) -> int:
        """Go on after the deferral: the locks look free, or the wait is over."""
        task = self.frame_task(context)
        abort = (event or {}).get("abort")
        if abort is not None:
            run = task.ledger.run_of(task.dag_id, task.run_id)
            task.ledger.leave_queue(run.plan_id if run else task.key.plan_id)
            raise AbortedError(
                f"The run was stopped by a person at {abort} while it waited for its locks. "
                "Nothing was touched."
            )
        return self.run_task(task, context)

    def _checked(self, task: FrameTask, run: PlanRun | None) -> str:
        if run is None:
            return task.key.plan_id
        refused = version_refusal(task.ref.digest, run)
        if refused:
            raise refused
        return run.plan_id

    def _holds(self, task: FrameTask) -> list[Hold]:
        holds = [Hold(resource, Mode(mode)) for resource, mode in self.touches]
        return [*holds, Hold(f"plan://{task.ref.plan}")]

    def _taken(self, lease: Lease) -> int:
        for hold in lease.holds:
            self.log.info("Holds %s (%s).", hold.resource, hold.mode.value)
        self.log.info("Fencing token: %d.", lease.generation)
        return lease.generation

    def _tell(self, waiting: Waiting, now: datetime) -> None:
        place = "next" if not waiting.ahead else f"behind {waiting.ahead} other(s) that wait"
        self.log.info("Waits, %s: %s.", place, conflict_text(waiting.blockers, now))

    def _defer(self, plan_id: str, deadline: datetime) -> None:
        from planner_provider.triggers.locks import LocksTrigger

        self.log.info(
            "Waits on without holding a worker, until %s at the latest.", deadline.isoformat()
        )
        moment = datetime.now(UTC)
        self.defer(
            trigger=LocksTrigger(
                plan_id=plan_id,
                deadline=deadline.isoformat(),
                not_before=(moment + FIRST_EVENT).isoformat(),
            ),
            method_name="asked",
            timeout=max(deadline - moment, timedelta(0)) + GRACE,
        )
