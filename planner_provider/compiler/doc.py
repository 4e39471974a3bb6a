"""What Airflow shows about a plan's DAG: ``doc_md``, for people who decide or are on call."""

from __future__ import annotations

from planner_provider.graph.model import PlanGraph


def plan_doc(graph: PlanGraph, stale: str | None = None) -> str:
    """Markdown: what the plan does, what is undone, which version it is, where to read on.

    ``stale`` says why an older compilation is in force; it comes first, because it matters most.
    The digest is part of the text, so that a changed plan is a new version of the DAG.
    """
    out: list[str] = []
    if stale:
        out += [f"> **Not the newest spec.** {_escape(stale)}", ""]
    if graph.unavailable:
        what = "; ".join(graph.unavailable)
        out += [f"> **A run will be refused**, this release cannot do yet: {_escape(what)}.", ""]
    out += [f"**{_escape(graph.summary)}**", ""]
    if graph.description:
        out += [graph.description.strip(), ""]
    undone = {item.step: item.task for item in graph.compensations}
    out += ["| # | step | what it does | undone by |", "|---|---|---|---|"]
    for number, task in enumerate(graph.steps, start=1):
        undo = undone.get(task.step or "")
        by = f"`{undo}`" if undo else "nothing"
        out.append(f"| {number} | `{task.step}` | {_cell(task.summary)} | {by} |")
    out.append("")
    if graph.touches:
        touched = ", ".join(f"`{touch.resource}` ({touch.mode})" for touch in graph.touches)
        out += [f"Touches: {touched}", ""]
    out.append(f"Owner: `{graph.owner}`")
    if graph.runbook:
        out.append(f"· [Runbook]({graph.runbook})")
    if graph.source:
        out.append(f"· Spec: `{graph.source.file}` line {graph.source.line}")
    out += [
        f"· Digest: `{graph.digest}`",
        f"· Plan ID of a run: `{graph.name}-{graph.short_digest}-…`, the first line of its log",
    ]
    return "\n".join(out)


def _escape(text: str) -> str:
    return text.replace("<", "&lt;")


def _cell(text: str) -> str:
    return _escape(" ".join(text.split())).replace("|", "\\|")
