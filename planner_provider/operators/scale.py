"""Action ``scale``: change how many replicas a service has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import NotAvailableError, RefusedError
from planner_provider.operators.delivery import (
    PROGRESS_DEADLINE,
    Given,
    as_json,
    caller_of,
    patience_of,
    remember_before,
)
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.spec.delivery import Scale, Target

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact
    from planner_provider.hooks.scaling import Scaler


class ScaleOperator(PlanStepMixin, BaseOperator):
    """Change how many replicas a service has, and wait until they are there.

    A relative change counts from what there was before the step's first try, however often it is
    tried. The XCom is ``{before, after, outcome, text}``, with numbers of replicas; if there is no
    plan, the XCom ``before`` is for a rollback.

    Args:
        target: what is scaled: ``{"kubernetes": {...}}`` or ``{"http": {...}}`` (templated).
        replicas: how many there shall be.
        by: a relative change in place of ``replicas``: ``+3``, ``-1``, ``+50%``. Shares are
            rounded so that more replicas remain.
        max_replicas: never more than this. A relative change is cut down to it.
        cost_cap_per_hour: refused for now: there is no source of prices.
        progress_deadline: longest wait for the replicas.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        RefusedError: above ``max_replicas``, fewer than one by a relative change, an autoscaler,
            or somebody else scaled meanwhile.
        CheckFailedError: the replicas were not there in time.
        UnavailableError, MisconfiguredError: as `DeployOperator`.
    """

    template_fields: Sequence[str] = ("target",)
    template_fields_renderers = {"target": "json"}  # noqa: RUF012
    ui_color = "#fde68a"

    def __init__(
        self,
        *,
        target: Given,
        replicas: int | None = None,
        by: str | None = None,
        max_replicas: int | None = None,
        cost_cap_per_hour: float | None = None,
        progress_deadline: timedelta = PROGRESS_DEADLINE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = as_json(target)
        self.replicas = replicas
        self.by = by
        self.max_replicas = max_replicas
        self.cost_cap_per_hour = cost_cap_per_hour
        self.progress_deadline = progress_deadline

    @classmethod
    def from_action(
        cls,
        action: Scale,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for a ``scale`` action of a spec."""
        return cls(
            target=action.target,
            replicas=action.replicas,
            by=action.by,
            max_replicas=action.max_replicas,
            cost_cap_per_hour=action.cost_cap_per_hour,
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> dict[str, Any]:
        """Remember, scale, wait."""
        from planner_provider.hooks.scaling import scaler_for
        from planner_provider.hooks.traffic import Outcome, rendered

        action = rendered(Scale, self._settings())
        if action.cost_cap_per_hour is not None:
            raise NotAvailableError(
                "`cost_cap_per_hour` is given, but there is no source of prices, so it is not "
                "known what the change would cost. Nothing was changed. Use `max_replicas`, or "
                "take the cap out"
            )
        target = rendered(Target, self.target)
        patience = patience_of(self, self.progress_deadline)
        scaler = scaler_for(target, caller_of(self.plan_ref, context), patience)
        before = remember_before(self, context, lambda: memo_of(scaler))
        wanted = wanted_of(action, int(before["replicas"]), scaler.name)
        refuse_meddling(scaler, int(before["replicas"]), wanted)
        was = scaler.set(wanted)
        text = f"{scaler.name}: {before['replicas']} to {wanted} replicas. {scaler.confirm(wanted)}"
        self.log.info("%s", text)
        outcome = Outcome.CHANGED if was else Outcome.ALREADY_SO
        return {
            "before": before["replicas"],
            "after": wanted,
            "outcome": outcome.value,
            "text": text,
        }

    def _settings(self) -> dict[str, Any]:
        names = ("replicas", "by", "max_replicas", "cost_cap_per_hour")
        given = {name: getattr(self, name) for name in names}
        return {
            "target": self.target,
            **{name: value for name, value in given.items() if value is not None},
        }


def memo_of(scaler: Scaler) -> dict[str, Any]:
    """What there is before the change."""
    return {"kind": "replicas", "name": scaler.name, "replicas": scaler.read()}


def wanted_of(action: Scale, before: int, name: str) -> int:
    """How many replicas there shall be. Raises ``RefusedError`` where that makes no sense."""
    from planner_provider.hooks.scaling import replicas_after

    most = action.max_replicas
    if action.replicas is not None:
        if most is not None and action.replicas > most:
            raise RefusedError(
                f"{name} shall get {action.replicas} replicas, and `max_replicas` is {most}. "
                "Nothing was changed"
            )
        return action.replicas
    assert action.by is not None, "the spec model asks for one of the two"
    wanted = replicas_after(before, action.by)
    if wanted < 1:
        raise RefusedError(
            f"{name} has {before} replicas; {action.by} would leave {wanted}. Nothing was changed. "
            "To stop a service, say `replicas: 0`"
        )
    if most is not None and wanted > most:
        if before >= most:
            raise RefusedError(
                f"{name} has {before} replicas already, and `max_replicas` is {most}. Nothing was "
                "changed"
            )
        return most
    return wanted


def refuse_meddling(scaler: Scaler, before: int, wanted: int) -> None:
    """Raise ``RefusedError`` if there are neither as many as before nor as many as wanted."""
    now = scaler.read()
    if now not in (before, wanted):
        raise RefusedError(
            f"{scaler.name} had {before} replicas when this step began, which changes that to "
            f"{wanted}; now it has {now}. Somebody else scales it, so it was left alone"
        )
