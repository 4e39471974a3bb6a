from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import time_machine

from planner_provider.compiler.compilation import Compiler
from tests.compiler.conftest import Bundle, plan


def age(compiler: Compiler, seconds: int = 60) -> None:
    """Make the stored look at the folder later than all changes, so that it may be trusted."""
    first, _, rest = compiler.cache_file.read_bytes().partition(b"\n")
    head = json.loads(first)
    head["at_ns"] += seconds * 10**9
    compiler.cache_file.write_bytes(json.dumps(head).encode() + b"\n" + rest)


def names(compiler: Compiler) -> list[str]:
    return sorted(graph.name for graph in compiler.compile_all().graphs)


def test_the_second_time_it_comes_from_disk_and_is_the_same(bundle: Bundle) -> None:
    first = bundle.compiler.compile_all()
    second = bundle.compiler.compile_all()
    assert (first.fresh, second.fresh) == (True, False)
    assert second == replace(first, fresh=False)
    one = bundle.compiler.compile_one("good")
    assert not one.fresh
    assert [graph.name for graph in one.graphs] == ["good"]


def test_one_plan_without_stored_plans_is_the_same(bundle: Bundle) -> None:
    one = bundle.compiler.compile_one("good")
    assert one.fresh
    assert not bundle.compiler.cache_file.exists()
    (graph,) = one.graphs
    assert graph in bundle.compiler.compile_all().graphs
    assert bundle.compiler.compile_one("nothing").graphs == ()


def test_a_cache_written_right_after_its_specs_is_written_once_more(bundle: Bundle) -> None:
    compiler = bundle.compiler
    compiler.compile_all()
    for file in bundle.specs.rglob("*.yaml"):
        seconds = file.stat().st_mtime - 60
        os.utime(file, (seconds, seconds))
    compiler.compile_all()  # other times, same content: written with the new times
    hasty = compiler.cache_file.read_bytes()
    age(compiler, -60)  # as if it had been written before anything could vouch for the files
    older = compiler.cache_file.read_bytes()
    with time_machine.travel(time.time() + 60, tick=False):
        assert not compiler.compile_all().fresh
        settled = compiler.cache_file.read_bytes()
        assert settled not in (hasty, older)
        assert not compiler.compile_all().fresh
        assert compiler.cache_file.read_bytes() == settled


def test_a_change_of_the_same_size_and_time_is_seen(bundle: Bundle) -> None:
    compiler, file = bundle.compiler, bundle.specs / "good.yaml"
    before = compiler.compile_one("good").graphs[0].digest
    compiler.compile_all()
    age(compiler)
    times = file.stat()
    file.write_text(file.read_text().replace("hello", "olleh"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert compiler.compile_one("good").graphs[0].digest != before
    assert compiler.compile_all().fresh


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Compiler._load

    def load_then_change(self: Compiler, name: str | None = None) -> object:
        loaded = load(self, name)
        bundle.write("good.yaml", plan("good", "changed"))
        return loaded

    monkeypatch.setattr(Compiler, "_load", load_then_change)
    bundle.compiler.compile_all()
    monkeypatch.undo()
    assert not bundle.compiler.cache_file.exists()
    found = bundle.compiler.compile_all()
    assert "changed" in next(g for g in found.graphs if g.name == "good").to_json()


def test_a_changed_sql_file_changes_the_plan(bundle: Bundle) -> None:
    text = plan("good").replace(
        "notify: {message: hello}", "sql: {connection: db, file: sql/a.sql}, rollback: none"
    )
    bundle.write("good.yaml", text)
    bundle.write("sql/a.sql", "UPDATE a SET b = 1\n")
    first = bundle.compiler.compile_all()
    assert first.errors == ""
    age(bundle.compiler)
    bundle.write("sql/a.sql", "UPDATE a SET b = 2\n")
    second = bundle.compiler.compile_all()
    assert second.fresh
    digests = [{g.name: g.digest for g in found.graphs}["good"] for found in (first, second)]
    assert digests[0] != digests[1]


@pytest.mark.parametrize("damage", ["first line", "body", "empty", "binary", "other version"])
def test_a_damaged_cache_is_made_again(bundle: Bundle, damage: str) -> None:
    compiler = bundle.compiler
    first = compiler.compile_all()
    whole = compiler.cache_file.read_bytes()
    head, _, body = whole.partition(b"\n")
    compiler.cache_file.write_bytes(
        {
            "first line": b"{}\n" + body,
            "body": head + b"\n" + body[:-20],
            "empty": b"",
            "binary": b"\xff\xfe\x00" + body,
            "other version": head.replace(compiler.key.encode(), b"0" * 64) + b"\n" + body,
        }[damage]
    )
    assert compiler.compile_one("good").graphs == tuple(
        graph for graph in first.graphs if graph.name == "good"
    )
    assert compiler.compile_all() == first
    assert compiler.cache_file.read_bytes() != b""
    assert not compiler.compile_all().fresh


def test_a_cache_that_cannot_be_written_is_only_slow(bundle: Bundle) -> None:
    blocked = bundle.root / "file"
    blocked.write_text("no folder")
    compiler = Compiler(bundle.specs, blocked / "compiled")
    assert names(compiler) == names(compiler) == ["good", "other"]
    assert compiler.compile_all().fresh


def test_what_specs_may_use_is_part_of_the_key(bundle: Bundle) -> None:
    path = "airflow.providers.standard.operators.empty.EmptyOperator"
    text = plan("good").replace("notify: {message: hello}", f"operator: {{path: {path}}}")
    bundle.write("good.yaml", text)
    refused = bundle.compiler.compile_all()
    assert "PLN502" in refused.errors
    allowing = replace(bundle.compiler, allowed_operators=(path,))
    assert "PLN502" not in allowing.compile_all().errors


def test_errors_name_file_line_and_column_and_spare_the_others(bundle: Bundle) -> None:
    bundle.write("good.yaml", plan("good").replace("summary", "sumary"))
    found = bundle.compiler.compile_all()
    assert [graph.name for graph in found.graphs] == ["other"]
    assert "good.yaml:5:3" in found.errors
    (broken,) = found.broken
    assert (broken.name, broken.file) == ("good", "good.yaml")
    assert broken.why.startswith("good.yaml:")


def test_files_of_folders_long_gone_are_removed(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.compiler.cache_folder
    folder.mkdir(parents=True)
    old, own = folder / "old.plans", folder / "unknown.txt"
    for file in (old, own):
        file.write_text("")
        os.utime(file, (1, 1))
    bundle.compiler.compile_all()
    assert not old.exists()
    assert own.exists()
