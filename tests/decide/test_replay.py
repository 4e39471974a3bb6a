from __future__ import annotations

from datetime import UTC, datetime, timedelta

from planner_provider.decide.model import Decision
from planner_provider.decide.replay import decide, replay
from planner_provider.decide.slo import SloFacts, SloGateInputs, SloRules
from planner_provider.graph.slos import SloTarget

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def gate(min_remaining: float) -> SloGateInputs:
    slo = SloFacts(
        slo="checkout", targets=(SloTarget(target=0.99),), window=timedelta(days=30), counts=()
    )
    return SloGateInputs(now=NOW, slos=(slo,), rules=SloRules(min_remaining=min_remaining))


def test_a_zero_below_zero_is_decided_as_it_is_recorded() -> None:
    verdict, record = decide(gate(-0.0))
    assert replay(record).equal
    assert record.outcome == verdict
    assert record.inputs == decide(gate(0.0))[1].inputs


def test_another_verdict_on_record_is_found() -> None:
    _, record = decide(gate(0.2))
    changed = Decision.model_validate(
        {**record.model_dump(), "verdict": record.verdict.replace("hold", "proceed")}
    )
    found = replay(changed)
    assert not found.equal
    assert (found.recorded_version, found.current_version) == (record.version, record.version)
