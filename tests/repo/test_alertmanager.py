"""deploy/alertmanager.yml, checked with Alertmanager's own tool and by a real Alertmanager."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.notifications.alertmanager_server import alertmanager

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "deploy" / "alertmanager.yml"
RECEIVER_OF = {"page": "pages", "ticket": "tickets"}
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for file in sorted((ROOT / "deploy" / "alerts").glob("*.rules.yml"))
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)


def route(receiver: str, **labels: str) -> subprocess.CompletedProcess[str]:
    """Ask amtool whether an alert with these labels goes to this receiver and no other."""
    return amtool(
        "config", "routes", "test", f"--config.file={CONFIG}", f"--verify.receivers={receiver}",
        *(f"{name}={value}" for name, value in labels.items()),
    )  # fmt: skip


def test_amtool_accepts_it() -> None:
    done = amtool("check-config", CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_amtool_would_notice_a_mistake(tmp_path: Path) -> None:
    broken = tmp_path / "alertmanager.yml"
    broken.write_text(CONFIG.read_text(encoding="utf-8").replace("receiver: pages", "receiver: x"))
    done = amtool("check-config", broken)
    assert done.returncode != 0
    assert 'undefined receiver "x"' in done.stdout + done.stderr


@pytest.mark.parametrize("name", RULES)
def test_each_alert_goes_to_the_receiver_of_its_severity(name: str) -> None:
    severity = RULES[name]["labels"]["severity"]
    done = route(RECEIVER_OF[severity], alertname=name, severity=severity, plan="orders")
    assert done.returncode == 0, done.stdout + done.stderr


def test_amtool_would_notice_a_wrong_receiver() -> None:
    assert route("tickets", alertname="PlannerBurnRate", severity="page").returncode != 0


def test_an_unknown_severity_is_not_lost() -> None:
    assert route("tickets", alertname="Another", severity="info").returncode == 0


Told = list[tuple[str, str, str]]
"""What receivers were told: path, name of the alert, plan."""


@contextmanager
def receivers() -> Iterator[tuple[str, Told]]:
    """Both receivers on loopback: the address, and what they were told so far."""
    told: Told = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.extend(
                (self.path, alert["labels"]["alertname"], alert["labels"].get("plan", ""))
                for alert in body["alerts"]
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", told
        finally:
            server.shutdown()


def fire(url: str, *alerts: tuple[str, str]) -> None:
    """Let alerts of deploy/alerts fire for a plan; no plan if it is empty."""
    body = [
        {
            "labels": {"alertname": name, "severity": RULES[name]["labels"]["severity"]}
            | ({"plan": plan} if plan else {})
        }
        for name, plan in alerts
    ]
    request = urllib.request.Request(
        f"{url}/api/v2/alerts",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def at_loopback(address: str) -> str:
    """The configuration with receivers on loopback, and told at once."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    for receiver in config["receivers"]:
        (hook,) = receiver["webhook_configs"]
        assert hook["url"].startswith("https://")
        hook["url"] = f"{address}/{receiver['name']}"
    for each in (config["route"], *config["route"]["routes"]):
        each["group_wait"] = "1s"
    return yaml.safe_dump(config)


@pytest.mark.parametrize(
    ("fired", "expected"),
    [
        pytest.param(
            [("PlannerRollbackFailed", "orders"), ("PlannerCoverageLow", "orders"),
             ("PlannerPlanFailed", "search")],
            {("/pages", "PlannerRollbackFailed", "orders"),
             ("/tickets", "PlannerPlanFailed", "search")},
            id="a page keeps the tickets of its plan back, and no others",
        ),
        pytest.param(
            [("PlannerLedgerDown", ""), ("PlannerPlanStale", "search"),
             ("PlannerBurnRate", "orders")],
            {("/pages", "PlannerLedgerDown", ""), ("/pages", "PlannerBurnRate", "orders")},
            id="while the ledger is down there are pages only",
        ),
    ],
)  # fmt: skip
def test_a_real_alertmanager_tells_the_right_receiver(
    fired: list[tuple[str, str]], expected: set[tuple[str, str, str]], tmp_path: Path
) -> None:
    with receivers() as (address, told), alertmanager(tmp_path, at_loopback(address)) as url:
        fire(url, *fired)
        end = time.monotonic() + 30
        while not expected <= set(told) and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(1)  # what should be kept back would have been told in the same moment
        assert set(told) == expected
