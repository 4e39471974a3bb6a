"""All plans of a folder, compiled to graphs; kept on disk until the folder's content changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from planner_provider import __version__
from planner_provider.compiler.fingerprint import Fingerprint, fingerprint
from planner_provider.graph.build import build_graph
from planner_provider.graph.model import GRAPH_VERSION, PlanGraph
from planner_provider.spec.folder import LoadOptions, SpecSet, load, load_one, read_files
from planner_provider.spec.output import render_text

KEEP_SECONDS = 14 * 86400
"""How long the compiled plans of a folder that nobody asks for are kept."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A plan that cannot be compiled from its spec as it is."""

    name: str | None
    """``None`` if not even its name can be read."""
    file: str
    line: int
    why: str
    """The first error, in one line."""


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
        parts = (__version__, GRAPH_VERSION, self.allowed_operators, str(self.folder.absolute()))
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def compile_all(self) -> Compilation:
        """Compile every plan. Never raises on account of what the folder holds."""
        stored = _Stored.open(self.cache_file, self.key)
        now = fingerprint(self.folder, stored.seen if stored else None)
        if stored and stored.seen.same_content(now):
            with contextlib.suppress(ValueError, OSError):
                graphs = stored.all_graphs()
                if stored.is_dated(now):
                    stored.write_again(now)
                return Compilation(graphs, stored.broken, stored.errors, fresh=False)
        specs, unread, errors = self._load()
        graphs = tuple(build_graph(document, specs.catalog) for document in specs.plans)
        broken = _broken(specs) + unread
        # Files that changed while they were read must not be taken for what was compiled.
        if fingerprint(self.folder, now).same_content(now):
            _write(self.cache_file, self.key, now, graphs, broken, errors)
        return Compilation(graphs, broken, errors, fresh=True)

    def compile_one(self, name: str) -> Compilation:
        """Compile one plan; the others are not looked at. Never raises, as ``compile_all``."""
        stored = _Stored.open(self.cache_file, self.key)
        if stored:
            now = fingerprint(self.folder, stored.seen)
            if stored.seen.same_content(now):
                with contextlib.suppress(ValueError, OSError):
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


def _broken(specs: SpecSet) -> tuple[Broken, ...]:
    out = []
    for plan in specs.broken:
        first = min((found for found in plan.diagnostics if found.is_error), default=None)
        why = f"{first.file}:{first.line}:{first.column}: {first.message}" if first else ""
        out.append(Broken(plan.name, plan.file, plan.line, why or "its spec has errors"))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A file of compiled plans: a line of JSON that tells where each graph stands, then these."""

    file: Path
    key: str
    body_at: int
    seen: Fingerprint
    plans: dict[str, tuple[int, int]]
    broken: tuple[Broken, ...]
    errors: str

    @classmethod
    def open(cls, file: Path, key: str) -> _Stored | None:
        """Read the first line. ``None`` if there is none, or one that was written otherwise."""
        try:
            with file.open("rb") as stream:
                line = stream.readline()
                head = json.loads(line)
                if head["key"] != key:
                    return None
                return cls(
                    file,
                    key,
                    len(line),
                    Fingerprint(head["at_ns"], {n: tuple(s) for n, s in head["files"].items()}),
                    {name: tuple(place) for name, place in head["plans"].items()},
                    tuple(Broken(*item) for item in head["broken"]),
                    head["errors"],
                )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def graph(self, name: str) -> PlanGraph | None:
        """One plan."""
        place = self.plans.get(name)
        if place is None:
            return None
        with self.file.open("rb") as stream:
            stream.seek(self.body_at + place[0])
            return PlanGraph.from_json(stream.read(place[1]))

    def all_graphs(self) -> tuple[PlanGraph, ...]:
        """All plans."""
        body = self.file.read_bytes()[self.body_at :]
        return tuple(
            PlanGraph.from_json(body[start : start + size]) for start, size in self.plans.values()
        )

    def is_dated(self, now: Fingerprint) -> bool:
        """Whether some file had to be read that ``now`` can vouch for by its times."""
        return any(
            seen[:4] != now.files[name][:4]
            or (now.vouches_for(seen) and not self.seen.vouches_for(seen))
            for name, seen in self.seen.files.items()
        ) or (now.at_ns - self.seen.at_ns > KEEP_SECONDS * 250_000_000)

    def write_again(self, now: Fingerprint) -> None:
        """Write the same plans with the files' present times."""
        _write(self.file, self.key, now, self.all_graphs(), self.broken, self.errors)


def _write(
    file: Path,
    key: str,
    seen: Fingerprint,
    graphs: tuple[PlanGraph, ...],
    broken: tuple[Broken, ...],
    errors: str,
) -> None:
    body, plans, at = [], {}, 0
    for graph in graphs:
        text = graph.to_json().encode()
        plans[graph.name] = (at, len(text))
        body.append(text)
        at += len(text)
    head = {
        "key": key,
        "at_ns": seen.at_ns,
        "files": seen.files,
        "plans": plans,
        "broken": [(item.name, item.file, item.line, item.why) for item in broken],
        "errors": errors,
    }
    write_atomically(file, json.dumps(head).encode() + b"\n" + b"".join(body))


def write_atomically(file: Path, content: bytes) -> None:
    """Replace a file as a whole. A cache that cannot be written is no error, only slow."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            Path(temporary).replace(file)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        for old in _forgotten(file.parent):
            old.unlink(missing_ok=True)


def _forgotten(folder: Path) -> Iterator[Path]:
    limit = time.time() - KEEP_SECONDS
    for file in folder.iterdir():
        if file.suffix in (".plans", ".problems", ".kept", ".tmp") and file.stat().st_mtime < limit:
            yield file
