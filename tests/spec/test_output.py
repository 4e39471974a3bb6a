"""Diagnostics as text, JSON, SARIF and GitHub annotations. ``UPDATE_GOLDEN=1`` writes anew."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from planner_provider.spec.codes import CODES
from planner_provider.spec.diagnostics import Diagnostic, Severity
from planner_provider.spec.folder import LoadOptions, SourceFile, load, read_files
from planner_provider.spec.output import render_github, render_json, render_sarif, render_text

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden" / "spec"
SHOWN = (
    "PLN101-open-list", "PLN101-unclosed-quote", "PLN107-duplicate-key", "PLN202-in-a-template",
    "PLN202-misplaced-key", "PLN206-by-a-template", "PLN213-two-actions", "PLN224-bad-zone",
    "PLN301-same-name", "PLN305-circle", "PLN404-no-way-back", "PLN501-password",
)  # fmt: skip


def result_of(name: str) -> tuple[tuple[Diagnostic, ...], tuple[SourceFile, ...]]:
    path = next(path for path in (TESTS / "invalid").iterdir() if path.name.startswith(name))
    base = path if path.is_dir() else path.parent
    files, unread = read_files([path], base=base)
    return (*unread, *load(files, LoadOptions(root=base)).diagnostics), files


def compare(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_text() -> None:
    parts = []
    for name in SHOWN:
        diagnostics, files = result_of(name)
        parts.append(render_text(diagnostics, files, width=90))
    compare("lint.txt", "\n".join(parts))


def test_colour_changes_nothing_else() -> None:
    diagnostics, files = result_of("PLN202-misplaced-key")
    colored = render_text(diagnostics, files, color=True)
    assert "\x1b[1;31m" in colored
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == render_text(diagnostics, files)


def test_json_has_the_agreed_keys() -> None:
    diagnostics, _ = result_of("PLN202-misplaced-key")
    listed = json.loads(render_json(diagnostics))
    assert [set(item) for item in listed] == [
        {"code", "severity", "file", "line", "column", "path", "message", "hint"}
    ]
    assert (listed[0]["severity"], listed[0]["line"]) == ("error", 12)
    assert json.loads(render_json(())) == []


def test_sarif() -> None:
    diagnostics, _ = result_of("PLN301-same-name")
    log = json.loads(render_sarif(diagnostics))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["PLN301"]
    first = run["results"][0]
    assert run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == first["ruleId"]
    region = first["locations"][0]["physicalLocation"]
    assert region["artifactLocation"]["uri"] == "10-first.yaml"
    assert region["region"] == {"startLine": 3, "startColumn": 18}
    assert first["level"] == "error"


def diagnostic(message: str, **changes: object) -> Diagnostic:
    values: dict[str, object] = {
        "file": "a b.yaml", "line": 1, "column": 1, "code": "PLN202", "severity": Severity.ERROR,
        "path": "spec", "message": message, "hint": None,
    }  # fmt: skip
    return Diagnostic(**{**values, **changes})  # type: ignore[arg-type]


def test_sarif_uris_are_escaped() -> None:
    log = json.loads(render_sarif([diagnostic("x")]))
    location = log["runs"][0]["results"][0]["locations"][0]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "a%20b.yaml"


def test_github_commands_cannot_be_broken_out_of() -> None:
    text = render_github(
        [
            diagnostic(
                "50%\n::error::x", file="a,line=9::b.yaml", hint="y", severity=Severity.WARNING
            )
        ]
    )
    assert text == (
        "::warning file=a%2Cline=9%3A%3Ab.yaml,line=1,col=1,title=PLN202 Unknown key"
        "::50%25%0A::error::x%0AHint: y\n"
    )


@pytest.mark.parametrize(
    ("line", "column", "width", "excerpt"),
    [
        ("key: value", 6, 80, " 1 | key: value\n   |      ^^^^^"),
        ("名前: value", 5, 80, " 1 | 名前: value\n   |       ^^^^^"),
        ("a: 'two words' # c", 4, 80, " 1 | a: 'two words' # c\n   |    ^^^^^^^^^^^"),
        ("a:\tb", 4, 80, " 1 | a: b\n   |    ^"),
        ("short", 99, 80, " 1 | short\n   |      ^"),
        ("x" * 200 + " here " + "y" * 200, 202, 60, None),
    ],
)  # fmt: skip
def test_the_excerpt_points_at_the_place(
    line: str, column: int, width: int, excerpt: str | None
) -> None:
    file = SourceFile("a.yaml", line.encode())
    text = render_text([diagnostic("m", file="a.yaml", column=column)], [file], width=width)
    if excerpt is not None:
        assert excerpt in text
        return
    shown, marks = text.splitlines()[1:3]
    assert len(shown) <= width
    assert shown[marks.index("^") :].startswith("here")


def test_a_file_that_is_not_at_hand_has_no_excerpt() -> None:
    assert render_text([diagnostic("m")]) == "a b.yaml:1:1: error PLN202: m\n   = at spec\n"


def test_every_code_is_explained() -> None:
    for code in CODES.values():
        assert re.fullmatch(r"PLN[1-5]\d\d", code.id)
        for text in (code.title, code.why, code.mend):
            assert text == text.strip()
            assert text
        assert code.why.endswith(".")
        assert code.mend.endswith(".")
