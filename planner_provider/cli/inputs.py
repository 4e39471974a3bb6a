"""Which spec files a command reads, and the plans that it finds in them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner_provider.cli.terminal import FOUND, UserError, progress_bar

if TYPE_CHECKING:
    from planner_provider.graph.model import PlanGraph
    from planner_provider.spec.diagnostics import Diagnostic
    from planner_provider.spec.folder import LoadOptions, SourceFile, SpecSet

SPECS_FOLDER = "AIRFLOW__PLANNER__SPECS_FOLDER"
ALLOWED_OPERATORS = "AIRFLOW__PLANNER__ALLOWED_OPERATORS"
DEFAULT_FOLDER = "plan_specs"
TWICE = "PLN301"
"""Code of the diagnostic for a name that is used twice."""
SUFFIXES = frozenset({".yaml", ".yml"})


@dataclass(frozen=True)
class Specs:
    """What was read: the files, the plans, and what is wrong with them."""

    files: tuple[SourceFile, ...]
    specs: SpecSet
    diagnostics: tuple[Diagnostic, ...]
    """About the files that were asked for; not about those that were read for context."""
    asked: frozenset[str]
    """Names of the files that were asked for."""

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that keep a plan from being compiled."""
        return tuple(item for item in self.diagnostics if item.is_error)


def specs_folder() -> Path:
    """The folder that is meant when none is given."""
    return Path(os.environ.get(SPECS_FOLDER) or DEFAULT_FOLDER)


def load_options(allowed: Sequence[str] | None, root: Path | None = None) -> LoadOptions:
    """Options for reading specs: allowed operators from the command line and the environment."""
    from planner_provider.spec.folder import LoadOptions

    listed = os.environ.get(ALLOWED_OPERATORS, "").split(",")
    names = dict.fromkeys(name.strip() for name in [*(allowed or ()), *listed])
    return LoadOptions(allowed_operators=tuple(name for name in names if name), root=root)


def check_exists(paths: Iterable[Path]) -> None:
    """Raise ``UserError`` for the first path that is not there."""
    for path in paths:
        if not path.exists():
            hint = None
            if path == Path(DEFAULT_FOLDER):
                hint = f"name a file or folder, or set {SPECS_FOLDER}"
            raise UserError(f"no such file or folder: {path}", hint)


def read_specs(
    paths: Sequence[Path],
    allowed: Sequence[str] | None = None,
    *,
    siblings: bool = False,
    without: Sequence[Path] = (),
) -> Specs:
    """Read specs from files and folders.

    A file within the configured specs folder is read together with all of it, and with
    ``siblings`` a file elsewhere with the rest of its folder, since plans refer to teams, services
    and SLOs in other files. Only what is wrong with the files asked for is reported. Files in
    ``without`` are not read for context.
    """
    from planner_provider.spec.diagnostics import in_order
    from planner_provider.spec.folder import load, read_files

    check_exists(paths)
    context = [] if any(path.is_dir() for path in paths) else _context(paths, siblings, without)
    with progress_bar("reading") as progress:
        files, problems = read_files(paths, progress=progress)
        asked = frozenset(file.name for file in files)
        if context:
            more, _ = read_files(context, progress=progress)
            files = (*files, *more)
    with progress_bar("checking") as progress:
        specs = load(files, load_options(allowed), progress=progress)
        if siblings and any(
            item.code == TWICE and item.file in asked for item in specs.diagnostics
        ):
            # Another file beside it is a version of the same plan; then it is read by itself.
            alone = tuple(file for file in files if file.name in asked)
            specs = load(alone, load_options(allowed), progress=progress)
    found = (item for item in specs.diagnostics if not context or item.file in asked)
    return Specs(files, specs, in_order([*problems, *found]), asked)


def _context(paths: Sequence[Path], siblings: bool, without: Sequence[Path]) -> list[Path]:
    root = specs_folder().resolve()
    left_out = {path.resolve() for path in (*paths, *without)}
    found: list[Path] = []
    for path in paths:
        parent = path.resolve().parent
        if parent == root or root in parent.parents:
            found += sorted(specs_folder().rglob("*"))
        elif siblings:
            found += sorted(path.parent.iterdir())
    return [
        path
        for path in dict.fromkeys(found)
        if path.suffix in SUFFIXES and path.is_file() and path.resolve() not in left_out
    ]


def choose(specs: Specs, plan: str | None) -> tuple[PlanGraph, ...]:
    """The graphs of the plans that were asked for, in the order of the files.

    Raises ``UserError`` if the plan is not there, or one of those asked for is broken.
    """
    graphs, broken = choose_valid(specs, plan)
    if broken or (not graphs and specs.errors):
        raise UserError("the specs have errors, see above", code=FOUND)
    if not graphs:
        known = ", ".join(sorted(item.plan.metadata.name for item in specs.specs.plans))
        what = f"there is no plan {plan}" if plan else "there is no plan"
        raise UserError(f"{what} in these specs", f"plans: {known}" if known else None)
    return graphs


def choose_valid(specs: Specs, plan: str | None) -> tuple[tuple[PlanGraph, ...], bool]:
    """The graphs of the valid plans that were asked for, and whether others are broken."""
    from planner_provider.graph.build import build_graph

    graphs = tuple(
        build_graph(item, specs.specs.catalog)
        for item in specs.specs.plans
        if item.file in specs.asked and plan in (None, item.plan.metadata.name)
    )
    broken = any(
        item.file in specs.asked and plan in (None, item.name) for item in specs.specs.broken
    )
    return graphs, broken


def say_errors(specs: Specs, plan: str | None, lead: str = "") -> None:
    """Show on stderr the errors that keep the plans asked for from being compiled."""
    broken = {item.file for item in specs.specs.broken if plan in (None, item.name)}
    shown = [item for item in specs.errors if plan is None or item.file in broken]
    if not shown:
        return
    from planner_provider.spec.output import render_text

    text = render_text(shown, specs.files, color=False, width=100)
    sys.stderr.write(f"{lead}\n{text.rstrip()}\n" if lead else f"{text.rstrip()}\n")
