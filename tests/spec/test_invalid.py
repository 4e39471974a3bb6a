"""One broken fixture for each diagnostic code, with exactly the findings that its header names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from planner_provider.spec.codes import CODES
from planner_provider.spec.encoding import MAX_BYTES
from planner_provider.spec.folder import LoadOptions, load, read_files

INVALID = Path(__file__).parent.parent / "invalid"
FIXTURES = sorted(path for path in INVALID.iterdir() if path.name.startswith("PLN"))
_EXPECT = re.compile(r"^# expect: (\S+) (\d+:\d+) ?(.*)$", re.MULTILINE)


def found_in(path: Path) -> list[str]:
    """What is found, as the fixtures write it: code, place and spec path."""
    base = path if path.is_dir() else path.parent
    files, unread = read_files([path], base=base)
    result = load(files, LoadOptions(root=base))
    return [
        f"{found.code} {found.file}:{found.line}:{found.column} {found.path}".rstrip()
        for found in (*unread, *result.diagnostics)
    ]


def expected_of(path: Path) -> list[str]:
    if path.is_dir():
        return (path / "expected.txt").read_text().splitlines()
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] == b"\xff\xfe" else "utf-8"
    text = content.decode(encoding, errors="replace")
    return [
        f"{code} {path.name}:{place} {spec_path}".rstrip()
        for code, place, spec_path in _EXPECT.findall(text)
    ]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_exactly_these_findings(path: Path) -> None:
    expected = expected_of(path)
    assert expected, "the fixture says nothing about what is expected"
    assert found_in(path) == expected
    assert any(line.startswith(path.name[:6]) for line in expected), (
        "its own code is not among them"
    )


# ---- codes whose fixtures cannot lie in a repository -----------------------------------------


def _too_large(folder: Path) -> list[str]:
    (folder / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    return ["PLN104 large.yaml:1:1"]


def _missing(folder: Path) -> list[str]:
    (folder / "gone.yaml").symlink_to(folder / "nowhere.yaml")
    return ["PLN112 gone.yaml:1:1"]


def _link(folder: Path) -> list[str]:
    outside = folder.parent / "elsewhere.yaml"
    outside.write_text("kind: Plan\n")
    (folder / "link.yaml").symlink_to(outside)
    return ["PLN113 link.yaml:1:1"]


def _documents(folder: Path) -> list[str]:
    (folder / "many.yaml").write_text("--- ~\n" * 1001)
    return ["PLN114 many.yaml:1001:5"]


MADE: dict[str, Callable[[Path], list[str]]] = {
    "PLN104": _too_large,
    "PLN112": _missing,
    "PLN113": _link,
    "PLN114": _documents,
}


@pytest.mark.parametrize("code", sorted(MADE))
def test_findings_in_made_folders(code: str, tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    expected = MADE[code](folder)
    assert found_in(folder) == expected


def test_no_code_lacks_a_fixture() -> None:
    shown = {path.name[:6] for path in FIXTURES} | set(MADE)
    assert shown == set(CODES)
