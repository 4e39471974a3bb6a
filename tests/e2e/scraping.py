"""Debian's Prometheus on loopback, scraping something every half second."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MISSING = "Debian's package prometheus is not installed; `make test` installs it"
CONFIG = """\
global: {{scrape_interval: 500ms, scrape_timeout: {timeout}, evaluation_interval: 1s}}
scrape_configs:
"""
SANDBOX = """\
  - job_name: sandbox
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
SELF = """\
  - job_name: prometheus
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
rule_files: [{rules}]
"""
RULES = Path(__file__).parents[2] / "deploy" / "alerts" / "planner.rules.yml"


@contextmanager
def scraping(folder: Path, target_port: int, *, jobs: str = "") -> Iterator[int]:
    """Run Prometheus and give its port.

    With ``jobs`` it scrapes these and itself in place of a sandbox, and has the rules of alerts.
    """
    assert shutil.which("prometheus"), MISSING
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    asked = jobs + SELF.format(port=port, rules=RULES) if jobs else SANDBOX.format(port=target_port)
    config.write_text(CONFIG.format(timeout="500ms" if jobs else "400ms") + asked)
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            _wait_ready(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1):
                return
        except OSError:
            assert process.poll() is None, "Prometheus has ended"
            assert time.monotonic() < end, "Prometheus does not become ready"
            time.sleep(0.1)
