from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from planner_provider.ledger.location import ENV_VAR
from tests.cli.ledgers import LedgerCase, ago
from tests.cli.runner import planner


@pytest.fixture
def case(here: Path, monkeypatch: pytest.MonkeyPatch) -> LedgerCase:
    case = LedgerCase(here / "planner.db")
    key = case.pin("release-dddddddd-11111111", ago(days=1))
    case.lock(key, ago(days=1), "db://orders")
    case.act(key, "deploy", ago(hours=2))
    case.pin("orders-dddddddd-22222222", ago(hours=1))
    monkeypatch.setenv(ENV_VAR, case.url)
    return case


def tamper(here: Path, *statements: str) -> None:
    connection = sqlite3.connect(here / "planner.db")
    for verb in ("update", "delete"):
        connection.execute(f"DROP TRIGGER audit_no_{verb}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_intact(case: LedgerCase) -> None:
    ended = planner("audit", "verify")
    assert ended.code == 0
    assert ended.out.startswith("The audit trail is intact: 5 rows, the last one 5:")


def test_broken_says_which_row_what_when_and_what_next(here: Path, case: LedgerCase) -> None:
    tamper(here, "UPDATE audit SET actor = 'nobody' WHERE seq = 3", "DELETE FROM audit WHERE seq=5")
    ended = planner("audit", "verify")
    assert ended.code == 1
    text = " ".join(ended.out.split())
    assert "The audit trail is BROKEN: 2 faults, 4 rows" in text
    assert "row 3: changed What it says does not fit its hash" in text
    assert "It says: written 2026-03-28 23:00:00 UTC, act.began, by nobody, run release-" in text
    assert "row 5: cut off The trail ends with row 4, and row 5 was written last" in text
    assert "Copy the database as it is" in text
    assert max(map(len, ended.out.splitlines()[1:])) <= 80


def test_broken_as_json(here: Path, case: LedgerCase) -> None:
    tamper(here, "DELETE FROM audit WHERE seq = 2")
    ended = planner("audit", "verify", "--json")
    said = json.loads(ended.out)
    assert (ended.code, said["intact"], said["rows"]) == (1, False, 4)
    (fault,) = said["faults"]
    assert (fault["kind"], fault["seq"], fault["row"]["seq"]) == ("removed", 2, 3)
    assert fault["row"]["at"] == "2026-03-28T23:00:00+00:00"


def test_what_head_prints_is_what_expect_takes(case: LedgerCase) -> None:
    noted = planner("audit", "head").out.strip()
    case.pin("orders-dddddddd-33333333", ago())
    assert planner("audit", "verify", "--expect", noted).code == 0
    assert planner("audit", "verify", "--expect", noted[:14]).code == 0
    other = noted[:2] + ("0" if noted[2] != "0" else "1") + noted[3:]
    ended = planner("audit", "verify", "--expect", other)
    assert ended.code == 1
    assert "does not have the hash that you noted" in " ".join(ended.out.split())
    assert planner("audit", "verify", "--expect", f"9:{noted[2:]}").code == 1
    assert json.loads(planner("audit", "head", "--json").out)["seq"] == 6


@pytest.mark.parametrize("text", ["", "5", "5:abc", "x:0123456789ab", "5:0123456789ag", ":"])
def test_an_expect_that_is_none(case: LedgerCase, text: str) -> None:
    ended = planner("audit", "verify", "--expect", text)
    assert (ended.code, ended.out) == (2, "")
    assert "is not SEQ:HASH" in ended.err


def test_show(case: LedgerCase) -> None:
    out = planner("audit", "show").out
    assert out.count("run.assessed") == 2
    assert "     3  2026-03-28 23:00:00  act.began  task\n" in out
    assert "digest=dddddddddddd..." in out
    assert max(map(len, out.splitlines())) <= 80


def test_show_of_one_run_since(case: LedgerCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner_provider.cli.audit.now", ago)
    said = json.loads(planner("audit", "show", "release", "--since", "3h", "--json").out)
    assert [entry["what"] for entry in said] == ["act.began", "act.ended"]
    assert planner("audit", "show", "orders", "--since", "30m").out == "No entries.\n"


def test_head_without_its_record(here: Path, case: LedgerCase) -> None:
    tamper(here, "DELETE FROM audit_head")
    ended = planner("audit", "head")
    assert (ended.code, ended.out) == (1, "")
    assert planner("audit", "verify").code == 1
