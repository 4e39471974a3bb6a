"""The steps that are more than one task, and which."""

from __future__ import annotations

from collections.abc import Mapping

from planner_provider.graph.chunk_parts import chunk_parts
from planner_provider.graph.model import Part
from planner_provider.graph.patch_parts import patch_parts
from planner_provider.spec.delivery import BlueGreen, Canary
from planner_provider.spec.kinds import Team
from planner_provider.spec.plan import ActionHolder
from planner_provider.spec.values import format_duration
from planner_provider.spec.workloads import Backfill, Patch

DEPLOY = "deploy"
SWITCH = "switch"
PROMOTE = "promote"


def parts_of(holder: ActionHolder, teams: Mapping[str, Team] | None = None) -> tuple[Part, ...]:
    """The parts by which an action is done; none where it is one task.

    ``teams`` say who is meant where a part asks for approval.
    """
    action = holder.action
    if isinstance(action, Canary):
        return _canary(action)
    if isinstance(action, BlueGreen):
        return _blue_green(action)
    if isinstance(action, Patch):
        return patch_parts(action, teams or {})
    if isinstance(action, Backfill) and action.chunks is not None:
        return chunk_parts(action)
    return ()


def _canary(action: Canary) -> tuple[Part, ...]:
    every = format_duration(action.analysis.every)
    weights = (
        Part(
            id=f"w{step.weight}",
            summary=f"{step.weight}% of the traffic for {format_duration(step.bake)}, "
            f"judged every {every}",
            weight=step.weight,
            bake=step.bake,
        )
        for step in action.steps
    )
    return (
        Part(id=DEPLOY, summary="Start the new version beside the old one, without traffic"),
        *weights,
        Part(id=PROMOTE, summary="Make the new version the one that serves everybody"),
    )


def _blue_green(action: BlueGreen) -> tuple[Part, ...]:
    judged = ", judged meanwhile" if action.analysis else ""
    return (
        Part(id=DEPLOY, summary="Start the new version beside the old one, without traffic"),
        Part(
            id=SWITCH,
            summary=f"All traffic to the new version, watched for "
            f"{format_duration(action.bake)}{judged}",
            weight=100,
            bake=action.bake,
        ),
        Part(id=PROMOTE, summary="Make the new version the one that stays"),
    )
