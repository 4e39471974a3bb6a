"""A task for what the spec language knows and this release cannot do yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from planner_provider.errors import NotAvailableError
from planner_provider.operators.plan_log import bind_plan
from planner_provider.operators.plan_ref import PlanRef

if TYPE_CHECKING:
    from airflow.sdk import Context


class NotAvailableOperator(BaseOperator):
    """Fails at once and says what is not available. ``assess`` refuses the run long before."""

    def __init__(self, *, plan_ref: PlanRef | None = None, what: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_ref = plan_ref
        self.what = what

    def execute(self, context: Context) -> None:
        """Refuse. Raises ``AirflowFailException``: trying again cannot help."""
        if self.plan_ref is not None:
            bind_plan(self.plan_ref, context["ti"].run_id)
        refusal = NotAvailableError(
            f"{self.what} is not available in this release. Nothing was touched. "
            "Take it out of the plan, or install a release that has it."
        )
        raise AirflowFailException(str(refusal)) from refusal
