"""Taking the locks on everything that a plan touches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner_provider.ledger.authority import version_refusal
from planner_provider.ledger.rows import Hold, Mode
from planner_provider.operators.frame_task import FrameOperator, FrameTask

if TYPE_CHECKING:
    from airflow.sdk import Context


class AcquireOperator(FrameOperator):
    """Take all resources at once, or none. A setup: its teardowns wind the run up.

    :param touches: resource and mode (``exclusive`` or ``shared``). The plan itself is always
        held exclusively besides: two runs of one plan never act at the same time.
    """

    def __init__(self, *, touches: tuple[tuple[str, str], ...] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.touches = touches

    def run_task(self, task: FrameTask, context: Context) -> int:
        """Take the lease; give its generation. Raises ``UnavailableError`` naming the holders."""
        run = task.ledger.run_of(task.dag_id, task.run_id)
        if run is not None:
            refused = version_refusal(task.ref.digest, run)
            if refused:
                raise refused
        holds = [Hold(resource, Mode(mode)) for resource, mode in self.touches]
        holds.append(Hold(f"plan://{task.ref.plan}"))
        plan_id = run.plan_id if run else task.key.plan_id
        lease = task.ledger.take_lease(plan_id, holds, actor=task.actor, now=self.clock.now())
        for hold in lease.holds:
            self.log.info("Holds %s (%s).", hold.resource, hold.mode.value)
        return lease.generation
