from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred

from planner_provider.decide.replay import replay
from planner_provider.decide.slo import SloRules
from planner_provider.errors import (
    AbortedError,
    CheckFailedError,
    MisconfiguredError,
    SpecError,
    UnavailableError,
)
from planner_provider.graph.slos import Slo
from planner_provider.ledger import Ledger
from planner_provider.sensors.slo_gate import SPARE, SLOGateSensor
from planner_provider.sensors.wait import GRACE
from planner_provider.spec.actions import Gate
from tests.operators.airflow_context import PLAN_ID, REF, act, context_for
from tests.operators.plan_runs import FakeTime, database
from tests.operators.slo_looks import BAD, GOOD, SLO, UNKNOWN, Looks, look, looks

__all__ = ["looks"]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(SLOGateSensor, "clock", fake.clock)
    return fake


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = database(tmp_path)
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    return Ledger(url)


def gate(slos: tuple[Slo, ...] = (SLO,), plan_ref: Any = REF, **values: Any) -> SLOGateSensor:
    action = Gate.model_validate(
        {"slos": [SLO.name], **{name.rstrip("_"): value for name, value in values.items()}}
    )
    with DAG("checkout-release", schedule=None):
        return SLOGateSensor.from_action(action, plan_ref=plan_ref, slos=slos, task_id="gate")


def by_hand(**values: Any) -> SLOGateSensor:
    with DAG("by-hand", schedule=None):
        return SLOGateSensor(task_id="gate", **values)


def deferred(operator: SLOGateSensor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as stopped:
        act(operator)
    return stopped.value


def event(bad: float | None, ending: str, fake: FakeTime) -> dict[str, Any]:
    seen = look(bad, SloRules(in_progress=True), fake.now())
    return {"ending": ending, "decision": seen.decision.model_dump_json()}


def test_once_passes_and_is_on_record(looks: Looks, ledger: Ledger) -> None:
    result = act(gate())
    (recorded,) = ledger.decisions_of(PLAN_ID)
    assert result["decision"] == recorded.id
    assert result["verdict"].startswith("proceed: checkout-availability: 100.0%")
    assert (recorded.step, recorded.actor) == ("shift", "task:execute.shift#1")
    assert replay(recorded.decision).equal
    assert looks.asked == [((SLO,), SloRules(in_progress=True))]


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        (BAD, CheckFailedError, "burn rate 90"),
        (UNKNOWN, UnavailableError, r"inconclusive.*no answer"),
    ],
)
def test_once_fails_and_is_on_record(
    looks: Looks, ledger: Ledger, bad: float | None, error: type[Exception], said: str
) -> None:
    looks.bad = [bad]
    with pytest.raises(error, match=said):
        act(gate())
    (recorded,) = ledger.decisions_of(PLAN_ID)
    assert not recorded.decision.outcome.passes


def test_the_plans_budget_is_the_rule(looks: Looks) -> None:
    act(gate(budget={"min_remaining": "30%", "max_burn_rate": 2}))
    ((_, rules),) = looks.asked
    assert rules.min_remaining == 0.3
    assert {pair.limit for pair in rules.windows} == {2.0}


def test_wait_that_is_well_at_once_does_not_defer(looks: Looks) -> None:
    assert act(gate(mode="wait", timeout="1h"))["verdict"].startswith("proceed")
    assert len(looks.asked) == 1


@pytest.mark.parametrize("bad", [BAD, UNKNOWN])
def test_wait_defers_until_an_absolute_moment(
    looks: Looks, fake: FakeTime, bad: float | None
) -> None:
    looks.bad = [bad]
    stopped = deferred(gate(mode="wait", timeout="1h", every="1m"))
    _, arguments = stopped.trigger.serialize()
    assert arguments["until"] == fake.now().timestamp() + 3600
    assert arguments["every"] == 60
    assert arguments["hold_for"] is None
    assert arguments["plan_id"] == PLAN_ID
    assert json.loads(arguments["slos"])[0]["name"] == SLO.name
    assert stopped.timeout == timedelta(hours=1) + GRACE
    assert stopped.method_name == "looked"


def test_hold_defers_with_the_health_it_saw(looks: Looks, fake: FakeTime) -> None:
    _, arguments = deferred(gate(mode="hold", for_="30m")).trigger.serialize()
    assert arguments["hold_for"] == 1800
    assert arguments["healthy_since"] == fake.now().timestamp()
    assert arguments["until"] == fake.now().timestamp() + 1800 + SPARE.total_seconds()


def test_hold_breaks_off_at_once(looks: Looks) -> None:
    looks.bad = [BAD]
    with pytest.raises(CheckFailedError):
        act(gate(mode="hold", for_="30m"))


def test_hold_does_not_begin_while_nothing_is_known(looks: Looks) -> None:
    looks.bad = [UNKNOWN]
    _, arguments = deferred(gate(mode="hold", for_="30m")).trigger.serialize()
    assert arguments["healthy_since"] is None


def test_a_short_hold_stays_on_the_worker(looks: Looks, fake: FakeTime) -> None:
    assert act(gate(mode="hold", for_="9s", every="3s"))["verdict"].startswith("proceed")
    assert fake.seconds == pytest.approx(9)
    assert len(looks.asked) == 4


def test_a_short_hold_breaks_off_on_the_worker(looks: Looks, fake: FakeTime) -> None:
    looks.bad = [GOOD, BAD, GOOD]
    with pytest.raises(CheckFailedError):
        act(gate(mode="hold", for_="9s", every="3s"))
    assert fake.seconds == pytest.approx(3)


@pytest.mark.parametrize(
    ("bad", "ending", "error", "said"),
    [
        (BAD, "breached", CheckFailedError, "burn rate"),
        (BAD, "timed_out", CheckFailedError, "waited for 1h at most"),
        (UNKNOWN, "timed_out", UnavailableError, "inconclusive"),
        (UNKNOWN, "passed", UnavailableError, "inconclusive"),
        (BAD, "passed", CheckFailedError, "burn rate"),
        (GOOD, "timed_out", UnavailableError, "not at all looks of that time"),
    ],
)
def test_how_it_ends_after_the_deferral(
    fake: FakeTime,
    ledger: Ledger,
    bad: float | None,
    ending: str,
    error: type[Exception],
    said: str,
) -> None:
    operator = gate(mode="hold", for_="30m", timeout="1h")
    with pytest.raises(error, match=said):
        operator.looked(context_for(), event=event(bad, ending, fake))
    assert len(ledger.decisions_of(PLAN_ID)) == 1


def test_it_passes_after_the_deferral(fake: FakeTime, ledger: Ledger) -> None:
    result = gate(mode="hold", for_="30m").looked(context_for(), event=event(GOOD, "passed", fake))
    (recorded,) = ledger.decisions_of(PLAN_ID)
    assert result["decision"] == recorded.id


def test_an_abort() -> None:
    with pytest.raises(AbortedError, match="at 22:00:00 UTC, so the gate stays closed"):
        gate(mode="wait", timeout="1h").looked(
            context_for(), event={"abort": "2026-11-23T22:00:00+00:00"}
        )


def test_an_slo_that_was_not_resolved(looks: Looks) -> None:
    with pytest.raises(MisconfiguredError, match="checkout-availability is given by its name"):
        act(gate(slos=()))
    assert looks.asked == []


DOCUMENTS = """
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus, connectionDetails: {}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: checkout-availability}
spec:
  service: checkout
  indicator:
    metadata: {name: good}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {metricSourceRef: prom, spec: {query: requests_total}}}
        total: {metricSource: {metricSourceRef: prom, spec: {query: requests_total}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
"""


def test_by_hand_with_names_and_templates(looks: Looks, tmp_path: Path, ledger: Ledger) -> None:
    (tmp_path / "slos.yaml").write_text(DOCUMENTS)
    operator = by_hand(
        slos=["{{ params.service }}-availability"], documents="{{ params.folder }}/slos.yaml"
    )
    result = act(operator, context_for({"service": "checkout", "folder": str(tmp_path)}))
    assert result["decision"] is None
    ((slos, rules),) = looks.asked
    assert slos == (SLO,)
    assert not rules.in_progress
    assert ledger.decisions_of(PLAN_ID) == ()


def test_by_hand_without_such_an_slo(looks: Looks, tmp_path: Path) -> None:
    (tmp_path / "slos.yaml").write_text(DOCUMENTS.replace("target: 0.99", "target: 99"))
    for documents in (tmp_path, tmp_path / "nowhere.yaml"):
        with pytest.raises(SpecError):
            act(by_hand(slos=["checkout-availability"], documents=str(documents)))
    assert looks.asked == []


def test_modes_need_their_times(looks: Looks) -> None:
    for mode in ("hold", "wait"):
        with pytest.raises(MisconfiguredError, match=mode):
            act(by_hand(slos=[SLO], mode=mode))
