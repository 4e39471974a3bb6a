"""Jira and GitHub as their documentation describes them, as far as comments and states go: an issue
with a workflow, behind real HTTP. What a request must be is checked; what is wrong is refused as
they refuse it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.hooks.http_server import Asked, Reply

ISSUE = "/rest/api/2/issue/SHOP-7"
WORKFLOW = {
    "Open": {"11": "In Progress", "21": "Won't Do"},
    "In Progress": {"31": "In Review", "41": "Done"},
    "In Review": {"51": "Done"},
    "Done": {"61": "Open"},
    "Won't Do": {},
}
"""Status -> id of a transition -> status that it leads to."""


def answer(status: int, body: Any = None) -> Reply:
    text = b"" if body is None else json.dumps(body).encode()
    return Reply(status, text, {"Content-Type": "application/json;charset=UTF-8"})


def is_json(asked: Asked) -> bool:
    return asked.headers.get("content-type", "").startswith("application/json")


@dataclass
class Jira:
    """The issue SHOP-7, in the form of the REST API, version 2."""

    status: str = "Open"
    comments: list[str] = field(default_factory=list)
    way: list[str] = field(default_factory=list)
    """The statuses that it was brought to, in order."""
    needs_fields: frozenset[str] = frozenset()
    """Ids of transitions with a screen that asks for a field."""
    down: int = 0
    """How many of the next transitions are answered with 503."""

    def __call__(self, asked: Asked) -> Reply:
        if "basic" not in asked.headers.get("authorization", "").lower():
            return answer(401, {"errorMessages": ["You are not authenticated."], "errors": {}})
        path, _, query = asked.path.partition("?")
        match asked.method, path:
            case "GET", "/rest/api/2/issue/SHOP-7" if query == "fields=status":
                return answer(200, {"key": "SHOP-7", "fields": {"status": {"name": self.status}}})
            case "POST", "/rest/api/2/issue/SHOP-7/comment":
                return self._comment(asked)
            case "GET", "/rest/api/2/issue/SHOP-7/transitions":
                return answer(200, {"expand": "transitions", "transitions": self._transitions()})
            case "POST", "/rest/api/2/issue/SHOP-7/transitions":
                return self._move(asked)
        return answer(404, {"errorMessages": ["Issue does not exist"], "errors": {}})

    def _comment(self, asked: Asked) -> Reply:
        if not is_json(asked) or set(asked.json) != {"body"} or not asked.json["body"]:
            return answer(400, {"errorMessages": [], "errors": {"comment": "not a comment"}})
        self.comments.append(asked.json["body"])
        return answer(201, {"id": "1"})

    def _transitions(self) -> list[dict[str, Any]]:
        return [
            {
                "id": number, "name": f"Go to {to}", "hasScreen": number in self.needs_fields,
                "to": {"id": f"1{number}", "name": to, "statusCategory": {"key": "x"}},
            }
            for number, to in WORKFLOW[self.status].items()
        ]  # fmt: skip

    def _move(self, asked: Asked) -> Reply:
        if self.down:
            self.down -= 1
            return answer(503, {"errorMessages": ["Try again later"], "errors": {}})
        if not is_json(asked) or set(asked.json) != {"transition"}:
            return answer(400, {"errorMessages": ["Missing 'transition'"], "errors": {}})
        number = asked.json["transition"].get("id")
        if number not in WORKFLOW[self.status]:
            words = f"It seems that you have tried to perform a workflow operation ({number})"
            return answer(400, {"errorMessages": [words], "errors": {}})
        if number in self.needs_fields:
            said = {"resolution": "Resolution is required."}
            return answer(400, {"errorMessages": [], "errors": said})
        self.status = WORKFLOW[self.status][number]
        self.way.append(self.status)
        return answer(204)


@dataclass
class GitHub:
    """The issue shop/api#7, in the form of the REST API, version 2022-11-28."""

    state: str = "open"
    state_reason: str | None = None
    comments: list[str] = field(default_factory=list)
    way: list[str] = field(default_factory=list)
    knows_reasons: bool = True
    """Servers of old releases do not."""

    def __call__(self, asked: Asked) -> Reply:
        if not asked.headers.get("authorization"):
            return answer(401, {"message": "Bad credentials"})
        match asked.method, asked.path:
            case "POST", "/repos/shop/api/issues/7/comments" if set(asked.json) == {"body"}:
                self.comments.append(asked.json["body"])
                return answer(201, {"id": 1})
            case "PATCH", "/repos/shop/api/issues/7":
                return self._patch(asked)
        return answer(404, {"message": "Not Found"})

    def _patch(self, asked: Asked) -> Reply:
        body = asked.json
        reasons = ("completed", "not_planned", "duplicate", "reopened", None)
        if (
            not is_json(asked)
            or not set(body) <= {"state", "state_reason"}
            or body.get("state", "open") not in ("open", "closed")
            or body.get("state_reason") not in reasons
        ):
            return answer(422, {"message": "Validation Failed", "errors": [{"resource": "Issue"}]})
        if body.get("state", self.state) != self.state:  # else the reason is ignored
            self.state = body["state"]
            plain = "completed" if self.state == "closed" else "reopened"
            self.state_reason = body.get("state_reason") or plain
            self.way.append(f"{self.state} {self.state_reason}")
        found = {"number": 7, "state": self.state, "title": "Release"}
        if self.knows_reasons:
            found["state_reason"] = self.state_reason
        return answer(200, found)
