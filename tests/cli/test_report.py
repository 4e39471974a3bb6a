"""``planner report`` on a ledger in which everything has happened."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from planner_provider.ledger.rows import Outcome
from tests.cli.ledgers import DIGEST, NOW, LedgerCase
from tests.cli.runner import Ended, planner
from tests.metrics import played


@pytest.fixture(autouse=True)
def _fixed_time() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    case = LedgerCase(tmp_path_factory.mktemp("report") / "planner.db")
    played.fill(case, NOW)
    slow = case.pin(f"orders-migration-{DIGEST[:8]}-slow", NOW - timedelta(hours=9))
    case.approve(slow, NOW - timedelta(hours=9))
    case.reject(slow, NOW - timedelta(hours=6))
    case.finish(slow, Outcome.REJECTED, "kim said no.", NOW - timedelta(hours=6))
    return case.url


def report(ledger: str, *options: str) -> Ended:
    return planner("report", "--ledger", ledger, *options)


def section(text: str, title: str) -> str:
    found = re.search(rf"^(?:## )?{title}\n(.*?)(?=\n\n\S|\Z)", text, re.M | re.S)
    assert found, text
    return found[1]


def test_the_week_is_what_is_told_if_nothing_is_said(ledger: str) -> None:
    ended = report(ledger)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == report(ledger, "--week").out
    assert "2026-03-22 01:00:00 to 2026-03-29 01:00:00 UTC" in ended.out
    assert "5 runs ended: 1 succeeded, 1 rolled_back, 1 rollback_failed" in ended.out


def test_the_month_is_compared_with_the_one_before(ledger: str) -> None:
    assert "40%, 60 points down" in report(ledger, "--month").out
    figures = section(report(ledger, "--month").out, "Figures")
    assert re.search(r"M1 +plans that succeed +40% +100% +98%", figures)
    assert re.search(r"M4 +approval, median +2m 0s +2m 0s|M4 +approval, median", figures)


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Waiting for approval", rf"1h 0m \(slow\) +orders-expand-{DIGEST[:8]}-asks +approve"),
        ("Slow approvals", rf"3h 0m +orders-migration-{DIGEST[:8]}-slow +rejected"),
        ("Plans with slow approvals", r"3h 0m +orders-migration \([\w-]+\) +1, the slowest 3h 0m"),
        ("Failed and rolled back", rf"rollback_failed +checkout-canary-{DIGEST[:8]}-lost"),
        ("Held", rf"2026-03-28 17:00:00 +orders-backfill-{DIGEST[:8]}-held\s+kim: Look at the"),
        ("Stale plans", r"certificate-check +starts by itself and has not succeeded since"),
        ("Stale plans", r"checkout-mitigation +compiled since 2025-09-10, and never run"),
    ],
)
def test_lists(ledger: str, title: str, said: str) -> None:
    assert re.search(said, section(report(ledger).out, title))


def test_the_worst_is_listed_first(ledger: str) -> None:
    listed = section(report(ledger, "--month").out, "Failed and rolled back")
    assert re.findall(r"rollback_failed|rolled_back", listed) == [
        "rollback_failed", "rolled_back", "rolled_back",
    ]  # fmt: skip


def test_cost_is_told_with_that_of_the_period_before(ledger: str) -> None:
    week, month = report(ledger).out, report(ledger, "--month").out
    assert "Cost        +2.5 EUR an hour by 1 run, nothing known in the period before" in week
    assert "Cost        +4.75 EUR an hour by 3 runs, +2.5 EUR in the period before" in month
    assert re.search(r"M7 +change of hourly cost +\+4\.75 EUR +\+2\.5 EUR", month)


def test_the_dearest_run_is_listed_first(ledger: str) -> None:
    listed = section(report(ledger, "--month").out, "Change of cost")
    assert re.findall(r"[+-][\d.]+ EUR", listed) == ["+2.5 EUR", "+2.5 EUR", "-0.25 EUR"]
    assert re.search(
        rf"checkout-canary-{DIGEST[:8]}-2 +10 before, 9\.75 after; rolled_back", listed
    )


def test_cost_is_said_not_to_be_known(tmp_path: Path) -> None:
    case = LedgerCase(tmp_path / "planner.db")
    case.ledger.record("ledger.made", plan_id=None, actor="t", detail={}, now=NOW)
    assert "Cost        not known: no run acted whose plan says how" in report(case.url).out
    key = case.pin(f"demo-{DIGEST[:8]}-1", NOW - timedelta(hours=1))
    case.lock(key, NOW - timedelta(hours=1), "service://x")
    case.act(key, "put", NOW - timedelta(minutes=50))
    played.spend(case, key, NOW - timedelta(minutes=40), None)
    case.finish(key, Outcome.SUCCEEDED, "", NOW - timedelta(minutes=40))
    assert "Cost        not known of 1 run\n" in report(case.url).out
    assert json.loads(report(case.url, "--json").out)["now"]["m7_runs_not_known"] == 1


def test_markdown_has_the_same_in_tables(ledger: str) -> None:
    out = report(ledger, "--markdown").out
    assert out.startswith("# Plans from 2026-03-22 to 2026-03-29\n")
    assert "| M1 | plans that succeed | 33.33% | - | 98% |" in out
    assert f"| 1h 0m (slow) | orders-expand-{DIGEST[:8]}-asks | approve |" in out
    for table in re.findall(r"((?:^\|.*\n)+)", out, re.M):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table


def test_what_people_wrote_stays_text_in_markdown(tmp_path: Path) -> None:
    case = LedgerCase(tmp_path / "planner.db")
    key = case.pin(f"demo-{DIGEST[:8]}-1", NOW - timedelta(hours=1))
    said = "<script>alert(1)</script> | **bold** [x](https://example.com)\nnew & line"
    case.finish(key, Outcome.FAILED, said, NOW - timedelta(minutes=1))
    out = report(case.url, "--markdown").out
    assert "<script>" not in out
    assert "\\| \\*\\*bold\\*\\* \\[x\\](https://example.com) new &amp; line |\n" in out


def test_json_is_for_programs(ledger: str) -> None:
    found = json.loads(report(ledger, "--month", "--json").out)
    assert found["now"]["m1_success"] == pytest.approx(0.4)
    assert found["now"]["m3_rollback_seconds"] == 180
    assert found["before"]["m1_success"] == 1
    assert found["now"]["m7_cost_per_hour"] == [{"currency": "EUR", "runs": 3, "increase": 4.75}]
    assert found["cost"]["runs"][-1] == {
        "plan_id": f"checkout-canary-{DIGEST[:8]}-2", "plan": "checkout-canary",
        "outcome": "rolled_back", "ended_at": "2026-03-09T01:05:00+00:00", "currency": "EUR",
        "before_per_hour": 10, "after_per_hour": 9.75, "increase_per_hour": -0.25,
    }  # fmt: skip
    assert [item["why"] for item in found["stale"]].count("no_success") == 4
    assert found["held"][0]["held_at"] == "2026-03-28T17:00:00+00:00"
    assert found["pending"][0] == {
        "plan_id": f"orders-expand-{DIGEST[:8]}-asks", "plan": "orders-expand",
        "task": "approve", "asked_at": "2026-03-29T00:00:00+00:00", "waited_seconds": 3600,
        "slow": True,
    }  # fmt: skip


def test_an_empty_ledger_has_an_empty_report(tmp_path: Path) -> None:
    case = LedgerCase(tmp_path / "planner.db")
    case.ledger.record("ledger.made", plan_id=None, actor="t", detail={}, now=NOW)
    ended = report(case.url)
    assert ended.code == 0
    assert "0 runs ended (0 in the period before)" in ended.out
    assert ended.out.count("None.") == 7


@pytest.mark.parametrize("options", [("--week", "--month"), ("--markdown", "--json")])
def test_two_of_a_kind_are_refused(ledger: str, options: tuple[str, str]) -> None:
    ended = report(ledger, *options)
    assert (ended.code, ended.out) == (2, "")
    assert "give one of them" in ended.err


def test_without_a_ledger_it_says_what_to_do(tmp_path: Path) -> None:
    ended = report(f"sqlite:///{tmp_path}/none.db")
    assert ended.code == 2
    assert "There is no ledger at" in ended.err
