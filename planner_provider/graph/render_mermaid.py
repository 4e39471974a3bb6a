"""A plan as a Mermaid flowchart, for Markdown pages and pull requests."""

from __future__ import annotations

import re
from collections.abc import Iterator

from planner_provider.graph.model import Edge, PlanGraph, Task, TaskKind

LABEL_WIDTH = 60
"""Longest text in a box, in characters."""

_CLASSES = {
    "frame": "fill:#f4f4f5,stroke:#71717a,color:#18181b",
    "step": "fill:#dbeafe,stroke:#1d4ed8,color:#172554",
    "check": "fill:#dcfce7,stroke:#15803d,color:#052e16",
    "undo": "fill:#fef3c7,stroke:#b45309,color:#451a03",
}
_CLASS_OF = {
    TaskKind.STEP: "step",
    TaskKind.UNDO: "undo",
    TaskKind.VERIFY: "check",
    TaskKind.VERIFY_ROLLBACK: "check",
    TaskKind.GUARD: "check",
    TaskKind.APPROVE: "check",
    TaskKind.WINDOW: "check",
}


def render_mermaid(graph: PlanGraph) -> str:
    """Draw the plan as a flowchart, ending in a line break."""
    ids = {task.id: f"t{number}" for number, task in enumerate(graph.tasks)}
    lines = ["flowchart TD"]
    grouped: dict[str | None, list[Task]] = {}
    for task in graph.tasks:
        grouped.setdefault(task.group, []).append(task)
    lines += [f"  {_node(ids[task.id], task)}" for task in grouped.get(None, [])]
    for number, group in enumerate(graph.groups):
        lines.append(f'  subgraph g{number}["{escape(group.summary)}"]')
        lines += [f"    {_node(ids[task.id], task)}" for task in grouped.get(group.id, [])]
        lines.append("  end")
    for edge in _drawn(graph):
        backward = graph.by_id[edge.downstream].kind in {TaskKind.UNDO, TaskKind.VERIFY_ROLLBACK}
        arrow = "-.->" if backward else "-->"
        lines.append(f"  {ids[edge.upstream]} {arrow} {ids[edge.downstream]}")
    lines += [f"  classDef {name} {style}" for name, style in _CLASSES.items()]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that means itself inside a quoted Mermaid label, whatever is in it."""
    line = " ".join(text.split())
    if len(line) > LABEL_WIDTH:
        line = line[: LABEL_WIDTH - 1] + "…"
    return re.sub(r"[^\w .,:/@()+=?!…-]", lambda match: f"#{ord(match.group())};", line)


def _node(node: str, task: Task) -> str:
    text = f"<b>{escape(task.label)}</b><br/>{escape(task.summary)}"
    return f'{node}["{text}"]:::{_CLASS_OF.get(task.kind, "frame")}'


def _drawn(graph: PlanGraph) -> Iterator[Edge]:
    """Edges without those from ``decide`` that only repeat what the chain of undoing says."""
    for edge in graph.edges:
        from_decide = graph.by_id[edge.upstream].kind is TaskKind.DECIDE
        if not (from_decide and len(graph.upstream(edge.downstream)) > 1):
            yield edge
