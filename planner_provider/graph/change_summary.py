"""What a plan will do, in words, for those who are asked to approve it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from planner_provider.graph.approvals import ChangeProfile, change_profile
from planner_provider.graph.describe import describe_action
from planner_provider.graph.frozen import Frozen
from planner_provider.graph.model import PlanGraph, Task, TaskKind
from planner_provider.spec.kinds import Service
from planner_provider.spec.plan import READ_ONLY_ACTIONS


class ChangeSummary(Frozen):
    """What a plan will do, in words, for those who are asked to approve it."""

    plan: str
    summary: str
    owner: str
    digest: str
    steps: tuple[str, ...] = ()
    """One line a step, in order."""
    touches: tuple[str, ...] = ()
    """One line a resource."""
    rollback: tuple[str, ...] = ()
    """What undoes the steps, last one first."""
    irreversible: tuple[str, ...] = ()
    """Steps that change something and are not undone."""
    runbook: str | None = None
    profile: ChangeProfile = Field(default_factory=ChangeProfile)


def change_summary(graph: PlanGraph, profile: ChangeProfile) -> ChangeSummary:
    """Say what the plan of a graph does. ``graph.digest`` must be there."""
    undos = [task for task in graph.tasks if task.kind is TaskKind.UNDO]
    return ChangeSummary(
        plan=graph.name,
        summary=graph.summary,
        owner=graph.owner,
        digest=graph.digest,
        steps=tuple(_words(task) for task in graph.steps if task.action),
        touches=tuple(f"{item.resource} ({item.mode})" for item in graph.touches),
        rollback=tuple(_words(task) for task in reversed(undos)),
        irreversible=tuple(_words(task) for task in _irreversible(graph)),
        runbook=graph.runbook,
        profile=profile,
    )


def graph_profile(graph: PlanGraph, services: Mapping[str, Service]) -> ChangeProfile:
    """What the risk of the plan of a graph depends on."""
    return change_profile(
        [item.resource for item in graph.touches if item.mode == "exclusive"],
        services,
        changing_steps=sum(_changes(task) for task in graph.steps),
        irreversible_steps=len(_irreversible(graph)),
    )


def _changes(task: Task) -> bool:
    holder = task.action
    return (
        holder is not None
        and not task.leaves_nothing
        and holder.action_name not in READ_ONLY_ACTIONS
    )


def _irreversible(graph: PlanGraph) -> tuple[Task, ...]:
    return tuple(t for t in graph.steps if _changes(t) and graph.undo_of(t.step or "") is None)


def _words(task: Task) -> str:
    return f"{task.step}: {describe_action(task.action) if task.action else task.summary}"
