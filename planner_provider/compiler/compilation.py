"""All plans of a folder, compiled to graphs; kept on disk until the folder's content changes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pydantic

from planner_provider import __version__
from planner_provider.compiler.fingerprint import fingerprint
from planner_provider.compiler.store import Broken, Stored, UnreadableError, write
from planner_provider.graph.build import build_graph
from planner_provider.graph.model import GRAPH_VERSION, PlanGraph
from planner_provider.spec.folder import LoadOptions, SpecSet, load, load_one, read_files
from planner_provider.spec.output import render_text


@dataclass(frozen=True, slots=True)
class Compilation:
    """What a folder of specs compiles to."""

    graphs: tuple[PlanGraph, ...]
    broken: tuple[Broken, ...]
    errors: str
    """All errors, as ``planner lint`` shows them; empty if there are none."""
    fresh: bool
    """Whether it was compiled just now, and not taken from disk."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles one folder."""

    folder: Path
    cache_folder: Path
    allowed_operators: tuple[str, ...] = ()

    @property
    def cache_file(self) -> Path:
        """Where the compiled plans of this folder are kept."""
        name = hashlib.sha256(str(self.folder.absolute()).encode()).hexdigest()[:24]
        return self.cache_folder / f"{name}.plans"

    @property
    def record_file(self) -> Path:
        """Where the loader leaves what went wrong when it built DAGs, for the companion file."""
        return self.cache_file.with_suffix(".problems")

    @property
    def kept_file(self) -> Path:
        """Where the loader notes which compiled plans the ledger has as the last good ones."""
        return self.cache_file.with_suffix(".kept")

    @property
    def key(self) -> str:
        """What beside the folder's content decides the result."""
        made_by = (__version__, GRAPH_VERSION, pydantic.VERSION, sys.version_info[:2], _code())
        parts = (*made_by, self.allowed_operators, str(self.folder.absolute()))
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def compile_all(self) -> Compilation:
        """Compile every plan. Never raises on account of what the folder holds."""
        stored = Stored.open(self.cache_file, self.key)
        now = fingerprint(self.folder, stored.seen if stored else None)
        if stored and stored.seen.same_content(now):
            with contextlib.suppress(UnreadableError, OSError):
                graphs = stored.all_graphs()
                if stored.is_dated(now):
                    stored.write_again(now)
                return Compilation(graphs, stored.broken, stored.errors, fresh=False)
        specs, unread, errors = self._load()
        graphs = tuple(build_graph(document, specs.catalog) for document in specs.plans)
        broken = _broken(specs) + unread
        # Files that changed while they were read must not be taken for what was compiled.
        if fingerprint(self.folder, now).same_content(now):
            write(self.cache_file, self.key, now, graphs, broken, errors)
        return Compilation(graphs, broken, errors, fresh=True)

    def compile_one(self, name: str) -> Compilation:
        """Compile one plan; the others are not looked at. Never raises, as ``compile_all``."""
        stored = Stored.open(self.cache_file, self.key)
        if stored:
            now = fingerprint(self.folder, stored.seen)
            if stored.seen.same_content(now):
                with contextlib.suppress(UnreadableError, OSError):
                    graph = stored.graph(name)
                    found = (graph,) if graph else ()
                    return Compilation(found, stored.broken, stored.errors, fresh=False)
        specs, unread, errors = self._load(name)
        graphs = tuple(build_graph(document, specs.catalog) for document in specs.plans)
        return Compilation(graphs, _broken(specs) + unread, errors, fresh=True)

    def _load(self, name: str | None = None) -> tuple[SpecSet, tuple[Broken, ...], str]:
        files, unread = read_files([self.folder], base=self.folder)
        options = LoadOptions(allowed_operators=self.allowed_operators, root=self.folder)
        specs = load(files, options) if name is None else load_one(files, name, options)
        errors = [found for found in (*unread, *specs.diagnostics) if found.is_error]
        text = render_text(errors, list(files), color=False, width=100) if errors else ""
        lost = tuple(Broken(None, d.file, d.line, d.message) for d in unread if d.is_error)
        return specs, lost, text


@cache
def _code() -> tuple[tuple[str, int, int], ...]:
    """The state of the code that makes a graph: who changes it must not be given old ones."""
    package = Path(__file__).parent.parent
    found = []
    for layer in ("spec", "graph"):
        with os.scandir(package / layer) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    stat = entry.stat()
                    found.append((f"{layer}/{entry.name}", stat.st_mtime_ns, stat.st_size))
    return tuple(sorted(found))


def _broken(specs: SpecSet) -> tuple[Broken, ...]:
    out = []
    for plan in specs.broken:
        first = min((found for found in plan.diagnostics if found.is_error), default=None)
        why = f"{first.file}:{first.line}:{first.column}: {first.message}" if first else ""
        out.append(Broken(plan.name, plan.file, plan.line, why or "its spec has errors"))
    return tuple(out)
