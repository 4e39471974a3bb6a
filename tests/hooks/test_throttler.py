from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from planner_provider.decide.model import Fact, VerdictKind
from planner_provider.decide.replay import replay
from planner_provider.decide.throttle import Kept, Pause
from planner_provider.hooks.throttle_signal import Reading
from planner_provider.hooks.throttler import Throttler
from planner_provider.ledger import Ledger
from planner_provider.spec.workloads import Throttle, ThrottleSignal

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SIGNAL = ThrottleSignal(connection="prom", query="lag", max=30, window=timedelta(0))
SPEC = Throttle(start=4, min=1, max=16, signal=SIGNAL)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'planner.db'}")


class Stage:
    """A throttle whose signal is what the test says, and jobs that use what it allows."""

    def __init__(self, ledger: Ledger, spec: Throttle = SPEC, **more: Any) -> None:
        self.ledger = ledger
        self.ratio: float | None = 0.4
        self.asked = 0
        self.at = NOW
        self.spec = spec
        self.more = more
        self.throttler = self.fresh()
        self.limit = 0

    def fresh(self) -> Throttler:
        return Throttler(self.ledger, "p", "fill", self.spec, measure=self.measure, **self.more)

    def measure(self, now: datetime) -> Reading:
        self.asked += 1
        if self.ratio is None:
            fact = Fact.unknown("lag", "no answer", source="s", observed_at=now)
            return Reading.of(fact, "no answer", now)
        fact = Fact.measured("lag", self.ratio * 30, source="s", observed_at=now)
        return Reading.of(fact, self.ratio, now)

    def tick(self, times: int = 1, seconds: float = 30) -> int:
        for _ in range(times):
            self.at += timedelta(seconds=seconds)
            self.limit = self.throttler.tick(self.at, self.limit, 0)
        return self.limit

    @property
    def kept(self) -> Kept:
        row = self.ledger.throttle("p", "fill")
        assert row is not None
        return Kept.read(row.state)

    def set(self, **changes: Any) -> None:
        row = self.ledger.throttle("p", "fill")
        assert row is not None
        kept = Kept.read(row.state).model_copy(update=changes.pop("kept", {}))
        assert self.ledger.set_throttle(
            replace(row, state=kept.text(), changed_by="cli:ada", **changes), {}
        )


def test_it_begins_where_the_spec_says_and_rises(ledger: Ledger) -> None:
    stage = Stage(ledger)
    assert stage.tick() == 4
    assert stage.tick(8) > 4


def test_it_looks_once_a_period_whoever_asks(ledger: Ledger) -> None:
    stage = Stage(ledger)
    stage.tick()
    assert stage.tick(20, seconds=1) == 4
    assert stage.fresh().tick(stage.at + timedelta(seconds=1), 4, 0) == 4
    assert stage.asked == 1
    stage.tick(seconds=8)  # 28 s later: close enough to a period
    assert stage.asked == 2


def test_of_many_at_once_one_looks(ledger: Ledger) -> None:
    stage = Stage(ledger)
    stage.tick()
    at, answers = stage.at + timedelta(seconds=30), []
    barrier = threading.Barrier(8)

    def ask() -> None:
        mine = stage.fresh()
        barrier.wait()
        answers.append(mine.tick(at, 4, 0))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.asked == 2
    assert len(answers) == 8
    assert set(answers) <= {4, stage.kept.law.allowed if stage.kept.law else 0}


def test_only_changes_are_recorded_and_they_replay(ledger: Ledger) -> None:
    stage = Stage(ledger)
    stage.ratio = 0.8
    stage.tick(10)
    assert ledger.decisions_of("p") == ()
    stage.ratio = 1.3
    stage.tick(6)
    (recorded,) = ledger.decisions_of("p")[:1]
    assert recorded.decision.kind == "throttle"
    assert "limit 4 -> 2" in recorded.decision.outcome.reasons[0].text
    assert recorded.decision.outcome.measures[0].value == 2
    assert all(replay(item.decision).equal for item in ledger.decisions_of("p"))
    assert len(ledger.decisions_of("p")) <= 2
    assert "limit" in stage.kept.told


def test_it_goes_on_in_another_process(ledger: Ledger) -> None:
    stage = Stage(ledger)
    stage.ratio = 0.8
    stage.tick(3)
    stage.ratio = 1.5
    stage.tick(2)
    before = stage.kept.law
    assert before is not None
    assert before.draining
    stage.throttler = stage.fresh()
    stage.tick()
    after = stage.kept.law
    assert after is not None
    assert (after.draining, after.tick) == (True, before.tick + 1)


def test_a_signal_that_is_away_never_raises(ledger: Ledger) -> None:
    stage = Stage(ledger)
    stage.ratio = None
    assert stage.tick(5) == 4
    assert stage.tick(1) == 3
    held = Stage(Ledger(ledger.url.replace("planner.db", "held.db")), SPEC.model_copy(
        update={"on_missing": "hold"}
    ))  # fmt: skip
    held.ratio = None
    assert held.tick(20) == 4


def test_a_pause_is_obeyed_at_once_and_left_again(ledger: Ledger) -> None:
    stage = Stage(ledger)
    stage.tick(6)
    before = stage.limit
    stage.set(kept={"paused": Pause(who="cli:ada", reason="dinner", at=NOW)})
    assert stage.tick(seconds=1) == 0
    assert stage.tick(3) == 0
    assert "cli:ada paused it: dinner." in stage.kept.told
    verdicts = [item.decision.outcome.kind for item in ledger.decisions_of("p")]
    assert verdicts[-1] is VerdictKind.HOLD
    stage.set(kept={"paused": None, "blocked": None})
    assert stage.tick() == before


def test_live_bounds_are_obeyed_at_the_next_tick(ledger: Ledger) -> None:
    stage = Stage(ledger)
    stage.tick(12)
    assert stage.limit > 5
    stage.set(limit=3.0, maximum=3.0)
    assert stage.tick(6) == 3
    stage.set(minimum=6.0, maximum=8.0, limit=6.0)
    assert stage.tick() == 6


def test_a_change_while_the_signal_is_measured_is_not_lost(ledger: Ledger) -> None:
    stage = Stage(ledger)
    stage.tick(4)
    measure = stage.measure

    def slow(now: datetime) -> Reading:
        stage.set(limit=2.0, maximum=2.0)
        return measure(now)

    stage.throttler = Throttler(ledger, "p", "fill", SPEC, measure=slow)
    assert stage.tick() == 2
    row = ledger.throttle("p", "fill")
    assert row is not None
    assert (row.maximum, row.changed_by) == (2.0, "cli:ada")


def test_a_guard_that_refuses_lets_nothing_begin_and_says_why(ledger: Ledger) -> None:
    refusal: list[str | None] = ["SLO checkout is breached."]
    stage = Stage(ledger, guard=lambda: refusal[0])
    assert stage.tick(3) == 0
    assert stage.tick(seconds=1) == 0
    (recorded,) = ledger.decisions_of("p")
    assert "SLO checkout is breached." in recorded.decision.outcome.text
    assert stage.kept.blocked == "SLO checkout is breached."
    refusal[0] = None
    assert stage.tick() == 4
    assert len(ledger.decisions_of("p")) == 2


def test_without_a_signal_only_people_move_it(ledger: Ledger) -> None:
    stage = Stage(ledger, Throttle(start=2, max=8))
    assert stage.tick(5) == 8
    assert stage.asked == 0
    stage.set(limit=3.0)
    assert stage.tick(5) == 3
    stage.set(kept={"paused": Pause(who="cli:ada", reason="x", at=NOW)})
    assert stage.tick() == 0
    stage.set(kept={"paused": None, "blocked": None})
    assert stage.tick(2) == 3
    assert [item.decision.outcome.kind for item in ledger.decisions_of("p")] == [VerdictKind.HOLD]
