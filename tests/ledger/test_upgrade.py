from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, text

from planner_provider.errors import MisconfiguredError
from planner_provider.ledger import Ledger
from planner_provider.ledger.audit import GENESIS, entry_hash, first_broken
from planner_provider.ledger.engine import make_engine, reading, writing
from planner_provider.ledger.rows import Course, Hold, Mode, Outcome
from planner_provider.ledger.schema import HEAD, METADATA, VERSION_TABLE
from planner_provider.ledger.upgrade import MIGRATIONS, schema_version
from tests.ledger.cases import DIGEST, NOW


def _scripts() -> list[Script]:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return list(reversed(list(ScriptDirectory.from_config(config).walk_revisions())))


def _migrate_to(connection: Connection, revision: str, *, down: bool = False) -> None:
    """Bring the database to a revision."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    (command.downgrade if down else command.upgrade)(config, revision)


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


REVISIONS = [script.revision for script in _scripts()]


def _fill_as_of(revision: str, connection: Connection) -> None:
    """What a release with this revision would have written."""
    course = "verdict" if revision == "0001" else "course"
    moment = "2026-03-29 00:59:59.123456"
    statements = [
        "INSERT INTO plan_runs (plan_id, plan, dag_id, run_id, digest, assessed_at, parameters,"
        f" abort_at) VALUES ('p1', 'p', 'p', 'r1', '{DIGEST}', '{moment}', '{{\"v\": 1}}', NULL)",
        "INSERT INTO plan_runs (plan_id, plan, dag_id, run_id, digest, parameters, outcome,"
        f" reason, finished_at) VALUES ('p2', 'p', 'p', 'r2', '{DIGEST}', '{{}}', 'failed', 'x',"
        f" '{moment}')",
        f"INSERT INTO leases (plan_id, taken_at, closing_at, {course}) VALUES ('p1', '{moment}',"
        f" '{moment}', 'undo')",
        "INSERT INTO lease_resources (generation, resource, mode) VALUES (1, 'db://x', 'shared')",
        "INSERT INTO acts (plan_id, generation, step, role, try_number, map_index, intent_at,"
        f" alive_at) VALUES ('p1', 1, 's1', 'step', 1, -1, '{moment}', '{moment}')",
        "INSERT INTO compiled_plans (plan, digest, graph, file, spec_sha, compiled_at) VALUES"
        f" ('p', 'd', '{{}}', 'f', 's', '{moment}')",
    ]
    for statement in statements:
        connection.execute(text(statement.replace(":", r"\:")))
    prev_hash = GENESIS
    for number in range(2):
        at = NOW + timedelta(seconds=number)
        hash_ = entry_hash(prev_hash, at, "p1", "t", "run.assessed", {"n": number})
        connection.execute(
            text(
                "INSERT INTO audit (at, plan_id, actor, what, detail, prev_hash, hash) VALUES"
                " (:at, 'p1', 't', 'run.assessed', :detail, :prev, :hash)"
            ),
            {
                "at": at.isoformat(sep=" ").removesuffix("+00:00"),
                "detail": json.dumps({"n": number}), "prev": prev_hash, "hash": hash_,
            },
        )  # fmt: skip
        prev_hash = hash_


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_older_releases_wrote_is_kept(ledger_url: str, revision: str) -> None:
    with writing(make_engine(ledger_url)) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TIME ZONE 'UTC'"))
        _migrate_to(connection, revision)
        _fill_as_of(revision, connection)
        if revision >= "0003":
            connection.execute(
                text("UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit WHERE seq = 2)")
            )
    ledger = Ledger(ledger_url)
    run, ended = ledger.run_of("p", "r1"), ledger.run_of("p", "r2")
    assert run is not None
    assert ended is not None
    assert (run.assessed_at, run.parameters, run.approvals) == (NOW, {"v": 1}, ())
    assert (run.parameters_sha, run.abort_reason, run.outcome) == ("", None, None)
    assert (ended.outcome, ended.reason, ended.finished_at) == (Outcome.FAILED, "x", NOW)
    lease = ledger.check_lease("p1")
    assert lease is not None
    assert (lease.course, lease.closing_at, lease.released_at) == (Course.UNDO, NOW, None)
    assert lease.holds == (Hold("db://x", Mode.SHARED),)
    assert [(a.step, a.generation, a.is_open) for a in ledger.acts_of("p1")] == [("s1", 1, True)]
    assert ledger.compiled_digests() == {"p": ("d", "s")}
    ledger.record("new", plan_id=None, actor="t", detail={}, now=NOW)
    entries = ledger.audit_of()
    assert [entry.detail for entry in entries] == [{"n": 0}, {"n": 1}, {}]
    assert first_broken(entries) is None
    again = ledger.take_lease("p1", [Hold("db://x")], actor="t", now=NOW)
    assert again.generation == 2, "generations go on rising"


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_migration_can_be_taken_back(ledger_url: str, revision: str) -> None:
    Ledger(ledger_url).upgrade()
    with writing(make_engine(ledger_url)) as connection:
        _migrate_to(connection, revision, down=True)
    assert schema_version(make_engine(ledger_url)) == revision
    Ledger(ledger_url).upgrade()
    test_migrations_make_exactly_the_tables_of_the_code(ledger_url)
