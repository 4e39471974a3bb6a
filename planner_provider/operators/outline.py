"""What ``decide`` and ``finish`` must know of the steps, fixed when the DAG is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from planner_provider.graph.model import Part, PlanGraph, Task
from planner_provider.ledger.journal import PART, Journal, StepStatus
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
    covers: tuple[str, ...] = ()
    """Names in the journal of what it stands for: it changed something if one of these began."""
    name: str | None = None
    """What people are told was changed, if that is not the step itself."""

    def fact(self, journal: Journal) -> StepFact:
        """Where it stands, by the journal."""
        began = any(journal[name].status is not StepStatus.UNTOUCHED for name in self.covers)
        return StepFact(
            (self.name or self.step) if began else self.step,
            journal[self.step],
            changes=began if self.covers else self.changes,
            has_undo=self.undo is not None,
        )


def outline(graph: PlanGraph) -> tuple[StepOutline, ...]:
    """The outlines of all steps, in the order in which they are done; each part is one."""
    undo = {item.step: item.task for item in graph.compensations}
    return tuple(
        _outlined(task, part, undo.get(task.step or ""), before)
        for task in graph.steps
        for part, before in _parts(task)
    )


def _outlined(task: Task, part: Part | None, undo: str | None, before: Part | None) -> StepOutline:
    changes = not task.leaves_nothing and (
        task.action is None or task.action.action_name not in READ_ONLY_ACTIONS
    )
    if part is None:
        return StepOutline(task.step or task.label, task.id, undo, changes)
    covers: tuple[str, ...] = ()
    if before is not None and before.each and changes:
        covers = tuple(part_name(task, before, inner) for inner in before.each if inner.changes)
    return StepOutline(
        part_name(task, part),
        f"{task.id}.{part.id}",
        undo,
        changes and part.changes,
        covers,
        part_name(task, before) if before is not None and covers else None,
    )


def _parts(task: Task) -> Iterator[tuple[Part | None, Part | None]]:
    """The parts of a step that are judged by themselves, each with the one before it."""
    if not task.parts:
        yield None, None
    before: Part | None = None
    for part in task.parts:
        if not part.each:
            yield part, before
        before = part


def parts_of(task: Task) -> tuple[tuple[str, str], ...]:
    """The names in the journal and the task ids by which a step is done, in their order.

    What is done for each item of a part is left out: a failure there is judged by a later part.
    """
    if not task.parts:
        return ((task.step or task.label, task.id),)
    return tuple(
        (part_name(task, part), f"{task.id}.{part.id}") for part in task.parts if not part.each
    )


def part_name(task: Task, *parts: Part) -> str:
    """The name in the journal of a part, or of what is done for each item of one."""
    return PART.join((task.step or task.label, *(part.id for part in parts)))
