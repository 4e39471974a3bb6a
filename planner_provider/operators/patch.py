"""Action ``patch``: a fleet is worked through in waves, with few targets unavailable at once.

One task finds the targets; each wave is a mapped task group, one map index a target, with a gate
after it; a report ends it. ``graph.patch_parts`` lists the parts, ``decide.waves`` says what the
limits mean, docs/patching.md tells how to use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.graph.patch_parts import BEGIN, END, REPORT, TARGETS, entry_of
from planner_provider.operators.patch_gate import GateOperator
from planner_provider.operators.patch_report import ReportOperator
from planner_provider.operators.patch_rollout import Rollout
from planner_provider.operators.patch_targets import TargetsOperator
from planner_provider.operators.patch_turn import BeginTargetOperator, EndTargetOperator
from planner_provider.operators.plan_ref import PlanRef

if TYPE_CHECKING:
    from planner_provider.graph.fleets import ResolvedFleet
    from planner_provider.graph.model import Contact, Part
    from planner_provider.graph.slos import Slo
    from planner_provider.spec.workloads import Patch

GUARDS = ("guard_slos", "guard_budget", "guard_cost")
"""Arguments of what begins something. A target that has begun is not held up half way."""


class PatchPart:
    """The task for one part of a ``patch`` step, or for one thing done to each target."""

    @classmethod
    def from_action(
        cls,
        action: Patch,
        *,
        part: Part,
        plan_ref: PlanRef | None,
        fleets: tuple[ResolvedFleet, ...] = (),
        contacts: tuple[Contact, ...] = (),
        slos: tuple[Slo, ...] = (),
        **base_kwargs: Any,
    ) -> BaseOperator:
        """The operator for a part, as ``graph.patch_parts`` lists them."""
        assert plan_ref is not None, "a rollout is a step of a plan"
        guards = {name: base_kwargs.pop(name) for name in GUARDS if name in base_kwargs}
        rollout = Rollout.of(action, plan_ref.step or "", fleets, part.wave)
        base: dict[str, Any] = {"plan_ref": plan_ref, "rollout": rollout, **base_kwargs}
        if part.id == TARGETS:
            return TargetsOperator(findings=action.findings, **base, **guards)
        if part.id == REPORT:
            return ReportOperator(**base)
        if part.wave is not None:
            between = action.between_waves
            names = frozenset(between.slos)
            return GateOperator(
                bake=between.bake,
                slos=tuple(slo for slo in slos if slo.name in names),
                **base,
            )
        if part.id == BEGIN:
            return BeginTargetOperator(**base, **guards)
        if part.id == END:
            return EndTargetOperator(**base)
        from planner_provider.operators.patch_entries import target_operator

        return target_operator(entry_of(action, part.id), part.id, slos=slos, **base)
