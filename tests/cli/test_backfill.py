from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from planner_provider.ledger.rows import ItemState, Outcome, RunKey, WorkItem
from tests.cli.ledgers import NOW, LedgerCase, ago
from tests.cli.runner import planner

ID = "orders-dddddddd-11111111"


@pytest.fixture
def case(ledger_for: Callable[..., LedgerCase]) -> LedgerCase:
    return ledger_for("backfill")


@pytest.fixture
def key(case: LedgerCase) -> RunKey:
    """Forty partitions: 20 done, 2 failed, 3 at work."""
    key = case.pin(ID, ago(hours=3))
    case.lock(key, ago(hours=2))
    case.begin(key, "load", ago(hours=2))
    case.ledger.add_items(
        WorkItem(ID, "load", f"2026-03-01T{n:02}:00:00Z", n, wave=None) for n in range(40)
    )
    for number in range(25):
        item = f"2026-03-01T{number:02}:00:00Z"
        facts = {"run": f"run-{number}"}
        at = ago(minutes=60) + timedelta(minutes=2 * number)
        case.ledger.move_item(ID, "load", item, ItemState.ACTING, now=at, facts=facts)
        if number < 22:
            state = ItemState.DONE if number < 20 else ItemState.FAILED
            end = at + timedelta(minutes=10)
            case.ledger.move_item(ID, "load", item, state, now=end, detail=f"run-{number} ended")
    return key


def test_progress(case: LedgerCase, key: RunKey) -> None:
    text = planner("backfill", ID[:10]).out
    lines = text.splitlines()
    assert lines[0] == ID
    squeezed = " ".join(text.split())
    assert "20 of 40 done, 2 failed, 3 running, 21.4 an hour, about 51 min left" in squeezed
    assert "began 2026-03-29 00:00:00 UTC, last end 2026-03-29 00:52:00 UTC (52m 0s later)" in (
        squeezed
    )
    assert "2026-03-01T20:00:00Z run-20 ended" in squeezed
    assert "2026-03-01T24:00:00Z" in squeezed, "what is at work is listed"
    assert "2026-03-01T03:00:00Z" not in squeezed
    assert "2026-03-01T03:00:00Z" in planner("backfill", ID, "--all").out
    assert max(map(len, lines)) <= 100


def test_a_run_that_has_ended_has_no_time_left(case: LedgerCase, key: RunKey) -> None:
    case.ledger.finish_run(key, Outcome.FAILED, "why", actor="task:finish#1", now=NOW)
    squeezed = " ".join(planner("backfill", ID).out.split())
    assert "held: the run has ended (failed)" in squeezed
    assert "about" not in squeezed


def test_for_programs(case: LedgerCase, key: RunKey) -> None:
    (step,) = json.loads(planner("backfill", ID, "--json").out)["steps"]
    assert (step["total"], step["done"], step["failed"]) == (40, 20, 2)
    assert step["per_hour"] == pytest.approx(21.4, abs=0.1)
    assert len(step["partitions"]) == 40
    assert step["partitions"][24]["run"] == "run-24"
    assert step["partitions"][20]["tries"] == 1


def test_a_run_without_a_backfill(case: LedgerCase) -> None:
    key = case.pin(ID, ago(hours=3))
    case.lock(key, ago(hours=2))
    case.act(key, "shift", ago(hours=1))
    result = planner("backfill", ID)
    assert result.code == 2
    assert f"no step of {ID} is a backfill that has begun" in result.err


def test_no_such_run(case: LedgerCase) -> None:
    assert planner("backfill", "nothing").code == 2
