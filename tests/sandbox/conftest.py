from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from planner_provider.sandbox import Sandbox, SandboxClient


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "sandbox.db"


@pytest.fixture
def sandbox(db: Path) -> Iterator[Sandbox]:
    with Sandbox(seed=7, stepped=True, db=db) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[SandboxClient]:
    headers = {"baggage": "plan_id=checkout-release-1a2b-7", "authorization": "Bearer secret"}
    with SandboxClient(sandbox.url, headers=headers, timeout=5) as talking:
        yield talking
