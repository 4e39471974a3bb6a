"""What dashboards ask, and what a Prometheus answers."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from deploy.grafana import make_dashboards

ALERTS = Path(__file__).parents[2] / "deploy" / "alerts"
PLANNER_JOB = """\
  - job_name: planner
    metrics_path: /planner/metrics
    authorization: {{credentials: {token}}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def expressions() -> list[str]:
    """Every query of every dashboard, with all plans chosen."""
    return [
        query.replace("$plan", ".*")
        for board in make_dashboards.DASHBOARDS
        for panel in board.panels
        for query, _ in panel.queries
    ]


def ask(port: int, query: str) -> list[dict[str, Any]]:
    """The series of an answer."""
    form = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{form}") as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found


def lacking(port: int, queries: list[str]) -> list[str]:
    """The queries that answer nothing, or no number."""
    return [
        query
        for query in queries
        if not any(series["value"][1] != "NaN" for series in ask(port, query))
    ]
