"""``planner diff``: what differs between two versions of plans, in words."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner_provider.cli.inputs import choose_valid, read_specs, say_errors, specs_folder
from planner_provider.cli.options import AllowOperator, Output, PlanName
from planner_provider.cli.terminal import FOUND, USAGE, UserError, complain, wants_color, write

if TYPE_CHECKING:
    from planner_provider.graph.model import PlanGraph


class DiffFormat(StrEnum):
    """How differences are written."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def diff(
    old: Annotated[
        str | None, typer.Argument(help="File, folder, or REV:path of a Git repository.")
    ] = None,
    new: Annotated[str | None, typer.Argument(help="The same, for the newer side.")] = None,
    git: Annotated[
        str | None,
        typer.Option(
            "--git",
            metavar="REV",
            help="Compare the work tree with this revision; then the one argument is the path.",
        ),
    ] = None,
    plan: PlanName = None,
    format_: Annotated[
        DiffFormat, typer.Option("--format", "-f", help="How differences are written.")
    ] = DiffFormat.TEXT,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 1 if anything differs.")
    ] = False,
    fail_on_weaker: Annotated[
        bool, typer.Option("--fail-on-weaker", help="End with 1 if a change weakens safety.")
    ] = False,
    allow_operator: AllowOperator = None,
    output: Output = None,
) -> None:
    """Say in words what differs between two versions of plans, the most dangerous first.

    Changes that make a plan less safe (a rollback, an approval, a guard or a check lost, a limit
    loosened, a new plain shell step) are marked. Ends with 0 whether or not something differs,
    unless --exit-code or --fail-on-weaker is given; with 2 if one side cannot be read or has
    errors.
    """
    from planner_provider.graph.diff_plans import diff_plans
    from planner_provider.graph.render_diff import diff_json, diff_markdown, diff_text

    before, after = _sides(old, new, git)
    with tempfile.TemporaryDirectory(prefix="planner-diff-") as folder:
        sides = [
            _graphs(side, other, Path(folder) / name, allow_operator, plan)
            for side, other, name in ((before, after, "old"), (after, before, "new"))
        ]
    if plan is not None and not any(side.graphs or side.broken for side in sides):
        raise UserError(f"there is no plan {plan} on either side")
    found = diff_plans(sides[0].graphs, sides[1].graphs)
    match format_:
        case DiffFormat.JSON:
            text = diff_json(found)
        case DiffFormat.MARKDOWN:
            text = diff_markdown(found)
        case _:
            text = diff_text(found, color=output is None and wants_color())
    write(text, output)
    if any(side.broken for side in sides):
        complain("plans with errors were not compared, see above")
        raise typer.Exit(USAGE)
    if (exit_code and found) or (fail_on_weaker and any(item.weakens_safety for item in found)):
        raise typer.Exit(FOUND)


@dataclass(frozen=True, slots=True)
class _Side:
    graphs: tuple[PlanGraph, ...]
    broken: bool


def _sides(old: str | None, new: str | None, git: str | None) -> tuple[str, str]:
    if git is not None:
        if new is not None:
            raise UserError("with --git there is one path only", "planner diff --git REV [PATH]")
        path = old or str(specs_folder())
        return f"{git}:{_from_here(path)}", path
    if old is None or new is None:
        raise UserError(
            "two sides are needed", "planner diff OLD NEW, or planner diff --git REV [PATH]"
        )
    return old, new


def _from_here(path: str) -> str:
    return path if Path(path).is_absolute() or path.startswith(("./", "../")) else f"./{path}"


def _graphs(
    side: str, other: str, folder: Path, allowed: Sequence[str] | None, plan: str | None
) -> _Side:
    path = Path(side)
    if not path.exists():
        if ":" not in side:
            raise UserError(f"no such file or folder: {side}", "for a Git revision write REV:path")
        from planner_provider.cli.git_tree import parse_revision, write_tree

        path = write_tree(parse_revision(side, Path.cwd()), folder)
    specs = read_specs([path], allowed, siblings=True, without=[Path(other)])
    say_errors(specs, plan, lead=f"errors in {side}:")
    graphs, broken = choose_valid(specs, plan)
    return _Side(graphs, broken)
