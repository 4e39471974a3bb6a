"""The last good compilation of each plan, kept in the ledger, where every worker sees it.

Read only for broken specs, and written only by who reads whole folders: the dag-processor.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from planner_provider.compiler.compilation import Compilation
from planner_provider.compiler.store import Broken
from planner_provider.errors import PlannerError
from planner_provider.graph.model import PlanGraph
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.rows import CompiledPlan

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    """A plan as it is to run now."""

    graph: PlanGraph
    stale: str | None = None
    """Why an older compilation is in force, if one is."""


def remember(graphs: Iterable[PlanGraph]) -> bool:
    """Keep these as the last good ones.

    ``False`` if the ledger does not answer, which is only logged.
    """
    now = datetime.now(UTC)
    plans = [
        CompiledPlan(
            plan=graph.name,
            digest=graph.digest,
            graph=(text := graph.to_json()),
            file=graph.source.file if graph.source else "",
            spec_sha=hashlib.sha256(text.encode()).hexdigest(),
            compiled_at=now,
        )
        for graph in graphs
    ]
    try:
        open_ledger().remember_compiled(plans)
    except PlannerError as error:
        log.warning("The last good compilation of the plans could not be kept: %s", error)
        return False
    return True


def in_force(compilation: Compilation, only: str | None = None) -> Iterator[InForce]:
    """The good plans, and for the broken ones what the ledger still has of them."""
    good = {graph.name for graph in compilation.graphs}
    for graph in compilation.graphs:
        if only in (None, graph.name):
            yield InForce(graph)
    if compilation.broken or compilation.errors:
        yield from _last_good(compilation, good, only)


def last_good(graph: PlanGraph, why: str) -> InForce | None:
    """What was in force before this graph, of which no DAG can be made."""
    source = graph.source
    broken = Broken(graph.name, source.file if source else "", source.line if source else 1, why)
    try:
        kept = open_ledger().last_compiled(graph.name)
        if kept is not None and kept.digest != graph.digest:
            return InForce(PlanGraph.from_json(kept.graph), _why(broken, kept))
    except (PlannerError, ValueError) as error:
        log.warning("The last good compilation of %s cannot be read: %s", graph.name, error)
    return None


def _last_good(compilation: Compilation, good: set[str], only: str | None) -> Iterator[InForce]:
    named = {item.name: item for item in compilation.broken if item.name}
    files = {item.file: item for item in compilation.broken if item.name is None}
    try:
        ledger = open_ledger()
        wanted = [only] if only else sorted(ledger.compiled_digests())
        for name in wanted:
            if name in good or (kept := ledger.last_compiled(name)) is None:
                continue
            # the folder itself is named ".": if it cannot be read, nothing was taken out of it
            broken = named.get(name) or files.get(kept.file) or files.get(".")
            if broken is None:
                continue  # taken out of the folder on purpose
            with contextlib.suppress(ValueError):
                yield InForce(PlanGraph.from_json(kept.graph), _why(broken, kept))
    except PlannerError as error:
        log.warning("Broken plans are gone until they are mended: %s", error)


def _why(broken: Broken, kept: CompiledPlan) -> str:
    return (
        f"The spec is broken ({broken.why}), so the last good version stays in force: "
        f"{kept.digest[:8]}, compiled {kept.compiled_at:%Y-%m-%d %H:%M} UTC."
    )
