"""Spans, read back from the SDK's own exporter and from what goes over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from planner_provider.hooks import spans
from planner_provider.hooks.http import HttpRequest, HttpServer, send
from planner_provider.hooks.spans import event_span, is_on, new_trace, parse, run_span, span
from tests.hooks.http_server import Server, http_server

STORED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C


@pytest.fixture(autouse=True)
def _off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*spans.ENDPOINTS, *spans.PROTOCOLS, "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER"):
        monkeypatch.delenv(name, raising=False)
    yield
    spans.forget_provider()


@pytest.fixture
def airflows(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Airflow traces: there is a provider for the whole process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Only the standard variable is set; spans go over HTTP."""
    with http_server() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        yield server


def received(server: Server) -> list:  # type: ignore[type-arg]
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = []
    for asked in server.asked:
        assert asked.path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(asked.body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                found += scope.spans
    return found


def test_it_is_off_unless_something_says_otherwise() -> None:
    assert not is_on()
    assert new_trace("p") is None
    with span("work", {}, parent=lambda: pytest.fail("nobody asks")) as made:
        made.set("planner.outcome", "done")
        assert spans.traceparent() is None


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, collector: Server) -> None:
    assert is_on()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not is_on()


def test_spans_are_children_of_airflows_own(airflows: InMemorySpanExporter) -> None:
    tracer = trace.get_tracer_provider().get_tracer("airflow")
    with (
        tracer.start_as_current_span("worker.shift") as around,
        span("step shift", {"planner.plan_id": "p-1-2"}, parent=lambda: STORED),
    ):
        event_span("decision canary", {"planner.outcome": "proceed"})
    decision, step, worker = airflows.get_finished_spans()
    assert (step.name, decision.name) == ("step shift", "decision canary")
    assert step.parent is not None
    assert step.parent.span_id == worker.context.span_id
    assert decision.parent is not None
    assert decision.parent.span_id == step.context.span_id
    assert step.context.trace_id == around.get_span_context().trace_id
    assert dict(step.attributes or {}) == {"planner.plan_id": "p-1-2"}


def test_without_airflows_spans_they_belong_to_the_run(airflows: InMemorySpanExporter) -> None:
    with span("step shift", {}, parent=lambda: STORED):
        assert (spans.traceparent() or "").startswith("00-0af7651916cd43dd8448eb211c80319c-")
    (step,) = airflows.get_finished_spans()
    assert step.context.trace_id == TRACE_ID
    assert step.parent is not None
    assert step.parent.span_id == 0xB7AD6B7169203331


def test_what_belongs_to_nothing_is_not_traced(airflows: InMemorySpanExporter) -> None:
    with span("gate", {}):
        pass
    assert airflows.get_finished_spans() == ()


def test_an_error_passes_and_is_shown(airflows: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="no"), span("step s", {}, parent=lambda: STORED):
        raise ValueError("no")
    (step,) = airflows.get_finished_spans()
    assert step.status.status_code is StatusCode.ERROR
    assert (step.attributes or {})["planner.outcome"] == "ValueError"
    assert [item.name for item in step.events] == ["exception"]


class AirflowSkipException(Exception):  # noqa: N818 - its name is what counts
    pass


class Deferred(BaseException):
    pass


@pytest.mark.parametrize("control", [AirflowSkipException, Deferred])
def test_what_is_no_error_is_not_shown_as_one(
    airflows: InMemorySpanExporter, control: type[BaseException]
) -> None:
    with pytest.raises(control), span("step s", {}, parent=lambda: STORED):
        raise control
    (step,) = airflows.get_finished_spans()
    assert step.status.status_code is StatusCode.UNSET
    assert (step.attributes or {})["planner.outcome"] == control.__name__


def test_over_http_all_of_a_run_is_one_trace(collector: Server) -> None:
    kept = new_trace("demo-1-2")
    assert kept == new_trace("demo-1-2") != new_trace("demo-1-3")
    ids = parse(kept)
    assert ids is not None
    with span("step s", {"planner.plan_id": "demo-1-2"}, parent=lambda: kept):
        event_span("decision slo_gate", {})
    began = datetime(2026, 3, 29, 1, tzinfo=UTC)
    with span("task finish", {}, parent=lambda: kept):
        run_span(
            "plan demo", {"planner.outcome": "rolled_back"}, trace_parent=kept, began_at=began,
            failed="rolled_back: Undone: put.",
        )  # fmt: skip
    found = {item.name: item for item in received(collector)}
    assert set(found) == {"step s", "decision slo_gate", "task finish", "plan demo"}
    assert {int.from_bytes(item.trace_id) for item in found.values()} == {ids[0]}
    root = found["plan demo"]
    assert (root.parent_span_id, int.from_bytes(root.span_id)) == (b"", ids[1])
    assert root.start_time_unix_nano == int(began.timestamp()) * 10**9
    assert root.status.code == root.status.STATUS_CODE_ERROR
    assert found["step s"].parent_span_id == root.span_id
    assert found["decision slo_gate"].parent_span_id == found["step s"].span_id


def test_where_airflow_traces_the_run_is_a_child_of_its_task(
    airflows: InMemorySpanExporter,
) -> None:
    tracer = trace.get_tracer_provider().get_tracer("airflow")
    with tracer.start_as_current_span("worker.finish"):
        run_span("plan demo", {}, trace_parent=STORED, began_at=None, failed=None)
    run, worker = airflows.get_finished_spans()
    assert run.parent is not None
    assert run.parent.span_id == worker.context.span_id
    assert run.status.status_code is StatusCode.OK


def test_a_run_that_is_not_sampled_sends_nothing(
    collector: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    kept = new_trace("demo-1-2")
    assert kept is not None
    assert kept.endswith("-00")
    spans.forget_provider()
    monkeypatch.delenv("OTEL_TRACES_SAMPLER")  # what was decided at the beginning holds
    with span("step s", {}, parent=lambda: kept):
        run_span("plan demo", {}, trace_parent=kept, began_at=None, failed=None)
    assert collector.asked == []


def test_a_collector_that_is_not_there_fails_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with http_server() as server:
        port = server.port
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    with span("step s", {}, parent=lambda: STORED):
        done = True
    assert done


def test_trouble_with_tracing_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("no tracing today")

    monkeypatch.setattr(trace, "get_tracer_provider", broken)
    assert not is_on()
    with span("step s", {}, parent=lambda: STORED) as made:
        made.set("a", 1)
    run_span("plan p", {}, trace_parent=STORED, began_at=None, failed=None)


@pytest.mark.parametrize("text", [None, "", "00-a-b-01", f"00-{'0' * 32}-{'1' * 16}-01", "x-y-z-w"])
def test_what_is_no_traceparent_is_none(text: str | None) -> None:
    assert parse(text) is None


def test_outgoing_calls_carry_the_span(airflows: InMemorySpanExporter) -> None:
    import requests

    with http_server() as server, requests.Session() as session:
        target = HttpServer("api", server.url, session, ())
        with span("step s", {}, parent=lambda: STORED):
            send(HttpRequest(connection="api", method="GET", path="/a"), target)
            own = HttpRequest(
                connection="api", method="GET", path="/b", headers={"Traceparent": STORED}
            )
            send(own, target)
        send(HttpRequest(connection="api", method="GET", path="/c"), target)
    (step,) = airflows.get_finished_spans()
    sent = [asked.headers.get("traceparent") for asked in server.asked]
    assert sent == [
        f"00-0af7651916cd43dd8448eb211c80319c-{step.context.span_id:016x}-01", STORED, None,
    ]  # fmt: skip
