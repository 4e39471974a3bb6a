"""``planner explain``: what a plan will do, in order and in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner_provider.cli.inputs import choose, read_specs, say_errors, specs_folder
from planner_provider.cli.options import AllowOperator, Output, PlanName, TextOrJson
from planner_provider.cli.terminal import write

if TYPE_CHECKING:
    from planner_provider.graph.model import PlanGraph


def explain(
    spec: Annotated[
        Path | None,
        typer.Argument(help="File or folder of specs. Left out: the specs folder."),
    ] = None,
    plan: PlanName = None,
    format_: Annotated[
        TextOrJson, typer.Option("--format", "-f", help="For people or for programs.")
    ] = TextOrJson.TEXT,
    allow_operator: AllowOperator = None,
    output: Output = None,
) -> None:
    """Say what a plan will do, step by step, what can stop it and what is then undone.

    JSON is one object for one plan and a list for several. Ends with 1 if the specs have errors.
    """
    from planner_provider.graph.explain import explain as explain_graph
    from planner_provider.graph.explain import explanation_text

    specs = read_specs([spec or specs_folder()], allow_operator, siblings=True)
    say_errors(specs, plan)
    now = datetime.now(UTC)
    explained = [
        replace(explain_graph(graph, now), next_starts=_openings(graph, now))
        if graph.calendar
        else explain_graph(graph, now)
        for graph in choose(specs, plan)
    ]
    if format_ is TextOrJson.TEXT:
        text = "\n\n".join(explanation_text(item) for item in explained)
    elif len(explained) == 1:
        text = explained[0].to_json() + "\n"
    else:
        text = "[\n" + ",\n".join(item.to_json() for item in explained) + "\n]\n"
    write(text, output)


def _openings(graph: PlanGraph, now: datetime) -> tuple[str, ...]:
    """The next starts by the calendar of a plan, in its zone."""
    from zoneinfo import ZoneInfo

    from planner_provider.decide.openings import Openings
    from planner_provider.graph.explain import NEXT_STARTS

    if graph.calendar is None or graph.schedule is None:
        return ()
    openings, zone = (
        Openings(graph.calendar, graph.schedule.needs),
        ZoneInfo(graph.calendar.timezone),
    )
    found: list[str] = []
    last = now
    while len(found) < NEXT_STARTS and (start := openings.after(last)) is not None:
        found.append(f"{start.astimezone(zone):%a %Y-%m-%d %H:%M %Z}")
        last = start
    return tuple(found)
