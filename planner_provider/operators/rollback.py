"""``rollback: auto``: put back what a step changed, as it was remembered before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import RefusedError
from planner_provider.operators.delivery import (
    BEFORE,
    PROGRESS_DEADLINE,
    Given,
    as_json,
    caller_of,
    patience_of,
    release_of,
)
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.spec.delivery import BlueGreen, Canary, Deploy, Flag, Scale, Target

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact
    from planner_provider.hooks.traffic import Done

FIRST_PART = "deploy"
"""The part of a step in which what was before is remembered."""
PART = "/"


class RollbackOperator(PlanStepMixin, BaseOperator):
    """Put back what a step changed: all traffic on the old version first, then everything else.

    Reads what the step remembered before its first change, brings the world back to that and
    confirms it. A step that remembered nothing changed nothing, so nothing is done. What somebody
    else changed since is left alone, and the operator fails. It may be tried again and again.
    The XCom is ``{outcome, text}``.

    Args:
        target: what was changed, as for the operator that did (templated).
        change: what it was changed to, as for that operator (templated).
        traffic: how its traffic is set, as for that operator.
        flag: arguments of a ``flag`` action, in place of the other three.
        scale: arguments of a ``scale`` action; needs ``target``.
        memo: what was before; in a DAG written by hand the XCom ``before`` of the other task
            (templated). In a plan it comes from the ledger.
        progress_deadline: longest wait for the roll-out.
        plan_ref: the plan that this undoes a step of, if any.

    Raises:
        RefusedError: somebody else changed it since, or the memo is about something else.
        CheckFailedError: it did not come back in time; the message names pod, condition, event.
        UnavailableError, MisconfiguredError: as the operator that changed it.
    """

    template_fields: Sequence[str] = ("target", "change", "memo")
    template_fields_renderers = {"target": "json", "change": "json", "memo": "json"}  # noqa: RUF012
    ui_color = "#fecaca"

    def __init__(
        self,
        *,
        target: Given | None = None,
        change: Given | None = None,
        traffic: Given | None = None,
        flag: Given | None = None,
        scale: Given | None = None,
        memo: Any = None,
        progress_deadline: timedelta = PROGRESS_DEADLINE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = as_json(target)
        self.change = as_json(change)
        self.traffic = as_json(traffic)
        self.flag = as_json(flag)
        self.scale = as_json(scale)
        self.memo = memo
        self.progress_deadline = progress_deadline

    @classmethod
    def from_action(
        cls,
        action: Canary | BlueGreen | Deploy | Flag | Scale,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator that undoes such an action of a spec."""
        base: dict[str, Any] = {"plan_ref": plan_ref, **base_kwargs}
        if isinstance(action, Flag):
            return cls(flag=action, **base)
        if isinstance(action, Scale):
            return cls(target=action.target, scale=action, **base)
        if isinstance(action, Deploy):
            deadline = action.progress_deadline
            return cls(
                target=action.target, change=action.change, progress_deadline=deadline, **base
            )
        return cls(target=action.target, change=action.change, traffic=action.traffic, **base)

    def act(self, context: Context) -> dict[str, Any]:
        """Put it back, if anything was changed."""
        memo = self._memo(context)
        if memo is None:
            text = "Nothing was remembered, so the step changed nothing: nothing to put back."
            self.log.info("%s", text)
            return {"outcome": "already so", "text": text}
        done = self._put_back(context, memo)
        self.log.info("%s", done.text)
        return {"outcome": done.outcome.value, "text": done.text}

    def _put_back(self, context: Context, memo: dict[str, Any]) -> Done:
        from planner_provider.hooks.traffic import rendered

        caller = caller_of(self.plan_ref, context)
        patience = patience_of(self, self.progress_deadline)
        if self.flag:
            from planner_provider.hooks.flags import FlagChange
            from planner_provider.operators.flag import flag_values

            said = self.flag
            values = flag_values(
                said["name"],
                said["action"],
                said.get("connection"),
                said.get("percentage"),
                said.get("value"),
            )
            return FlagChange(rendered(Flag, values), caller, patience).restore(memo)
        if self.scale:
            from planner_provider.hooks.scaling import scaler_for

            action = rendered(Scale, {**self.scale, "target": self.target})
            scaler = scaler_for(rendered(Target, self.target), caller, patience)
            return unscale(action, scaler, memo)
        release = release_of(
            self,
            context,
            target=self.target,
            change=self.change,
            traffic=self.traffic,
            progress_deadline=self.progress_deadline,
        )
        return release.restore(memo)

    def _memo(self, context: Context) -> dict[str, Any] | None:
        memo = self.memo
        if memo is None and self.plan_ref is not None and self.plan_ref.step:
            step = self.plan_ref.step
            for name in (step, f"{step}{PART}{FIRST_PART}"):
                memo = memo or self.remembered(context, BEFORE, step=name)
        if isinstance(memo, str):  # a template gives text
            memo = _parsed(memo)
        if memo is not None and not isinstance(memo, Mapping):
            raise RefusedError(f"The memo must be what a step remembered, not {memo!r}")
        return None if memo is None else dict(memo)


def unscale(action: Scale, scaler: Any, memo: dict[str, Any]) -> Done:
    """Set the replicas as they were remembered."""
    from planner_provider.hooks.traffic.release import already_so, changed
    from planner_provider.operators.scale import refuse_meddling, wanted_of

    if memo.get("name") != scaler.name:
        raise RefusedError(
            f"What was remembered is about {memo.get('name')}, not about {scaler.name}; nothing "
            "was put back"
        )
    before = int(memo["replicas"])
    try:
        wanted = wanted_of(action, before, scaler.name)
    except RefusedError:
        wanted = before  # the step refused it too, so it changed nothing
    refuse_meddling(scaler, before, wanted)
    was = scaler.set(before)
    text = f"{scaler.name}: {before} replicas as before. {scaler.confirm(before)}"
    return changed(text) if was else already_so(text)


def _parsed(text: str) -> Any:
    import ast
    import json

    stripped = text.strip()
    if stripped in ("", "None", "null"):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            return read(stripped)
        except (ValueError, SyntaxError):
            continue
    raise RefusedError("The memo is neither JSON nor what a task's XCom looks like; give `before`")
