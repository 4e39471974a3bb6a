from __future__ import annotations

import multiprocessing
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from planner_provider.errors import MisconfiguredError
from planner_provider.ledger import Ledger
from planner_provider.ledger.audit import first_broken
from planner_provider.ledger.engine import make_engine, reading, writing
from planner_provider.ledger.schema import HEAD, METADATA, VERSION_TABLE
from planner_provider.ledger.upgrade import MIGRATIONS
from tests.ledger.cases import NOW


def test_head_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrations_make_exactly_the_tables_of_the_code(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    ledger.upgrade()
    options = {"version_table": VERSION_TABLE, "compare_type": True}
    with reading(make_engine(ledger_url)) as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_it_upgrades_by_itself_unless_told_not_to(ledger_url: str) -> None:
    manual = Ledger(ledger_url, auto_upgrade=False)
    assert manual.version() is None
    with pytest.raises(MisconfiguredError, match="planner ledger upgrade"):
        manual.acts_of("x")
    assert Ledger(ledger_url).acts_of("x") == ()
    assert manual.acts_of("x") == ()
    assert manual.version() == HEAD


def test_a_newer_database_is_left_alone(ledger_url: str) -> None:
    Ledger(ledger_url).upgrade()
    with writing(make_engine(ledger_url)) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(MisconfiguredError, match="newer airflow-provider-planner"):
        Ledger(ledger_url).acts_of("x")


def _use(url: str, ready: Barrier) -> None:
    ledger = Ledger(url)
    ready.wait(60)
    ledger.record("started", plan_id=None, actor="t", detail={}, now=NOW)


def test_many_processes_may_start_at_once(ledger_url: str) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(8)
    processes = [context.Process(target=_use, args=(ledger_url, ready)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    entries = Ledger(ledger_url).audit_of()
    assert len(entries) == 8
    assert first_broken(entries) is None


def test_a_ledger_that_is_up_to_date_needs_no_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'planner.db'}"
    Ledger(url).upgrade()
    code = (
        "import sys; from planner_provider.ledger import Ledger; "
        f"Ledger({url!r}).acts_of('x'); assert 'alembic' not in sys.modules; "
        "assert 'airflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_readers_and_a_writer_do_not_block_each_other_in_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'planner.db'}"
    Ledger(url).upgrade()
    with reading(make_engine(url)) as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        assert connection.execute(text("SELECT count(*) FROM audit")).scalar_one() == 0
        Ledger(url).record("x", plan_id=None, actor="t", detail={}, now=NOW)
        assert connection.execute(text("SELECT count(*) FROM audit")).scalar_one() == 0
