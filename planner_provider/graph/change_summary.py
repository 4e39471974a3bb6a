"""What a plan will do, in words, for those who are asked to approve it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from planner_provider.graph.approvals import ChangeProfile, change_profile
from planner_provider.graph.describe import describe_action
from planner_provider.graph.frozen import Frozen
from planner_provider.graph.model import PlanGraph, Task
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
    max_cost: str = ""
    """The most that an hour may cost more, such as ``5 EUR an hour``; empty without a limit."""
    runbook: str | None = None
    profile: ChangeProfile = Field(default_factory=ChangeProfile)


def change_summary(graph: PlanGraph, profile: ChangeProfile) -> ChangeSummary:
    """Say what the plan of a graph does. ``graph.digest`` must be there."""
    return ChangeSummary(
        plan=graph.name,
        summary=graph.summary,
        owner=graph.owner,
        digest=graph.digest,
        steps=tuple(_words(task) for task in graph.steps if task.action),
        touches=tuple(f"{item.resource} ({item.mode})" for item in graph.touches),
        rollback=tuple(_words(graph.by_id[item.task]) for item in reversed(graph.compensations)),
        irreversible=tuple(_words(task) for task in _irreversible(graph)),
        max_cost=graph.cost.limit_words if graph.cost else "",
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
