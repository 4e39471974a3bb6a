"""Action ``deploy``: change a service in place and wait until it is rolled out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.operators.delivery import (
    PROGRESS_DEADLINE,
    Given,
    as_json,
    release_of,
    remember_before,
    told,
)
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.spec.delivery import Deploy

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact


class DeployOperator(PlanStepMixin, BaseOperator):
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

    template_fields: Sequence[str] = ("target", "change")
    template_fields_renderers = {"target": "json", "change": "json"}  # noqa: RUF012
    ui_color = "#fde68a"

    def __init__(
        self,
        *,
        target: Given,
        change: Given,
        progress_deadline: timedelta = PROGRESS_DEADLINE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = as_json(target)
        self.change = as_json(change)
        self.progress_deadline = progress_deadline

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
        release = release_of(
            self,
            context,
            target=self.target,
            change=self.change,
            progress_deadline=self.progress_deadline,
        )
        remember_before(self, context, release.memo)
        done = release.deploy()
        self.log.info("%s", done.text)
        return told(done)
