"""Action ``http``: send a request through an Airflow Connection and check the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import (
    CheckFailedError,
    PlannerError,
    RefusedError,
    UnavailableError,
)
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.tracing import (
    PlanTrace,
    baggage,
    idempotency_key,
    trace_of,
    traceparent,
)
from planner_provider.spec.actions import Http

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact
    from planner_provider.hooks.expectations import HttpExpectation
    from planner_provider.hooks.http import HttpAnswer

READING = frozenset({"GET", "HEAD"})


class HttpActionOperator(PlanStepMixin, BaseOperator):
    """Send one HTTP request and check the answer. The XCom is ``{status, ms, excerpt}``.

    Each request carries the plan in a W3C ``baggage`` header. Requests other than GET and HEAD
    carry an ``Idempotency-Key`` that is the same for all tries of the task.

    Args:
        connection: Airflow Connection of type http: host, credentials, TLS (templated).
        method: GET, HEAD, POST, PUT, PATCH or DELETE.
        path: path on the host, with its query (templated).
        headers: headers beside the Connection's own (values templated).
        body: sent as JSON if it is a mapping or list, as text if it is text (templated).
        timeout: longest wait for the whole answer; a number is in seconds.
        expect_status: status codes that count as success.
        expect_body_matches: regular expression that the body must contain.
        expect_json: values in the JSON answer by dotted path (templated; what a template gave is
            compared as text).
        plan_ref: the plan that this is a step of, if any.

    Raises:
        UnavailableError: no answer in time, or 408, 425, 429 or 5xx.
        RefusedError: another 4xx, or a redirect to another server.
        CheckFailedError: the answer is not as expected.
        MisconfiguredError: the Connection is missing or its TLS fails.
    """

    template_fields: Sequence[str] = ("connection", "path", "headers", "body", "expect_json")
    template_fields_renderers = {"headers": "json", "body": "json", "expect_json": "json"}  # noqa: RUF012
    ui_color = "#dbeafe"

    def __init__(
        self,
        *,
        connection: str,
        method: str = "GET",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: timedelta | float = 30.0,
        expect_status: Sequence[int] = (200, 201, 202, 204),
        expect_body_matches: str | None = None,
        expect_json: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.connection = connection
        self.method = method
        self.path = path
        self.headers = headers or {}
        self.body = body
        self.timeout = timeout
        self.expect_status = expect_status
        self.expect_body_matches = expect_body_matches
        self.expect_json = expect_json or {}
        self.compared_as_text = templated_paths(expect_json) if expect_json else frozenset()

    @classmethod
    def from_action(
        cls,
        action: Http,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for an ``http`` action of a spec."""
        expect = action.expect
        return cls(
            connection=action.connection,
            method=action.method,
            path=action.path,
            headers=action.headers,
            body=action.body,
            timeout=action.timeout,
            expect_status=expect.status,
            expect_body_matches=expect.body_matches,
            expect_json=expect.json_values,
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> dict[str, Any]:
        """Send the request and check the answer."""
        from planner_provider.hooks.expectations import HttpExpectation
        from planner_provider.hooks.http import HttpRequest, send

        trace = trace_of(self.plan_ref, context)
        headers = traced_headers(self.headers, trace)
        if self.method not in READING:
            key = idempotency_key(*task_identity(trace, context))
            headers = add_header(headers, "Idempotency-Key", key)
        answer = send(
            HttpRequest(
                connection=self.connection,
                method=self.method,
                path=self.path,
                headers=headers,
                body=self.body,
                timeout=seconds(self.timeout),
                follow_redirects=not any(300 <= code < 400 for code in self.expect_status),
            )
        )
        expected = HttpExpectation(
            status=tuple(self.expect_status),
            body_matches=self.expect_body_matches,
            json_values=self.expect_json,
            as_text=self.compared_as_text,
        )
        refusal = judge(answer, expected)
        if refusal is not None:
            raise refusal
        self.log.info(
            "%s answered %s %s in %d ms, as expected.",
            answer.where, answer.status, answer.reason, answer.milliseconds,
        )  # fmt: skip
        return {"status": answer.status, "ms": answer.milliseconds, "excerpt": answer.excerpt}


def judge(answer: HttpAnswer, expected: HttpExpectation) -> PlannerError | None:
    """The error that an answer amounts to, by its consequence; ``None`` if it is as expected."""
    from planner_provider.hooks.expectations import http_mismatches

    wrong = http_mismatches(answer, expected)
    if not wrong:
        return None
    text = f"{answer.where}: {'; '.join(wrong)}"
    status = answer.status
    if status in expected.status:
        return CheckFailedError(text)
    said = f". It said: '{answer.excerpt}'" if answer.excerpt else ""
    if status >= 500 or status in (408, 425, 429):
        return UnavailableError(f"{text}{said}")
    if status in (401, 403, 407):
        return RefusedError(f"{text}: look at the credentials in the connection{said}")
    if 300 <= status < 400:
        return RefusedError(
            f"{text}: it redirects to another address, and redirects are followed only to the same "
            "server and only where the request need not be changed; give the right address"
        )
    if status >= 400:
        return RefusedError(f"{text}{said}")
    return CheckFailedError(f"{text}{said}")


def seconds(duration: timedelta | float) -> float:
    """A duration in seconds; numbers are seconds already."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


def templated_paths(values: Mapping[str, Any]) -> frozenset[str]:
    """Paths of ``expect_json`` whose values are templates; what they render to is text."""
    return frozenset(
        path
        for path, value in values.items()
        if isinstance(value, str) and ("{{" in value or "{%" in value)
    )


def task_identity(trace: PlanTrace | None, context: Context) -> tuple[str, str, int]:
    """What `idempotency_key` is made from."""
    ti = context["ti"]
    owner = trace.plan_id if trace else f"{ti.dag_id}\x1f{ti.run_id}"
    return owner, ti.task_id, -1 if ti.map_index is None else ti.map_index


def traced_headers(headers: Mapping[str, str], trace: PlanTrace | None) -> dict[str, str]:
    """The headers with the plan's ``baggage`` and, where tracing is on, ``traceparent``."""
    existing = next((value for name, value in headers.items() if name.lower() == "baggage"), None)
    out = {name: value for name, value in headers.items() if name.lower() != "baggage"}
    value = baggage(trace, existing)
    if value:
        out["baggage"] = value
    parent = traceparent()
    return add_header(out, "traceparent", parent) if parent else out


def add_header(headers: dict[str, str], name: str, value: str) -> dict[str, str]:
    """The headers with one more, unless it is there already in any spelling."""
    if any(known.lower() == name.lower() for known in headers):
        return headers
    return {**headers, name: value}
