"""A server that answers as Prometheus does, with the numbers that a test says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from planner_provider.hooks.slo_queries import LABEL
from tests.hooks.http_server import Asked, Reply


def answer(good: float = 9_990, total: float = 10_000, age: float = 1) -> dict[str, float]:
    return {"good": good, "total": total, "newest": time.time() - age}


def played(values: dict[str, float], copies: int = 1) -> Callable[[Asked], Reply]:
    """Answers each part of a bundle of queries as Prometheus would."""

    def reply(asked: Asked) -> Reply:
        text = parse_qs(asked.body.decode())["query"][0]
        found = []
        for part in text.split("label_replace(\n")[1:]:
            expression, _, rest = part.partition(f'\n, "{LABEL}", "')
            kind = "newest" if "timestamp(" in expression else "total"
            kind = "good" if kind == "total" and "code!~" in expression else kind
            for copy in range(copies):
                labels = {LABEL: rest.partition('"')[0], "replica": str(copy)}
                found.append({"metric": labels, "value": [time.time(), repr(values[kind])]})
        data = {"resultType": "vector", "result": found}
        return Reply(body=json.dumps({"status": "success", "data": data}).encode())

    return reply
