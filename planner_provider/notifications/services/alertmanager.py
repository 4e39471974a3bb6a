"""Alertmanager: alerts wake nobody while a run acts. API v2, ``/api/v2/silences``.

A silence ends by itself after the time that the plan allows, also if nothing is left of the run
that could end it. It is known by its author and by the plan ID in its comment, so that a silence
is found again, and ended, also if nobody could write down that it was made.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.hooks.http import HttpAnswer, HttpRequest, connect, send
from planner_provider.notifications.services.parcel import TIMEOUT, Parcel

AUTHOR = "planner"
PATH = "/api/v2/silences"


def silence(parcel: Parcel) -> str | None:
    """Make the silence when the run starts; end it at any other event. Gives its id.

    Raises:
        UnavailableError: Alertmanager did not answer.
        MisconfiguredError: the login was refused.
        RefusedError: it does not take the silence.
    """
    known = _of_run(parcel)
    if parcel.event.kind == "started":
        return known[0] if known else _make(parcel)
    for found in known:
        _checked(_ask(parcel, "DELETE", f"/api/v2/silence/{quote(found, safe='')}"), (200, 404))
    return parcel.thread


def _make(parcel: Parcel) -> str | None:
    assert parcel.silence is not None
    event = parcel.event
    end = event.at + parcel.silence.for_
    if end <= datetime.now(UTC):
        return None
    body = {
        "matchers": [
            {
                "name": matcher.label,
                "value": matcher.value,
                "isRegex": matcher.regex,
                "isEqual": matcher.equal,
            }
            for matcher in parcel.silence.matchers
        ],
        "startsAt": event.at.isoformat(),
        "endsAt": end.isoformat(),
        "createdBy": AUTHOR,
        "comment": f"{_mark(parcel)} {event.summary} {event.page_url or ''}".strip(),
    }
    data = _json(_checked(_ask(parcel, "POST", PATH, body), (200,)))
    return str(data["silenceID"]) if isinstance(data, dict) and "silenceID" in data else None


def _of_run(parcel: Parcel) -> list[str]:
    """The silences of the run that are in force, or will be."""
    answer = _checked(_ask(parcel, "GET", PATH), (200,))
    if not answer.complete:
        raise UnavailableError(f"{answer.where} has more silences than can be read")
    try:
        return [
            str(item["id"])
            for item in _json(answer)
            if item["status"]["state"] != "expired"
            and item["createdBy"] == AUTHOR
            and item["comment"].startswith(_mark(parcel))
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise UnavailableError(
            f"{answer.where} answered something that is no list of silences"
        ) from error


def _mark(parcel: Parcel) -> str:
    return f"[{parcel.event.plan_id}]"


def _ask(parcel: Parcel, method: str, path: str, body: Any = None) -> HttpAnswer:
    request = HttpRequest(
        parcel.connection, method=method, path=path, body=body, timeout=TIMEOUT,
        headers={"Accept": "application/json"}, asks_only=True,
    )  # fmt: skip
    server = connect(parcel.connection)
    with server.session:
        return send(request, server)


def _checked(answer: HttpAnswer, allowed: tuple[int, ...]) -> HttpAnswer:
    if answer.status in allowed:
        return answer
    text = f"{answer.where} answered {answer.status}: '{answer.excerpt}'"
    if answer.status in (401, 403):
        raise MisconfiguredError(text)
    if answer.status in (404, 408, 429) or answer.status >= 500:
        raise UnavailableError(text)
    raise RefusedError(text)


def _json(answer: HttpAnswer) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError as error:
        raise UnavailableError(f"{answer.where} answered no JSON: '{answer.excerpt}'") from error
