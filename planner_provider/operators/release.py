"""Giving the locks back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from planner_provider.hooks.settings import load_settings
from planner_provider.ledger.rows import ActRole
from planner_provider.operators.clock import Clock
from planner_provider.operators.frame_task import FrameOperator, FrameTask
from planner_provider.operators.quiet import wait_for_quiet

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


class ReleaseOperator(FrameOperator):
    """Give back all that the run holds, once nothing acts any more.

    It runs whatever happened, also when the plan was changed under way.
    """

    def run_task(self, task: FrameTask, context: Context) -> bool:
        """Release. ``False`` if nothing was held."""
        released = release_locks(task, self.clock)
        self.log.info("The locks are given back." if released else "Nothing was held.")
        return released


def release_locks(task: FrameTask, clock: Clock) -> bool:
    """Let no step begin, wait until nothing acts, give everything back. Harmless if repeated."""
    run = task.ledger.run_of(task.dag_id, task.run_id)
    if run is None or task.ledger.close_lease(run.plan_id, now=clock.now()) is None:
        return False
    wait_for_quiet(
        task.ledger,
        run.plan_id,
        lambda act: act.role is not ActRole.CHECK,
        silence=load_settings().silence,
        actor=task.actor,
        clock=clock,
        tell=log.info,
    )
    return task.ledger.release_lease(run.plan_id, actor=task.actor, now=clock.now())
