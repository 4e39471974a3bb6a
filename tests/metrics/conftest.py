from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from planner_provider import metrics
from tests.cli.ledgers import LedgerCase


@pytest.fixture
def case(tmp_path: Path) -> LedgerCase:
    return LedgerCase(tmp_path / "planner.db")


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    metrics.forget()
    yield
    metrics.forget()
