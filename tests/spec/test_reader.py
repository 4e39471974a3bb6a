"""Bytes to documents: YAML 1.2, places, limits, and what happens after an error."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from planner_provider.spec.building import MAX_DEPTH, MAX_NODES
from planner_provider.spec.reader import MAX_SYNTAX_ERRORS, read_documents
from planner_provider.spec.yaml_parser import HAS_LIBYAML


def data_of(text: str) -> Any:
    read = read_documents("x.yaml", text.encode())
    assert not read.problems, read.problems
    assert not read.documents[0].problems, read.documents[0].problems
    return read.documents[0].data


def codes_of(content: bytes) -> list[str]:
    read = read_documents("x.yaml", content)
    return [problem.code for problem in read.problems] + [
        problem.code for document in read.documents for problem in document.problems
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True), ("False", False), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("null", None), ("~", None), ("", None), ("12", 12), ("-7", -7), ("+7", 7), ("012", 12),
        ("0x1F", 31), ("0o17", 15), ("1_000", "1_000"), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5),
        ("1:30", "1:30"), ("2026-11-01", "2026-11-01"), ("10%", "10%"), ("1.2.3", "1.2.3"),
        ("'12'", "12"), ('"true"', "true"), ("!!str 12", "12"), ("!!int 12", 12),
        ("!!float 1", 1.0), ("=", "="), ("NO", "NO"), ("0b11", "0b11"), (".inf", float("inf")),
    ],
)  # fmt: skip
def test_scalars_by_the_core_schema(written: str, value: Any) -> None:
    found = data_of(f"key: {written}\n")["key"]
    assert found == value
    assert type(found) is type(value)


def test_the_byte_order_mark_shifts_nothing() -> None:
    read = read_documents("x.yaml", b"\xef\xbb\xbfa: 1\nb: {c: 2}\n")
    place = read.documents[0].locate(("b", "c"))
    assert (place.line, place.column) == (2, 8)


def test_places_of_keys_values_and_what_is_missing() -> None:
    text = "# comment\n---\nspec:\n  steps:\n    - id: a\n      http: {path: /é, x: 1}\n  empty:\n"
    document = read_documents("x.yaml", text.encode()).documents[0]

    def at(*path: str | int, at_key: bool = False) -> tuple[int, int]:
        place = document.locate(path, at_key)
        return place.line, place.column

    assert at() == (3, 1)
    assert at("spec", "steps", 0, "id") == (5, 11)
    assert at("spec", "steps", 0, "id", at_key=True) == (5, 7)
    assert at("spec", "steps", 0, "http", "x") == (6, 27)
    assert at("spec", "steps", 0, "http", "nothing") == (6, 13)
    assert at("spec", "steps", 0, "nothing") == (5, 7)
    assert at("spec", "steps") == (4, 3), "a block is shown by its key"
    assert at("spec", "empty") == (7, 3)
    assert at("spec", "steps", 7, "deeper") == (4, 3)


def test_aliases_are_read_and_each_use_counts() -> None:
    assert data_of("a: &x [1, 2]\nb: *x\n")["b"] == [1, 2]
    bomb = (
        b"a: &a [" + b"x," * 400 + b"]\nb: &b [" + b"*a," * 100 + b"]\nc: [" + b"*b," * 10 + b"]\n"
    )
    assert codes_of(bomb) == ["PLN106"]
    assert codes_of(b"a: &a [*a]\n") == ["PLN105"]


@pytest.mark.parametrize(
    "text",
    ["[" * 60_000, "- " * 60_000, "{a: " * 60_000, "? " * 5_000, "a:\n" + " " * 9 + "- " * 9_000],
    ids=["flow", "compact", "mapping", "keys", "block"],
)
def test_depth_never_reaches_the_recursive_parser(text: str) -> None:
    assert codes_of(text.encode()) == ["PLN105"]


def test_the_limits_themselves_are_allowed() -> None:
    deepest = "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert codes_of(deepest.encode()) == []
    assert codes_of(("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH).encode()) == ["PLN105"]
    many = "[" + "1," * (MAX_NODES - 2) + "]"
    assert codes_of(many.encode()) == []
    assert codes_of(("[" + "1," * MAX_NODES + "]").encode()) == ["PLN106"]


def test_documents_before_and_after_an_error_are_read() -> None:
    text = "a: 1\n---\nb: [\n---\nc: 3\n---\nd: 'x\n---\ne: 5\n"
    read = read_documents("x.yaml", text.encode())
    assert [document.data for document in read.documents] == [{"a": 1}, {"c": 3}, {"e": 5}]
    assert [(problem.code, problem.place.line) for problem in read.problems if problem.place] == [
        ("PLN101", 4),
        ("PLN101", 7),
    ]
    assert read.documents[2].locate(("e",)).line == 9
    assert len(read.unread) == 2


def test_a_file_full_of_errors_is_given_up() -> None:
    read = read_documents("x.yaml", b"--- [\n" * 5000)
    assert len(read.problems) == MAX_SYNTAX_ERRORS


def test_duplicate_keys_at_any_level_and_however_written() -> None:
    assert codes_of(b'a: {b: 1, "b": 2}\n') == ["PLN107"]
    assert codes_of(b'1: a\n"1": b\n') == ["PLN108"]
    document = read_documents("x.yaml", b"a:\n  - {x: 1, x: 2}\n").documents[0]
    assert document.problems[0].path == ("a", 0, "x")
    assert document.data == {"a": [{"x": 1}]}, "the first one counts"


def test_no_tag_reaches_python() -> None:
    for tag in (
        b"!!python/object/apply:os.system [ls]",
        b"!!timestamp 2026-01-01",
        b"!mine x",
        b"!!set {a}",
    ):
        assert codes_of(b"a: " + tag + b"\n") == ["PLN110"]


_FALLBACK = """
import sys
sys.modules["yaml._yaml"] = None
from planner_provider.spec.reader import read_documents
from planner_provider.spec.yaml_parser import HAS_LIBYAML
assert not HAS_LIBYAML
read = read_documents("x", b"a: {b: 1}\\nc: [1, 'x', yes]\\n---\\nd: [\\n")
print(read.documents[0].data, read.documents[0].locate(("c", 1)), read.problems[0].code)
print([p.code for p in read_documents("x", b"[" * 60000).problems])
"""


@pytest.mark.skipif(not HAS_LIBYAML, reason="the other parser is in use anyway")
def test_the_same_without_libyaml() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FALLBACK], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        "{'a': {'b': 1}, 'c': [1, 'x', 'yes']} Place(line=2, column=8) PLN101",
        "['PLN105']",
    ]
