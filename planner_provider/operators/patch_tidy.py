"""What must happen after a patch rollout however it ended: no cordon of ours stays, and a report.

A teardown like `release`: it comes also when the run was stopped, failed, or was marked by hand,
where no task of the rollout comes any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from planner_provider.graph.patch_parts import REPORT
from planner_provider.hooks.settings import load_settings
from planner_provider.ledger.journal import PART, Journal, StepStatus
from planner_provider.ledger.rows import ActRole, ItemState
from planner_provider.operators.frame_task import FrameOperator, FrameTask
from planner_provider.operators.patch_rollout import UNDONE, Rollout
from planner_provider.operators.quiet import wait_for_quiet

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.hooks.nodes import Node

CUT_OFF = "the run ended before it was done with this target"


class PatchTidyOperator(FrameOperator):
    """Take the cordons of this run away, settle what was cut off, and report if nobody has.

    :param rollout: the patch step.
    """

    def __init__(self, *, rollout: Rollout, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout

    def run_task(self, task: FrameTask, context: Context) -> dict[str, Any] | None:
        """Tidy up. Raises ``UnavailableError`` while the cluster does not answer."""
        from planner_provider.decide.compliance import markdown
        from planner_provider.operators.patch_report import write_report

        run = task.ledger.run_of(task.dag_id, task.run_id)
        plan_id = run.plan_id if run else task.key.plan_id
        items = self.rollout.items(plan_id)
        if not any(item.started_at for item in items):
            self.log.info("No target was begun: nothing to tidy up.")
            return None
        wait_for_quiet(
            task.ledger,
            plan_id,
            lambda act: act.role is not ActRole.CHECK and act.step.startswith(self.rollout.step),
            silence=load_settings().silence,
            actor=task.actor,
            clock=self.clock,
            tell=self.log.info,
        )
        for told in take_our_cordons_away(self.rollout, plan_id):
            self.log.info("%s.", told)
        for item in items:
            if item.state is ItemState.ACTING:
                task.ledger.end_target(
                    plan_id, item.step, item.item, ItemState.FAILED, detail=CUT_OFF,
                    available=False, actor=task.actor, now=self.clock.now(),
                )  # fmt: skip
        name = PART.join((self.rollout.step, REPORT))
        reported = Journal(task.ledger.acts_of(plan_id))[name].status
        undone = any(UNDONE in item.facts for item in items)
        if reported is StepStatus.DONE and not undone:
            return None
        report = write_report(self.rollout, plan_id, actor=task.actor, now=self.clock.now())
        context["ti"].xcom_push(key="markdown", value=markdown(report))
        return report.model_dump(mode="json", exclude_defaults=True)


def take_our_cordons_away(rollout: Rollout, plan_id: str) -> Iterator[str]:
    """Uncordon every node that this run has cordoned, also those that the fleet no longer has.

    Gives what was done to each, in words.
    """
    selector = rollout.fleet.kubernetes_nodes
    if selector is None:
        return
    from planner_provider.hooks.nodes import cordons_of, node_of

    ours, foreign = cordons_of(selector, plan_id)
    begun = {item.item for item in rollout.items(plan_id) if item.started_at is not None}
    for name in sorted({*ours, *begun} - set(foreign)):
        node: Node = node_of(selector, name, plan_id)
        state = node.find()
        if state is not None and state.cordoned_by == plan_id:
            yield node.uncordon()
    for name in foreign:
        yield f"{name} is cordoned by somebody else; that cordon stays"
