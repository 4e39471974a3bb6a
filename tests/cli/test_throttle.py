from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from planner_provider.decide.throttle import Kept, ThrottleState
from planner_provider.ledger.rows import Outcome, Throttle
from tests.cli.ledgers import LedgerCase, ago
from tests.cli.runner import Ended, planner

ID = "refill-dddddddd-11111111"
ME = f"cli:{getpass.getuser()}"


@pytest.fixture
def case(ledger_for: Callable[..., LedgerCase]) -> LedgerCase:
    case = ledger_for("throttle")
    case.pin(ID, ago(minutes=9))
    return case


@pytest.fixture
def throttle(case: LedgerCase) -> Throttle:
    kept = Kept(law=ThrottleState(limit=6.5, wall=8.0), told="Signal 0.50 of it.", ratio=0.5)
    row = Throttle("fill", ID, 6.5, 1, 16, "throttle", ago(minutes=5), state=kept.text())
    return case.ledger.begin_throttle(row)


def setting(*more: str) -> Ended:
    return planner("throttle", "set", "refill", "fill", "--reason", " slow disks ", *more)


def now_of(case: LedgerCase) -> Throttle:
    row = case.ledger.throttle(ID, "fill")
    assert row is not None
    return row


def test_show(case: LedgerCase, throttle: Throttle) -> None:
    case.ledger.take_slot(ID, "fill", "chunks/3", 4, now=ago())
    ended = planner("throttle", "show", "refill")
    assert (ended.code, ended.err) == (0, "")
    for line in ("6 (between 1 and 16)", "8 ran when it was last too much", "Signal 0.50 of it.",
                 "1 held", "by throttle, 2026-03-29 00:55:00 UTC"):  # fmt: skip
        assert line in ended.out
    (found,) = json.loads(planner("throttle", "show", ID, "--json").out)
    assert (found["allowed"], found["limit"], found["signal"], found["wall"]) == (6, 6.5, 0.5, 8)
    assert found["slots"][0]["holder"] == "chunks/3"


def test_show_before_it_began(case: LedgerCase) -> None:
    assert "has no throttle yet" in planner("throttle", "show", ID).out


def test_a_limit_is_where_it_goes_on(case: LedgerCase, throttle: Throttle) -> None:
    ended = setting("--limit", "12")
    assert (ended.code, ended.err) == (0, "")
    assert "12 (between 1 and 16)" in ended.out
    law = Kept.read(now_of(case).state).law
    assert law is not None
    assert (law.limit, law.wall) == (12, None)
    last = case.ledger.audit_of(ID)[-1]
    assert (last.what, last.actor) == ("throttle.set", ME)
    assert last.detail == {
        "name": "fill", "limit": 12.0, "minimum": 1.0, "maximum": 16.0,
        "reason": "slow disks", "before": 6.5,
    }  # fmt: skip


def test_bounds(case: LedgerCase, throttle: Throttle) -> None:
    assert setting("--max", "4").code == 0
    row = now_of(case)
    assert (row.limit, row.minimum, row.maximum) == (4, 1, 4)
    assert setting("--min", "5", "--max", "9").code == 0
    assert now_of(case).limit == 5


def test_pause_and_resume(case: LedgerCase, throttle: Throttle) -> None:
    ended = setting("--pause")
    assert "limit       0 (between" in ended.out
    assert f"by {ME} at 2026-03-29 01:00:00 UTC: slow disks" in ended.out
    assert Kept.read(now_of(case).state).paused is not None
    assert "limit       6 (between" in setting("--resume").out
    assert Kept.read(now_of(case).state).paused is None
    assert [entry.detail.get("paused") for entry in case.ledger.audit_of(ID)[-2:]] == [True, False]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "nothing is to be changed"),
        (("--pause", "--resume"), "exclude each other"),
        (("--limit", "17"), "--limit 17 is not between 1 and 16"),
        (("--limit", "0"), "--limit 0 is not between"),
        (("--min", "17"), "must hold: 17, 16"),
        (("--min", "-1"), "must hold: -1, 16"),
        (("--max", "2000"), "must hold: 1, 2000"),
    ],
)
def test_what_cannot_be(
    case: LedgerCase, throttle: Throttle, options: tuple[str, ...], said: str
) -> None:
    ended = setting(*options)
    assert ended.code == 2
    assert said in ended.err
    assert now_of(case) == throttle


def test_names_that_are_not_there(case: LedgerCase, throttle: Throttle) -> None:
    ended = planner("throttle", "set", ID, "fil", "--reason", "x", "--limit", "2")
    assert ended.code == 2
    assert "it has: fill" in ended.err
    assert planner("throttle", "set", "other", "fill", "--reason", "x", "--pause").code == 2
    assert "--reason is empty" in planner(
        "throttle", "set", ID, "fill", "--reason", " ", "--pause"
    ).err  # fmt: skip


def test_a_run_that_has_ended(case: LedgerCase, throttle: Throttle) -> None:
    key = case.pin("done-dddddddd-11111111", ago(minutes=9))
    case.finish(key, Outcome.SUCCEEDED, "Done.", ago(minutes=5))
    ended = planner("throttle", "set", "done", "fill", "--reason", "x", "--pause")
    assert ended.code == 1
    assert "has ended already: succeeded" in ended.err


def test_a_throttle_that_moves_meanwhile_keeps_both(
    case: LedgerCase, throttle: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[bool] = []

    def who() -> str:
        if not moved:  # the law ticks between our look and our change
            moved.append(case.ledger.claim_tick(throttle, now=ago() + timedelta(0)) is not None)
        return ME

    monkeypatch.setattr("planner_provider.cli.throttle.os_user", who)
    assert setting("--max", "9").code == 0
    assert moved == [True]
    row = now_of(case)
    assert (row.maximum, row.ticked_at, row.version) == (9, ago(), 2)
