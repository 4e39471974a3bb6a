"""Compiled plans on disk.

A file holds a line of JSON that tells where each plan stands, then the plans, pickled: for one plan
of a thousand, building pydantic's validators to read JSON would cost most of the time. What is
unpickled can only become the models of specs and graphs and a few plain types.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner_provider.compiler.fingerprint import Fingerprint
from planner_provider.graph.model import PlanGraph

KEEP_SECONDS = 14 * 86400
"""How long the compiled plans of a folder that nobody asks for are kept."""


MODELS = ("planner_provider.spec.", "planner_provider.graph.")
PLAIN = {("datetime", "timedelta"), ("datetime", "datetime"), ("datetime", "timezone")}


class UnreadableError(Exception):
    """What stands in the file is not what this code wrote."""


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
class Stored:
    """A file of compiled plans: a line of JSON that tells where each graph stands, then these."""

    file: Path
    key: str
    body_at: int
    seen: Fingerprint
    plans: dict[str, tuple[int, int]]
    broken: tuple[Broken, ...]
    errors: str

    @classmethod
    def open(cls, file: Path, key: str) -> Stored | None:
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
            return unpacked(stream.read(place[1]))

    def all_graphs(self) -> tuple[PlanGraph, ...]:
        """All plans."""
        body = self.file.read_bytes()[self.body_at :]
        return tuple(unpacked(body[start : start + size]) for start, size in self.plans.values())

    def is_dated(self, now: Fingerprint) -> bool:
        """Whether some file had to be read that ``now`` can vouch for by its times."""
        return any(
            seen[:4] != now.files[name][:4]
            or (now.vouches_for(seen) and not self.seen.vouches_for(seen))
            for name, seen in self.seen.files.items()
        ) or (now.at_ns - self.seen.at_ns > KEEP_SECONDS * 250_000_000)

    def write_again(self, now: Fingerprint) -> None:
        """Write the same plans with the files' present times."""
        write(self.file, self.key, now, self.all_graphs(), self.broken, self.errors)


def write(
    file: Path,
    key: str,
    seen: Fingerprint,
    graphs: tuple[PlanGraph, ...],
    broken: tuple[Broken, ...],
    errors: str,
) -> None:
    """Keep compiled plans, with the state of the files that they were compiled from."""
    body, plans, at = [], {}, 0
    for graph in graphs:
        packed = pickle.dumps(graph, protocol=5)
        plans[graph.name] = (at, len(packed))
        body.append(packed)
        at += len(packed)
    head = {
        "key": key,
        "at_ns": seen.at_ns,
        "files": seen.files,
        "plans": plans,
        "broken": [(item.name, item.file, item.line, item.why) for item in broken],
        "errors": errors,
    }
    write_atomically(file, json.dumps(head).encode() + b"\n" + b"".join(body))


class _ModelsOnly(pickle.Unpickler):
    """Makes nothing but models of this package and plain values."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if self._is_allowed(module, name) else None
        if not isinstance(found, type):
            raise UnreadableError(f"{module}.{name} has no place in a compiled plan")
        return found

    @staticmethod
    def _is_allowed(module: str, name: str) -> bool:
        return module.startswith(MODELS) or (module, name) in PLAIN


def unpacked(data: bytes) -> PlanGraph:
    """Read a plan. Raises ``UnreadableError`` for what ``write`` did not write."""
    try:
        graph = _ModelsOnly(io.BytesIO(data)).load()
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error
    if not isinstance(graph, PlanGraph):
        raise UnreadableError(f"a {type(graph).__name__} is no plan")
    return graph


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
