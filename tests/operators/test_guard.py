from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from planner_provider.decide.model import Fact
from planner_provider.decide.replay import replay
from planner_provider.decide.slo import SloRules
from planner_provider.errors import CheckFailedError, UnavailableError
from planner_provider.operators.failures import failures
from planner_provider.operators.guard import GuardOperator, check_guards
from planner_provider.operators.plan_ref import Role
from planner_provider.spec.actions import Budget
from planner_provider.spec.plan import Signal
from tests.operators.plan_runs import PlanRunCase, database
from tests.operators.slo_looks import BAD, SLO, UNKNOWN, Looks, looks

__all__ = ["looks"]


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    url = database(tmp_path)
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    return PlanRunCase(url).pinned()


def guard(case: PlanRunCase, **more: Any) -> GuardOperator:
    with DAG("checkout-release", schedule=None):
        return GuardOperator(
            task_id="guard", plan_ref=case.ref(Role.FRAME), **{"slos": (SLO,), **more}
        )


def test_it_passes_and_is_on_record(case: PlanRunCase, looks: Looks) -> None:
    decision_id = case.run(guard(case, budget=Budget(min_remaining="20%")))
    (recorded,) = case.ledger.decisions_of(case.plan_id)
    assert recorded.id == decision_id
    assert recorded.decision.outcome.passes
    assert looks.asked == [((SLO,), SloRules(min_remaining=0.2))]


def test_a_breach_is_final(case: PlanRunCase, looks: Looks) -> None:
    looks.bad = [BAD]
    with pytest.raises(AirflowFailException, match="The guards forbid to begin"):
        case.run(guard(case))
    (recorded,) = case.ledger.decisions_of(case.plan_id)
    assert recorded.decision.outcome.kind.value == "refuse"
    failed = failures(case.ledger.audit_of(case.plan_id))["guard"]
    assert failed.error == "RefusedError"


@pytest.mark.parametrize("bad", [UNKNOWN])
def test_not_knowing_fails_it_and_may_be_tried_again(
    case: PlanRunCase, looks: Looks, bad: float | None
) -> None:
    looks.bad = [bad]
    with pytest.raises(CheckFailedError, match="inconclusive, so nothing begins"):
        case.run(guard(case))
    assert case.ledger.decisions_of(case.plan_id)[0].decision.outcome.inconclusive


def check(case: PlanRunCase) -> int | None:
    return check_guards(
        (SLO,),
        ledger=case.ledger,
        plan_id=case.plan_id,
        step="shift",
        actor="task:execute.shift#1",
        now=case.time.now,
    )


def test_guards_of_a_step(case: PlanRunCase, looks: Looks) -> None:
    assert check(case) == 1
    looks.bad = [BAD]
    with pytest.raises(CheckFailedError, match="forbid it to begin"):
        check(case)
    looks.bad = [UNKNOWN]
    with pytest.raises(UnavailableError, match="inconclusive"):
        check(case)
    recorded = case.ledger.decisions_of(case.plan_id)
    assert [item.decision.outcome.kind.value for item in recorded] == [
        "proceed", "roll_back", "hold",
    ]  # fmt: skip
    assert {item.step for item in recorded} == {"shift"}


def test_who_asks_nothing_learns_that_nothing_is_known(case: PlanRunCase) -> None:
    with pytest.raises(UnavailableError, match="inconclusive"):
        check_guards(
            (), ledger=case.ledger, plan_id=case.plan_id, step="shift", actor="t",
            now=case.time.now,
        )  # fmt: skip


class TestSignals:
    SIGNALS = tuple(
        Signal(name=name, connection="prom", query=name) for name in ("requests", "latency")
    )

    def facts(self, monkeypatch: pytest.MonkeyPatch, known: set[str]) -> None:
        def read(signals: tuple[Signal, ...], *, now: datetime) -> tuple[Fact, ...]:
            return tuple(
                Fact.measured(item.name, 1, source="s", observed_at=now)
                if item.name in known
                else Fact.unknown(item.name, "no series", source="s", observed_at=now)
                for item in signals
            )

        monkeypatch.setattr("planner_provider.hooks.signals.read_signals", read)

    def test_less_than_required_blocks_before_the_slos_are_asked(
        self, case: PlanRunCase, looks: Looks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.facts(monkeypatch, {"requests"})
        with pytest.raises(CheckFailedError, match="1 of 2 needed signals") as raised:
            case.run(guard(case, signals=self.SIGNALS))
        assert "latency: no series" in str(raised.value)
        (recorded,) = case.ledger.decisions_of(case.plan_id)
        assert (recorded.decision.kind, recorded.decision.outcome.passes) == ("coverage", False)
        assert replay(recorded.decision).equal
        assert looks.asked == []

    def test_enough_lets_it_pass(
        self, case: PlanRunCase, looks: Looks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.facts(monkeypatch, {"requests"})
        case.run(guard(case, signals=self.SIGNALS, min_coverage=0.5))
        kinds = [item.decision.kind for item in case.ledger.decisions_of(case.plan_id)]
        assert kinds == ["coverage", "slo_gate"]

    def test_signals_alone(
        self, case: PlanRunCase, looks: Looks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.facts(monkeypatch, {"requests", "latency"})
        assert case.run(guard(case, slos=(), signals=self.SIGNALS)) is None
        assert looks.asked == []
