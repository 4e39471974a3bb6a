"""What ``decide`` and ``finish`` must know of the steps, fixed when the DAG is compiled."""

from __future__ import annotations

from dataclasses import dataclass

from planner_provider.graph.model import PlanGraph
from planner_provider.ledger.journal import Journal
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
    """The outlines of all steps, in the order in which they are done."""
    undo = {item.step: item.task for item in graph.compensations}
    return tuple(
        StepOutline(
            step=task.step or task.label,
            task_id=task.id,
            undo=undo.get(task.step or ""),
            changes=not task.leaves_nothing
            and (task.action is None or task.action.action_name not in READ_ONLY_ACTIONS),
        )
        for task in graph.steps
    )
