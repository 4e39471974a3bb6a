"""A backfill at work, in an Airflow in memory: limits, failures, crashes, what others do."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner_provider.decide.partitions import Reprocess, partitions
from planner_provider.errors import UnavailableError
from planner_provider.hooks.airflow_api import AirflowApi, NewRun
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ItemState, Outcome, RunKey
from planner_provider.operators import backfill_run
from planner_provider.operators.backfill_items import BackfillItems, items_of
from planner_provider.operators.backfill_run import BackfillRun, Limiter
from planner_provider.operators.backfill_target import Listing, shown
from planner_provider.operators.backfill_work import BackfillWork, failure_of
from tests.operators.fake_airflow import HOUR, FakeAirflow, FakeTime, at

WORK = BackfillWork(
    plan_id="plan-1", step="load", plan="orders-backfill", dag_id="orders", reprocess="none",
    attempts=1, max_errors=0, conf={"reason": "outage"}, every=30.0,
)  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def airflow(time: FakeTime) -> FakeAirflow:
    return FakeAirflow(time)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'planner.db'}")


NUMBERS = itertools.count(1)


@pytest.fixture
def ledger(database: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """One database for all, and a plan ID for each test: migrating takes half a second."""
    work = replace(WORK, plan_id=f"plan-{next(NUMBERS)}")
    monkeypatch.setattr(f"{__name__}.WORK", work)
    return database


class FixedLimit:
    """A limit that stays as it is."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def tick(self, now: object, running: int, completed: int) -> int:
        return self.limit

    def why_none(self) -> str:
        return "A guard refuses: shop burns."


class Limits(FixedLimit):
    """Gives one limit after the other, each for half a minute; the last one stays."""

    def __init__(self, *limits: int) -> None:
        super().__init__(limits[0])
        self.limits = list(limits)
        self.begun: datetime | None = None
        self.ticks: list[tuple[int, int]] = []

    def tick(self, now: datetime, running: int, completed: int) -> int:  # type: ignore[override]
        self.begun = self.begun or now
        self.ticks.append((running, completed))
        number = int((now - self.begun).total_seconds() // 30)
        return self.limits[min(number, len(self.limits) - 1)]


def listed(
    airflow: FakeAirflow, ledger: Ledger, work: BackfillWork, order: Any = "oldest_first"
) -> None:
    dates = [at(hour) for hour in range(airflow.hours)]
    found = partitions(dates, airflow.found.values(), reprocess=work.reprocess, order=order)
    ledger.add_items(items_of(Listing(found, {date: date + HOUR for date in dates}), work))


def begin(
    airflow: FakeAirflow,
    ledger: Ledger,
    work: BackfillWork | None = None,
    *,
    limiter: Limiter | None = None,
    pause: Callable[[float], None] | None = None,
    order: str = "oldest_first",
) -> BackfillRun:
    work = work or WORK
    if not ledger.items_of(work.plan_id, work.step):
        listed(airflow, ledger, work, order)
    return BackfillRun(
        work,
        cast("AirflowApi", airflow),
        ledger,
        limiter=limiter or FixedLimit(2),
        clock=airflow.time.clock,
        pause=pause or airflow.time.sleep,
    )


def states(ledger: Ledger) -> dict[ItemState, int]:
    return ledger.item_counts(WORK.plan_id, "load")


def hours_of(airflow: FakeAirflow) -> list[int]:
    found = (airflow.found[run_id].logical_date for _, run_id in airflow.begun)
    return [round((date - at(0)) / HOUR) for date in found if date is not None]


def test_all_are_done_once_in_order_and_under_the_limit(
    airflow: FakeAirflow, ledger: Ledger
) -> None:
    end = begin(airflow, ledger).go()
    assert hours_of(airflow) == [0, 1, 2, 3, 4, 5]
    assert airflow.most == 2
    assert (end.tally.done, end.tally.failed, end.is_good) == (6, 0, True)
    assert states(ledger) == {ItemState.DONE: 6}
    run_id = WORK.run_id(at(2))
    assert airflow.confs[run_id] == {"reason": "outage"}
    assert airflow.intervals[run_id] == at(3)
    assert run_id.startswith("planner__2026-11-01T02:00:00Z__orders-backfill.load.")


def test_newest_first(airflow: FakeAirflow, ledger: Ledger) -> None:
    begin(airflow, ledger, order="newest_first").go()
    assert hours_of(airflow) == [5, 4, 3, 2, 1, 0]


def test_the_limit_follows_the_throttle(airflow: FakeAirflow, ledger: Ledger) -> None:
    airflow.hours, airflow.takes = 40, 25.0
    limits = Limits(1, 8, 8, 0, 2)
    begin(airflow, ledger, limiter=limits).go()
    assert airflow.most == 8
    assert limits.ticks[0] == (0, 0)
    assert max(running for running, _ in limits.ticks) == 8, "the throttle is told how many run"
    assert limits.ticks[-1][1] == 40, "and how many have ended"


def test_a_limit_of_nothing_holds_what_is_not_begun(airflow: FakeAirflow, ledger: Ledger) -> None:
    airflow.hours = 20
    limits = Limits(2, 0, 0, 0, 2)
    run = begin(airflow, ledger, limiter=limits)
    begun: list[int] = []
    for seconds in (35, 115):
        airflow.time.later(seconds, lambda: begun.append(len(airflow.begun)))
    run.go()
    assert begun[0] == begun[1], "nothing begins while the limit is 0"
    assert states(ledger) == {ItemState.DONE: 20}


def test_why_nothing_may_begin_is_said(
    airflow: FakeAirflow, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    airflow.hours = 20
    caplog.set_level("INFO")
    end = begin(airflow, ledger, limiter=Limits(2, 0, 0, 2)).go()
    assert end.tally.done == 20
    assert "held: A guard refuses: shop burns." in caplog.text


@pytest.mark.parametrize(
    ("max_errors", "bad", "good"), [(0, 1, False), (1, 1, True), (1, 2, False)]
)
def test_errors_at_the_boundary(
    airflow: FakeAirflow, ledger: Ledger, max_errors: int, bad: int, good: bool
) -> None:
    airflow.hours = 12
    airflow.bad = dict.fromkeys(range(bad), 9)
    end = begin(airflow, ledger, replace(WORK, max_errors=max_errors)).go()
    assert end.is_good is good
    assert end.tally.failed == bad
    assert end.tally.left == (0 if good else 12 - len(airflow.begun))
    assert (failure_of(end) is None) is good


def test_what_is_in_flight_ends_before_the_step_fails(airflow: FakeAirflow, ledger: Ledger) -> None:
    airflow.bad = {0: 9}
    airflow.hours = 12
    run = begin(airflow, ledger, limiter=FixedLimit(4))
    airflow.time.later(3, lambda: setattr(airflow, "takes", 60.0))
    end = run.go()
    assert end.tally.failed == 1
    assert airflow.ends == {}
    assert end.tally.running == 0
    failure = failure_of(end)
    assert failure is not None
    assert "1 of 12 partitions failed, and 0 may: 2026-11-01T00:00:00Z." in str(failure)


def test_nothing_begins_once_too_many_failed(airflow: FakeAirflow, ledger: Ledger) -> None:
    airflow.hours, airflow.bad = 12, {1: 9}
    begin(airflow, ledger, limiter=FixedLimit(1)).go()
    assert hours_of(airflow) == [0, 1]


def test_attempts_before_a_partition_counts_as_failed(airflow: FakeAirflow, ledger: Ledger) -> None:
    airflow.bad = {1: 2, 3: 9}
    end = begin(airflow, ledger, replace(WORK, attempts=3, max_errors=1)).go()
    assert (end.tally.done, end.tally.failed) == (5, 1)
    assert end.failed == ("2026-11-01T03:00:00Z",)
    assert Counter(hours_of(airflow))[3] == 3
    item = ledger.item(WORK.plan_id, "load", "2026-11-01T01:00:00Z")
    assert item is not None
    assert (item.state, item.tries) == (ItemState.DONE, 3)


def test_done_again_only_what_failed_and_what_was_not_begun(
    airflow: FakeAirflow, ledger: Ledger
) -> None:
    airflow.hours, airflow.bad = 8, {2: 1, 3: 1}
    assert not begin(airflow, ledger, limiter=FixedLimit(2)).go().is_good
    first = hours_of(airflow)
    airflow.begun.clear()
    end = begin(airflow, ledger, limiter=FixedLimit(2)).go()
    assert end.is_good
    assert end.tally.done == 8
    assert sorted(hours_of(airflow)) == [2, 3, *range(max(first) + 1, 8)]


@pytest.mark.parametrize("reprocess", ["none", "failed", "completed"])
def test_runs_that_there_are(airflow: FakeAirflow, ledger: Ledger, reprocess: Reprocess) -> None:
    airflow.there(1, "success")
    airflow.there(2, "failed")
    end = begin(airflow, ledger, replace(WORK, reprocess=reprocess)).go()
    cleared = {run_id for what, run_id in airflow.begun if what == "clear"}
    expected = {
        "none": set(),
        "failed": {"scheduled__2"},
        "completed": {"scheduled__1", "scheduled__2"},
    }
    assert cleared == expected[reprocess]
    assert end.tally.done == 4 + len(cleared)
    assert end.tally.skipped == 2 - len(cleared)


def test_a_run_of_somebody_else_is_waited_for(
    airflow: FakeAirflow, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    other = airflow.there(0, "running", run_type="scheduled")
    airflow.ends[other] = (100.0, "failed")
    end = begin(airflow, ledger, replace(WORK, reprocess="failed")).go()
    assert end.tally.done == 6
    assert airflow.begun[-1] == ("clear", other)
    assert "Partition 2026-11-01T00:00:00Z waits: its run scheduled__0 is running" in caplog.text


def test_a_partition_that_another_plan_works_on(
    airflow: FakeAirflow, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    other, now = f"other-{WORK.plan_id}", airflow.time.now()
    key = RunKey(other, "other", "other", f"run-{WORK.plan_id}", "d" * 64)
    ledger.pin_run(key, expires_at=None, parameters={}, actor="t", now=now)
    ledger.take_slot(WORK.place, shown(at(2)), f"{other} fill", 1, now=now)
    airflow.time.later(
        70, lambda: ledger.finish_run(key, Outcome.FAILED, "why", actor="t", now=now)
    )
    airflow.there(2, "failed")
    end = begin(airflow, ledger, replace(WORK, reprocess="failed")).go()
    assert end.tally.done == 6
    assert hours_of(airflow)[-1] == 2
    assert airflow.time.seconds > 70
    told = f"Partition 2026-11-01T02:00:00Z waits: step fill of {other} works on it."
    assert caplog.text.count(told) == 1
    assert ledger.slot_holders(WORK.place, shown(at(2))) == ()


def test_a_partition_that_a_task_without_a_plan_works_on_is_left_to_it_for_a_day(
    airflow: FakeAirflow, ledger: Ledger
) -> None:
    work, now = replace(WORK, dag_id="orders-by-hand", reprocess="failed"), airflow.time.now()
    ledger.take_slot(work.place, shown(at(2)), "dag:theirs:run-1 fill", 1, now=now)
    airflow.there(2, "failed")
    listed(airflow, ledger, work)
    items = BackfillItems(ledger, work, airflow.time.clock)
    item = next(item for item in items.of(ItemState.WAITING) if item.item == shown(at(2)))
    assert items.claim(item) == "step fill of dag:theirs:run-1 works on it"
    airflow.time.sleep(86_401)
    assert items.claim(item) is None


def test_a_run_that_somebody_makes_meanwhile_is_not_made_twice(
    airflow: FakeAirflow, ledger: Ledger
) -> None:
    def others() -> None:
        airflow.there(5, "success", "manual__theirs")

    airflow.time.later(5, others)
    end = begin(airflow, ledger).go()
    assert (end.tally.done, end.tally.skipped) == (5, 1)
    assert 5 not in hours_of(airflow)


def test_a_run_made_between_look_and_making(airflow: FakeAirflow, ledger: Ledger) -> None:
    make = airflow.make_run

    def late(dag_id: str, new: NewRun) -> bool:
        if new.logical_date == at(3):
            airflow.there(3, "success", "manual__theirs")
        return make(dag_id, new)

    airflow.make_run = late  # type: ignore[method-assign]
    end = begin(airflow, ledger).go()
    assert (end.tally.done, end.tally.skipped) == (5, 1)


def test_a_run_that_is_deleted_counts_as_failed(airflow: FakeAirflow, ledger: Ledger) -> None:
    def delete() -> None:
        run_id = airflow.begun[0][1]
        del airflow.found[run_id], airflow.ends[run_id]

    airflow.time.later(5, delete)
    end = begin(airflow, ledger, replace(WORK, max_errors=1)).go()
    assert (end.tally.done, end.tally.failed) == (5, 1)
    item = ledger.item(WORK.plan_id, "load", shown(at(0)))
    assert item is not None
    assert "was deleted" in (item.detail or "")


def test_a_dag_that_is_paused_meanwhile_holds(
    airflow: FakeAirflow, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    airflow.hours = 20
    airflow.time.later(5, lambda: airflow.set_paused("orders", True))
    airflow.time.later(200, lambda: airflow.set_paused("orders", False))
    end = begin(airflow, ledger).go()
    assert end.tally.done == 20
    assert airflow.time.seconds > 200
    assert "held: DAG 'orders' is paused" in caplog.text


def test_the_dags_own_limit_is_kept_and_said_once(
    airflow: FakeAirflow, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    airflow.hours, airflow.takes = 20, 40.0
    airflow.dag_now = replace(airflow.dag_now, max_active_runs=4)
    begin(airflow, ledger, limiter=FixedLimit(16)).go()
    assert airflow.most == 3, "one place is left to the schedule"
    assert caplog.text.count("has max_active_runs 4") == 1


def test_an_api_that_is_away_for_a_while(airflow: FakeAirflow, ledger: Ledger) -> None:
    away = [UnavailableError("no answer") for _ in range(20)]
    airflow.time.later(12, lambda: airflow.fail_next.extend(away))
    assert begin(airflow, ledger).go().tally.done == 6
    assert len(airflow.begun) == 6


def test_an_api_that_stays_away(airflow: FakeAirflow, ledger: Ledger) -> None:
    away = [UnavailableError("no answer") for _ in range(1000)]
    airflow.time.later(12, lambda: airflow.fail_next.extend(away))
    with pytest.raises(UnavailableError):
        begin(airflow, ledger).go()
    assert airflow.time.seconds == pytest.approx(612, abs=20)


def test_an_answer_that_is_lost(airflow: FakeAirflow, ledger: Ledger) -> None:
    airflow.lose_next = True
    assert begin(airflow, ledger).go().tally.done == 6
    assert Counter(hours_of(airflow)) == dict.fromkeys(range(6), 1)


@pytest.mark.parametrize("way", ["make", "clear"])
@pytest.mark.parametrize("reached", [True, False])
def test_killed_between_the_note_and_airflow(
    airflow: FakeAirflow, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, way: str, reached: bool
) -> None:
    if way == "clear":
        airflow.there(0, "success")
    work = replace(WORK, reprocess="completed")
    run = begin(airflow, ledger, work)
    ask = run._ask_for

    def killed(item: Any) -> bool:
        if reached:
            ask(item)
        raise Killed

    monkeypatch.setattr(run, "_ask_for", killed)
    with pytest.raises(Killed):
        run.go()
    assert len(airflow.begun) == reached
    end = begin(airflow, ledger, work).go()
    assert end.tally.done == 6
    assert Counter(hours_of(airflow)) == dict.fromkeys(range(6), 1)
    assert airflow.begun[0][0] == way


@settings(max_examples=30, deadline=None)
@given(
    kills=st.lists(st.integers(1, 60), max_size=5),
    bad=st.dictionaries(st.integers(0, 9), st.integers(1, 3), max_size=3),
    limit=st.integers(1, 5),
    there=st.dictionaries(st.integers(0, 9), st.sampled_from(["success", "failed"]), max_size=4),
    reprocess=st.sampled_from(["none", "failed", "completed"]),
)
def test_however_often_it_is_killed_nothing_is_lost_and_nothing_runs_twice_at_once(
    database: Ledger,
    kills: list[int],
    bad: dict[int, int],
    limit: int,
    there: dict[int, str],
    reprocess: Reprocess,
) -> None:
    airflow = FakeAirflow(FakeTime(), hours=10, bad=dict(bad))
    for hour, state in there.items():
        airflow.there(hour, state)
    ledger, plan_id = database, f"plan-{next(NUMBERS)}"
    work = replace(WORK, plan_id=plan_id, reprocess=reprocess, attempts=2, max_errors=10)
    listed(airflow, ledger, work)
    calls, called = iter(kills), airflow._called
    left = [next(calls, None)]

    def counted() -> None:
        called()
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                left[0] = next(calls, None)
                raise Killed

    airflow._called = counted  # type: ignore[method-assign]
    while True:
        try:
            end = begin(airflow, ledger, work, limiter=FixedLimit(limit)).go()
            break
        except Killed:
            airflow.time.sleep(3)
    assert end.tally.left == 0
    assert airflow.most <= limit, "a run that was cleared while under way fails in the fake"
    untouched = {
        hour
        for hour, state in there.items()
        if reprocess == "none" or (reprocess == "failed" and state == "success")
    }
    begun = Counter(hours_of(airflow))
    assert set(begun) == set(range(10)) - untouched
    for hour, times in begun.items():
        assert times == min(2, 1 + bad.get(hour, 0)), "as often as it failed, and no oftener"


def test_told_in_one_line_a_change(
    airflow: FakeAirflow, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger=backfill_run.__name__)
    begin(airflow, ledger).go()
    lines = [r.getMessage() for r in caplog.records if " done" in r.getMessage()]
    assert lines[0] == "0 of 6 done, 2 running (limit 2)"
    assert lines[-1] == "6 of 6 done"
    assert len(lines) == len(set(lines))
