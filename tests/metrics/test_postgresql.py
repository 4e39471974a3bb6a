"""PostgreSQL says the same as SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from planner_provider import metrics
from planner_provider.ledger import Ledger
from tests.cli.ledgers import NOW, LedgerCase
from tests.ledger.databases import postgres, postgres_programs
from tests.metrics import played


@pytest.fixture
def on_postgresql() -> Iterator[LedgerCase]:
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg")
    with postgres(programs) as url:
        case = LedgerCase.__new__(LedgerCase)
        case.url, case.ledger = url, Ledger(url)
        yield case


def test_both_databases_give_the_same_metrics(on_postgresql: LedgerCase, tmp_path: Path) -> None:
    other = LedgerCase(tmp_path / "planner.db")
    told = []
    for case in (on_postgresql, other):
        played.fill(case, NOW)
        played.wait_and_retry(case, NOW)
        told.append(metrics.exposition(case.url, NOW)[0].decode())
    assert "planner_ledger_up 1.0" in told[0]
    assert told[0] == told[1]
