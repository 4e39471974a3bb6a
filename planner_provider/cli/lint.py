"""``planner lint``: everything that is wrong with specs, in one pass."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner_provider.cli.inputs import Specs, read_specs, specs_folder
from planner_provider.cli.options import AllowOperator, Output
from planner_provider.cli.terminal import FOUND, wants_color, width, write

if TYPE_CHECKING:
    from planner_provider.spec.diagnostics import Diagnostic


class LintFormat(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...",
            help="Files and folders. Left out: AIRFLOW__PLANNER__SPECS_FOLDER, else ./plan_specs.",
            show_default=False,
        ),
    ] = None,
    format_: Annotated[
        LintFormat, typer.Option("--format", "-f", help="How findings are written.")
    ] = LintFormat.TEXT,
    allow_operator: AllowOperator = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors, and no summary.")
    ] = False,
    output: Output = None,
) -> None:
    """Check specs and say what is wrong, with file, line, column and a hint.

    Ends with 0 if there is no error, 1 if there is one, 2 if a path cannot be read.
    """
    from planner_provider.spec.diagnostics import Severity

    specs = read_specs(paths or [specs_folder()], allow_operator)
    fails = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    shown = specs.diagnostics
    if quiet:
        shown = tuple(item for item in shown if item.severity in fails)
    write(_written(specs, shown, format_, quiet=quiet, to_file=output is not None), output)
    if any(item.severity in fails for item in specs.diagnostics):
        raise typer.Exit(FOUND)


def _written(
    specs: Specs,
    shown: tuple[Diagnostic, ...],
    format_: LintFormat,
    *,
    quiet: bool,
    to_file: bool,
) -> str:
    from planner_provider.spec import output

    match format_:
        case LintFormat.JSON:
            return output.render_json(shown)
        case LintFormat.SARIF:
            return output.render_sarif(shown)
        case LintFormat.GITHUB:
            return output.render_github(shown)
        case _:
            text = output.render_text(
                shown, specs.files, color=not to_file and wants_color(), width=width()
            )
            return text if quiet else f"{text.rstrip()}\n\n{_summary(specs)}\n".lstrip()


def _summary(specs: Specs) -> str:
    """Such as ``12 plans, 34 documents in 20 files: 2 errors, 1 warning``."""
    from planner_provider.spec.diagnostics import Severity

    plans = sum(item.file in specs.asked for item in specs.specs.plans)
    plans += sum(item.file in specs.asked for item in specs.specs.broken)
    documents = sum(specs.specs.documents_in.get(name, 0) for name in specs.asked)
    counts = [
        _count(sum(item.severity is severity for item in specs.diagnostics), severity.value)
        for severity in (Severity.ERROR, Severity.WARNING)
    ]
    where = f"{_count(documents, 'document')} in {_count(len(specs.asked), 'file')}"
    return f"{_count(plans, 'plan')}, {where}: {', '.join(counts)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
