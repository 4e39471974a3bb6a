"""``rollback: auto`` of a patch rollout: each target is undone, the last one first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import CheckFailedError, PlannerError
from planner_provider.graph.patch_parts import undo_ids
from planner_provider.hooks.settings import open_ledger
from planner_provider.operators.patch_entries import target_operator
from planner_provider.operators.patch_rollout import LABELS, UNDONE, Rollout, TargetView
from planner_provider.operators.patch_tidy import take_our_cordons_away
from planner_provider.operators.plan_step import PlanStepMixin

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.fleets import ResolvedFleet
    from planner_provider.graph.model import Contact
    from planner_provider.graph.slos import Slo
    from planner_provider.ledger.rows import WorkItem
    from planner_provider.operators.plan_ref import PlanRef
    from planner_provider.spec.workloads import Patch

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class PatchUndoOperator(PlanStepMixin, BaseOperator):
    """Take our cordons away, then undo what was done to each target that was begun.

    One target after the other, the one that was begun last first. What is undone is remembered, so
    that another try goes on where this one ended. One that cannot be undone does not keep the
    others from it. The XCom is the list of the targets that were undone.

    Args:
        rollout: the patch step.
        action: its spec.
        slos: the SLOs that the plan names.
        plan_ref: the plan that this undoes a step of.

    Raises:
        CheckFailedError: some targets could not be undone; the message says which, and why.
    """

    ui_color = "#fecaca"

    def __init__(
        self, *, rollout: Rollout, action: Patch, slos: tuple[Slo, ...] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout
        self.action = action
        self.slos = slos

    @classmethod
    def from_action(
        cls,
        action: Patch,
        *,
        plan_ref: PlanRef | None,
        fleets: tuple[ResolvedFleet, ...] = (),
        contacts: tuple[Contact, ...] = (),
        slos: tuple[Slo, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator that undoes such a step of a spec."""
        assert plan_ref is not None, "a rollout is a step of a plan"
        rollout = Rollout.of(action, plan_ref.step or "", fleets)
        return cls(rollout=rollout, action=action, slos=slos, plan_ref=plan_ref, **base_kwargs)

    def act(self, context: Context) -> list[str]:
        """Undo."""
        plan_id = self.plan_id(context)
        assert plan_id is not None, "a rollout is a step of a plan"
        for told in take_our_cordons_away(self.rollout, plan_id):
            self.log.info("%s.", told)
        begun = [item for item in self.rollout.items(plan_id) if item.started_at is not None]
        begun.sort(key=lambda item: (item.started_at or _LONG_AGO, item.position), reverse=True)
        undone: list[str] = []
        failed: list[str] = []
        for item in begun:
            try:
                self._undo(item, context)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are undone
                told = str(error) if isinstance(error, PlannerError) else repr(error)
                self.log.error("%s could not be undone: %s", item.item, told)
                failed.append(f"{item.item}: {told}")
            else:
                undone.append(item.item)
        if failed:
            raise CheckFailedError(
                f"{len(failed)} of {len(begun)} targets could not be undone: {'; '.join(failed)}"
            )
        self.log.info("%d targets are undone.", len(undone))
        return undone

    def _undo(self, item: WorkItem, context: Context) -> None:
        done = int(item.facts.get(UNDONE, 0))
        for number, (name, entry) in enumerate(undo_ids(self.action)):
            if number < done:
                continue
            self.log.info("Undoing %s: %s.", item.item, name)
            operator: Any = target_operator(
                entry,
                name,
                slos=self.slos,
                task_id=f"{item.position}-{name}",
                rollout=self.rollout,
                plan_ref=self.plan_ref,
            )
            operator.be_about(item)
            operator._acting = self._acting  # it is part of this act
            seen: Any = {
                **context,
                "ti": _TaskOfTarget(context["ti"], f"{self.task_id}.{name}", item.position),
                "target": TargetView(item.item, item.facts.get(LABELS, {}), item.wave or 0),
            }
            operator.render_template_fields(seen)
            operator.act(seen)
            open_ledger().move_item(
                item.plan_id, item.step, item.item, item.state, detail=item.detail,
                facts={UNDONE: number + 1}, now=self.clock.now(),
            )  # fmt: skip


class _TaskOfTarget:
    """The running task, as if each target had one: what idempotency keys are made of."""

    def __init__(self, ti: Any, task_id: str, map_index: int) -> None:
        self._ti = ti
        self.task_id = task_id
        self.map_index = map_index

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ti, name)
