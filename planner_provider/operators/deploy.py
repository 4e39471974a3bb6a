"""Action ``deploy``: change a service in place and wait until it is rolled out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from planner_provider.operators.delivery import remember_before, told
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.release_task import ChangeTask
from planner_provider.spec.delivery import Deploy

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact


class DeployOperator(ChangeTask):
    """Change what a service runs, and wait until it is rolled out.

    What it ran before is remembered before the change, so that `RollbackOperator` can put it back.
    Where the change is in already, nothing is done. The XCom is ``{outcome, text}``; if there is
    no plan, what was before is in another one, ``before``.

    Args:
        target: what is changed: ``{"kubernetes": {...}}`` or ``{"http": {...}}`` (templated).
        change: ``image``, ``version``, ``env``, ``patch`` (templated).
        progress_deadline: longest wait for the roll-out.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        CheckFailedError: it was not rolled out in time; the message names pod, condition, event.
        RefusedError: the other side, or a conflicting change of somebody else, says no.
        UnavailableError: the other side does not answer.
        MisconfiguredError: the Connection is missing, or its credentials are not good.
    """

    @classmethod
    def from_action(
        cls,
        action: Deploy,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for a ``deploy`` action of a spec."""
        return cls(
            target=action.target,
            change=action.change,
            progress_deadline=action.progress_deadline,
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> dict[str, Any]:
        """Remember, change, wait."""
        release = self.release(context)
        remember_before(self, context, release.memo)
        done = release.deploy()
        self.log.info("%s", done.text)
        return told(done)
