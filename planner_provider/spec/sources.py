"""Finding and reading spec files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner_provider.spec.diagnostics import Diagnostic
from planner_provider.spec.encoding import MAX_BYTES
from planner_provider.spec.located import Problem
from planner_provider.spec.subject import file_diagnostic

SUFFIXES = (".yaml", ".yml")
Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A spec file: its content, and what it is called."""

    name: str
    """POSIX path as shown to people, relative to the folder or as given."""
    content: bytes
    path: Path | None = None
    """Where it lies on disk; companion files are looked up beside it."""


def read_files(
    paths: Sequence[Path], *, base: Path | None = None, progress: Progress | None = None
) -> tuple[tuple[SourceFile, ...], tuple[Diagnostic, ...]]:
    """Read files, and the ``*.yaml`` and ``*.yml`` files of folders with all that is below them.

    Hidden files and folders are skipped, and so are links that lead out of the folder given, with
    a diagnostic. Names are relative to ``base`` where they lie below it. Sorted by name, each file
    once. What cannot be read becomes a diagnostic; nothing is raised.
    """
    found: dict[str, Path] = {}
    diagnostics: list[Diagnostic] = []
    for path in paths:
        if path.is_dir():
            before = len(found) + len(diagnostics)
            for file, problem in _below(path):
                name = _shown(file, base)
                if problem:
                    diagnostics.append(file_diagnostic(name, problem))
                else:
                    found[name] = file
            if len(found) + len(diagnostics) == before:
                problem = Problem("PLN115", (), "this folder holds no .yaml or .yml file", None)
                diagnostics.append(file_diagnostic(_shown(path, base), problem))
        else:
            found[_shown(path, base)] = path
    files: list[SourceFile] = []
    for index, name in enumerate(sorted(found)):
        if progress:
            progress(index, len(found))
        source = _read(name, found[name])
        if isinstance(source, Problem):
            diagnostics.append(file_diagnostic(name, source))
        else:
            files.append(source)
    if progress:
        progress(len(found), len(found))
    return tuple(files), tuple(diagnostics)


def _shown(path: Path, base: Path | None) -> str:
    if base is not None:
        try:
            return path.relative_to(base).as_posix()
        except ValueError:
            try:
                return path.resolve().relative_to(base.resolve()).as_posix()
            except (ValueError, OSError):
                pass
    return path.as_posix()


def _read(name: str, path: Path) -> SourceFile | Problem:
    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "there is no such file or folder"
            return Problem("PLN112", (), what if path.exists() else f"{what}: {name}", None)
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)  # one more than allowed tells that it is too large
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        return Problem("PLN112", (), f"this file cannot be read: {error.strerror or error}", None)
    except ValueError as error:
        return Problem("PLN112", (), f"this file cannot be read: {error}", None)
    if size > len(content) and len(content) > MAX_BYTES:
        content += b"\n"  # stays too large; the rest is not needed to say so
    return SourceFile(name, content, path)


def _below(folder: Path) -> Iterator[tuple[Path, Problem | None]]:
    """The spec files below a folder, and links and folders that are not followed."""
    top = folder.resolve()
    seen = {top}
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError as error:
            reason = error.strerror or error
            yield current, Problem("PLN112", (), f"this folder cannot be read: {reason}", None)
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = current / entry.name
            is_spec = entry.name.endswith(SUFFIXES)
            try:
                is_link, is_dir = entry.is_symlink(), entry.is_dir()
                if is_link and (is_dir or is_spec):
                    target = path.resolve(strict=True)
                    if not target.is_relative_to(top):
                        yield path, Problem(
                            "PLN113", (),
                            "this link leads out of the spec folder and is not followed",
                            "put the file itself into the folder",
                        )  # fmt: skip
                        continue
                if is_dir:
                    real = path.resolve()
                    if real not in seen:
                        seen.add(real)
                        pending.append(path)
                elif is_spec:
                    yield path, None
            except (OSError, RuntimeError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                yield path, Problem("PLN112", (), f"this cannot be read: {reason}", None)
