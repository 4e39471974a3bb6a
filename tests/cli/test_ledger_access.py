"""The ledger is missing, empty, broken, too old or too new: each is said, nothing is made."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.location import ENV_VAR
from tests.cli.ledgers import LedgerCase, ago
from tests.cli.runner import planner

READERS = [
    ["history"], ["show", "x"], ["locks"], ["replay", "1"], ["abort", "x", "--reason", "y"],
    ["audit", "verify"], ["audit", "show"], ["audit", "head"],
    ["locks", "--release", "x", "--reason", "y"],
]  # fmt: skip


@pytest.mark.parametrize("argv", READERS, ids=" ".join)
def test_no_ledger(here: Path, argv: list[str]) -> None:
    ended = planner(*argv)
    assert (ended.code, ended.out) == (2, "")
    assert f"There is no ledger at sqlite:///{here}/airflow/planner.db" in ended.err
    assert "--ledger URL" in ended.err
    assert not (here / "airflow").exists()


@pytest.mark.parametrize("argv", READERS, ids=" ".join)
def test_another_database(here: Path, argv: list[str]) -> None:
    sqlite3.connect(here / "other.db").execute("CREATE TABLE a (b)").connection.close()
    ended = planner(*argv, "--ledger", f"sqlite:///{here}/other.db")
    assert ended.code == 2
    assert "has no ledger in it" in ended.err


@pytest.mark.parametrize("argv", READERS, ids=" ".join)
def test_no_database(here: Path, argv: list[str]) -> None:
    (here / "x.db").write_text("This is a text and no database. " * 100)
    ended = planner(*argv, "--ledger", f"sqlite:///{here}/x.db")
    assert ended.code == 2
    assert "cannot be read: file is not a database" in ended.err


@pytest.mark.parametrize(
    ("version", "words"),
    [("0001", "planner ledger upgrade"), ("9999", "Install that release here too")],
)
def test_too_old_or_too_new(here: Path, version: str, words: str) -> None:
    case = LedgerCase(here / "p.db")
    case.ledger.upgrade()
    connection = sqlite3.connect(here / "p.db")
    connection.execute("UPDATE planner_ledger_version SET version_num = ?", (version,))
    connection.commit()
    connection.close()
    ended = planner("history", "--ledger", case.url)
    assert ended.code == 2
    assert words in ended.err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "is not a SQLAlchemy URL"),
        ("mysql://u:secret@h/d", "names a mysql database"),
        ("postgresql://u:secret@127.0.0.1:1/d", "did not answer"),
        ("sqlite://", "cannot live in memory"),
    ],
)
def test_a_url_that_cannot_be_used(here: Path, url: str, words: str) -> None:
    ended = planner("audit", "verify", "--ledger", url)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert "secret" not in ended.err
    assert "Traceback" not in ended.err


def test_the_environment_and_a_plain_path(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = LedgerCase(here / "p.db")
    case.pin("release-dddddddd-11111111", ago())
    assert "11111111" in planner("history", "--ledger", "p.db").out
    monkeypatch.setenv(ENV_VAR, case.url)
    assert "11111111" in planner("history").out


def test_upgrade(here: Path) -> None:
    url = f"sqlite:///{here}/p.db"
    assert "is upgraded from nothing: schema" in planner("ledger", "upgrade", "--ledger", url).out
    assert "was up to date" in planner("ledger", "upgrade", "--ledger", url).out
    assert Ledger(url, auto_upgrade=False).audit_of() == ()
