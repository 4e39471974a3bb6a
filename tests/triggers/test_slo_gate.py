from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from planner_provider.decide.gate import Ending
from planner_provider.decide.model import Fact
from planner_provider.decide.replay import decide
from planner_provider.decide.slo import Count, SloFacts, SloGateInputs, SloRules
from planner_provider.graph.slos import Indicator, Query, Slo, SloTarget
from planner_provider.hooks.slo_facts import Look
from planner_provider.triggers import aborts, sharing
from planner_provider.triggers import slo_gate as module
from planner_provider.triggers.slo_gate import SloGateTrigger, ending_of, rules_json, slos_json

QUERY = Query(source="prometheus", connection="prom", text="x_total")
SLO = Slo(
    name="checkout",
    service="checkout",
    targets=(SloTarget(target=0.99),),
    window=timedelta(days=30),
    indicator=Indicator(kind="good", query=QUERY, total=QUERY),
)
RULES = SloRules(in_progress=True)
EVERY = 0.2


def look(bad: float | None) -> Look:
    now = datetime.now(UTC)

    def fact(value: float | None) -> Fact:
        if value is None:
            return Fact.unknown("x", "no answer", source="s", observed_at=now)
        return Fact.measured("x", value, source="s", observed_at=now)

    counts = tuple(
        Count(window=span, part=fact(bad), part_is="bad", total=fact(1000))
        for span in RULES.spans(SLO.window)
    )
    facts = SloFacts(slo=SLO.name, targets=SLO.targets, window=SLO.window, counts=counts)
    verdict, decision = decide(SloGateInputs(now=now, slos=(facts,), rules=RULES))
    return Look(verdict, decision)


class World:
    """What the looks find, one number of bad events after the other; the last one stays."""

    def __init__(self) -> None:
        self.bad: list[float | None] = [0]
        self.looks: list[float] = []
        self.slow = 0.0
        self.abort: datetime | None = None

    def look(self, slos: str, rules: str) -> Look:
        self.looks.append(time.time())
        assert json.loads(slos)
        time.sleep(self.slow)
        return look(self.bad.pop(0) if len(self.bad) > 1 else self.bad[0])

    async def abort_of(self, plan_id: str) -> datetime | None:
        assert plan_id == "plan-1"
        return self.abort


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setattr(module, "_look", found.look)
    monkeypatch.setattr(aborts, "abort_of", found.abort_of)
    monkeypatch.setattr(module, "FIRST_EVENT", 0.0)
    monkeypatch.setattr(aborts, "LOOKS_EVERY", 0.1)
    monkeypatch.setattr(module, "LOOKS_EVERY", 0.1)
    sharing._questions.clear()
    return found


def trigger(within: float = 60.0, **more: Any) -> SloGateTrigger:
    values: dict[str, Any] = {
        "slos": slos_json((SLO,)),
        "rules": rules_json(RULES),
        "every": EVERY,
        "until": time.time() + within,
    }
    return SloGateTrigger(**(values | more))


async def first(waiting: SloGateTrigger) -> dict[str, Any]:
    async for event in waiting.run():
        payload: dict[str, Any] = event.payload
        return payload
    raise AssertionError("it ended without an event")


def run(waiting: SloGateTrigger) -> dict[str, Any]:
    return asyncio.run(asyncio.wait_for(first(waiting), 10))


def ended(waiting: SloGateTrigger) -> Ending:
    return ending_of(run(waiting))


def test_it_can_be_kept_and_made_again() -> None:
    path, arguments = trigger(
        hold_for=60.0, healthy_since=1.5, plan_id="plan-1", within=5
    ).serialize()
    assert path == "planner_provider.triggers.slo_gate.SloGateTrigger"
    again = SloGateTrigger(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert module._parsed(again.slos, again.rules) == ((SLO,), RULES)


def test_wait_ends_as_soon_as_all_is_well(world: World) -> None:
    world.bad = [900, None, 0]
    event = run(trigger())
    assert ending_of(event) is Ending.PASSED
    assert json.loads(json.loads(event["decision"])["verdict"])["kind"] == "proceed"
    assert len(world.looks) == 3


def test_wait_in_vain(world: World) -> None:
    world.bad = [900]
    begun = time.time()
    assert ended(trigger(within=0.5)) is Ending.TIMED_OUT
    assert time.time() - begun >= 0.5


def test_hold_ends_at_the_first_breach(world: World) -> None:
    world.bad = [0, None, 900, 0]
    event = run(trigger(hold_for=60.0))
    assert ending_of(event) is Ending.BREACHED
    assert json.loads(json.loads(event["decision"])["verdict"])["kind"] == "roll_back"
    assert len(world.looks) == 3


def test_hold_counts_the_health_that_the_worker_saw(world: World) -> None:
    since = time.time() - 60
    assert ended(trigger(hold_for=60.0, healthy_since=since)) is Ending.PASSED
    assert len(world.looks) == 1


def test_hold_does_not_count_health_that_nobody_has_seen_for_long(world: World) -> None:
    since = time.time() - 301
    assert ended(trigger(within=0.5, hold_for=60.0, healthy_since=since)) is Ending.TIMED_OUT


def test_nothing_known_never_passes(world: World) -> None:
    world.bad = [None]
    assert ended(trigger(within=0.7)) is Ending.TIMED_OUT
    assert ended(trigger(within=0.7, hold_for=0.1)) is Ending.TIMED_OUT


def test_the_first_event_comes_late_enough(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_EVENT", 1.0)
    begun = time.monotonic()
    run(trigger())
    assert time.monotonic() - begun >= 1.0


def test_an_abort_ends_it(world: World) -> None:
    world.bad = [900]
    world.abort = datetime(2026, 11, 23, tzinfo=UTC)
    assert run(trigger(plan_id="plan-1")) == {"abort": "2026-11-23T00:00:00+00:00"}


def test_an_abort_ends_it_while_a_look_hangs(world: World) -> None:
    world.slow = 3.0

    async def aborted() -> tuple[dict[str, Any], float]:
        waiting = asyncio.ensure_future(first(trigger(plan_id="plan-1")))
        await asyncio.sleep(0.5)
        assert world.looks
        world.abort, at = datetime(2026, 11, 23, tzinfo=UTC), time.monotonic()
        return await waiting, time.monotonic() - at

    event, took = asyncio.run(aborted())
    assert "abort" in event
    assert took < 2


def test_an_abort_that_cannot_be_looked_up_is_no_abort(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner_provider.errors import UnavailableError

    async def broken(plan_id: str) -> None:
        raise UnavailableError("no ledger")

    monkeypatch.setattr(aborts, "abort_of", broken)
    assert ended(trigger(plan_id="plan-1")) is Ending.PASSED


def test_equal_gates_share_each_look(world: World) -> None:
    world.bad = [0, 900]

    async def many() -> list[dict[str, Any]]:
        until = time.time() + 60
        gates = (trigger(hold_for=60.0, every=1.5, until=until) for _ in range(200))
        return await asyncio.gather(*(first(gate) for gate in gates))

    events = asyncio.run(asyncio.wait_for(many(), 20))
    assert {ending_of(event) for event in events} == {Ending.BREACHED}
    assert len(world.looks) == 2
    assert len({event["decision"] for event in events}) == 1


def test_other_rules_are_another_question(world: World) -> None:
    other = rules_json(SloRules(min_remaining=0.5))

    async def both() -> None:
        await asyncio.gather(first(trigger()), first(trigger(rules=other)))

    asyncio.run(both())
    assert len(world.looks) == 2


def test_looks_keep_to_one_beat(world: World) -> None:
    waiting = trigger(every=15.0)
    moments = [waiting._next_look(now) for now in (1000.0, 1003.0, 1014.9)]
    assert all(
        0 < moment - now <= 15 for moment, now in zip(moments, (1000, 1003, 1014.9), strict=True)
    )
    steps = {round((moment - moments[0]) / 15, 6) for moment in moments}
    assert steps <= {0.0, 1.0}
    assert waiting._next_look(moments[0]) == pytest.approx(moments[0] + 15)


def test_a_look_that_fails_fails_the_gate(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(slos: str, rules: str) -> Look:
        raise RuntimeError("a defect")

    monkeypatch.setattr(module, "_look", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        run(trigger())


def test_nothing_is_imported_that_a_triggerer_need_not_have() -> None:
    import subprocess
    import sys

    code = (
        "import sys, airflow.triggers.base; before = set(sys.modules);"
        "import planner_provider.triggers.slo_gate;"
        "print([m for m in set(sys.modules) - before"
        " if m.split('.')[0] in ('requests', 'urllib3', 'sqlalchemy', 'aiohttp', 'jinja2')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
