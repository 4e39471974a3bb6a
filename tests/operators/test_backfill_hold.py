"""A backfill of a run that a person holds: no partition begins, what runs ends, nothing is lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ItemState, RunKey
from planner_provider.operators.backfill_limiter import StepLimiter
from planner_provider.operators.backfill_run import Limiter
from planner_provider.spec.workloads import Throttle
from tests.operators.fake_airflow import FakeAirflow, FakeTime
from tests.operators.test_backfill_run import WORK, FixedLimit, Killed, begin, hours_of


class Case:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.airflow = FakeAirflow(FakeTime(), hours=12)
        key = RunKey(WORK.plan_id, WORK.plan, WORK.plan, "run-1", "d")
        ledger.pin_run(key, expires_at=None, parameters={}, actor="t", now=self.airflow.time.now())

    def limiter(self) -> Limiter:
        throttle = Throttle(max=2, every=timedelta(seconds=60))
        return StepLimiter(
            self.ledger, WORK.plan_id, WORK.step, throttle, slos=(), guard=lambda: None, actor="t"
        )

    def hold(self) -> None:
        self.ledger.hold_run(
            WORK.plan_id, actor="ada", reason="Lag rises.", now=self.airflow.time.now()
        )

    def resume(self) -> None:
        self.ledger.resume_run(WORK.plan_id, actor="ada", reason=None, now=self.airflow.time.now())

    def go(self, limiter: Limiter | None = None) -> Any:
        return begin(self.airflow, self.ledger, WORK, limiter=limiter or self.limiter()).go()

    def count(self, state: ItemState) -> int:
        return self.ledger.item_counts(WORK.plan_id, WORK.step).get(state, 0)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(Ledger(f"sqlite:///{tmp_path / 'planner.db'}"))


def test_nothing_begins_and_what_runs_ends(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    seen: list[tuple[int, int]] = []

    def look() -> None:
        seen.append((len(case.airflow.begun), case.count(ItemState.DONE)))

    case.airflow.time.later(25, case.hold)
    for seconds in (26, 60, 300):
        case.airflow.time.later(seconds, look)
    case.airflow.time.later(301, case.resume)
    case.airflow.time.later(310, look)
    end = case.go()
    begun, done = zip(*seen, strict=True)
    assert begun[0] == begun[1] == begun[2] == done[2], "what ran has ended, nothing has begun"
    assert begun[3] > begun[2], "it need not wait for the throttle's next look"
    assert (end.tally.done, sorted(hours_of(case.airflow))) == (12, list(range(12)))
    assert case.airflow.most == 2
    assert "held: ada holds this run since 2026-11-23 12:00:25 UTC: Lag rises" in caplog.text


def test_a_hold_after_the_limit_was_asked_counts(case: Case) -> None:
    """The limit is from before; what keeps a partition from beginning is the ledger."""
    case.airflow.time.later(25, case.hold)
    begun: list[int] = []
    for seconds in (26, 300):
        case.airflow.time.later(seconds, lambda: begun.append(len(case.airflow.begun)))
    case.airflow.time.later(301, case.resume)
    assert case.go(FixedLimit(2)).tally.done == 12
    assert begun[0] == begun[1]
    assert sorted(hours_of(case.airflow)) == list(range(12))


@pytest.mark.parametrize("way", ["make", "clear"])
def test_what_was_meant_to_begin_and_had_not_waits_too(
    case: Case, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    from dataclasses import replace

    work = replace(WORK, reprocess="completed")
    if way == "clear":
        case.airflow.there(0, "success")
    first = begin(case.airflow, case.ledger, work)

    def killed(item: Any) -> bool:
        raise Killed

    monkeypatch.setattr(first, "_ask_for", killed)
    with pytest.raises(Killed):
        first.go()
    assert case.count(ItemState.ACTING) == 1
    case.hold()
    begun: list[int] = []
    case.airflow.time.later(100, lambda: begun.append(len(case.airflow.begun)))
    case.airflow.time.later(101, case.resume)
    assert begin(case.airflow, case.ledger, work, limiter=FixedLimit(2)).go().tally.done == 12
    assert begun == [0]
    assert case.airflow.begun[0][0] == way
    assert sorted(hours_of(case.airflow)) == list(range(12))


def test_the_throttle_says_who_holds(case: Case) -> None:
    limiter, now = case.limiter(), case.airflow.time.now()
    assert limiter.tick(now, 0, 0) == 2
    case.hold()
    assert limiter.tick(now, 0, 0) == 0
    assert limiter.why_none().startswith("ada holds this run since")
    case.resume()
    assert limiter.tick(now, 0, 0) == 2
