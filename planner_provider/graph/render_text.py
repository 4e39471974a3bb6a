"""A plan as a tree of text: its frame, its steps and what undoes them."""

from __future__ import annotations

from dataclasses import dataclass

from planner_provider.graph.explain import not_undone
from planner_provider.graph.model import Part, PlanGraph, Task, TaskKind
from planner_provider.spec.values import format_duration


@dataclass(frozen=True, slots=True)
class _Line:
    tree: str
    label: str
    text: str


def render_text(graph: PlanGraph) -> str:
    """Draw the plan as a tree, in the order in which its tasks come, ending in a line break."""
    lines = _lines(graph)
    width = min(max(len(line.tree + line.label) for line in lines), 48)
    head = [f"{graph.name}, owner {graph.owner}, version {graph.short_digest}", graph.summary]
    body = [f"{line.tree + line.label:<{width}}  {line.text}".rstrip() for line in lines]
    return "\n".join([*head, *body]) + "\n"


def _lines(graph: PlanGraph) -> list[_Line]:
    summaries = {group.id: group.summary for group in graph.groups}
    blocks: list[tuple[str | None, list[Task]]] = []
    for task in graph.tasks:
        if task.group and blocks and blocks[-1][0] == task.group:
            blocks[-1][1].append(task)
        else:
            blocks.append((task.group, [task]))
    lines: list[_Line] = []
    for index, (group, tasks) in enumerate(blocks):
        last = index == len(blocks) - 1
        branch, stem = ("└─ ", "   ") if last else ("├─ ", "│  ")
        if group is None:
            lines += [_Line(branch, tasks[0].label, _text(graph, tasks[0], ()))]
            continue
        lines.append(_Line(branch, group, summaries.get(group, "")))
        for number, task in enumerate(tasks):
            twig = "└─ " if number == len(tasks) - 1 else "├─ "
            previous = (tasks[number - 1].id,) if number else ()
            lines.append(_Line(stem + twig, task.label, _text(graph, task, previous)))
            below = stem + ("   " if number == len(tasks) - 1 else "│  ")
            for part in task.parts:
                leaf = "└─ " if part is task.parts[-1] else "├─ "
                lines.append(_Line(below + leaf, part.id, part.summary))
                inner = below + ("   " if part is task.parts[-1] else "│  ")
                lines += [_Line(f"{inner}   ", f"each {i.id}", i.summary) for i in _new(task, part)]
    return lines


def _new(task: Task, part: Part) -> tuple[Part, ...]:
    """What is done for each item of a part, unless it was shown at one before."""
    first = next((other for other in task.parts if other.each == part.each), part)
    return part.each if first is part else ()


def _text(graph: PlanGraph, task: Task, previous: tuple[str, ...]) -> str:
    notes: list[str] = []
    if task.kind is TaskKind.STEP:
        ups = tuple(up for up in graph.upstream(task.id) if graph.by_id[up].group == task.group)
        if ups != previous:
            names = ", ".join(graph.by_id[up].label for up in ups)
            notes.append(f"after {names}" if names else "in parallel")
        if task.timeout:
            notes.append(format_duration(task.timeout))
        if task.retries.limit:
            notes.append(f"{task.retries.limit + 1} tries")
        if any(kept.step == task.label for kept in not_undone(graph)):
            notes.append("no rollback")
    text = " ".join(task.summary.split())
    return f"{text} [{', '.join(notes)}]" if notes else text
