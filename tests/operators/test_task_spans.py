"""The tasks of a run as spans: one trace, from what is kept of the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from planner_provider.decide.replay import decide
from planner_provider.hooks import spans
from planner_provider.hooks.settings import open_ledger
from planner_provider.operators.frame import AssessOperator, FinishOperator
from planner_provider.operators.plan_ref import Role
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.tracing import traceparent
from tests.hooks.http_server import Server, http_server
from tests.metrics.played import slo_inputs
from tests.operators.plan_runs import NOW, PLAN, STEPS, PlanRunCase, database


class Work(PlanStepMixin, BaseOperator):
    """Decides something, and says in which span it works."""

    def act(self, context: Any) -> str | None:
        _, decision = decide(slo_inputs(NOW, bad=0))
        open_ledger().record_decision(
            decision, plan_id=str(self.plan_id(context)), step="s1", actor="t", now=NOW
        )
        return traceparent()


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    return PlanRunCase(database(tmp_path))


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with http_server() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        yield server
        spans.forget_provider()


def received(server: Server) -> dict[str, Span]:
    return {
        span.name: span
        for asked in server.asked
        for resource in ExportTraceServiceRequest.FromString(asked.body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


def told(span: Span) -> dict[str, Any]:
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


def assess(case: PlanRunCase) -> None:
    case.run(AssessOperator(task_id="assess", plan_ref=case.ref(Role.FRAME)))


def work(case: PlanRunCase) -> Any:
    return case.run(Work(task_id="execute.s1", plan_ref=case.ref(Role.STEP, "s1")), try_number=2)


def test_all_tasks_of_a_run_are_one_trace(case: PlanRunCase, collector: Server) -> None:
    assess(case)
    run = case.ledger.run(case.plan_id)
    assert run is not None
    kept = spans.parse(run.trace_parent)
    assert kept is not None
    case.leased()
    within = spans.parse(work(case))
    finish = FinishOperator(task_id="finish", plan_ref=case.ref(Role.FRAME), steps=STEPS)
    with pytest.raises(AirflowFailException):
        case.run(finish)
    found = received(collector)
    names = {f"plan {PLAN}", "task assess", "step s1", "decision slo_gate", "task finish"}
    assert set(found) == names
    assert {int.from_bytes(span.trace_id) for span in found.values()} == {kept[0]}
    assert found["step s1"].parent_span_id == kept[1].to_bytes(8)
    assert found["decision slo_gate"].parent_span_id == found["step s1"].span_id
    assert within == (kept[0], int.from_bytes(found["step s1"].span_id), True)
    step = told(found["step s1"])
    assert step == {
        "planner.plan_id": case.plan_id, "planner.plan": PLAN, "planner.step": "s1",
        "planner.role": "step", "planner.task": "execute.s1", "planner.version": "abababab",
        "planner.try": 2, "planner.outcome": "done",
    }  # fmt: skip
    assert told(found["decision slo_gate"])["planner.outcome"] == "proceed"
    assert told(found[f"plan {PLAN}"])["planner.outcome"] == "rollback_failed"


def test_the_trace_that_is_kept_first_stays(case: PlanRunCase, collector: Server) -> None:
    case.pinned().ledger.keep_trace(case.plan_id, "00-first")
    assess(case)
    run = case.ledger.run(case.plan_id)
    assert run is not None
    assert run.trace_parent == "00-first"


def test_without_tracing_nothing_is_kept(
    case: PlanRunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assess(case)
    run = case.ledger.run(case.plan_id)
    assert run is not None
    assert run.trace_parent is None
    case.leased()
    assert work(case) is None
