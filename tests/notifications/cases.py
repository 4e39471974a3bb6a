"""What the tests of notifications are about: an event of a run, and Connections."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

import tests.operators.airflow_context  # noqa: F401 - Airflow's home is set before anything else
from planner_provider.notifications.events import SEVERITY, Event
from planner_provider.notifications.services.parcel import Parcel

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
PLAN_ID = "checkout-release-abababab-12345678"
HOSTILE = (
    "<!channel> <@U012AB3CD> @channel @here @everyone <https://evil.example.com|log in> "
    "*bold* <script>alert(1)</script> & \"quoted\" 'x'\r\nBcc: all@example.com\r\n\x00é🔥"
)
"""What somebody might write into a plan, a parameter or a reason."""


def event(kind: Any = "rollback_failed", **values: Any) -> Event:
    base: dict[str, Any] = {
        "kind": kind,
        "severity": SEVERITY[kind],
        "plan_id": PLAN_ID,
        "plan": "checkout-release",
        "owner": "team-checkout",
        "subject": "s",
        "summary": "Release checkout 1.4.2",
        "at": NOW,
        "step": "shift",
        "reason": "Step shift ended failed.",
        "requester": "rita",
        "next": "Look now.",
        "runbook": "https://runbooks.example.com/checkout",
        "run_url": "https://airflow.example.com/dags/checkout-release/runs/r1",
        "page_url": f"https://airflow.example.com/planner/#/runs/{PLAN_ID}",
    }
    return Event(**{**base, **values})


def parcel(connection: str, told: Event | None = None, **values: Any) -> Parcel:
    return Parcel(
        **{"event": told or event(), "connection": connection, "channel": None, "key": "key-1"}
        | values
    )


def connect(monkeypatch: pytest.MonkeyPatch, name: str, conn_type: str, **values: Any) -> None:
    text = json.dumps({"conn_type": conn_type, **values})
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", text)
