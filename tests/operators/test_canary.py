from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from planner_provider.decide.bake import BakeEnd
from planner_provider.decide.model import Decision, Reason, Verdict, VerdictKind
from planner_provider.decide.replay import canonical_json
from planner_provider.errors import AbortedError, RollBackError, SpecError, UnavailableError
from planner_provider.graph.parts import parts_of
from planner_provider.hooks.canary_watch import CanaryLook, CanaryWatch
from planner_provider.hooks.slo_facts import Look
from planner_provider.hooks.traffic.release import Done, Outcome
from planner_provider.operators import canary
from planner_provider.operators import release_task as module
from planner_provider.operators.canary import (
    BEGAN,
    BlueGreenPart,
    CanaryDeployOperator,
    CanaryPart,
    CanaryPromoteOperator,
    CanaryStepOperator,
)
from planner_provider.operators.clock import Clock
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.spec.delivery import BlueGreen, Canary
from planner_provider.spec.plan import ActionHolder
from tests.hooks.test_arm_counts import slo
from tests.operators.airflow_context import Store, act, context_for

START = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)
TARGET = {"http": {"connection": "sandbox", "service": "checkout"}}
TRAFFIC = {"http": {"connection": "sandbox", "path": "/weight"}}
CANARY = Canary.model_validate(
    {
        "target": TARGET,
        "change": {"version": "2"},
        "traffic": TRAFFIC,
        "steps": [{"weight": 5, "bake": "10m"}, {"weight": 50, "bake": "20m"}],
        "analysis": {"compare": ["checkout"], "every": "30s", "patience": "5m"},
    }
)
REF = PlanRef("checkout-release", "ab" * 32, Role.STEP, "shift/w50", ("shift/w5",))


@dataclass
class FakeRelease:
    """Remembers what it was told."""

    acts: list[Any] = field(default_factory=list)
    broken: bool = False

    def set_weight(self, percent: int) -> Done:
        if self.broken:
            raise UnavailableError("the router does not answer")
        self.acts.append(percent)
        return Done(Outcome.CHANGED, f"{percent}%")

    def memo(self) -> dict[str, str]:
        return {"stable": "1"}

    def deploy_canary(self) -> Done:
        self.acts.append("deploy")
        return Done(Outcome.CHANGED, "deployed")

    def promote(self) -> Done:
        self.acts.append("promote")
        return Done(Outcome.CHANGED, "promoted")


@pytest.fixture(name="release")
def _release(monkeypatch: pytest.MonkeyPatch) -> FakeRelease:
    made = FakeRelease()
    monkeypatch.setattr(module, "release_of", lambda *_, **__: made)
    return made


def fixed(now: datetime) -> Clock:
    return Clock(lambda: now, lambda: 0.0, lambda _: None)


def weight(number: int, now: datetime = START, **changes: Any) -> CanaryStepOperator:
    part = next(p for p in parts_of(ActionHolder(canary=CANARY)) if p.weight == number)
    made = CanaryPart.from_action(
        CANARY, part=part, plan_ref=None, slos=(slo(),), task_id="w", **changes
    )
    assert isinstance(made, CanaryStepOperator)
    object.__setattr__(made, "clock", fixed(now))
    return made


def watch_of(deferred: TaskDeferred) -> CanaryWatch:
    return CanaryWatch.model_validate_json(deferred.trigger.serialize()[1]["watch"])


def decision(kind: str, text: str) -> Decision:
    verdict = Verdict(kind=VerdictKind(kind), reasons=(Reason(code="x", text=text),))
    return Decision(
        kind="canary", version=1, decided_at=START, inputs="{}", verdict=canonical_json(verdict)
    )


def event(end: BakeEnd, kind: str, text: str = "said") -> dict[str, Any]:
    return {
        "end": end.value,
        "looks": 7,
        "decisions": [decision(kind, text).model_dump(mode="json")],
    }


class TestSettingAWeight:
    def test_sets_it_and_watches_until_absolute_moments(self, release: FakeRelease) -> None:
        with pytest.raises(TaskDeferred) as deferred:
            act(weight(50))
        assert release.acts == [50]
        watch = watch_of(deferred.value)
        assert watch.until == START + timedelta(minutes=20)
        assert watch.patience_until == START + timedelta(minutes=25)
        assert watch.horizon == 60  # both weights together, every 30 s
        assert watch.last
        assert [item.name for item in watch.watched.comparisons] == ["checkout"]
        assert deferred.value.method_name == "looked"

    def test_an_earlier_weight_is_not_the_last(self, release: FakeRelease) -> None:
        with pytest.raises(TaskDeferred) as deferred:
            act(weight(5))
        assert not watch_of(deferred.value).last

    def test_a_further_try_begins_no_new_bake(self, release: FakeRelease) -> None:
        store = Store()
        with pytest.raises(TaskDeferred):
            act(weight(50), context_for(store=store))
        later = weight(50, START + timedelta(minutes=8))
        with pytest.raises(TaskDeferred) as deferred:
            act(later, context_for(store=store, try_number=2))
        assert watch_of(deferred.value).until == START + timedelta(minutes=20)
        assert store[BEGAN] == START.isoformat()

    def test_an_slo_that_is_not_given_is_refused(self, release: FakeRelease) -> None:
        operator = weight(50)
        operator.slos = ()
        with pytest.raises(SpecError, match="names SLO checkout"):
            act(operator)

    def test_without_patience_it_is_watched_as_long_again(self, release: FakeRelease) -> None:
        operator = weight(50)
        operator.analysis = operator.analysis.model_copy(update={"patience": None})
        with pytest.raises(TaskDeferred) as deferred:
            act(operator)
        assert watch_of(deferred.value).patience_until == START + timedelta(minutes=40)

    def test_a_short_one_is_watched_here(
        self, release: FakeRelease, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks = iter([None, BakeEnd.PASSED])

        def look(watch: CanaryWatch, number: int, **_: Any) -> CanaryLook:
            found = decision("proceed", "good")
            return CanaryLook(None, Look(found.outcome, found), next(looks), None)

        monkeypatch.setattr("planner_provider.hooks.canary_watch.look_at_canary", look)
        operator = weight(50)
        operator.bake = timedelta(seconds=2)
        operator.analysis = operator.analysis.model_copy(update={"patience": timedelta(seconds=2)})
        monkeypatch.setattr(operator, "pause", lambda _: None)
        assert act(operator) == {"verdict": "proceed: good", "looks": 2, "decisions": [None]}


class TestTheEndOfTheWatch:
    def test_passed(self, release: FakeRelease) -> None:
        ended = weight(50).looked(context_for(), event(BakeEnd.PASSED, "proceed", "no worse"))
        assert ended == {"verdict": "proceed: no worse", "looks": 7, "decisions": [None]}
        assert release.acts == []

    @pytest.mark.parametrize(
        ("end", "kind", "said"),
        [
            (BakeEnd.BAD, "roll_back", "taken back at 50%"),
            (BakeEnd.UNSURE, "hold", "not known is not good"),
        ],
    )
    def test_all_traffic_goes_back_at_once(
        self, release: FakeRelease, end: BakeEnd, kind: str, said: str
    ) -> None:
        with pytest.raises(RollBackError, match=said) as raised:
            weight(50).looked(context_for(), event(end, kind, "because"))
        assert "because" in str(raised.value)
        assert release.acts == [0]

    def test_a_router_that_is_away_changes_nothing_of_the_verdict(
        self, release: FakeRelease
    ) -> None:
        release.broken = True
        with pytest.raises(RollBackError):
            weight(50).looked(context_for(), event(BakeEnd.BAD, "roll_back"))

    def test_an_abort(self, release: FakeRelease) -> None:
        with pytest.raises(AbortedError):
            weight(50).looked(context_for(), {"abort": START.isoformat()})


def test_in_a_plan_what_was_taken_back_gets_no_traffic_again(
    release: FakeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow may try a task again whose end it did not hear of."""
    monkeypatch.setattr(canary, "record_of_step", lambda *_: None)
    memos: dict[str, Any] = {}

    def try_once(do: Callable[[CanaryStepOperator], Any]) -> str:
        operator = weight(50)
        operator.plan_ref = REF
        for name, does in (
            ("remembered", lambda _, name, **__: memos.get(name)),
            ("remember_once", lambda _, name, make: memos.setdefault(name, make())),
        ):
            object.__setattr__(operator, name, does)
        with pytest.raises(RollBackError) as raised:
            do(operator)
        return str(raised.value)

    bad = event(BakeEnd.BAD, "roll_back", "5% of its events are bad")
    first = try_once(lambda operator: operator.looked(context_for(), bad))
    again = try_once(lambda operator: operator.act(context_for()))
    assert again == f"{first}. That holds for this run; start a new one"
    assert release.acts == [0, 0]


def test_the_first_part_remembers_what_was_before(release: FakeRelease) -> None:
    first, *_, last = parts_of(ActionHolder(canary=CANARY))
    deploy = CanaryPart.from_action(CANARY, part=first, plan_ref=None, task_id="d")
    assert isinstance(deploy, CanaryDeployOperator)
    store = Store()
    assert act(deploy, context_for(store=store)) == {"outcome": "changed", "text": "deployed"}
    assert store["before"] == {"stable": "1"}
    promote = CanaryPart.from_action(CANARY, part=last, plan_ref=None, task_id="p")
    assert isinstance(promote, CanaryPromoteOperator)
    act(promote)
    assert release.acts == ["deploy", "promote"]


def test_in_a_plan_the_comparison_counts_from_the_first_weight() -> None:
    part = parts_of(ActionHolder(canary=CANARY))[2]
    made = CanaryPart.from_action(CANARY, part=part, plan_ref=REF, slos=(slo(),), task_id="w50")
    assert isinstance(made, CanaryStepOperator)
    assert made.first == "shift/w5"


def test_a_judged_switch_is_a_canary_of_all_traffic(release: FakeRelease) -> None:
    action = BlueGreen.model_validate(
        {
            "target": TARGET, "change": {"version": "2"}, "traffic": TRAFFIC, "bake": "10m",
            "analysis": {"slos": ["checkout"]},
        }
    )  # fmt: skip
    part = parts_of(ActionHolder(blue_green=action))[1]
    made = BlueGreenPart.from_action(
        action, part=part, plan_ref=None, slos=(slo(),), task_id="switch"
    )
    assert isinstance(made, CanaryStepOperator)
    object.__setattr__(made, "clock", fixed(START))
    with pytest.raises(TaskDeferred) as deferred:
        act(made)
    assert release.acts == [100]
    assert [item.name for item in watch_of(deferred.value).slos] == ["checkout"]


def test_a_hold_keeps_from_a_weight_that_is_not_in_force_yet_only() -> None:
    operator, context = weight(5), context_for(store=Store())
    assert operator.held_up(context)
    operator.remember_once(context, BEGAN, START.isoformat)
    assert not operator.held_up(context)
