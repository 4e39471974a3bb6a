"""What differs between two sets of plans: plans that came, went, were renamed or changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Literal

from planner_provider.graph.change import Change, ChangeKind
from planner_provider.graph.diff import diff
from planner_provider.graph.diff_steps import UNCHECKED_ACTIONS
from planner_provider.graph.digest import digest
from planner_provider.graph.model import PlanGraph


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """What became of one plan."""

    name: str
    """Its new name; the old one if it was removed."""
    status: Literal["added", "removed", "renamed", "changed"]
    old_name: str | None
    old_digest: str | None
    new_digest: str | None
    changes: tuple[Change, ...] = ()

    @property
    def weakens_safety(self) -> bool:
        """Whether one of the changes makes the plan less safe."""
        return any(change.weakens_safety for change in self.changes)


def diff_plans(old: Iterable[PlanGraph], new: Iterable[PlanGraph]) -> tuple[PlanDiff, ...]:
    """Compare two sets of plans; those that did not change are left out.

    First plans that are less safe than before, then by name. A plan counts as renamed if nothing
    but its name changed, or if its owner and the ids of its steps are those of one that is gone,
    and of no other.
    """
    before = {graph.name: graph for graph in old}
    after = {graph.name: graph for graph in new}
    gone = {name: graph for name, graph in before.items() if name not in after}
    come = {name: graph for name, graph in after.items() if name not in before}
    found: list[PlanDiff] = []
    for old_name, new_name in _renamed(gone, come).items():
        found.append(_compared(gone.pop(old_name), come.pop(new_name)))
    found += [_added(graph) for graph in come.values()]
    found += [PlanDiff(name, "removed", name, graph.digest, None) for name, graph in gone.items()]
    found += [
        _compared(before[name], after[name])
        for name in before
        if name in after
        and (before[name].digest, before[name].calendar, before[name].calendars)
        != (after[name].digest, after[name].calendar, after[name].calendars)
    ]
    return tuple(sorted(found, key=lambda item: (not item.weakens_safety, item.name)))


def _compared(old: PlanGraph, new: PlanGraph) -> PlanDiff:
    same_name = old.name == new.name
    changes = diff(old, new)
    if not same_name:
        changes = tuple(change for change in changes if change.words != _name_words(old, new))
    return PlanDiff(
        new.name, "changed" if same_name else "renamed", old.name, old.digest, new.digest, changes
    )


def _name_words(old: PlanGraph, new: PlanGraph) -> str:
    return f"plan's name {old.name} -> {new.name}"


def _added(graph: PlanGraph) -> PlanDiff:
    """A new plan, with those of its steps that can do anything at all."""
    risky = tuple(
        Change(
            ChangeKind.STEP_ADDED, f"step {task.label}", None, task.summary,
            f"step `{task.label}` can do anything; read it: {task.summary}", True,
        )
        for task in graph.steps
        if task.action and task.action.action_name in UNCHECKED_ACTIONS
    )  # fmt: skip
    return PlanDiff(graph.name, "added", None, None, graph.digest, risky)


def _renamed(gone: dict[str, PlanGraph], come: dict[str, PlanGraph]) -> dict[str, str]:
    """Old name -> new name, where only one new plan can be meant by only one old one."""
    found: dict[str, str] = {}
    for likeness in (_all_but_name, _owner_and_steps):
        taken = set(found.values())
        old = _alone([gone[name] for name in gone if name not in found], likeness)
        new = _alone([come[name] for name in come if name not in taken], likeness)
        found.update({name: new[key] for key, name in old.items() if key in new})
    return found


def _alone(
    graphs: Iterable[PlanGraph], likeness: Callable[[PlanGraph], Hashable]
) -> dict[Hashable, str]:
    """Names of the graphs that are like no other of them, by what they are like."""
    names: dict[Hashable, list[str]] = {}
    for graph in graphs:
        names.setdefault(likeness(graph), []).append(graph.name)
    return {key: found[0] for key, found in names.items() if len(found) == 1}


def _all_but_name(graph: PlanGraph) -> Hashable:
    return digest(graph.model_copy(update={"name": ""}))


def _owner_and_steps(graph: PlanGraph) -> Hashable:
    return (graph.owner, *(task.label for task in graph.steps))
