from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

import pytest

from planner_provider.ledger.rows import Outcome
from tests.cli.ledgers import LedgerCase, ago
from tests.cli.runner import planner

ID = "release-dddddddd-11111111"


@pytest.fixture
def case(ledger_for: Callable[..., LedgerCase]) -> LedgerCase:
    return ledger_for("abort")


def stopped(case: LedgerCase) -> bool:
    run = case.ledger.run(ID)
    assert run is not None
    return run.abort_at is not None


def test_abort(case: LedgerCase) -> None:
    key = case.pin(ID, ago(minutes=9))
    case.approve(key, ago(minutes=8))
    case.lock(key, ago(minutes=5))
    case.act(key, "deploy", ago(minutes=4))
    case.begin(key, "bake", ago(minutes=2))
    ended = planner("abort", "release", "--reason", " wrong version ", "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert f"The run {ID} is stopped since 2026-03-29 01:00:00 UTC." in ended.out
    assert "The one that acts is told to stop" in ended.out
    assert "gives up within 10 s" in ended.out
    assert "rolled back in reverse order" in ended.out
    assert case.ledger.open_stops() == {ID: ago()}
    last = case.ledger.audit_of(ID)[-1]
    assert (last.what, last.actor) == ("run.aborted", f"cli:{getpass.getuser()}")
    assert last.detail == {"reason": "wrong version"}


def test_twice_is_harmless(case: LedgerCase) -> None:
    case.pin(ID, ago(minutes=9))
    assert "there is nothing to roll back" in planner("abort", ID, "--reason", "x", "-y").out
    entries = len(case.ledger.audit_of())
    assert "was stopped already" in planner("abort", ID, "--reason", "x", "-y").out
    assert len(case.ledger.audit_of()) == entries


def test_a_run_that_has_ended(case: LedgerCase) -> None:
    case.finish(case.pin(ID, ago(minutes=9)), Outcome.SUCCEEDED, "Done.", ago(minutes=5))
    ended = planner("abort", ID, "--reason", "x", "--yes")
    assert (ended.code, ended.out) == (1, "")
    assert "has ended already: succeeded at 2026-03-29 00:55:00 UTC. Nothing was done" in ended.err
    assert not stopped(case)


@pytest.mark.parametrize(
    ("answer", "code", "is_stopped"), [("y\n", 0, True), ("n\n", 1, False), ("", 1, False)]
)
def test_it_asks(
    case: LedgerCase, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, is_stopped: bool
) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    case.pin(ID, ago(minutes=9))
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    ended = planner("abort", ID, "--reason", "x")
    assert ended.code == code, ended.err
    assert "Stop it?" in ended.err
    assert stopped(case) is is_stopped


def test_nobody_to_ask(case: LedgerCase, monkeypatch: pytest.MonkeyPatch) -> None:
    case.pin(ID, ago(minutes=9))
    ended = planner("abort", ID, "--reason", "x")
    assert ended.code == 2
    assert "add --yes" in ended.err
    assert not stopped(case)


@pytest.mark.parametrize("argv", [[ID], [ID, "--reason", " ", "--yes"], ["nope", "-r", "x", "-y"]])
def test_wrong_use(case: LedgerCase, argv: list[str]) -> None:
    case.pin(ID, ago(minutes=9))
    ended = planner("abort", *argv)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    assert not stopped(case)
