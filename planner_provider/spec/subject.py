"""What is judged: the data of a document, with a way back from each part to its place.

A plan that is made from a template has parts from two documents; a `Subject` knows which is which.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from planner_provider.spec.codes import CODES
from planner_provider.spec.diagnostics import Diagnostic, Severity, SpecPath, format_path
from planner_provider.spec.located import Document, Problem

PLANNER_API = "planner/v1"
OPENSLO_API = "openslo/v1"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What a document is called by others: API, kind and name."""

    api: str
    kind: str
    name: str


@dataclass(eq=False, slots=True)
class Subject:
    """A document that is judged, and what is found."""

    document: Document
    data: dict[str, Any]
    key: Key | None = None
    """``None`` if kind or name cannot be read."""
    template: Subject | None = None
    """Where the keys in ``from_template`` come from."""
    from_template: frozenset[str] = frozenset()
    """Keys of `spec` that the template gave."""
    template_missing: bool = False
    """Whether the template cannot be filled in, so that keys may be missing."""
    found: list[Diagnostic] = field(default_factory=list)
    memo: dict[str, Any] = field(default_factory=dict)
    """What was worked out from the data, so that it is not worked out again."""

    def replace(self, data: dict[str, Any]) -> None:
        """Go on with other data: a template filled in, a file read in."""
        self.data = data
        self.memo.clear()

    @property
    def has_errors(self) -> bool:
        """Whether anything found keeps the document from being used."""
        return any(diagnostic.is_error for diagnostic in self.found)

    @property
    def spec(self) -> dict[str, Any]:
        """The `spec` of the document, empty if it is not a mapping."""
        spec = self.data.get("spec")
        return spec if isinstance(spec, dict) else {}

    def report(
        self,
        code: str,
        path: SpecPath,
        message: str,
        hint: str | None = None,
        *,
        at_key: bool = False,
        severity: Severity | None = None,
    ) -> None:
        """Note a finding about the part under a path."""
        self.add(Problem(code, path, message, hint, at_key), severity)

    def add(self, problem: Problem, severity: Severity | None = None) -> None:
        """Note a problem as a diagnostic, at its place in this document or in its template."""
        found = self._diagnostic(problem, severity)
        if self.template is not None and found.file == self.template.document.file:
            same = (found.line, found.column, found.code)
            if any(same == (own.line, own.column, own.code) for own in self.template.found):
                return  # the template is wrong whoever uses it, and says so itself
        self.found.append(found)

    def _diagnostic(self, problem: Problem, severity: Severity | None) -> Diagnostic:
        document, path, message = self.document, problem.path, problem.message
        if self.template is not None and path[:1] == ("spec",) and self._is_templates(path):
            document = self.template.document
            path = ("spec", "plan", *path[1:])
            name = self.key.name if self.key else "?"
            user = f"{self.document.file}:{self.document.place.line}"
            message = f"{message} (used by plan '{name}', {user})"
        place = problem.place or document.locate(path, problem.at_key)
        return Diagnostic(
            file=document.file,
            line=place.line,
            column=place.column,
            code=problem.code,
            severity=severity or CODES[problem.code].severity,
            path=format_path(path),
            message=message,
            hint=problem.hint,
        )

    def _is_templates(self, path: SpecPath) -> bool:
        return len(path) > 1 and path[1] in self.from_template


def file_diagnostic(file: str, problem: Problem) -> Diagnostic:
    """A diagnostic about a file as a whole."""
    place = problem.place
    return Diagnostic(
        file=file,
        line=place.line if place else 1,
        column=place.column if place else 1,
        code=problem.code,
        severity=CODES[problem.code].severity,
        path=format_path(problem.path),
        message=problem.message,
        hint=problem.hint,
    )


def as_mapping(value: Any) -> dict[str, Any]:
    """The value if it is a mapping, else an empty one: checks go on beside what is broken."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
