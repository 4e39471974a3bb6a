"""SLOs from OpenSLO documents at run time, for DAGs that are written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from planner_provider.errors import SpecError
from planner_provider.graph.slos import Slo, resolve_slo


def load_slos(names: Sequence[str], documents: str | Path) -> tuple[Slo, ...]:
    """The SLOs of these names, from a YAML file or a folder of them.

    Raises ``SpecError`` if a document is broken, or if an SLO is not there or cannot be measured.
    """
    from planner_provider.spec.folder import load, read_files

    path = Path(documents)
    if not path.exists():
        raise SpecError(f"There is no file or folder {path} to read the SLOs from.")
    files, unread = read_files([path])
    found = load(files)
    missing = [name for name in names if name not in found.catalog.slos]
    if missing:
        broken = [item for item in (*unread, *found.diagnostics) if item.is_error]
        why = f" {broken[0].file}:{broken[0].line}: {broken[0].message}." if broken else ""
        raise SpecError(f"{path} has no valid SLO {', '.join(missing)}.{why}")
    return tuple(resolve_slo(name, found.catalog) for name in names)
