from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from planner_provider.compiler.fingerprint import RACY_NS, Fingerprint, fingerprint

WRONG = "0" * 64


def with_content(seen: Fingerprint, content: str, later_ns: int) -> Fingerprint:
    """The same, taken later, and with another content noted for every file."""
    files = {name: (*entry[:4], content) for name, entry in seen.files.items()}
    return replace(seen, at_ns=seen.at_ns + later_ns, files=files)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sql").mkdir()
    (tmp_path / "a.yaml").write_text("one")
    (tmp_path / "sql" / "a.sql").write_text("two")
    return tmp_path


def test_it_sees_all_files_that_are_not_hidden(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "index").write_text("x")
    (folder / ".a.yaml.swp").write_text("x")
    assert sorted(fingerprint(folder).files) == ["a.yaml", "sql/a.sql"]


def test_content_is_not_read_where_an_older_look_vouches_for_it(folder: Path) -> None:
    known = with_content(fingerprint(folder), WRONG, later_ns=2 * RACY_NS)
    assert {seen[4] for seen in fingerprint(folder, known).files.values()} == {WRONG}


def test_a_look_too_close_to_a_change_vouches_for_nothing(folder: Path) -> None:
    known = with_content(fingerprint(folder), WRONG, later_ns=0)
    assert fingerprint(folder, known).same_content(fingerprint(folder))


def test_other_content_of_the_same_size_and_time_is_seen(folder: Path) -> None:
    file = folder / "a.yaml"
    first = fingerprint(folder)
    known = replace(first, at_ns=first.at_ns + 2 * RACY_NS)
    times = file.stat()
    file.write_text("eno")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not fingerprint(folder, known).same_content(first)


def test_a_file_touched_but_not_changed_has_the_same_content(folder: Path) -> None:
    first = fingerprint(folder)
    os.utime(folder / "a.yaml", ns=(1, 1))
    second = fingerprint(folder, first)
    assert second.same_content(first)
    assert second.files["a.yaml"] != first.files["a.yaml"]


def test_files_that_come_and_go_are_seen(folder: Path) -> None:
    first = fingerprint(folder)
    (folder / "sql" / "a.sql").unlink()
    assert not fingerprint(folder, first).same_content(first)
    (folder / "sql" / "a.sql").write_text("two")
    (folder / "b.yaml").write_text("")
    assert not fingerprint(folder, first).same_content(first)


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert fingerprint(tmp_path / "nowhere").files == {}


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / "sql" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "gone.yaml").symlink_to(folder / "nothing")
    assert "a.yaml" in fingerprint(folder).files
