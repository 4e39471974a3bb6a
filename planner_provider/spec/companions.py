"""Files that specs name: SQL beside a step, calendars in iCalendar, policies in Rego."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.located import Problem
from planner_provider.spec.references import HOLE, plan_actions
from planner_provider.spec.subject import Subject, as_list, as_mapping

MAX_COMPANION_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that a document names."""

    path: SpecPath
    """Where the name stands."""
    file: str
    what: str


def companions_of(subject: Subject) -> Iterator[Companion]:
    """The files that a document names."""
    kind = subject.key.kind if subject.key else ""
    if kind in {"Plan", "PlanTemplate"}:
        yield from _of_plan(subject)
    elif kind == "Calendar":
        for part in ("windows", "freezes"):
            for index, entry in enumerate(as_list(subject.spec.get(part))):
                path = ("spec", part, index)
                data = as_mapping(entry)
                yield from _one((*path, "ics"), data.get("ics"), "iCalendar")
                inner = as_mapping(data.get("window"))
                yield from _one((*path, "window", "ics"), inner.get("ics"), "iCalendar")
    elif kind == "Fleet":
        data = as_mapping(subject.spec.get("csv"))
        if "text" not in data:
            yield from _one(("spec", "csv", "file"), data.get("file"), "CSV")
    elif kind == "Policy":
        yield from _one(("spec", "rego"), subject.spec.get("rego"), "Rego")


def _of_plan(subject: Subject) -> Iterator[Companion]:
    for action in plan_actions(subject):
        if action.name == "sql" and "statement" not in action.data:
            yield from _one((*action.path, "file"), action.data.get("file"), "SQL")
        elif action.name == "verify":
            for index, check in enumerate(as_list(action.data.get("sql"))):
                data = as_mapping(check)
                if "statement" not in data:
                    yield from _one((*action.path, "sql", index, "file"), data.get("file"), "SQL")


def _one(path: SpecPath, name: Any, what: str) -> Iterator[Companion]:
    if isinstance(name, str) and name and HOLE not in name:
        yield Companion(path, name, what)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A companion file that could be read."""

    name: str
    """As shown to people, beside the spec's own name."""
    text: str


def read_companion(
    companion: Companion, beside: Path | None, shown_beside: str, root: Path | None
) -> Loaded | Problem:
    """Read a file that is named in a spec, if it is there and within the folder."""
    name = companion.file
    if "\0" in name or len(name) > 1000:
        return Problem("PLN311", companion.path, "this is not the name of a file", None)
    if beside is None:
        return Problem(
            "PLN311", companion.path, f"the file '{name}' cannot be looked up",
            "this spec was not read from a folder",
        )  # fmt: skip
    folder = beside.parent
    try:
        inside = (root or folder).resolve()
        target = (folder / name).resolve()
        if not target.is_relative_to(inside):
            return Problem(
                "PLN312", companion.path, f"the file '{name}' lies outside the spec folder",
                "name a file within it",
            )  # fmt: skip
        if not target.is_file():
            there = (
                sorted(
                    item.name for item in target.parent.iterdir() if item.suffix == target.suffix
                )
                if target.parent.is_dir()
                else []
            )
            from planner_provider.spec.suggest import did_you_mean, some_of

            hint = did_you_mean(
                target.name, there, f"there are: {some_of(there)}" if there else None
            )
            return Problem(
                "PLN311", companion.path, f"there is no {companion.what} file '{name}'",
                hint or "the name is relative to the spec's own folder",
            )  # fmt: skip
        if target.stat().st_size > MAX_COMPANION_BYTES:
            return Problem(
                "PLN313", companion.path,
                f"the file '{name}' is larger than {MAX_COMPANION_BYTES:,} bytes", None,
            )  # fmt: skip
        content = target.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Problem(
            "PLN313", companion.path, f"the file '{name}' cannot be read: {reason}", None
        )
    return _checked(companion, content, shown_beside)


def _checked(companion: Companion, content: bytes, shown_beside: str) -> Loaded | Problem:
    name = companion.file
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Problem(
            "PLN313", companion.path, f"the file '{name}' is not UTF-8", "save it as UTF-8"
        )
    if not text.strip():
        return Problem("PLN313", companion.path, f"the file '{name}' is empty", None)
    if companion.what == "iCalendar" and not text.lstrip().upper().startswith("BEGIN:VCALENDAR"):
        return Problem(
            "PLN313", companion.path, f"the file '{name}' is not an iCalendar",
            "it must begin with BEGIN:VCALENDAR",
        )  # fmt: skip
    if companion.what == "CSV":
        from planner_provider.spec.inventories import InventoryError, records_from_csv

        try:
            records_from_csv(text)
        except InventoryError as error:
            return Problem(
                "PLN313", companion.path, f"the file '{name}' is no list of targets: {error}", None
            )
    if companion.what == "Rego" and "package" not in text:
        return Problem(
            "PLN313", companion.path, f"the file '{name}' is not a Rego policy",
            "it must name its `package`",
        )  # fmt: skip
    if companion.what == "SQL":
        from planner_provider.spec.values import MAX_TEMPLATE, template_problem

        if len(text) > MAX_TEMPLATE:
            return Problem(
                "PLN313",
                companion.path,
                f"the file '{name}' has more than {MAX_TEMPLATE:,} characters",
                "split the statements over several steps",
            )
        problem = template_problem(text) if "{{" in text or "{%" in text or "{#" in text else None
        if problem:
            return Problem(
                "PLN228",
                companion.path,
                f"the template in '{name}' does not parse: {problem}",
                None,
            )
    return Loaded(normpath(join(dirname(shown_beside), name)), text)


def with_text(
    data: dict[str, Any], path: SpecPath, text: str, key: str = "statement"
) -> dict[str, Any]:
    """The data with the `file` under a path replaced by its text, under ``key``; the rest is
    shared."""
    replaced: dict[str, Any] = _replaced(data, path[:-1], text, key)
    return replaced


def _replaced(value: Any, path: SpecPath, text: str, key: str) -> Any:
    if not path:
        return {
            (key if name == "file" else name): (text if name == "file" else item)
            for name, item in value.items()
        }
    part, rest = path[0], path[1:]
    if isinstance(value, list) and isinstance(part, int):
        return [
            _replaced(item, rest, text, key) if index == part else item
            for index, item in enumerate(value)
        ]
    return {
        name: _replaced(item, rest, text, key) if name == part else item
        for name, item in value.items()
    }
