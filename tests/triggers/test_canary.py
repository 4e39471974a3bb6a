from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from planner_provider.decide.bake import BakeEnd
from planner_provider.decide.model import Decision, Reason, Verdict, VerdictKind
from planner_provider.decide.replay import canonical_json
from planner_provider.hooks.arm_counts import Watched
from planner_provider.hooks.canary_watch import CanaryLook, CanaryWatch
from planner_provider.hooks.slo_facts import Look
from planner_provider.triggers import aborts
from planner_provider.triggers import canary as module
from planner_provider.triggers.canary import CanaryTrigger

NOW = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)
WATCH = CanaryWatch(
    weight=25, horizon=10, until=NOW, patience_until=NOW, last=True,
    watched=Watched(
        comparisons=(), canary="a", baseline="b", began_at=NOW, every=timedelta(minutes=1)
    ),
)  # fmt: skip


def looked(end: BakeEnd | None) -> CanaryLook:
    verdict = Verdict(kind=VerdictKind.PROCEED, reasons=(Reason(code="x", text="good"),))
    decision = Decision(
        kind="canary", version=1, decided_at=NOW, inputs="{}", verdict=canonical_json(verdict)
    )
    return CanaryLook(None, Look(verdict, decision), end, verdict)


def run(trigger: CanaryTrigger) -> dict[str, Any]:
    async def first() -> dict[str, Any]:
        async for event in trigger.run():
            return event.payload
        raise AssertionError("it ended without an event")

    return asyncio.run(first())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_EVENT", 0.0)
    monkeypatch.setattr(aborts, "LOOKS_EVERY", 0.01)


def test_it_looks_until_the_end_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [None, None, BakeEnd.PASSED]
    numbers: list[int] = []

    def look(watch: CanaryWatch, number: int) -> CanaryLook:
        assert watch == WATCH
        numbers.append(number)
        return looked(ends[number - 1])

    monkeypatch.setattr("planner_provider.hooks.canary_watch.look_at_canary", look)
    event = run(CanaryTrigger(watch=WATCH.model_dump_json(), every=0.01))
    assert (event["end"], event["looks"], numbers) == ("passed", 3, [1, 2, 3])
    assert Decision.model_validate(event["decisions"][0]).outcome.passes


def test_an_abort_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def aborted(plan_id: str) -> datetime:
        assert plan_id == "plan-1"
        return NOW

    monkeypatch.setattr(aborts, "abort_of", aborted)
    monkeypatch.setattr(
        "planner_provider.hooks.canary_watch.look_at_canary", lambda *_: looked(None)
    )
    event = run(CanaryTrigger(watch=WATCH.model_dump_json(), every=60, plan_id="plan-1"))
    assert event == {"abort": NOW.isoformat()}


def test_it_comes_back_from_its_serialised_form() -> None:
    trigger = CanaryTrigger(watch=WATCH.model_dump_json(), every=30, plan_id="plan-1")
    path, arguments = trigger.serialize()
    assert path == "planner_provider.triggers.canary.CanaryTrigger"
    assert CanaryTrigger(**arguments).serialize() == (path, arguments)
