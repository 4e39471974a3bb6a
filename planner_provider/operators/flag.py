"""Action ``flag``: change a feature flag."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.operators.delivery import caller_of, patience_of, remember_before, told
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.spec.delivery import Flag

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact

CONFIRM_WITHIN = timedelta(minutes=1)
"""Longest wait until the flag's provider says what was set."""


class FlagOperator(PlanStepMixin, BaseOperator):
    """Change a feature flag and read it back.

    The flag is remembered before the change, so that `RollbackOperator` can put it back. Which
    providers there are says ``hooks.flags``. The XCom is ``{outcome, text}``; if there is no plan,
    what was before is in another one, ``before``.

    Args:
        flag: name of the flag (templated).
        action: ``enable``, ``disable``, ``rollout``, ``set`` or ``remove``.
        connection: Airflow Connection of the flag's provider (templated).
        percentage: with ``rollout``, for which share: ``"10%"``, or a fraction from 0 to 1.
        value: with ``set``, the value (templated).
        plan_ref: the plan that this is a step of, if any.

    Raises:
        RefusedError: the provider says no, or somebody else changed the flag meanwhile.
        CheckFailedError: the provider does not show what was set.
        UnavailableError: the provider does not answer.
        MisconfiguredError: the Connection is missing or of no known kind of provider.
    """

    template_fields: Sequence[str] = ("flag", "connection", "value")
    ui_color = "#fde68a"

    def __init__(
        self,
        *,
        flag: str,
        action: str,
        connection: str | None = None,
        percentage: str | float | None = None,
        value: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flag = flag
        self.action = action
        self.connection = connection
        self.percentage = percentage
        self.value = value

    @classmethod
    def from_action(
        cls,
        action: Flag,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for a ``flag`` action of a spec."""
        return cls(
            flag=action.name,
            action=action.action,
            connection=action.connection,
            percentage=action.percentage,
            value=action.value,
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> dict[str, Any]:
        """Remember, change, read back."""
        from planner_provider.hooks.flags import FlagChange
        from planner_provider.hooks.traffic import rendered

        action = rendered(
            Flag, flag_values(self.flag, self.action, self.connection, self.percentage, self.value)
        )
        patience = patience_of(self, CONFIRM_WITHIN)
        change = FlagChange(action, caller_of(self.plan_ref, context), patience)
        before = remember_before(self, context, change.memo)
        done = change.apply(before)
        self.log.info("%s", done.text)
        return told(done)


def flag_values(
    name: str, action: str, connection: str | None, percentage: Any, value: Any
) -> dict[str, Any]:
    """The values of a ``flag`` action, as a spec would say them."""
    if isinstance(percentage, int | float) and not isinstance(percentage, bool):
        percentage = f"{round(percentage * 100, 6):g}%"
    given = {
        "name": name,
        "action": action,
        "connection": connection,
        "percentage": percentage,
        "value": value,
    }
    return {name: value for name, value in given.items() if value is not None}
