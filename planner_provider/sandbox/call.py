"""One call of the API: the request, what was understood of it, and the answer or error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from planner_provider.sandbox import wire

BODY_LIMIT = 65_536
"""Largest body in bytes."""

KEPT_HEADERS = frozenset(
    {"baggage", "traceparent", "tracestate", "idempotency-key", "x-request-id", "user-agent"}
)
"""Headers that a change is recorded with, beside all that begin with ``x-plan``.

Never credentials.
"""

_HEADER_LIMIT = 2048

B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back; with ``hang_up`` nothing is sent. ``delay`` is in seconds of real time."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    hang_up: bool = False


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(
        self, status: int, error: str, detail: str, hint: str, allow: tuple[str, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.view = wire.ErrorView(error=error, detail=detail, hint=hint)
        self.allow = allow

    def answer(self) -> Answer:
        """The error as JSON."""
        headers = (("Allow", ", ".join(self.allow)),) if self.allow else ()
        return Answer(self.status, as_json(self.view), headers=headers)


def as_json(view: BaseModel) -> bytes:
    """An answer as JSON."""
    return view.model_dump_json(by_alias=True).encode() + b"\n"


def as_json_list(name: str, views: Sequence[BaseModel]) -> bytes:
    """Answers as JSON, under one name."""
    return json.dumps({name: [v.model_dump(mode="json", by_alias=True) for v in views]}).encode()


Handler = Callable[["Call"], bytes]
"""Does what a call asks for and returns the body of the answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose path was understood: the parts of the path and the query."""

    request: Request
    path: Mapping[str, str]
    query: Mapping[str, str]

    def body(self, of: type[B]) -> B:
        """The body as JSON of this shape. An empty body counts as ``{}``."""
        try:
            return of.model_validate_json(self.request.body.strip() or b"{}")
        except ValidationError as error:
            raise _bad_body(error, of) from None

    def headers(self) -> dict[str, str]:
        """The headers that are recorded with a change."""
        return {
            name: value[:_HEADER_LIMIT]
            for name, value in sorted(self.request.headers.items())
            if name in KEPT_HEADERS or name.startswith("x-plan")
        }

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A number from the query."""
        text = self.query.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"\d{1,12}", text) or not low <= int(text) <= high:
            raise ApiError(
                400, "bad_query", f"{name}={text!r} is not a number from {low} to {high}",
                f"leave {name} out for {default}",
            )  # fmt: skip
        return int(text)


def _bad_body(error: ValidationError, of: type[BaseModel]) -> ApiError:
    fields = [info.alias or name for name, info in of.model_fields.items()]
    said: list[str] = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            near = get_close_matches(where, fields, 1)
            message = "unknown key" + (f", did you mean {near[0]}?" if near else "")
        said.append(f"{where}: {message}" if where else message)
    return ApiError(
        400, "bad_body", "; ".join(said), f"the body is a JSON object with {', '.join(fields)}"
    )
