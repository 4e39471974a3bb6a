"""What is said about a spec: one finding, with its place, its code and a hint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is. Only errors keep a plan from being compiled."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


SpecPath = tuple[str | int, ...]
"""Keys and list positions from the top of a document to one of its parts."""


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One finding about a spec. Sorts by file, then by place."""

    file: str
    line: int
    """1 is the first line."""
    column: int
    """1 is the first character of the line."""
    code: str
    """Key into `planner_provider.spec.codes.CODES`, such as ``PLN202``."""
    severity: Severity
    path: str
    """Place within the document, such as ``spec.steps[2].http.connection``."""
    message: str
    hint: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether this keeps a plan from being compiled."""
        return self.severity is Severity.ERROR

    @property
    def sort_key(self) -> tuple[str, int, int, str, str, str, str]:
        """Order for people: by file and place. Total, also when one has no hint."""
        return (
            self.file, self.line, self.column, self.code, self.path, self.message, self.hint or "",
        )  # fmt: skip


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort by file and place, each finding once."""
    return tuple(sorted(set(diagnostics), key=lambda found: found.sort_key))


def format_path(path: SpecPath) -> str:
    """Write a path the way people read it: ``spec.steps[2].http.connection``."""
    out: list[str] = []
    for part in path:
        if isinstance(part, int):
            out.append(f"[{part}]")
        elif part.replace("_", "").replace("-", "").isalnum():
            out.append(f".{part}" if out else part)
        else:
            shown = part if len(part) <= 60 else part[:57] + "..."
            out.append(f'["{shown}"]')
    return "".join(out)
