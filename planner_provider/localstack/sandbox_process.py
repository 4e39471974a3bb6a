"""The simulated production, started for a local Airflow."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from planner_provider.errors import UnavailableError
from planner_provider.localstack.keeper import Keeper
from planner_provider.localstack.settings import StackSettings

NAME = "sandbox"


class SandboxStartError(UnavailableError):
    """The sandbox did not become ready."""


@dataclass(frozen=True)
class RunningSandbox:
    """Where a sandbox answers, and where it writes its request counts."""

    port: int
    database: Path

    @property
    def url(self) -> str:
        """The base of its HTTP API."""
        return f"http://127.0.0.1:{self.port}"

    def connections(self) -> dict[str, str]:
        """Return the environment variables that give Airflow its two connections to it."""
        http = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": self.port}
        database = {"conn_type": "sqlite", "host": str(self.database)}
        return {
            "AIRFLOW_CONN_SANDBOX": json.dumps(http),
            "AIRFLOW_CONN_SANDBOX_DB": json.dumps(database),
        }


def start_sandbox(
    keeper: Keeper, folder: Path, *, seed: int = 1, speed: float = 1.0, timeout: float = 20.0
) -> RunningSandbox:
    """Start a sandbox with its files in ``folder`` and wait until it answers.

    Raises :class:`SandboxStartError` with the end of its output.
    """
    folder.mkdir(parents=True, exist_ok=True)
    database, portfile, log = (folder / f"sandbox.{kind}" for kind in ("db", "port", "log"))
    portfile.unlink(missing_ok=True)
    options = {"port": 0, "db": database, "seed": seed, "speed": f"{speed:g}", "portfile": portfile}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    keeper.start(
        NAME,
        [sys.executable, "-m", "planner_provider.sandbox", *arguments],
        env=StackSettings(home=folder, port=0).environment(),
        cwd=folder,
        log=log,
    )
    deadline = time.monotonic() + timeout
    while True:
        if ended := [exit_ for exit_ in keeper.take_exits() if exit_.name == NAME]:
            raise SandboxStartError(f"{ended[0]}:\n{log.read_text(encoding='utf-8')[-2000:]}")
        if port := _read_port(portfile):
            sandbox = RunningSandbox(port, database)
            if _answers(sandbox):
                return sandbox
        if time.monotonic() > deadline:
            raise SandboxStartError(f"the sandbox does not answer after {timeout:.0f} s; see {log}")
        time.sleep(0.05)


def _read_port(portfile: Path) -> int:
    try:
        text = portfile.read_text(encoding="utf-8").strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def _answers(sandbox: RunningSandbox) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(f"{sandbox.url}/healthz", timeout=2).ok
        except requests.RequestException:
            return False
