"""What ``decide`` and ``finish`` must know of the steps, fixed when the DAG is compiled."""

from __future__ import annotations

from dataclasses import dataclass

from planner_provider.graph.model import PlanGraph, Task
from planner_provider.ledger.journal import PART, Journal
from planner_provider.ledger.outcome import StepFact
from planner_provider.spec.plan import READ_ONLY_ACTIONS


@dataclass(frozen=True, slots=True)
class StepOutline:
    """A step, its task, and the task that undoes it."""

    step: str
    task_id: str
    undo: str | None = None
    """Task id of its compensation."""
    changes: bool = True
    """Whether its action can change anything."""

    def fact(self, journal: Journal) -> StepFact:
        """Where it stands, by the journal."""
        return StepFact(
            self.step, journal[self.step], changes=self.changes, has_undo=self.undo is not None
        )


def outline(graph: PlanGraph) -> tuple[StepOutline, ...]:
    """The outlines of all steps, in the order in which they are done; each part is one."""
    undo = {item.step: item.task for item in graph.compensations}
    return tuple(
        StepOutline(
            step=name,
            task_id=task_id,
            undo=undo.get(task.step or ""),
            changes=not task.leaves_nothing
            and (task.action is None or task.action.action_name not in READ_ONLY_ACTIONS),
        )
        for task in graph.steps
        for name, task_id in parts_of(task)
    )


def parts_of(task: Task) -> tuple[tuple[str, str], ...]:
    """The names in the journal and the task ids by which a step is done, in their order."""
    step = task.step or task.label
    if not task.parts:
        return ((step, task.id),)
    return tuple((f"{step}{PART}{part.id}", f"{task.id}.{part.id}") for part in task.parts)
