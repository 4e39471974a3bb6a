from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from planner_provider.ledger.rows import Mode, Outcome, RunKey
from tests.cli.ledgers import NOW, LedgerCase, ago
from tests.cli.runner import planner

ID = "release-dddddddd-11111111"
LATER = "orders-dddddddd-22222222"


@pytest.fixture
def case(ledger_for: Callable[..., LedgerCase]) -> LedgerCase:
    return ledger_for("locks")


@pytest.fixture
def key(case: LedgerCase) -> RunKey:
    key = case.pin(ID, ago(hours=1))
    case.lock(key, ago(minutes=50), "db://orders", mode=Mode.SHARED)
    return key


def squeezed(*argv: str) -> str:
    return " ".join(planner("locks", *argv).out.split())


def test_nothing(case: LedgerCase) -> None:
    assert planner("locks").out == "Nothing is locked and nobody waits.\n"


def test_who_holds_and_who_waits_for_whom(case: LedgerCase, key: RunKey) -> None:
    case.wait_for(case.pin(LATER, ago(minutes=5)), ago(seconds=30), "db://orders")
    case.wait_for(case.pin("z-dddddddd-33333333", ago(minutes=5)), ago(seconds=9), "db://orders")
    case.wait_for(case.pin("y-dddddddd-44444444", ago(hours=1)), ago(minutes=9), "db://orders")
    text = squeezed()
    assert f"{ID} holds since 2026-03-29 00:10:00 UTC, for 50m 0s shared db://orders" in text
    assert f"1. {LATER} since 2026-03-29 00:59:30 UTC, for 30s for db://orders: {ID} holds" in text
    assert f"{LATER} came first and wants it (exclusive)" in text
    assert "y-dddddddd-44444444 waits since 2026-03-29 00:51:00 UTC, but gave no sign" in text
    assert max(map(len, planner("locks").out.splitlines())) <= 80
    said = json.loads(planner("locks", "--json").out)
    assert [item["plan_id"] for item in said["held"]] == [ID]
    assert [item["waiter"]["plan_id"][0] for item in said["waiting"]] == ["o", "z"]
    assert [item["plan_id"][0] for item in said["silent"]] == ["y"]


def test_release_of_a_run_that_ended(case: LedgerCase, key: RunKey) -> None:
    case.finish(key, Outcome.FAILED, "Why.", ago(minutes=1))
    assert "The run has ENDED (failed, 00:59:00)" in squeezed()
    ended = planner("locks", "--release", ID, "--reason", "left behind")
    assert (ended.code, ended.err) == (0, "")
    assert "has given back:\n  db://orders\n  plan://release\n" in ended.out
    assert case.ledger.check_lease(ID) is None
    asked, given = case.ledger.audit_of(ID)[-2:]
    assert (asked.what, asked.detail["reason"]) == ("lease.release_asked", "left behind")
    assert given.what == "lease.reaped"
    assert asked.actor.startswith("cli:")
    assert "holds no locks" in planner("locks", "--release", ID, "--reason", "x").out


def test_no_release_while_the_run_goes_on(case: LedgerCase, key: RunKey) -> None:
    ended = planner("locks", "--release", ID, "--reason", "x")
    assert (ended.code, ended.out) == (1, "")
    assert "has not ended, so it keeps its locks" in ended.err
    assert f"planner abort {ID}" in ended.err
    lease = case.ledger.check_lease(ID)
    assert lease is not None
    assert lease.closing_at is None


def test_no_release_while_something_may_act(
    case: LedgerCase, key: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.begin(key, "deploy", ago(seconds=20))
    case.finish(key, Outcome.FAILED, "Why.", ago(seconds=10))
    ended = planner("locks", "--release", ID, "--reason", "x")
    assert (ended.code, ended.out) == (1, "")
    assert "may still be acting: step deploy (last sign of life 20s ago)" in ended.err
    assert case.ledger.check_lease(ID) is not None
    monkeypatch.setattr("planner_provider.cli.locks.now", lambda: NOW + timedelta(minutes=9))
    assert planner("locks", "--release", ID, "--reason", "x").code == 1
    monkeypatch.setattr("planner_provider.cli.locks.now", lambda: NOW + timedelta(minutes=11))
    assert planner("locks", "--release", ID, "--reason", "x").code == 0
    assert case.ledger.check_lease(ID) is None


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--release", ID], "--release needs a reason"),
        (["--release", ID, "--reason", " "], "--release needs a reason"),
        (["--reason", "x"], "--reason needs --release"),
        (["--release", "nope", "--reason", "x"], "no run has a plan ID"),
    ],
)
def test_wrong_use(case: LedgerCase, key: RunKey, argv: list[str], words: str) -> None:
    ended = planner("locks", *argv)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
