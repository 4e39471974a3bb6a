"""How much of a backfill may run: throttle and guards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from planner_provider.ledger import Ledger
from planner_provider.operators.backfill_limiter import StepLimiter, ask_guards
from planner_provider.spec.workloads import Throttle
from tests.operators.airflow_context import PLAN_ID
from tests.operators.plan_runs import database
from tests.operators.slo_looks import BAD, GOOD, SLO, Looks, looks

__all__ = ["looks"]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    return Ledger(database(tmp_path))


def limiter(ledger: Ledger, guard: Callable[[], str | None]) -> StepLimiter:
    throttle = Throttle(max=4, every=timedelta(seconds=10))
    return StepLimiter(ledger, PLAN_ID, "load", throttle, slos=(), guard=guard, actor="t")


def test_a_guard_that_refuses_holds_and_lets_go(ledger: Ledger) -> None:
    answers: list[str | None] = [None, "A guard refuses: shop burns.", None]
    found = limiter(ledger, lambda: answers.pop(0))
    start = datetime(2026, 11, 23, tzinfo=UTC)
    assert found.tick(start, 0, 0) == 4
    assert found.tick(start + timedelta(seconds=3), 4, 0) == 4, "it is asked once a period"
    assert found.tick(start + timedelta(seconds=11), 4, 1) == 0
    assert found.why_none() == "A guard refuses: shop burns."
    assert found.tick(start + timedelta(seconds=15), 2, 3) == 0
    assert found.tick(start + timedelta(seconds=22), 0, 5) == 4


def test_guards_are_logged_and_recorded_when_their_answer_changes(
    ledger: Ledger, looks: Looks
) -> None:
    ask = ask_guards(
        (SLO,), None, ledger=ledger, plan_id=PLAN_ID, step="load", actor="t",
        now=lambda: datetime.now(UTC),
    )  # fmt: skip
    looks.bad = [GOOD]
    assert ask() is None
    assert ask() is None
    looks.bad = [BAD]
    assert (ask() or "").startswith("A guard refuses: ")
    assert len(ledger.decisions_of(PLAN_ID)) == 2


def test_without_guards_nothing_is_asked(ledger: Ledger) -> None:
    ask = ask_guards(
        (), None, ledger=ledger, plan_id=None, step="load", actor="t", now=lambda: datetime.now(UTC)
    )
    assert ask() is None
