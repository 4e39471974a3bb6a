"""``planner conflicts``: before a run, what is in its way and what could collide with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.inputs import choose, choose_valid, read_specs, say_errors, specs_folder
from planner_provider.cli.layout import aligned, moment, paragraph, plain, span
from planner_provider.cli.ledger_access import AsJson, LedgerUrl, json_text, now, open_reports
from planner_provider.cli.options import AllowOperator, PlanName
from planner_provider.cli.terminal import FOUND, USAGE, UserError, complain, width, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner_provider.cli.inputs import Specs
    from planner_provider.graph.model import PlanGraph
    from planner_provider.ledger.rows import Blocker


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another plan that touches something that this one touches, and not both only share it."""

    plan: str
    file: str | None
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conflicts:
    """What could keep a plan from running, or be kept from running by it."""

    plan: str
    touches: tuple[tuple[str, str], ...]
    """Resource and mode."""
    now: tuple[Blocker, ...] | None
    """What is held or waited for now; ``None``: not known."""
    overlaps: tuple[Overlap, ...]
    unread: tuple[str, ...]
    """Plans with errors: what they touch is not known."""


def conflicts(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC|PLAN", help="File or folder, or the name of a plan.")
    ],
    plan: PlanName = None,
    allow_operator: AllowOperator = None,
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Say what is in the way of a plan now, and which other plans touch the same things.

    Ends with 0 if nothing is in its way, 1 if something it touches is held or waited for (or the
    specs have errors), 2 if that cannot be told. A forecast: nothing is taken or queued for.
    """
    specs, name = _specs(spec, plan, allow_operator)
    say_errors(specs, name)
    chosen = choose(specs, name)
    others, unread = _others(specs, allow_operator)
    moment_now = now()
    trouble: UserError | None = None
    found = []
    for graph in chosen:
        blockers = None
        if trouble is None:
            try:
                blockers = _blockers(graph, ledger, moment_now)
            except UserError as error:
                trouble = error
        found.append(_conflicts(graph, blockers, others, unread))
    if json_:
        write(json_text([_conflicts_json(item) for item in found]))
    else:
        write("\n\n".join(_conflicts_text(item, moment_now, width()) for item in found) + "\n")
    if trouble is not None:
        complain(f"not known what is held now: {trouble.message}", trouble.hint)
        raise typer.Exit(USAGE)
    if any(item.now for item in found):
        raise typer.Exit(FOUND)


def _specs(spec: str, plan: str | None, allowed: list[str] | None) -> tuple[Specs, str | None]:
    """The specs that are meant, and the name of the plan if only one is."""
    path = Path(spec)
    if path.exists():
        return read_specs([path], allowed, siblings=True), plan
    if path.suffix or "/" in spec or plan is not None:
        raise UserError(f"no such file or folder: {spec}")
    if not specs_folder().exists():
        raise UserError(
            f"{spec} is no file, and there is no folder of specs to look for a plan of that name",
            "name a file, or set AIRFLOW__PLANNER__SPECS_FOLDER",
        )
    return read_specs([specs_folder()], allowed, siblings=True), spec


def _others(
    specs: Specs, allowed: list[str] | None
) -> tuple[tuple[PlanGraph, ...], tuple[str, ...]]:
    """The valid plans that were read, also for context, and those of the specs folder.

    Then the names, or files, of those that have errors.
    """
    from planner_provider.graph.build import build_graph

    graphs = {
        item.plan.metadata.name: build_graph(item, specs.specs.catalog)
        for item in specs.specs.plans
    }
    broken = {item.name or item.file for item in specs.specs.broken}
    if specs_folder().is_dir():
        read = read_specs([specs_folder()], allowed)
        for graph in choose_valid(read, None)[0]:
            graphs.setdefault(graph.name, graph)
        broken |= {item.name or item.file for item in read.specs.broken}
    return tuple(graphs.values()), tuple(sorted(broken))


def _blockers(graph: PlanGraph, ledger: str | None, moment_now: datetime) -> tuple[Blocker, ...]:
    from planner_provider.errors import PlannerError
    from planner_provider.ledger.rows import Hold, Mode

    holds = [Hold(resource, Mode(mode)) for resource, mode in _touches(graph)]
    try:
        return open_reports(ledger).in_the_way(holds, moment_now)
    except PlannerError as error:
        raise UserError(str(error)) from error


def _touches(graph: PlanGraph) -> tuple[tuple[str, str], ...]:
    """What a run of it locks: what it touches, and the plan itself."""
    touched = [(item.resource, item.mode) for item in graph.touches]
    return (*touched, (f"plan://{graph.name}", "exclusive"))


def _conflicts(
    graph: PlanGraph,
    blockers: tuple[Blocker, ...] | None,
    others: Sequence[PlanGraph],
    unread: tuple[str, ...],
) -> Conflicts:
    own = {item.resource: item.mode for item in graph.touches}
    overlaps = []
    for other in others:
        if other.name == graph.name:
            continue
        same = tuple(
            item.resource
            for item in other.touches
            if item.resource in own and "exclusive" in (item.mode, own[item.resource])
        )
        if same:
            overlaps.append(Overlap(other.name, other.source.file if other.source else None, same))
    return Conflicts(graph.name, _touches(graph), blockers, tuple(overlaps), unread)


def _conflicts_text(found: Conflicts, moment_now: datetime, columns: int) -> str:
    lines = [f"{found.plan} locks:"]
    lines += aligned([(mode, resource) for resource, mode in found.touches], columns, indent=4)
    lines.append("")
    if found.now is None:
        lines.append("In its way now: NOT KNOWN, see below.")
    elif not found.now:
        lines.append("In its way now: nothing. A run would get its locks at once.")
    else:
        lines.append("In its way now:")
        for blocker in found.now:
            does = "is held" if blocker.holds else "is wanted by a run that waits"
            words = (
                f"{does} ({blocker.mode.value}) since {moment(blocker.since)} UTC, for "
                f"{span(moment_now - blocker.since)}, by {blocker.plan_id}"
            )
            lines += [f"  {plain(blocker.resource)}", paragraph(words, columns, 4)]
    lines.append("")
    if not found.overlaps:
        lines.append("Other plans that touch the same: none.")
    else:
        lines.append("Other plans that touch the same, and never run at the same time:")
        for overlap in found.overlaps:
            where = f" ({overlap.file})" if overlap.file else ""
            lines.append(paragraph(f"{overlap.plan}{where}", columns, 2))
            lines += [paragraph(resource, columns, 4) for resource in overlap.resources]
    if found.unread:
        count = (
            "1 plan with errors was"
            if len(found.unread) == 1
            else (f"{len(found.unread)} plans with errors were")
        )
        words = f"{count} not looked at ({', '.join(found.unread)}): see `planner lint`."
        lines.append(paragraph(words, columns))
    return "\n".join(lines)


def _conflicts_json(found: Conflicts) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "plan": found.plan,
        "touches": [{"resource": name, "mode": mode} for name, mode in found.touches],
        "now": None if found.now is None else [asdict(blocker) for blocker in found.now],
        "overlaps": [asdict(overlap) for overlap in found.overlaps],
        "not_looked_at": list(found.unread),
    }
