"""The first task of a run: may it start at all, and which version of the plan does it run?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from planner_provider.errors import NotAvailableError
from planner_provider.graph.approvals import parameters_digest
from planner_provider.operators.frame_task import FrameOperator, FrameTask
from planner_provider.operators.run_parameters import parameters_of
from planner_provider.operators.tracing import keep_trace

if TYPE_CHECKING:
    from airflow.sdk import Context


class AssessOperator(FrameOperator):
    """Refuse what cannot run, before anything is touched; bind the run to its version.

    :param unavailable: what the plan asks for and this release cannot do, in words.
    :param ttl: how long the decision to run stays valid; ``None`` for ever.
    :param approvals: task ids of the approvals that must be granted before any step acts.
    """

    def __init__(
        self,
        *,
        unavailable: tuple[str, ...] = (),
        ttl: timedelta | None = None,
        approvals: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.unavailable = unavailable
        self.ttl = ttl
        self.approvals = approvals

    def run_task(self, task: FrameTask, context: Context) -> dict[str, str]:
        """Bind the run. Raises ``NotAvailableError`` or ``SupersededError``."""
        if self.unavailable:
            raise NotAvailableError(
                f"This release cannot do what plan {task.ref.plan} asks for: "
                f"{'; '.join(self.unavailable)}. Nothing was touched. Take it out of the plan, or "
                "install a release that has it."
            )
        from airflow.sdk.log import redact

        now, values = self.clock.now(), parameters_of(context)
        run = task.ledger.pin_run(
            task.key,
            expires_at=now + self.ttl if self.ttl else None,
            parameters={name: redact(value, name) for name, value in values.items()},
            approvals=self.approvals,
            parameters_sha=parameters_digest(values),
            requester=getattr(context.get("dag_run"), "triggering_user_name", None),
            actor=task.actor,
            now=now,
        )
        keep_trace(task.ledger, run.plan_id)
        self.log.info("Run %s is bound to version %s.", run.plan_id, run.key.digest[:8])
        if run.expires_at:
            self.log.info("No step may begin after %s.", run.expires_at.isoformat())
        return {"plan_id": run.plan_id, "digest": run.key.digest}
