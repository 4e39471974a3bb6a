"""``planner render``: a plan as a tree, as JSON, as a picture, or as a runbook for people."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner_provider.cli.inputs import choose, read_specs, say_errors
from planner_provider.cli.options import AllowOperator, PlanName
from planner_provider.cli.terminal import UserError, write

if TYPE_CHECKING:
    from planner_provider.graph.model import PlanGraph


class RenderFormat(StrEnum):
    """What a plan is turned into."""

    TEXT = "text"
    JSON = "json"
    MERMAID = "mermaid"
    RUNBOOK = "runbook"


_SUFFIX = {
    RenderFormat.TEXT: ".txt",
    RenderFormat.JSON: ".json",
    RenderFormat.MERMAID: ".mmd",
    RenderFormat.RUNBOOK: ".md",
}


def render(
    spec: Annotated[Path, typer.Argument(help="File or folder of specs.")],
    format_: Annotated[
        RenderFormat, typer.Option("--format", "-f", help="What to turn the plan into.")
    ] = RenderFormat.TEXT,
    plan: PlanName = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER/",
            help="Write to this file; or, one file a plan, into this folder.",
        ),
    ] = None,
    allow_operator: AllowOperator = None,
) -> None:
    """Turn a plan into a text tree, JSON, a Mermaid flowchart or a manual runbook.

    JSON is one object for one plan and a list for several. Ends with 1 if the specs have errors.
    """
    specs = read_specs([spec], allow_operator, siblings=True)
    say_errors(specs, plan)
    graphs = choose(specs, plan)
    if output is not None and (output.endswith("/") or Path(output).is_dir()):
        _write_folder(graphs, format_, Path(output))
        return
    write(_together(graphs, format_), Path(output) if output else None)


def _write_folder(graphs: tuple[PlanGraph, ...], format_: RenderFormat, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    renderer = _renderer(format_)
    for graph in graphs:
        write(renderer(graph), folder / f"{graph.name}{_SUFFIX[format_]}")


def _together(graphs: tuple[PlanGraph, ...], format_: RenderFormat) -> str:
    renderer = _renderer(format_)
    if len(graphs) == 1:
        return renderer(graphs[0])
    if format_ is RenderFormat.JSON:
        return "[\n" + ",\n".join(renderer(graph).rstrip() for graph in graphs) + "\n]\n"
    if format_ is RenderFormat.TEXT:
        return "\n".join(renderer(graph) for graph in graphs)
    names = ", ".join(graph.name for graph in graphs)
    raise UserError(
        f"a {format_} is of one plan, and there are {len(graphs)}: {names}",
        "choose one with --plan, or write one file a plan with --output FOLDER/",
    )


def _renderer(format_: RenderFormat) -> Callable[[PlanGraph], str]:
    match format_:
        case RenderFormat.JSON:
            return _json
        case RenderFormat.MERMAID:
            from planner_provider.graph.render_mermaid import render_mermaid

            return render_mermaid
        case RenderFormat.RUNBOOK:
            from planner_provider.graph.runbook import render_runbook

            return render_runbook
        case _:
            from planner_provider.graph.render_text import render_text

            return render_text


def _json(graph: PlanGraph) -> str:
    return graph.model_dump_json(by_alias=True, exclude_defaults=True, indent=2) + "\n"
