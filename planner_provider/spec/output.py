"""Diagnostics as people and machines read them: text, JSON, SARIF and GitHub annotations."""

from __future__ import annotations

import json
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote as quote_uri

from planner_provider import __version__
from planner_provider.spec.codes import CODES
from planner_provider.spec.diagnostics import Diagnostic, Severity
from planner_provider.spec.encoding import split_lines
from planner_provider.spec.plaintext import mask_line
from planner_provider.spec.sources import SourceFile

_COLORS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}
_SARIF_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_GITHUB_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_WORD = re.compile(r"'[^']*'|\"[^\"]*\"|[\w./@-]+|.")


def render_text(
    diagnostics: Iterable[Diagnostic],
    sources: Iterable[SourceFile] = (),
    color: bool = False,
    width: int = 100,
) -> str:
    """Write findings for people, each with the line it is about. Secrets are not shown."""
    lines = _Lines(sources)
    return "\n".join(_one(diagnostic, lines, color, max(width, 40)) for diagnostic in diagnostics)


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """Write findings as a JSON list, one object each. The keys are stable."""
    return json.dumps([_as_dict(diagnostic) for diagnostic in diagnostics], indent=2) + "\n"


def render_sarif(diagnostics: Iterable[Diagnostic]) -> str:
    """Write findings as SARIF 2.1.0, which code scanning services take."""
    found = list(diagnostics)
    used = sorted({diagnostic.code for diagnostic in found})
    driver = {
        "name": "planner",
        "version": __version__,
        "rules": [_sarif_rule(code) for code in used],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(diagnostic, used) for diagnostic in found],
    }
    log = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2) + "\n"


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Write findings as workflow commands, which GitHub shows beside the changed lines."""
    return "".join(_github(diagnostic) for diagnostic in diagnostics)


# ---- text ------------------------------------------------------------------------------------


class _Lines:
    """The lines of source files, split when they are first needed."""

    def __init__(self, sources: Iterable[SourceFile]) -> None:
        self._content = {source.name: source.content for source in sources}
        self._split: dict[str, Sequence[str]] = {}

    def get(self, file: str, line: int) -> str | None:
        if file not in self._content:
            return None
        if file not in self._split:
            content = self._content[file]
            wide = content[:2] in {b"\xff\xfe", b"\xfe\xff"}
            text = content.decode("utf-16" if wide else "utf-8-sig", errors="replace")
            self._split[file] = split_lines(text)
        lines = self._split[file]
        return lines[line - 1] if 0 < line <= len(lines) else None


def _one(found: Diagnostic, lines: _Lines, color: bool, width: int) -> str:
    paint = _painter(color)
    tone = _COLORS[found.severity]
    place = paint(f"{found.file}:{found.line}:{found.column}:", "1")
    label = paint(f"{found.severity.value} {found.code}:", f"1;{tone}")
    out = [f"{place} {label} {found.message}"]
    source = lines.get(found.file, found.line)
    margin = " " * (len(str(found.line)) + 2)
    if source is not None and source.strip():
        excerpt, caret = _excerpt(source, found, width - len(margin) - 2)
        bar = paint("|", "34")
        out.append(f"{paint(f' {found.line} ', '34')}{bar} {excerpt}".rstrip())
        out.append(f"{margin}{bar} {paint(caret, f'1;{tone}')}")
    if found.path:
        out.append(f"{margin}{paint('=', '34')} at {found.path}")
    if found.hint:
        head = f"{margin}{paint('=', '34')} hint: "
        wrapped = textwrap.wrap(
            found.hint, max(width - len(margin) - 8, 30), break_on_hyphens=False,
            break_long_words=False,
        )  # fmt: skip
        out += [
            (head if index == 0 else f"{margin}  ") + part for index, part in enumerate(wrapped)
        ]
    return "\n".join(out) + "\n"


def _excerpt(source: str, found: Diagnostic, room: int) -> tuple[str, str]:
    """The part of a line around a column, and the marks below it."""
    start = min(max(found.column - 1, 0), len(source))
    if found.code == "PLN501":
        source = source[:start] + "(hidden)"
    else:
        masked = mask_line(source)
        source = masked if masked[:start] == source[:start] else source[:start] + "(hidden)"
    word = _WORD.match(source, start)
    length = len(word.group()) if word else 1
    shown = "".join(" " if char == "\t" else char if char.isprintable() else "?" for char in source)
    offset = 0
    if len(shown) > room:
        room -= 6
        offset = max(0, min(start - room // 3, len(shown) - room))
        cut = shown[offset : offset + room]
        shown = ("..." if offset else "") + cut + ("..." if offset + room < len(shown) else "")
        offset -= 3 if offset else 0
    before = shown[: start - offset]
    marked = shown[start - offset : start - offset + length]
    return shown.rstrip(), " " * _cells(before) + "^" * max(_cells(marked), 1)


def _cells(text: str) -> int:
    """How many columns of a terminal text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _painter(color: bool) -> Any:
    def paint(text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if color else text

    return paint


# ---- machines --------------------------------------------------------------------------------


def _as_dict(found: Diagnostic) -> dict[str, Any]:
    return {
        "code": found.code,
        "severity": found.severity.value,
        "file": found.file,
        "line": found.line,
        "column": found.column,
        "path": found.path,
        "message": found.message,
        "hint": found.hint,
    }


def _sarif_rule(code: str) -> dict[str, Any]:
    about = CODES[code]
    return {
        "id": code,
        "name": about.title,
        "shortDescription": {"text": about.title},
        "fullDescription": {"text": about.why},
        "help": {"text": about.mend},
        "defaultConfiguration": {"level": _SARIF_LEVELS[about.severity]},
    }


def _sarif_result(found: Diagnostic, rules: list[str]) -> dict[str, Any]:
    text = f"{found.message}. Hint: {found.hint}" if found.hint else found.message
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote_uri(found.file)},
            "region": {"startLine": found.line, "startColumn": found.column},
        }
    }
    if found.path:
        location["logicalLocations"] = [{"fullyQualifiedName": found.path}]
    return {
        "ruleId": found.code,
        "ruleIndex": rules.index(found.code),
        "level": _SARIF_LEVELS[found.severity],
        "message": {"text": text},
        "locations": [location],
    }


def _github(found: Diagnostic) -> str:
    text = f"{found.message}\nHint: {found.hint}" if found.hint else found.message
    properties = {
        "file": found.file,
        "line": str(found.line),
        "col": str(found.column),
        "title": f"{found.code} {CODES[found.code].title}",
    }
    shown = ",".join(f"{key}={_escape(value, inside=True)}" for key, value in properties.items())
    return f"::{_GITHUB_LEVELS[found.severity]} {shown}::{_escape(text)}\n"


def _escape(text: str, *, inside: bool = False) -> str:
    """Keep text from ending, or adding to, a workflow command."""
    out = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return out.replace(":", "%3A").replace(",", "%2C") if inside else out
