from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from planner_provider.errors import MisconfiguredError
from planner_provider.sandbox import Sandbox, SandboxClient
from planner_provider.sandbox.store import Store

from .reading import query, sums_in_file, sums_in_metrics

RATIO = (
    "SELECT 1.0 * sum(errors) / sum(requests) FROM recent_requests "
    "WHERE service = 'checkout' AND track = 'canary' AND version = ? AND age_s < 120"
)


def test_a_plan_can_ask_for_the_error_ratio_of_the_canary(
    sandbox: Sandbox, client: SandboxClient, db: Path
) -> None:
    client.put_canary("checkout", "1.5.0-bad")
    client.set_weight("checkout", 50)
    assert query(db, RATIO, ["1.5.0-bad"]) == [(None,)]
    sandbox.advance(120)
    ((ratio,),) = query(db, RATIO, ["1.5.0-bad"])
    assert ratio == pytest.approx(0.05, abs=0.02)
    sandbox.fault("errors", "checkout", version="canary", value=0.5, for_="60s")
    client.remove_canary("checkout")
    sandbox.advance(140)
    assert query(db, RATIO, ["1.5.0-bad"]) == [(None,)]


def test_the_bucket_that_is_being_filled_is_there(sandbox: Sandbox, db: Path) -> None:
    sandbox.advance(13)
    rows = query(db, "SELECT DISTINCT bucket, age_s FROM recent_requests ORDER BY 1")
    assert rows == [("2026-01-05T12:00:00Z", 3.0), ("2026-01-05T12:00:10Z", -7.0)]
    assert query(db, "SELECT now, epoch FROM clock") == [("2026-01-05T12:00:13Z", 1767614413.0)]


def test_a_locked_database_is_written_later(
    sandbox: Sandbox, client: SandboxClient, db: Path
) -> None:
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sandbox.advance(30)
        assert sums_in_file(db) == {}
        other.execute("ROLLBACK")
    sandbox.advance(1)
    assert sums_in_file(db) == sums_in_metrics(client.metrics())


def test_the_shop_can_be_migrated(sandbox: Sandbox, client: SandboxClient, db: Path) -> None:
    assert query(db, "SELECT count(*) FROM orders") == [(400,)]
    assert client.service("orders").schema_version == 1
    query(db, "ALTER TABLE orders ADD COLUMN note TEXT")
    query(db, "INSERT INTO schema_version VALUES (2, 'note', '2026-01-05T12:00:00Z')")
    assert client.service("orders").schema_version == 2
    query(db, "DROP TABLE schema_version")
    assert client.service("orders").schema_version is None


def test_the_shop_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    shops = []
    for number, seed in enumerate((1, 1, 2)):
        store = Store(tmp_path / f"{number}.db")
        store.begin(seed, 50, 1_767_614_400_000)
        store.close()
        shops.append(query(store.path, "SELECT * FROM orders"))
    assert shops[0] == shops[1] != shops[2]


def test_a_new_world_empties_the_file_of_an_old_one(db: Path) -> None:
    with Sandbox(stepped=True, db=db) as first:
        first.advance(10)
        query(db, "CREATE TABLE extra (x)")
        query(db, "CREATE VIEW extra_view AS SELECT * FROM orders")
    with Sandbox(stepped=True, db=db):
        assert sums_in_file(db) == {}
        names = {name for (name,) in query(db, "SELECT name FROM sqlite_master")}
        assert not names & {"extra", "extra_view"}


def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.db"
    query(theirs, "CREATE TABLE customers (name)")
    with pytest.raises(MisconfiguredError, match="not one of the sandbox"):
        Store(theirs)
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    with pytest.raises(MisconfiguredError, match="not a database"):
        Store(text)
    assert query(theirs, "SELECT * FROM customers") == []
