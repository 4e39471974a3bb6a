from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from planner_provider.decide.model import Fact
from planner_provider.decide.replay import decide
from planner_provider.decide.slo import Count, SloFacts, SloGateInputs, SloRules
from planner_provider.graph.approvals import ChangeProfile
from planner_provider.graph.slos import SloTarget
from planner_provider.hooks import slo_facts
from planner_provider.hooks.slo_facts import Look
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Outcome, RunKey
from planner_provider.operators.approval_facts import (
    budgets_left,
    find_risk,
    question_link,
    requester_of,
)

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
WINDOW = timedelta(days=28)


def context(name: str | None, kind: Any) -> Any:
    ti = SimpleNamespace(dag_id="shop release", run_id="manual__1+1", task_id="approve",
                         map_index=-1)  # fmt: skip
    run = SimpleNamespace(triggering_user_name=name, run_type=kind)
    return {"ti": ti, "dag_run": run}


@pytest.mark.parametrize(
    ("name", "kind", "unknown"),
    [
        ("rita", "manual", False),
        (None, "scheduled", False),
        (None, SimpleNamespace(value="scheduled"), False),
        (None, "manual", True),
        ("", "manual", True),
        (None, "asset_triggered", True),
        (None, "operator_triggered", True),
    ],
)
def test_requester(name: str | None, kind: Any, unknown: bool) -> None:
    found = requester_of(context(name, kind))
    assert (found.name, found.unknown) == (name or None, unknown)


def test_without_a_run_the_requester_is_not_known() -> None:
    assert requester_of({}).unknown  # type: ignore[arg-type]


def test_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/")
    assert question_link(context(None, "manual")) == (
        "https://airflow.example.com/dags/shop%20release/runs/manual__1%2B1/tasks/approve"
        "/required_actions?map_index=-1"
    )
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    assert question_link(context(None, "manual")) is None


def fact(name: str, value: float | None) -> Fact:
    base: dict[str, Any] = {"source": "test", "observed_at": NOW}
    return (
        Fact.unknown(name, "down", **base) if value is None else Fact.measured(name, value, **base)
    )


def test_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_at(slos: Any, rules: SloRules, *, clock: Any) -> Look:
        assert rules.spans(WINDOW) == (WINDOW,), "no more is asked than is needed"
        found = []
        for slo, bad in slos:
            count = Count(window=WINDOW, part=fact("bad", bad), part_is="bad",
                          total=fact("all", 10000))  # fmt: skip
            target = SloTarget(target=0.99)
            found.append(SloFacts(slo=slo, targets=(target,), window=WINDOW, counts=(count,)))
        inputs = SloGateInputs(now=clock(), slos=tuple(found), rules=rules)
        return Look(*decide(inputs))

    monkeypatch.setattr(slo_facts, "look_at", look_at)
    slos: Any = (("checkout", 75), ("payments", None))
    left = budgets_left(slos, NOW)
    assert [f.value for f in left] == [pytest.approx(0.25), None]
    assert [f.trouble(NOW) is None for f in left] == [True, False]
    assert budgets_left((), NOW) == ()


def test_recent_runs_are_those_that_changed_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'planner.db'}"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)

    def risk() -> tuple[float | None, str]:
        found = find_risk(
            ChangeProfile(), plan="shop", own_plan_id="shop-now", slos=(), max_risk="low", now=NOW
        )
        part = found.risk.contributions[-1]
        return part.value, part.words

    assert risk() == (None, "not known how earlier runs ended")
    ledger = Ledger(url)
    outcomes = ["succeeded", "rejected", "failed", "rolled_back", "expired", "succeeded"]
    for number, outcome in enumerate(outcomes):
        key = RunKey(f"shop-{number}", "shop", "shop", f"r{number}", "d" * 64)
        now = NOW + timedelta(minutes=number)
        ledger.pin_run(key, expires_at=None, parameters={}, actor="t", now=now)
        ledger.finish_run(key, Outcome(outcome), "", actor="t", now=now)
    assert risk() == (2.0, "2 of the last 4 runs did not succeed")
