from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from planner_provider.sandbox import Sandbox, SandboxClient

from .reading import samples, sums_in_file, sums_in_metrics


def test_metrics_agree_with_the_file(sandbox: Sandbox, client: SandboxClient, db: Path) -> None:
    client.put_canary("checkout", "1.5.0-slow")
    client.set_weight("checkout", 30)
    sandbox.advance(75.5)
    client.promote("checkout", "1.5.0-slow")
    sandbox.advance(44.5)
    sums = sums_in_metrics(client.metrics())
    assert sums == sums_in_file(db)
    assert ("checkout", "1.5.0-slow", "canary") in sums
    assert ("checkout", "1.5.0-slow", "stable") in sums


def test_gauges_and_changes(client: SandboxClient) -> None:
    client.put_canary("checkout", "2.0")
    client.set_weight("checkout", 30)
    client.set_weight("checkout", 30)
    found = samples(client.metrics())

    def value(name: str, **labels: str) -> float:
        return found[(name, frozenset(labels.items()))]

    base = {"service": "checkout", "what": "weight", "to": "30"}
    assert value("sandbox_changes_total", **base, effective="true") == 1
    assert value("sandbox_changes_total", **base, effective="false") == 1
    assert value("sandbox_weight", service="checkout", version="2.0", track="canary") == 30
    assert value("sandbox_weight", service="checkout", version="1.4.1", track="stable") == 70
    assert value("sandbox_replicas", service="checkout") == 3
    labels = {"service": "checkout", "version": "2.0", "track": "canary"}
    assert value("http_requests_total", **labels, code="500") == 0, "counters begin at zero"


def test_open_metrics_is_spoken(sandbox: Sandbox) -> None:
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    with requests.get(sandbox.url + "/metrics", headers=accept, timeout=5) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_metrics(sandbox: Sandbox, client: SandboxClient) -> None:
    sandbox.advance(30)
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=client.metrics(),
        text=True,
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
