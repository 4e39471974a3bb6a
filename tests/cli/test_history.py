from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner_provider.ledger.location import ENV_VAR
from planner_provider.ledger.rows import Outcome
from tests.cli.ledgers import LedgerCase, ago
from tests.cli.runner import planner


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner_provider.cli.history.now", lambda: ago())


@pytest.fixture
def case(here: Path, monkeypatch: pytest.MonkeyPatch) -> LedgerCase:
    case = LedgerCase(here / "planner.db")
    old = case.pin("release-dddddddd-11111111", ago(days=9))
    case.finish(old, Outcome.SUCCEEDED, "Every step is done.", ago(days=9, minutes=-3))
    new = case.pin("release-dddddddd-22222222", ago(hours=2), run_id="scheduled__x")
    case.finish(new, Outcome.ROLLED_BACK, "Too many\nerrors.", ago(hours=1))
    case.pin("orders-dddddddd-33333333", ago(minutes=5), run_id="odd")
    monkeypatch.setenv(ENV_VAR, case.url)
    return case


def ids(*argv: str) -> list[str]:
    ended = planner("history", "--json", *argv)
    assert ended.code == 0, ended.err
    return [item["plan_id"][-1] for item in json.loads(ended.out)]


def test_newest_first_and_what_it_says(case: LedgerCase) -> None:
    assert planner("history").out == (
        "2026-03-29 00:55:00  running            5m 0s  orders-dddddddd-33333333\n"
        "                     by not known\n"
        "2026-03-28 23:00:00  rolled_back        1h 0m  release-dddddddd-22222222\n"
        "                     by the schedule: Too many errors.\n"
        "2026-03-20 01:00:00  succeeded          3m 0s  release-dddddddd-11111111\n"
        "                     by a person: Every step is done.\n"
    )


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "321"),
        (["--plan", "release"], "21"),
        (["--outcome", "succeeded"], "1"),
        (["--outcome", "running"], "3"),
        (["--since", "7d"], "32"),
        (["--since", "2026-03-28T23:00"], "32"),
        (["--since", "90m"], "3"),
        (["--limit", "1"], "3"),
        (["--plan", "nope"], ""),
    ],
)
def test_choice(case: LedgerCase, argv: list[str], expected: str) -> None:
    assert "".join(ids(*argv)) == expected


def test_a_run_that_goes_on_is_listed_however_old(case: LedgerCase) -> None:
    case.pin("slow-dddddddd-44444444", ago(days=30))
    assert "4" in ids("--since", "7d")


def test_says_that_there_are_more(case: LedgerCase) -> None:
    assert "Older runs are not shown: --limit 2 was reached." in planner("history", "-n", "2").out
    assert "Older" not in planner("history", "-n", "3").out


def test_nothing_found(case: LedgerCase) -> None:
    assert planner("history", "--plan", "nope").out == "No runs of nope.\n"


@pytest.mark.parametrize("when", ["yesterday", "7", "-3d", ""])
def test_a_since_that_means_nothing(case: LedgerCase, when: str) -> None:
    ended = planner("history", f"--since={when}")
    assert (ended.code, ended.out) == (2, "")
    assert "neither a duration nor a moment" in ended.err


def test_control_characters_do_not_reach_the_terminal(case: LedgerCase) -> None:
    key = case.pin("evil-dddddddd-55555555", ago(minutes=1))
    case.finish(key, Outcome.FAILED, "a\x1b[2Jb", ago())
    assert "\x1b" not in planner("history").out
