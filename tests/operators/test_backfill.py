"""The action `backfill` as a step: what it lists, refuses, pauses, stops and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from planner_provider.errors import (
    MisconfiguredError,
    NotAvailableError,
    RefusedError,
    UnavailableError,
)
from planner_provider.graph.build import build_graph
from planner_provider.hooks import airflow_api
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ItemState
from planner_provider.operators.acting import Acting, Stopped
from planner_provider.operators.backfill import BackfillOperator, truth
from planner_provider.operators.backfill_target import BEYOND, Range, list_partitions
from planner_provider.operators.cost import RunCost
from planner_provider.spec.cost import Cost
from planner_provider.spec.folder import LoadOptions, SourceFile, load
from planner_provider.spec.workloads import Backfill
from tests.operators.airflow_context import PLAN_ID, REF, act, build, context_for
from tests.operators.fake_airflow import HOUR, FakeAirflow, FakeTime, at
from tests.operators.plan_runs import database
from tests.operators.slo_looks import looks

__all__ = ["looks"]

SPEC = {
    "dag": "orders",
    "from": "2026-11-01T00:00Z",
    "to": "2026-11-01T06:00Z",
    "throttle": {"max": 2, "every": "10s"},
}


COST = Cost(connection="prom", query="x", currency="EUR", max_increase=5)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    found = FakeTime()
    monkeypatch.setattr(BackfillOperator, "clock", found.clock)
    return found


@pytest.fixture
def airflow(time: FakeTime, monkeypatch: pytest.MonkeyPatch) -> FakeAirflow:
    found = FakeAirflow(time)

    def connected(connection: str, *, pause: Callable[[float], None]) -> FakeAirflow:
        assert connection == "airflow_api"
        found.pause = pause
        return found

    monkeypatch.setattr(airflow_api, "AirflowApi", connected)
    return found


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    return Ledger(database(tmp_path))


def backfill(**values: Any) -> Any:
    base = values.pop("base", {})
    return build("backfill", Backfill.model_validate(SPEC | values), **base)


def test_it_pauses_while_the_plan_costs_too_much(
    airflow: FakeAirflow,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: list[str | None] = ["The cost of the plan: 6 EUR more.", None]

    def pausing(self: RunCost, step: str) -> Callable[[], str | None]:
        assert self.cost == COST
        return lambda: answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(RunCost, "pausing", pausing)
    monkeypatch.setattr(RunCost, "check", lambda self, step: None)
    told = act(backfill(base={"guard_cost": COST}), context_for())
    assert told["done"] == 6
    assert "held: The cost of the plan: 6 EUR more." in caplog.text
    assert answers == [None]


def test_a_whole_backfill(airflow: FakeAirflow, ledger: Ledger) -> None:
    context = context_for()
    told = act(backfill(), context)
    assert {key: told[key] for key in ("total", "done", "failed", "left")} == {
        "total": 6, "done": 6, "failed": 0, "left": 0,
    }  # fmt: skip
    assert context["ti"].pushed["progress"] == told
    assert ledger.item_counts(PLAN_ID, REF.step or "") == {ItemState.DONE: 6}
    assert airflow.most == 2
    assert ledger.throttle(PLAN_ID, "shift") is not None, "people can change its limit"


def test_too_many_failures_fail_for_good_and_tell_how_far_it_came(
    airflow: FakeAirflow, ledger: Ledger
) -> None:
    airflow.bad = {1: 9}
    context = context_for()
    with pytest.raises(RefusedError, match=r"1 of 6 partitions failed, and 0 may: 2026-11-01T01"):
        act(backfill(), context)
    assert context["ti"].pushed["progress"]["failed_partitions"] == ["2026-11-01T01:00:00Z"]


def test_a_dry_run_touches_nothing(airflow: FakeAirflow, ledger: Ledger) -> None:
    airflow.there(1, "success")
    airflow.there(2, "failed")
    airflow.there(3, "running", run_type="scheduled")
    told = act(
        backfill(dry_run="{{ params.dry }}", reprocess="failed", order="newest_first"),
        context_for({"dry": True}),
    )
    assert airflow.begun == []
    assert ledger.items_of(PLAN_ID, "shift") == ()
    assert {key: told[key] for key in ("make", "clear", "wait", "left_out")} == {
        "make": 3, "clear": 1, "wait": 1, "left_out": 1,
    }  # fmt: skip
    assert [row["way"] for row in told["partitions"]] == [
        "make", "make", "wait", "clear", "skip", "make",
    ]  # fmt: skip
    assert told["partitions"][-1] == {
        "logical_date": "2026-11-01T00:00:00Z", "end": "2026-11-01T01:00:00Z", "way": "make",
    }  # fmt: skip


def test_a_date_that_another_plan_works_on_is_no_gap(airflow: FakeAirflow, ledger: Ledger) -> None:
    airflow.there(2, "running", "planner__2026-11-01T02:00:00Z__other.load.x")
    told = act(backfill(dry_run=True))
    ways = {row["logical_date"]: (row["way"], row["end"]) for row in told["partitions"]}
    assert ways["2026-11-01T02:00:00Z"] == ("wait", "2026-11-01T03:00:00Z")
    assert ways["2026-11-01T01:00:00Z"] == ("make", "2026-11-01T02:00:00Z")


def test_one_that_ended_while_it_was_asked_is_no_gap(
    airflow: FakeAirflow, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = airflow.there(2, "running", run_type="scheduled")
    dates = airflow.logical_dates

    def ends_then(*asked: Any) -> Any:
        found = dates(*asked)
        now = datetime.now(UTC)
        airflow.found[name] = replace(airflow.found[name], state="success", ended_at=now)
        return found

    monkeypatch.setattr(airflow, "logical_dates", ends_then)
    told = act(backfill(dry_run=True))
    assert [row["way"] for row in told["partitions"]] == ["make"] * 2 + ["skip"] + ["make"] * 3


def test_of_a_run_by_hand_it_is_not_known_whether_it_is_a_partition(
    airflow: FakeAirflow, ledger: Ledger
) -> None:
    airflow.there(2, "running", "manual__theirs")
    with pytest.raises(UnavailableError, match=r"manual__theirs of DAG 'orders' .* is under way"):
        act(backfill())
    assert airflow.begun == []
    assert ledger.items_of(PLAN_ID, "shift") == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [(True, True), (False, False), ("True", True), ("false", False), (" yes ", True), ("", False),
     ("None", False), ("0", False)],
)  # fmt: skip
def test_what_a_template_gives_as_true_or_false(given: bool | str, expected: bool) -> None:
    assert truth(given) is expected


def test_what_is_neither() -> None:
    with pytest.raises(RefusedError, match="neither true nor false"):
        truth("perhaps")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"from": "{{ params.begin }}"}, "`from` is 'soon', which is not a moment"),
        ({"to": "{{ params.local }}"}, "`to` is '2026-11-01T06:00:00', which names no time zone"),
        ({"to": "{{ params.early }}"}, "`from` must be before `to`"),
    ],
)
def test_moments_that_are_none(
    airflow: FakeAirflow, ledger: Ledger, values: dict[str, str], said: str
) -> None:
    params = {"begin": "soon", "local": "2026-11-01T06:00", "early": "2026-10-01T00:00Z"}
    with pytest.raises(RefusedError, match=said):
        act(backfill(**values), context_for(params))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_stale": True}, "is not in any DAG file any more"),
        ({"has_import_errors": True}, "cannot be imported"),
        ({"periodic": False}, "no schedule that gives logical dates"),
        ({"partitioned": True}, "go by partition keys"),
        ({"allowed_run_types": ("scheduled",)}, "allows runs of these types only: scheduled"),
        ({"is_paused": True}, "is paused, and Airflow starts no run"),
    ],
)
def test_a_dag_that_cannot_be_backfilled(
    airflow: FakeAirflow, ledger: Ledger, change: dict[str, Any], said: str
) -> None:
    airflow.dag_now = replace(airflow.dag_now, **change)
    with pytest.raises(RefusedError, match=said):
        act(backfill())
    assert airflow.begun == []


def test_a_range_without_partitions(airflow: FakeAirflow, ledger: Ledger) -> None:
    with pytest.raises(RefusedError, match="gives no partition from 2025-11-01T00:00:00Z"):
        act(backfill(**{"from": "2025-11-01T00:00Z", "to": "2025-11-02T00:00Z"}))


def test_intervals_that_cannot_be_told(airflow: FakeAirflow, ledger: Ledger) -> None:
    airflow.dag_now = replace(airflow.dag_now, next_interval=None)
    with pytest.raises(MisconfiguredError, match="data intervals of DAG 'orders' cannot be told"):
        act(backfill())


def test_a_paused_dag_is_waited_for(airflow: FakeAirflow, ledger: Ledger, time: FakeTime) -> None:
    airflow.set_paused("orders", True)
    time.later(60, lambda: airflow.set_paused("orders", False))
    assert act(backfill(when_paused="wait"))["done"] == 6
    assert time.seconds > 60


def test_paused_in_the_middle_a_retry_waits(
    airflow: FakeAirflow, ledger: Ledger, time: FakeTime
) -> None:
    def killed() -> None:
        airflow.set_paused("orders", True)
        raise KeyboardInterrupt

    time.later(15, killed)
    context = context_for()
    with pytest.raises(KeyboardInterrupt):
        act(backfill(), context)
    time.later(60, lambda: airflow.set_paused("orders", False))
    assert act(backfill(), context)["done"] == 6
    assert len(airflow.begun) == 6


@pytest.mark.parametrize("bad", [{}, {0: 9}])
def test_a_paused_dag_is_unpaused_and_paused_again(
    airflow: FakeAirflow, ledger: Ledger, bad: dict[int, int]
) -> None:
    airflow.dag_now = replace(airflow.dag_now, is_paused=True)
    airflow.bad = bad
    operator = backfill(when_paused="unpause")
    if bad:
        with pytest.raises(RefusedError):
            act(operator)
    else:
        act(operator)
    assert airflow.paused_by == [False, True]


def test_unpaused_by_a_try_that_was_killed(
    airflow: FakeAirflow, ledger: Ledger, time: FakeTime
) -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    airflow.dag_now = replace(airflow.dag_now, is_paused=True)
    time.later(15, killed)
    context = context_for()
    with pytest.raises(KeyboardInterrupt):
        act(backfill(when_paused="unpause"), context)
    assert act(backfill(when_paused="unpause"), context)["done"] == 6
    assert airflow.paused_by == [False, True]
    assert len(airflow.begun) == 6


def stopped_at(operator: Any, time: FakeTime, seconds: float) -> None:
    operator._acting = Acting(needed=True)
    time.later(seconds, lambda: operator._acting.tell_to_stop("a person stopped the run"))


@pytest.mark.parametrize("on_abort", ["leave", "stop"])
@pytest.mark.parametrize("aborted", [True, False])
def test_stopped_from_outside(
    airflow: FakeAirflow, ledger: Ledger, time: FakeTime, monkeypatch: pytest.MonkeyPatch,
    on_abort: str, aborted: bool,
) -> None:  # fmt: skip
    when = datetime.now(UTC) if aborted else None
    record = SimpleNamespace(abort_at=when, outcome=None, held_words="")
    monkeypatch.setattr(Ledger, "run", lambda self, plan_id: record)
    operator = backfill(on_abort=on_abort)
    stopped_at(operator, time, 15)
    with pytest.raises(Stopped):
        act(operator)
    assert time.seconds < 17, "within a second, and the time to stop runs"
    assert len(airflow.begun) == 4
    stops = on_abort == "stop" and aborted
    left = ledger.item_counts(PLAN_ID, "shift")
    assert left.get(ItemState.ACTING, 0) == (0 if stops else 2)
    assert sorted(airflow.stopped) == (sorted(run for _, run in airflow.begun[2:]) if stops else [])


def test_chunks_are_not_available_yet() -> None:
    chunks = {"size": "1h", "sql": {"connection": "db", "statement": "SELECT 1"}}
    action = Backfill.model_validate(
        {"chunks": chunks, "from": "2026-11-01T00:00Z", "to": "2026-11-02T00:00Z"}
    )
    with pytest.raises(NotAvailableError, match="over `chunks`"):
        BackfillOperator.from_action(action, plan_ref=None, task_id="again")


def test_a_query_of_the_throttle_is_rendered(airflow: FakeAirflow) -> None:
    signal = {"connection": "prom", "query": 'lag{db="{{ params.db }}"}', "max": 5}
    operator = backfill(throttle={"signal": signal})
    throttle = operator._throttle(context_for({"db": "orders"}))
    assert throttle.signal.query == 'lag{db="orders"}'


def test_partitions_begin_only_while_the_calendar_is_open(
    airflow: FakeAirflow, ledger: Ledger, time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    document = """
apiVersion: planner/v1
kind: Calendar
metadata: {name: nights, owner: team-a}
spec: {timezone: UTC, windows: [{days: [mon], from: "12:02", to: "13:00"}]}
---
apiVersion: planner/v1
kind: Plan
metadata: {name: replay, owner: team-a}
spec:
  summary: Run the orders again at night
  steps:
    - id: again
      backfill: {dag: orders, from: 2026-11-01T00:00Z, to: 2026-11-01T06:00Z, calendar: nights}
      rollback: none
"""
    specs = load([SourceFile("replay.yaml", document.encode())], LoadOptions())
    assert [found for found in specs.diagnostics if found.is_error] == []
    graph = build_graph(specs.plans[0], specs.catalog)
    assert [calendar.name for calendar in graph.calendars] == ["nights"]
    act(backfill(calendar="nights", base={"calendars": graph.calendars}))
    assert time.seconds > 120, "it opens two minutes later"
    assert "held: The window of calendar nights closed at Mon 2026-11-16 13:00" in caplog.text
    begun = [run.started_at for run in airflow.found.values() if run.started_at]
    assert min(begun) >= datetime(2026, 11, 23, 12, 2, tzinfo=UTC)


# ---- the intervals of the target


class Months(FakeAirflow):
    """A schedule by month, whose next date is looked for beyond the range."""

    dates = tuple(datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 11))

    def logical_dates(self, dag_id: str, begin: datetime, end: datetime) -> tuple[datetime, ...]:
        self.asked = [*getattr(self, "asked", []), end - begin]
        return tuple(date for date in self.dates if begin <= date < end)


def test_the_date_after_the_range_gives_the_last_interval(time: FakeTime) -> None:
    months = Months(time)
    nov, dec = (datetime(2026, month, 1, tzinfo=UTC) for month in (11, 12))
    dag = replace(months.dag_now, next_interval=(nov, dec))
    span = Range(months.dates[0], months.dates[2])
    listing = list_partitions(months, dag, span, reprocess="none", order="oldest_first")  # type: ignore[arg-type]
    assert listing.ends == {months.dates[0]: months.dates[1], months.dates[1]: months.dates[2]}
    assert months.asked[1:] == [BEYOND[0]], "the next month begins where the range ends"
    assert at(1) - at(0) == HOUR
