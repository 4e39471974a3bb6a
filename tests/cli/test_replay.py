from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from planner_provider.decide import replay as replay_module
from planner_provider.decide.model import Inputs, Measure, Reason, Verdict, VerdictKind
from planner_provider.decide.replay import Decider, decide
from planner_provider.ledger.location import ENV_VAR
from tests.cli.ledgers import LedgerCase, ago
from tests.cli.runner import planner


class Errors(Inputs):
    """Inputs of a decision that only these tests have."""

    kind: ClassVar[str] = "errors"
    ratio: float


def judge(limit: float) -> Callable[[Errors], Verdict]:
    def decide_errors(inputs: Errors) -> Verdict:
        good = inputs.ratio < limit
        return Verdict(
            kind=VerdictKind.PROCEED if good else VerdictKind.ROLL_BACK,
            reasons=(Reason(code="ratio", text=f"{inputs.ratio} errors, {limit} allowed."),),
            measures=(Measure(name="errors", value=inputs.ratio, limit=limit),),
        )

    return decide_errors


Decide = Callable[[float, int], None]


@pytest.fixture
def decides(monkeypatch: pytest.MonkeyPatch) -> Decide:
    """Set the limit and the version of the function."""

    def put(limit: float, version: int) -> None:
        maker = Decider(Errors, judge(limit), version)
        monkeypatch.setattr(replay_module, "decider", lambda kind: {"errors": maker}[kind])

    return put


@pytest.fixture
def case(here: Path, monkeypatch: pytest.MonkeyPatch, decides: Decide) -> LedgerCase:
    case = LedgerCase(here / "planner.db")
    key = case.pin("release-dddddddd-11111111", ago())
    decides(0.1, 1)
    _, record = decide(Errors(now=ago(), ratio=0.05))
    case.ledger.record_decision(record, plan_id=key.plan_id, step="shift/w5", actor="t", now=ago())
    monkeypatch.setenv(ENV_VAR, case.url)
    return case


@pytest.mark.parametrize("number", ["1", "#1"])
def test_equal(case: LedgerCase, number: str) -> None:
    ended = planner("replay", number)
    assert (ended.code, ended.err) == (0, "")
    assert "Decision #1: errors, step shift/w5" in ended.out
    assert "EQUAL: the same inputs give the same verdict, to the byte." in ended.out
    assert json.loads(planner("replay", number, "--json").out)["equal"] is True


def test_another_version_that_decides_otherwise(case: LedgerCase, decides: Decide) -> None:
    decides(0.01, 2)
    ended = planner("replay", "1")
    assert ended.code == 1
    assert '  kind\n    then "proceed"\n    now  "roll_back"\n' in ended.out
    assert "  measures[0].limit\n    then 0.1\n    now  0.01\n" in ended.out
    assert "has version 2 now; version 1 decided then. That can explain" in ended.out
    said = json.loads(planner("replay", "1", "--json").out)
    assert (said["equal"], said["recorded_version"], said["current_version"]) == (False, 1, 2)
    assert {"kind", "measures[0].limit"} <= {item["field"] for item in said["differences"]}


def test_another_version_that_decides_alike(case: LedgerCase, decides: Decide) -> None:
    decides(0.1, 2)
    ended = planner("replay", "1")
    assert ended.code == 0
    assert "has version 2 now; version 1 decided then." in ended.out


def test_the_same_version_must_not_differ(case: LedgerCase, decides: Decide) -> None:
    decides(0.01, 1)
    ended = planner("replay", "1")
    assert ended.code == 1
    assert "so this must not be" in " ".join(ended.out.split())


@pytest.mark.parametrize("column", ["inputs", "verdict"])
def test_a_record_that_was_changed(here: Path, case: LedgerCase, column: str) -> None:
    connection = sqlite3.connect(here / "planner.db")
    connection.execute(f"UPDATE decisions SET {column} = replace({column}, '0.05', '0.06')")
    connection.commit()
    connection.close()
    ended = planner("replay", "1")
    assert ended.code == 1
    assert "was CHANGED after it was made" in ended.err


def test_a_function_that_fails(case: LedgerCase, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(inputs: Errors) -> Verdict:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(replay_module, "decider", lambda kind: Decider(Errors, fail, 1))
    ended = planner("replay", "1")
    assert (ended.code, ended.out) == (2, "")
    assert "ZeroDivisionError" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("number", ["2", "x", "", "-1", "1.5", "9" * 30])
def test_no_such_decision(case: LedgerCase, number: str) -> None:
    ended = planner("replay", "--", number)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("kind", "words"), [("errors", "are not those"), ("guess", "does not know")]
)
def test_a_record_that_cannot_be_decided_again(case: LedgerCase, kind: str, words: str) -> None:
    key = case.pin("release-dddddddd-22222222", ago())
    number = case.decide(key, "x", ago(), kind=kind)
    ended = planner("replay", str(number))
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
