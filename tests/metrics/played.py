"""A ledger in which everything has happened that a dashboard or an alert asks for."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from planner_provider.decide.cost import CostInputs
from planner_provider.decide.model import Fact
from planner_provider.decide.replay import decide
from planner_provider.decide.slo import Count, SloFacts, SloGateInputs, SloRules
from planner_provider.graph.build import build_graph
from planner_provider.graph.model import PlanGraph
from planner_provider.graph.slos import SloTarget
from planner_provider.ledger.engine import writing
from planner_provider.ledger.rows import (
    ActResult,
    ActRole,
    ApprovalState,
    Claim,
    CompiledPlan,
    Outcome,
    RunKey,
    Throttle,
)
from planner_provider.ledger.schema import NOTICES
from planner_provider.spec.folder import load, read_files
from tests.cli.ledgers import DIGEST, LedgerCase

SPECS = Path(__file__).parents[2] / "plan_specs"
CRITICAL = "checkout-canary"
"""A plan of the examples that changes a critical service."""
BY_CRON = "certificate-check"


@cache
def graphs() -> dict[str, PlanGraph]:
    """The examples, compiled."""
    specs = load(read_files([SPECS])[0])
    return {plan.plan.metadata.name: build_graph(plan, specs.catalog) for plan in specs.plans}


def compiled(graph: PlanGraph, at: datetime) -> CompiledPlan:
    return CompiledPlan(graph.name, graph.digest, graph.to_json(), "plans.yaml", "s" * 64, at)


def slo_inputs(now: datetime, *, bad: float, age: float = 5.0, lost: bool = False) -> SloGateInputs:
    """What a gate on one SLO of 99% decides from: of 10,000 events in each window so many bad."""
    seen = now - timedelta(seconds=age)
    rules = SloRules()
    counts = []
    for span in rules.spans(timedelta(days=30)):
        total = Fact.measured(
            "all", 10_000, source="test", observed_at=seen, max_age=timedelta(minutes=3)
        )
        part = replace_if_lost(
            Fact.measured("bad", bad, source="test", observed_at=seen), lost=lost, now=now
        )
        counts.append(Count(window=span, part=part, part_is="bad", total=total))
    facts = SloFacts(
        slo="checkout", targets=(SloTarget(target=0.99),), window=timedelta(days=30),
        counts=tuple(counts),
    )  # fmt: skip
    return SloGateInputs(now=now, slos=(facts,), rules=rules)


def replace_if_lost(fact: Fact, *, lost: bool, now: datetime) -> Fact:
    return Fact.unknown(fact.name, "no answer", source="test", observed_at=now) if lost else fact


def ask(case: LedgerCase, key: RunKey, at: datetime, **how: float | bool) -> int:
    """A gate of the run asks its SLO."""
    _, decision = decide(slo_inputs(at, **how))  # type: ignore[arg-type]
    return case.ledger.record_decision(
        decision, plan_id=key.plan_id, step="gate", actor="task:gate#1", now=at
    )


def spend(case: LedgerCase, key: RunKey, at: datetime, after: float | None) -> None:
    """An hour cost 10 EUR before the run, and costs so much now."""
    fact = Fact.unknown("cost", "no answer", source="test", observed_at=at)
    if after is not None:
        fact = Fact.measured("cost", after, unit="EUR", source="test", observed_at=at)
    _, decision = decide(CostInputs(now=at, moment="end", currency="EUR", cost=fact, before=10.0))
    case.ledger.record_decision(
        decision, plan_id=key.plan_id, step=None, actor="task:finish#1", now=at
    )


def grant(case: LedgerCase, key: RunKey, at: datetime) -> None:
    """The open approval is granted, by a decision as the ledger wants it."""
    _, decision = decide(slo_inputs(at, bad=0))
    number = case.ledger.record_decision(
        replace_kind(decision, "approval"), plan_id=key.plan_id, step="approve",
        actor="task:approve#1", now=at,
    )  # fmt: skip
    case.ledger.close_approval(
        key.plan_id, "approve", ApprovalState.GRANTED, number, actor="task:approve#1", now=at
    )


def replace_kind(decision, kind):  # type: ignore[no-untyped-def]
    return decision.model_copy(update={"kind": kind})


def end_locks(case: LedgerCase, key: RunKey, at: datetime) -> None:
    case.ledger.close_lease(key.plan_id, now=at)
    case.ledger.release_lease(key.plan_id, actor="task:release#1", now=at)


def succeed(case: LedgerCase, plan_id: str, at: datetime, **how: str) -> RunKey:
    """A run of six minutes: approved after two, executing from the third on."""
    key = case.pin(plan_id, at, **how)  # type: ignore[arg-type]
    case.approve(key, at)
    grant(case, key, at + timedelta(minutes=2))
    ask(case, key, at + timedelta(minutes=2), bad=10)
    case.lock(key, at + timedelta(minutes=3), f"service://{key.plan}")
    case.act(key, "put", at + timedelta(minutes=3))
    ask(case, key, at + timedelta(minutes=5), bad=30)
    end_locks(case, key, at + timedelta(minutes=5))
    spend(case, key, at + timedelta(minutes=6), 12.5)
    case.finish(key, Outcome.SUCCEEDED, "Every step is done.", at + timedelta(minutes=6))
    return key


def roll_back(
    case: LedgerCase, plan_id: str, at: datetime, cost: float | None = None, **how: str
) -> RunKey:
    """A run that fails after two minutes and is rolled back three minutes later."""
    key = case.pin(plan_id, at, **how)  # type: ignore[arg-type]
    case.lock(key, at, f"service://{key.plan}")
    case.act(key, "put", at + timedelta(seconds=90), ActResult.FAILED, detail="503")
    case.roll_back(key, ["put"], at + timedelta(minutes=4))
    case.ledger.release_lease(key.plan_id, actor="task:release#1", now=at + timedelta(minutes=5))
    if cost is not None:
        spend(case, key, at + timedelta(minutes=5), cost)
    case.finish(key, Outcome.ROLLED_BACK, "Undone: put.", at + timedelta(minutes=5))
    return key


def incident(case: LedgerCase, now: datetime) -> None:
    """Runs that go on and need somebody, at ``now``."""
    lost = case.pin(f"{CRITICAL}-{DIGEST[:8]}-lost", now - timedelta(minutes=30))
    case.lock(lost, now - timedelta(minutes=30), "service://lost")
    case.act(lost, "put", now - timedelta(minutes=29), ActResult.FAILED)
    case.roll_back(lost, [], now - timedelta(minutes=28))
    case.act(lost, "put", now - timedelta(minutes=27), ActResult.FAILED, ActRole.UNDO)
    end_locks(case, lost, now - timedelta(minutes=26))
    case.finish(lost, Outcome.ROLLBACK_FAILED, "Left changed: put.", now - timedelta(minutes=26))

    burning = case.pin(f"{CRITICAL}-{DIGEST[:8]}-burning", now - timedelta(minutes=20))
    case.lock(burning, now - timedelta(minutes=20), "service://payments")
    case.begin(burning, "shift", now - timedelta(minutes=19))
    ask(case, burning, now - timedelta(minutes=1), bad=1000, age=60)

    waiting = case.pin(f"orders-release-{DIGEST[:8]}-waits", now - timedelta(minutes=15))
    case.wait_for(waiting, now - timedelta(minutes=14), "service://payments")

    asking = case.pin(f"orders-expand-{DIGEST[:8]}-asks", now - timedelta(hours=1))
    case.approve(asking, now - timedelta(hours=1))

    held = case.pin(f"orders-backfill-{DIGEST[:8]}-held", now - timedelta(hours=9))
    case.lock(held, now - timedelta(hours=9), "service://held")
    case.ledger.hold_run(
        held.plan_id, actor="kim", reason="Look at the replica", now=now - timedelta(hours=8)
    )
    case.ledger.begin_throttle(
        Throttle("partitions", held.plan_id, 4, 1, 8, "throttle", now - timedelta(hours=8))
    )
    case.ledger.take_slot(held.plan_id, "partitions", "one", 4, now=now)

    blind = case.pin(f"search-blue-green-{DIGEST[:8]}-blind", now - timedelta(minutes=9))
    ask(case, blind, now - timedelta(minutes=8), bad=0, age=170, lost=True)
    tell_nobody(case, held, now)


def tell_nobody(case: LedgerCase, key: RunKey, now: datetime) -> None:
    """Two notices: one is lost, one is due."""
    with writing(case.ledger._engine) as connection:
        for event, state in (("held", "lost"), ("needs_approval", "due")):
            connection.execute(
                NOTICES.insert().values(
                    plan_id=key.plan_id,
                    event=event,
                    subject="",
                    channel="chat",
                    state=state,
                    body="{}",
                    created_at=now,
                    due_at=now,
                )
            )


def wait_and_retry(case: LedgerCase, now: datetime) -> None:
    """A run that waited for its locks, and whose step was tried twice."""
    first = case.pin(f"p-{DIGEST[:8]}-first", now - timedelta(minutes=30))
    case.lock(first, now - timedelta(minutes=30), "service://x")
    second = case.pin(f"p-{DIGEST[:8]}-second", now - timedelta(minutes=29))
    case.wait_for(second, now - timedelta(minutes=29), "service://x")
    end_locks(case, first, now - timedelta(minutes=28))
    case.finish(first, Outcome.FAILED, "why", now - timedelta(minutes=28))
    case.lock(second, now - timedelta(minutes=27), "service://x")
    case.act(second, "put", now - timedelta(minutes=26), ActResult.FAILED)
    claim = Claim(second.dag_id, second.run_id, second.digest, ActRole.STEP, "put", try_number=2)
    case.ledger.begin_act(claim, now=now - timedelta(minutes=25))


def fill(case: LedgerCase, now: datetime, *, with_incident: bool = True) -> None:
    """The examples are compiled, some runs have ended, and, if wanted, something is wrong."""
    case.ledger.remember_compiled(
        compiled(graph, now - timedelta(days=200)) for graph in graphs().values()
    )
    succeed(case, f"{CRITICAL}-{DIGEST[:8]}-1", now - timedelta(days=40), by="dana")
    roll_back(case, f"{CRITICAL}-{DIGEST[:8]}-2", now - timedelta(days=20), cost=9.75)
    succeed(case, f"{CRITICAL}-{DIGEST[:8]}-3", now - timedelta(hours=2), by="dana")
    roll_back(case, f"demo-release-{DIGEST[:8]}-4", now - timedelta(minutes=20))
    succeed(case, f"{BY_CRON}-{DIGEST[:8]}-5", now - timedelta(days=30), run_id="scheduled__2026")
    key = case.pin(f"demo-release-{DIGEST[:8]}-6", now - timedelta(minutes=50))
    case.ledger.record(
        "task.failed", plan_id=key.plan_id, actor="task:guard#1",
        detail={"error": "CheckFailedError", "message": "no"}, now=now - timedelta(minutes=49),
    )  # fmt: skip
    case.finish(key, Outcome.BLOCKED, "Nothing was changed.", now - timedelta(minutes=48))
    if with_incident:
        incident(case, now)


__all__ = ["BY_CRON", "CRITICAL", "fill", "graphs", "incident", "roll_back", "succeed"]
