"""The ledger that the Plans page is measured on looks like a real one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from bench.ui import _at
from bench.ui_seed import seed
from planner_provider.ledger import Ledger
from planner_provider.ledger.engine import make_engine
from planner_provider.ledger.overview import Overviews
from planner_provider.ledger.reports import Reports


def test_a_seeded_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'planner.db'}"
    seeded = seed(url, tmp_path, total=90, live=30)
    assert (seeded.ended, seeded.live) == (60, 30)
    reader = Overviews(make_engine(url))
    board = reader.board(datetime.now(UTC))
    assert len(board.live) == 30
    assert {item.kind for item in board.wanted} >= {"approval", "held", "lock"}
    progress = {
        step.progress.kind for run in board.live for step in run.steps if step.progress is not None
    }
    assert progress == {"weight", "wave", "partitions"}
    assert all(run.facts is not None for run in board.live)
    reports = Reports.open(url)
    assert reports.check_audit(reports.audit_head()).intact
    key = board.live[0].run
    Ledger(url).request_abort(key.plan_id, actor="ui:ada", reason="x", now=datetime.now(UTC))
    assert reports.check_audit(reports.audit_head()).intact, "the trail goes on from the seed"


def test_shares_of_times() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (_at(values, 0.5), _at(values, 0.95), _at([7.0], 0.95)) == (50.0, 95.0, 7.0)
