"""Traffic that is shifted by an HTTP call of one's own; 2xx means that it is shifted.

The call must be one that may be sent twice: it sets a weight, it does not add to one.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from planner_provider.errors import PlannerError, RefusedError, UnavailableError
from planner_provider.hooks.http import HttpAnswer, HttpRequest, send
from planner_provider.hooks.kubernetes import Json
from planner_provider.hooks.traffic.deployments import annotations_of
from planner_provider.hooks.traffic.release import (
    Caller,
    Done,
    RenderWeight,
    already_so,
    changed,
)
from planner_provider.hooks.traffic.workload import PREFIX, Workload
from planner_provider.spec.delivery import HttpTraffic

WEIGHT = f"{PREFIX}/weight"
TIMEOUT = 30.0
_ONE = re.compile(r"\{\{[^{}]*\}\}")
_KEYS = uuid.UUID("1df7dd3e-8cf1-58cf-90bb-8a5a2f2b93de")


class PlainHttp:
    """The call that sets a weight."""

    def __init__(self, traffic: HttpTraffic, caller: Caller, render: RenderWeight) -> None:
        self._traffic = traffic
        self._caller = caller
        self._render = render

    def send(self, percent: int) -> HttpAnswer:
        """Set the weight. Raises by what the answer means; anything but 2xx is an error."""
        traffic = self._traffic
        path = str(self._render(traffic.path, percent))
        body = self._rendered(traffic.body, percent)
        return call(traffic.connection, traffic.method, path, body, self._caller)

    def _rendered(self, value: Any, percent: int) -> Any:
        if isinstance(value, dict):
            return {key: self._rendered(item, percent) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._rendered(item, percent) for item in value]
        if not isinstance(value, str) or "{" not in value:
            return value
        text = self._render(value, percent)
        if isinstance(text, str) and "weight" in value and _ONE.fullmatch(value.strip()):
            return _number(text)
        return text


def _number(text: str) -> Any:
    """A text that is nothing but a number, as the number."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


class PlainHttpRouter:
    """Shifts traffic of a Deployment by a call; what was last set is kept with the canary."""

    def __init__(self, plain: PlainHttp, workload: Workload) -> None:
        self._plain = plain
        self._workload = workload

    def check(self, stable: Json, canary_labels: dict[str, str]) -> None:
        """Nothing can be asked before the first call."""

    def weight(self, canary: Json | None) -> float | None:
        """What was last set; ``None`` if nothing was, or if there is no canary to keep it with."""
        text = annotations_of(canary).get(WEIGHT) if canary is not None else None
        return None if text is None else float(text)

    def shift(self, percent: int, canary: Json | None) -> Done:
        """Send the call, unless it was answered well for this weight already."""
        if canary is not None and self.weight(canary) == percent:
            return already_so(f"The canary was given {percent}% already")
        if canary is None and percent == 0:
            return already_so("There is no canary that could get traffic")
        answer = self._plain.send(percent)
        if canary is not None:
            self._workload.annotate_canary({WEIGHT: str(percent)})
        return changed(f"{answer.where} gave the canary {percent}%")

    def memo(self) -> Any:
        """Nothing: before the canary, all traffic was the stable side's."""
        return None

    def restore(self, memo: Any, canary: Json | None) -> Done:
        """All traffic to the stable side."""
        return self.shift(0, canary)


def call(
    connection: str, method: str, path: str, body: Any, caller: Caller, *, key: str = ""
) -> HttpAnswer:
    """Send a request on behalf of the caller; anything but 2xx is an error.

    Raises:
        UnavailableError: no answer, 408, 425, 429 or 5xx.
        RefusedError: any other answer.
    """
    answer = ask(connection, method, path, body, caller, key=key)
    if not 200 <= answer.status < 300:
        raise error_of(answer)
    return answer


def ask(
    connection: str, method: str, path: str, body: Any, caller: Caller, *, key: str = ""
) -> HttpAnswer:
    """Send a request on behalf of the caller and give back the answer, whatever its status."""
    headers = dict(caller.headers)
    if method not in ("GET", "HEAD"):
        text = "\x1f".join((caller.key, key, method, path, json.dumps(body, sort_keys=True)))
        headers["Idempotency-Key"] = str(uuid.uuid5(_KEYS, text))
    return send(HttpRequest(connection, method, path, headers, body, TIMEOUT))


def error_of(answer: HttpAnswer) -> PlannerError:
    """The error that an answer other than 2xx amounts to."""
    text = f"{answer.where} was answered {answer.status} {answer.reason}: '{answer.excerpt}'"
    if answer.status >= 500 or answer.status in (408, 425, 429):
        return UnavailableError(text)
    if answer.status in (401, 403, 407):
        return RefusedError(f"{text}. Look at the credentials in the connection")
    return RefusedError(text)
