"""What of a plan this release cannot run yet.

Such plans compile, so that they can be written and reviewed, and are refused before a run touches
anything. One list for ``planner lint`` and for the task that refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from planner_provider.spec.plan import AVAILABLE_ACTIONS, ActionHolder, Plan

SpecPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A part of a plan that cannot be run yet."""

    path: SpecPath
    what: str
    """The part in words, such as "action `canary` of step `shift`"."""


def unavailable(plan: Plan) -> tuple[Unavailable, ...]:
    """List what keeps this plan from running, in the order of the spec."""
    return tuple(_unavailable(plan))


def _unavailable(plan: Plan) -> Iterator[Unavailable]:
    spec = plan.spec
    if spec.schedule and spec.schedule.calendar:
        yield Unavailable(("spec", "schedule", "calendar"), "a schedule by calendar")
    if spec.guards.slos:
        yield Unavailable(("spec", "guards", "slos"), "SLO guards")
    if spec.guards.budget:
        yield Unavailable(("spec", "guards", "budget"), "an error budget guard")
    if spec.approval and spec.approval.required != "never":
        yield Unavailable(("spec", "approval"), "an approval")
    for index, step in enumerate(spec.steps):
        path: SpecPath = ("spec", "steps", index)
        yield from _holder(step, path, f"step `{step.id}`")
        if step.guards:
            yield Unavailable((*path, "guards"), f"SLO guards of step `{step.id}`")
        if step.rollback == "auto":
            yield Unavailable((*path, "rollback"), f"automatic rollback of step `{step.id}`")
        elif isinstance(step.rollback, ActionHolder):
            yield from _holder(
                step.rollback, (*path, "rollback"), f"the rollback of step `{step.id}`"
            )
    if spec.verify and spec.verify.slos:
        yield Unavailable(("spec", "verify", "slos"), "SLOs in the plan's verify")


def _holder(holder: ActionHolder, path: SpecPath, where: str) -> Iterator[Unavailable]:
    name = holder.action_name
    if name not in AVAILABLE_ACTIONS:
        yield Unavailable((*path, name), f"action `{name}` in {where}")
    elif holder.verify and holder.verify.slos:
        yield Unavailable((*path, name, "slos"), f"SLOs in the verify of {where}")
