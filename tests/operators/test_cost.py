"""What a run costs, from its locks to its outcome, asked of a Prometheus over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped

from planner_provider.decide.replay import replay
from planner_provider.errors import CheckFailedError, UnavailableError
from planner_provider.hooks import prometheus
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ActResult, ActRole, Course, Hold, Outcome
from planner_provider.metrics.evidence import CostChange, cost_change
from planner_provider.operators.cost import RunCost
from planner_provider.operators.frame import AcquireOperator, DecideOperator, FinishOperator
from planner_provider.operators.plan_ref import Role
from planner_provider.spec.cost import Cost
from tests.hooks.http_server import Asked, Reply, Server, http_server
from tests.operators.plan_runs import NOW, PLAN, STEPS, PlanRunCase, database
from tests.operators.test_frame import act
from tests.operators.test_plan_step import Work

COST = Cost(connection="billing", query="sum(shop_cost)", currency="EUR")
LIMITED = COST.model_copy(update={"max_increase": 5})


class Billing:
    """What it costs: one value after the other, the last one stays; ``None``: no answer."""

    def __init__(self, case: PlanRunCase) -> None:
        self.values: list[float | None] = [10.0]
        self.asked: list[str] = []
        self._case = case

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(parse_qs(asked.body.decode())["query"][0])
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        if value is None:
            return Reply(400, b'{"errorType": "bad_data", "error": "no such metric"}')
        at = self._case.time.now().timestamp()
        result = [{"metric": {}, "value": [at, repr(value)]}]
        data = {"resultType": "vector", "result": result}
        return Reply(body=json.dumps({"status": "success", "data": data}).encode())


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    return PlanRunCase(database(tmp_path)).pinned()


@pytest.fixture
def billing(case: PlanRunCase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Billing]:
    played = Billing(case)
    prometheus.forget_connections()
    with http_server(played.reply) as server:
        monkeypatch.setenv("AIRFLOW_CONN_BILLING", connection(server))
        yield played
    prometheus.forget_connections()


def connection(server: Server) -> str:
    return json.dumps({"conn_type": "http", "host": server.url})


def acquire(case: PlanRunCase, cost: Cost | None = COST) -> None:
    ref = case.ref(Role.FRAME)
    case.run(AcquireOperator(task_id="acquire", plan_ref=ref, cost=cost))


def finish(case: PlanRunCase, cost: Cost | None = COST) -> None:
    case.states = {"assess": "success"}
    case.run(
        FinishOperator(
            task_id="finish", plan_ref=case.ref(Role.FRAME), steps=STEPS, front=("assess",),
            cost=cost,
        )
    )  # fmt: skip


def step(case: PlanRunCase, name: str = "s1", cost: Cost = LIMITED, **more: Any) -> Work:
    ref = case.ref(Role.STEP, name)
    return Work(task_id=f"execute.{name}", plan_ref=ref, guard_cost=cost, **more)


def decided(case: PlanRunCase) -> list[tuple[str, str, str | None]]:
    """Kind, verdict and step of each decision; all can be made again."""
    found = case.ledger.decisions_of(case.plan_id)
    assert all(replay(item.decision).equal for item in found)
    return [(item.decision.kind, item.decision.outcome.kind.value, item.step) for item in found]


def last_change(case: PlanRunCase) -> CostChange | None:
    return cost_change(case.ledger.decisions_of(case.plan_id)[-1].decision.verdict)


def test_it_is_read_before_the_first_change_and_at_the_end(
    case: PlanRunCase, billing: Billing
) -> None:
    billing.values = [10.0, 12.5]
    acquire(case)
    assert decided(case) == [("cost", "proceed", None)]
    for name in ("s1", "s2", "s3"):
        act(case, name)
    case.winding_up(Course.KEEP)
    finish(case)
    assert case.ledger.run(case.plan_id).outcome is Outcome.SUCCEEDED  # type: ignore[union-attr]
    assert decided(case) == [("cost", "proceed", None)] * 2
    assert last_change(case) == CostChange("EUR", 10.0, 12.5)
    assert billing.asked == ["sum(shop_cost)"] * 2


def test_a_run_that_was_undone_is_read_too(case: PlanRunCase, billing: Billing) -> None:
    billing.values = [10.0, 10.5]
    acquire(case)
    act(case, "s1", ActResult.FAILED)
    case.winding_up(Course.UNDO)
    act(case, "s1", ActResult.DONE, ActRole.UNDO)
    with pytest.raises(AirflowFailException, match="rolled_back"):
        finish(case)
    assert last_change(case) == CostChange("EUR", 10.0, 10.5)


def test_a_run_that_changed_nothing_costs_nothing_more(case: PlanRunCase, billing: Billing) -> None:
    acquire(case)
    case.winding_up(Course.UNDO)
    with pytest.raises(AirflowFailException):
        finish(case)
    assert decided(case) == [("cost", "proceed", None)]


def test_a_reading_that_cannot_be_had_holds_up_nothing_and_is_said(
    case: PlanRunCase, billing: Billing, caplog: pytest.LogCaptureFixture
) -> None:
    billing.values = [None]
    acquire(case)
    assert "What an hour costs before the first change is not known" in caplog.text
    assert "no such metric" in caplog.text
    for name in ("s1", "s2", "s3"):
        act(case, name)
    case.winding_up(Course.KEEP)
    finish(case)
    assert case.ledger.run(case.plan_id).outcome is Outcome.SUCCEEDED  # type: ignore[union-attr]
    assert last_change(case) is None
    readings = [item.decision.outcome for item in case.ledger.decisions_of(case.plan_id)]
    assert [item.inconclusive for item in readings] == [True, True]


def test_whatever_goes_wrong_in_reading_no_run_is_kept_from_its_end(
    case: PlanRunCase, billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("planner_provider.hooks.signals.read_cost", broken)
    acquire(case)
    for name in ("s1", "s2", "s3"):
        act(case, name)
    case.winding_up(Course.KEEP)
    finish(case)
    assert case.ledger.run(case.plan_id).outcome is Outcome.SUCCEEDED  # type: ignore[union-attr]


def test_a_ledger_that_does_not_take_it_keeps_no_run_from_its_end(
    case: PlanRunCase, billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise UnavailableError("the disk is full")

    monkeypatch.setattr(Ledger, "record_decision", full)
    asked = run_cost(case, COST)
    asked.read_start()
    act_somehow(case)
    assert asked.read_end() is None


def run_cost(case: PlanRunCase, cost: Cost) -> RunCost:
    return RunCost(cost, case.ledger, case.plan_id, "task:t#1", case.time.now)


def act_somehow(case: PlanRunCase) -> None:
    case.ledger.take_lease(case.plan_id, [Hold(f"plan://{PLAN}")], actor="t", now=NOW)
    act(case, "s1")


def test_the_first_reading_is_kept_when_a_run_is_cleared(
    case: PlanRunCase, billing: Billing
) -> None:
    billing.values = [10.0, 99.0]
    acquire(case)
    act(case, "s1")
    acquire(case)
    assert billing.asked == ["sum(shop_cost)"]


def test_after_a_change_it_is_too_late_for_the_first_reading(
    case: PlanRunCase, billing: Billing
) -> None:
    billing.values = [None, 99.0]
    acquire(case)
    act(case, "s1")
    acquire(case)
    finish_somehow(case)
    assert last_change(case) is None


def finish_somehow(case: PlanRunCase) -> None:
    case.winding_up(Course.UNDO)
    with pytest.raises(AirflowFailException):
        finish(case)


class TestSteps:
    def test_within_the_limit_it_begins(self, case: PlanRunCase, billing: Billing) -> None:
        billing.values = [10.0, 15.0]
        acquire(case, LIMITED)
        assert case.run(step(case)) == "result"
        assert decided(case) == [("cost", "proceed", None), ("cost_cap", "proceed", "s1")]

    def test_above_it_it_does_not(self, case: PlanRunCase, billing: Billing) -> None:
        billing.values = [10.0, 15.5]
        acquire(case, LIMITED)
        work = step(case)
        with pytest.raises(CheckFailedError, match=r"5\.5 EUR more than before; it may cost 5 EUR"):
            case.run(work)
        assert (work.times, case.acts()) == (0, ())
        assert decided(case)[-1] == ("cost_cap", "roll_back", "s1")

    def test_what_is_not_known_is_asked_again(self, case: PlanRunCase, billing: Billing) -> None:
        billing.values = [10.0, None, 11.0]
        acquire(case, LIMITED)
        work = step(case)
        with pytest.raises(UnavailableError, match="does not begin: What an hour costs is not"):
            case.run(work)
        assert case.run(work, try_number=2) == "result"
        assert work.times == 1

    def test_the_first_reading_may_come_late_while_nothing_has_begun(
        self, case: PlanRunCase, billing: Billing
    ) -> None:
        billing.values = [None, None, 10.0, 10.0]
        acquire(case, LIMITED)
        work = step(case)
        with pytest.raises(UnavailableError, match="before the first change is not known"):
            case.run(work)
        assert case.run(work, try_number=2) == "result"

    def test_a_step_that_is_done_asks_nothing(self, case: PlanRunCase, billing: Billing) -> None:
        acquire(case, LIMITED)
        case.run(step(case))
        before = len(billing.asked)
        case.run(step(case), try_number=2)
        assert len(billing.asked) == before


class TestDecide:
    def decide(self, case: PlanRunCase, cost: Cost = LIMITED) -> list[str]:
        with DAG(PLAN, schedule=None):
            operator = DecideOperator(
                task_id="decide", plan_ref=case.ref(Role.FRAME), steps=STEPS, cost=cost
            )
            for item in STEPS:
                if item.undo:
                    operator >> BaseOperator(task_id=item.undo)
        try:
            case.run(operator)
        except DownstreamTasksSkipped as skipped:
            return [str(name) for name in skipped.tasks]
        return []

    def acted(self, case: PlanRunCase, cost: Cost = LIMITED) -> None:
        acquire(case, cost)
        for name in ("s1", "s2", "s3"):
            act(case, name)

    def course(self, case: PlanRunCase) -> str | None:
        lease = case.ledger.last_lease(case.plan_id)
        return lease.course.value if lease and lease.course else None

    def test_a_change_that_costs_little_stays(self, case: PlanRunCase, billing: Billing) -> None:
        billing.values = [10.0, 15.0]
        self.acted(case)
        assert len(self.decide(case)) == 2, "nothing is undone"
        assert self.course(case) == "keep"

    def test_one_that_costs_too_much_is_undone_and_the_run_says_why(
        self, case: PlanRunCase, billing: Billing
    ) -> None:
        billing.values = [10.0, 16.0, 10.0]
        self.acted(case)
        assert self.decide(case) == []
        assert self.course(case) == "undo"
        for name in ("s2", "s1"):
            act(case, name, ActResult.DONE, ActRole.UNDO)
        with pytest.raises(AirflowFailException, match="6 EUR more than before"):
            finish(case)

    def test_what_is_not_known_is_asked_three_times_then_it_is_undone(
        self, case: PlanRunCase, billing: Billing
    ) -> None:
        billing.values = [10.0, None]
        self.acted(case)
        assert self.decide(case) == []
        assert self.course(case) == "undo"
        assert len(billing.asked) == 4
        assert case.time.seconds == 20

    def test_known_at_last_it_stays(self, case: PlanRunCase, billing: Billing) -> None:
        billing.values = [10.0, None, None, 12.0]
        self.acted(case)
        self.decide(case)
        assert self.course(case) == "keep"

    def test_what_is_undone_anyway_is_not_asked(self, case: PlanRunCase, billing: Billing) -> None:
        acquire(case, LIMITED)
        act(case, "s1", ActResult.FAILED)
        self.decide(case)
        assert billing.asked == ["sum(shop_cost)"]


def test_a_backfill_pauses_while_it_costs_too_much(case: PlanRunCase, billing: Billing) -> None:
    billing.values = [10.0, 16.0, 17.0, 12.0]
    acquire(case, LIMITED)
    ask = run_cost(case, LIMITED).pausing("fill")
    assert "6 EUR more than before" in str(ask())
    assert "7 EUR more than before" in str(ask())
    assert ask() is None
    assert decided(case)[1:] == [("cost_cap", "roll_back", "fill"), ("cost_cap", "proceed", "fill")]
