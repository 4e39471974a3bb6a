"""OpenTelemetry spans of plans: children of Airflow's own where it traces, else of the run's own.

Off unless Airflow traces (``[traces] otel_on``) or ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or its form for
traces) is set. Without Airflow's spans, those of one run hang together by the ``traceparent`` that
the ledger keeps of it. Nothing here ever raises: work does not fail because it is not traced.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

log = logging.getLogger(__name__)

NAME = "planner_provider"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
EXPORT_SECONDS = 2
"""How long a task waits at its end for a collector, where no time is configured."""

_forced: ContextVar[tuple[int, int] | None] = ContextVar("planner_forced_ids", default=None)
"""Trace and span id that the next span must have."""
_own: tuple[int, TracerProvider] | None = None
"""Process that made it, and the provider that is used where Airflow has none."""


class Traced:
    """A span, or nothing where nothing is traced."""

    def __init__(self, span: Span | None = None) -> None:
        self._span = span

    def set(self, name: str, value: str | float | bool | None) -> None:
        """Set an attribute, such as ``planner.outcome``; ``None`` sets none."""
        if self._span is not None and value is not None:
            with _quietly():
                self._span.set_attribute(name, value)

    def failed(self, why: str) -> None:
        """It did not go well, though nothing was raised."""
        if self._span is not None:
            with _quietly():
                from opentelemetry.trace import Status, StatusCode

                self._span.set_status(Status(StatusCode.ERROR, why))


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, str | float | bool | None],
    *,
    parent: Callable[[], str | None] = lambda: None,
) -> Iterator[Traced]:
    """A span around a piece of work; what is called within is its child.

    ``parent`` gives the ``traceparent`` of what it belongs to; it is asked only if nothing around
    is traced. Without one, nothing is traced. An exception passes, and its class is the outcome;
    one that is no error (a deferral, a skip) is not shown as one.
    """
    started = None
    with _quietly():
        started = _start(name, attributes, parent)
    if started is None:
        yield Traced()
        return
    made, token, outermost = started
    traced = Traced(made)
    try:
        yield traced
    except BaseException as error:
        traced.set("planner.outcome", type(error).__name__)
        if isinstance(error, Exception) and not _is_control(error):
            with _quietly():
                made.record_exception(error)
            traced.failed(f"{type(error).__name__}: {error}")
        raise
    finally:
        with _quietly():
            _end(made, token, outermost)


def event_span(
    name: str,
    attributes: Mapping[str, str | float | bool | None],
    *,
    parent: Callable[[], str | None] = lambda: None,
) -> None:
    """A span for something that took no time, such as a decision."""
    with span(name, attributes, parent=parent):
        pass


def run_span(
    name: str,
    attributes: Mapping[str, str | float | bool | None],
    *,
    trace_parent: str | None,
    began_at: datetime | None,
    failed: str | None,
) -> None:
    """The span of a whole run, written when it has ended.

    Where Airflow traces it is a child of the task that writes it; else it is the root that all
    other spans of the run name as their parent.
    """
    with _quietly():
        from opentelemetry import context
        from opentelemetry.trace import Status, StatusCode

        tracer = _tracer()
        if tracer is None:
            return
        ids, in_airflow = parse(trace_parent), _airflows()
        start = int(began_at.timestamp() * 1e9) if began_at else None
        token = None
        if not in_airflow:
            if ids is None or not ids[2]:
                return
            token = _forced.set(ids[:2])
        try:
            made = tracer.start_span(
                name, context=None if in_airflow else context.Context(), start_time=start,
                attributes=_plain(attributes),
            )  # fmt: skip
        finally:
            if token is not None:
                _forced.reset(token)
        made.set_status(Status(StatusCode.ERROR, failed) if failed else Status(StatusCode.OK))
        made.end()


def is_on() -> bool:
    """Whether anything is traced in this process."""
    with _quietly():
        return _tracer() is not None
    return False


def traceparent() -> str | None:
    """The W3C ``traceparent`` of the current span, if tracing is on."""
    with _quietly():
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier.get("traceparent")
    return None


def new_trace(plan_id: str) -> str | None:
    """The ``traceparent`` for a run to keep; ``None`` if tracing is off.

    Airflow's trace where it traces; else one whose ids follow from the plan ID, so that tasks that
    cannot read what is kept come to the same.
    """
    current = traceparent()
    if current is not None:
        return current
    if not is_on():
        return None
    digest = hashlib.sha256(plan_id.encode()).hexdigest()
    trace_id, span_id = digest[:32], digest[32:48]
    sampled = False
    with _quietly():
        sampled = _is_sampled(int(trace_id, 16), plan_id)
    return f"00-{trace_id}-{span_id}-{int(sampled):02x}"


def parse(text: str | None) -> tuple[int, int, bool] | None:
    """Trace id, span id and whether it is sampled; ``None`` if it is no ``traceparent``."""
    parts = (text or "").split("-")
    try:
        trace_id, span_id, flags = (int(part, 16) for part in parts[1:4])
    except ValueError:
        return None
    if len(parts) < 4 or len(parts[1]) != 32 or len(parts[2]) != 16 or not trace_id or not span_id:
        return None
    return trace_id, span_id, bool(flags & 1)


def forget_provider() -> None:
    """End the provider of this process, if it made one."""
    global _own
    kept, _own = _own, None
    if kept is not None:
        with _quietly():
            kept[1].shutdown()


def _start(
    name: str, attributes: Mapping[str, Any], parent: Callable[[], str | None]
) -> tuple[Span, Any, bool] | None:
    from opentelemetry import context, trace
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

    tracer = _tracer()
    if tracer is None:
        return None
    around = trace.get_current_span().get_span_context()
    within = None
    if not around.is_valid:
        ids = parse(parent())
        if ids is None:
            return None
        flags = TraceFlags(TraceFlags.SAMPLED if ids[2] else TraceFlags.DEFAULT)
        remote = SpanContext(ids[0], ids[1], is_remote=True, trace_flags=flags)
        within = trace.set_span_in_context(NonRecordingSpan(remote))
    made = tracer.start_span(name, context=within, attributes=_plain(attributes))
    token = context.attach(trace.set_span_in_context(made))
    return made, token, not around.is_valid


def _end(made: Span, token: Any, outermost: bool) -> None:
    from opentelemetry import context

    context.detach(token)
    made.end()
    if outermost and _own is not None and _own[0] == os.getpid():
        _own[1].force_flush(EXPORT_SECONDS * 1000)


def _tracer() -> Any:
    """A tracer if tracing is on, else ``None``."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if _airflows():
        from opentelemetry import trace

        return trace.get_tracer_provider().get_tracer(NAME)
    if any(os.environ.get(name) for name in ENDPOINTS):
        return _own_provider().get_tracer(NAME)
    return None


def _airflows() -> bool:
    """Whether this process has a provider that somebody, such as Airflow, set up."""
    from opentelemetry import trace

    # The interface has one that does nothing; that of the SDK can take processors.
    return hasattr(trace.get_tracer_provider(), "add_span_processor")


def _own_provider() -> TracerProvider:
    global _own
    if _own is not None and _own[0] == os.getpid():
        return _own[1]
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        def generate_span_id(self) -> int:
            forced = _forced.get()
            return super().generate_span_id() if forced is None else forced[1]

        def generate_trace_id(self) -> int:
            forced = _forced.get()
            return super().generate_trace_id() if forced is None else forced[0]

    named = os.environ.get("OTEL_SERVICE_NAME") or os.environ.get("OTEL_RESOURCE_ATTRIBUTES")
    resource = Resource.create({} if named else {"service.name": "planner"})
    provider = TracerProvider(id_generator=Ids(), resource=resource)
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    _own = (os.getpid(), provider)
    return provider


def _exporter() -> Any:
    protocol = next(filter(None, map(os.environ.get, PROTOCOLS)), "http/protobuf")
    timeouts = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
    given = any(os.environ.get(name) for name in timeouts)
    timeout = None if given else EXPORT_SECONDS
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as by_grpc

        return by_grpc.OTLPSpanExporter(timeout=timeout)
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as by_http

    return by_http.OTLPSpanExporter(timeout=timeout)


def _is_sampled(trace_id: int, plan_id: str) -> bool:
    from opentelemetry.sdk.trace.sampling import Decision

    sampler = _own_provider().sampler
    said = sampler.should_sample(
        parent_context=None, trace_id=trace_id, name="plan",
        attributes={"planner.plan_id": plan_id},
    )  # fmt: skip
    return said.decision is Decision.RECORD_AND_SAMPLE


def _is_control(error: Exception) -> bool:
    """Whether an exception is Airflow's way of saying something that is no error."""
    return type(error).__name__ in {
        "AirflowSkipException", "DownstreamTasksSkipped", "AirflowRescheduleException",
    }  # fmt: skip


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


class _quietly:  # noqa: N801 - used as a function
    """Whatever tracing does, the work goes on."""

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: type[BaseException] | None, error: object, place: object) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        log.debug("Something could not be traced.", exc_info=True)
        return True
