from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner_provider.errors import (
    AttentionError,
    CheckFailedError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
)
from planner_provider.spec.actions import Sql
from tests.operators.airflow_context import PLAN_ID, act, build, context_for

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


class Database:
    """What tests ask of a database, whichever it is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.path) as connection:
            return list(connection.execute(query))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table flags (name text primary key, value)")
        connection.execute("insert into flags values ('old', 1), ('new', 0)")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    return Database(path)


def sql(statement: str, **values: Any) -> Sql:
    return Sql.model_validate({"connection": "shop", "statement": statement, **values})


def test_runs_all_statements_and_gives_the_last_result(shop: Database) -> None:
    result = act(
        build(
            "sql",
            sql(
                "update flags set value = :v where name = :name; -- switch\n"
                "select value, name from flags where name = %(name)s -- look",
                parameters={"name": "{{ params.flag }}", "v": 5},
                expect={"value": {"equals": 5}, "rows": {"equals": 1}},
            ),
        ),
        context_for({"flag": "new"}),
    )
    assert shop.rows("select value from flags where name = 'new'") == [(5,)]
    assert (result["rows"], result["value"]) == (1, 5)
    assert json.loads(json.dumps(result)) == result


def test_parameters_are_never_pasted(shop: Database) -> None:
    evil = "new'; drop table flags; --"
    act(
        build("sql", sql("insert into flags values (:n, :n)", parameters={"n": "{{ params.n }}"})),
        context_for({"n": evil}),
    )
    assert (evil, evil) in shop.rows("select * from flags")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into flags values ('x', 1); insert into flags values ('old', 1)",
        "create table extra (a); insert into extra values (1); select * from nowhere",
        "delete from flags; create table flags (a)",
    ],
)
def test_if_one_fails_all_are_rolled_back(shop: Database, statement: str) -> None:
    before = (
        shop.rows("select * from flags order by name"),
        shop.rows("select name from sqlite_master"),
    )
    with pytest.raises(RefusedError, match=r"SQL on connection shop: "):
        act(build("sql", sql(statement)))
    after = (
        shop.rows("select * from flags order by name"),
        shop.rows("select name from sqlite_master"),
    )
    assert after == before


def test_what_is_not_as_expected_is_rolled_back(shop: Database) -> None:
    with pytest.raises(CheckFailedError) as caught:
        act(build("sql", sql("update flags set value = 9", expect={"rows": {"equals": 1}})))
    assert "expected the number of rows to be 1, got 2. All of it was rolled back." in str(
        caught.value
    )
    assert shop.rows("select count(*) from flags where value = 9") == [(0,)]


@pytest.mark.parametrize(
    ("query", "expect", "said"),
    [
        ("select null", {"value": {"max": 1}}, "to be at most 1, got NULL"),
        ("select value from flags where 0", {"value": {"equals": 0}}, "to be 0, got no row"),
        ("select 9e999", {"value": {"min": 1}}, "to be at least 1, got inf"),
        ("select 'many'", {"value": {"min": 1}}, "got 'many', which is not a number"),
        ("select '5'", {"value": {"equals": 5}}, "to be 5, got '5'"),
        ("select 5", {"value": {"equals": "5"}}, "to be '5', got 5"),
        ("select 2", {"value": {"equals": True}}, "to be true, got 2"),
        ("select 4.9", {"value": {"min": 5, "max": 6}}, "to be at least 5 and at most 6, got 4.9"),
        ("select 1 union select 2", {"rows": {"max": 1}}, "of rows to be at most 1, got 2"),
        ("create table q (a)", {"rows": {"min": 0}}, "did not say how many"),
        ("create table q (a)", {"value": {"equals": 0}}, "got no row"),
    ],
)
def test_missing_never_counts_as_expected(
    shop: Database, query: str, expect: dict[str, Any], said: str
) -> None:
    with pytest.raises(CheckFailedError) as caught:
        act(build("sql", sql(query, expect=expect)))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("query", "expect"),
    [
        ("select 5", {"value": {"min": 5, "max": 5}}),
        ("select 0.1", {"value": {"equals": 0.1}}),
        ("select 1", {"value": {"equals": True}}),
        ("select 'x'", {"value": {"equals": "x"}}),
        ("select 1 where 0", {"rows": {"equals": 0}}),
        ("delete from flags where 0", {"rows": {"equals": 0}}),
    ],
)
def test_as_expected(shop: Database, query: str, expect: dict[str, Any]) -> None:
    act(build("sql", sql(query, expect=expect)))


def test_each_statement_names_the_plan(shop: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    seen: list[str] = []
    connect = SqliteHook.get_conn

    def traced(self: SqliteHook) -> sqlite3.Connection:
        connection = connect(self)
        connection.set_trace_callback(seen.append)
        return connection

    monkeypatch.setattr(SqliteHook, "get_conn", traced)
    act(build("sql", sql("select 1 -- x\n; update flags set value = 2")))
    comment = f"/*plan='checkout-release',plan_id='{PLAN_ID}',step='shift'*/"
    assert [line for line in seen if comment in line] == [
        f"select 1 -- x {comment}" if "\n" not in seen[1] else f"select 1 -- x\n{comment}",
        f"update flags set value = 2 {comment}",
    ]
    assert (seen[0], seen[-1]) == ("BEGIN", "COMMIT")


@pytest.mark.parametrize("statement", ["begin; select 1", "select 1; commit", "savepoint x"])
def test_transaction_control_is_refused(shop: Database, statement: str) -> None:
    with pytest.raises(RefusedError, match="are one transaction already"):
        act(build("sql", sql(statement)))


def test_vacuum_runs_alone_or_not_at_all(shop: Database) -> None:
    act(build("sql", sql("vacuum")))
    with pytest.raises(
        RefusedError, match="cannot run in a transaction; give it a step of its own"
    ):
        act(build("sql", sql("vacuum; select 1")))


def test_nothing_but_comments_is_refused(shop: Database) -> None:
    with pytest.raises(RefusedError, match="there is no statement to run"):
        act(
            build("sql", sql("{% if params.x %}select 1{% endif %} -- nothing")),
            context_for({"x": 0}),
        )


def test_a_locked_database_is_unavailable(shop: Database) -> None:
    holder = sqlite3.connect(shop.path, isolation_level=None)
    try:
        holder.execute("begin exclusive")
        with pytest.raises(UnavailableError, match="database is locked"):
            act(build("sql", sql("pragma busy_timeout = 0; update flags set value = 1")))
    finally:
        holder.close()


def test_on_kill_stops_a_long_query_and_changes_nothing(shop: Database) -> None:
    operator = build(
        "sql",
        sql(
            "update flags set value = 7; with recursive n(i) as "
            "(select 1 union all select i + 1 from n) select count(*) from n"
        ),
    )
    timer = threading.Timer(0.5, operator.on_kill)
    timer.start()
    with pytest.raises(RefusedError, match="interrupted"):
        act(operator)
    timer.join()
    assert shop.rows("select count(*) from flags where value = 7") == [(0,)]


def test_a_commit_that_breaks_needs_a_person(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    class InterfaceError(Exception):
        """As drivers name it when the server is gone."""

    class Breaking:
        def __init__(self, inner: sqlite3.Connection) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def commit(self) -> None:
            raise InterfaceError("connection already closed")

    connect = SqliteHook.get_conn
    monkeypatch.setattr(SqliteHook, "get_conn", lambda self: Breaking(connect(self)))
    with pytest.raises(AttentionError, match="whether the change is in is not known"):
        act(build("sql", sql("select 1")))


def test_missing_connection_provider_or_database(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        MisconfiguredError, match=r"airflow connections add shop --conn-uri 'postgres"
    ):
        act(build("sql", sql("select 1")))
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "teradata://u:pw@127.0.0.1/x")
    with pytest.raises(MisconfiguredError, match="apache-airflow-providers-teradata"):
        act(build("sql", sql("select 1")))
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "http://127.0.0.1/x")
    with pytest.raises(MisconfiguredError, match="which is not a SQL database"):
        act(build("sql", sql("select 1")))
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", '{"conn_type": "sqlite", "host": "/nowhere/at/all.db"}')
    with pytest.raises(MisconfiguredError, match="unable to open database file"):
        act(build("sql", sql("select 1")))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL on a socket; its URI."""
    pytest.importorskip("airflow.providers.postgres.hooks.postgres")
    if POSTGRES is None:
        pytest.skip("PostgreSQL is not installed")
    folder = tmp_path_factory.mktemp("pg")
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    prefix = as_user if os.geteuid() == 0 else []
    if prefix:
        shutil.chown(folder, "postgres")
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent != Path("/") and parent != Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o055)
    data, user = folder / "data", "postgres"
    run = [*prefix, str(POSTGRES / "initdb"), "-A", "trust", "-U", user, "-D", str(data)]
    subprocess.run(run, check=True, capture_output=True, cwd=folder)
    options = ["-c", "listen_addresses=", "-c", "fsync=off", "-k", str(folder)]
    server = subprocess.Popen(
        [*prefix, str(POSTGRES / "postgres"), "-D", str(data), *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    try:
        import psycopg2

        limit = time.monotonic() + 30
        while True:
            try:
                psycopg2.connect(host=str(folder), user=user, dbname="postgres").close()
                break
            except psycopg2.OperationalError:
                if time.monotonic() > limit:
                    raise
                time.sleep(0.1)
        yield str(folder)
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def pg(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import psycopg2

    monkeypatch.setenv(
        "AIRFLOW_CONN_SHOP",
        json.dumps(
            {"conn_type": "postgres", "host": postgres, "login": "postgres", "schema": "postgres"}
        ),
    )
    connection = psycopg2.connect(host=postgres, user="postgres", dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            "drop table if exists flags; create table flags (name text primary key, v numeric)"
        )
        cursor.execute("insert into flags values ('old', 0.1), ('new', 'NaN')")
        yield cursor
    connection.close()


class TestPostgres:
    def test_transaction_parameters_and_types(self, pg: Any) -> None:
        result = act(
            build(
                "sql",
                sql(
                    "create table t_{{ params.n }} (a int); update flags set v = :v::numeric "
                    "where name like 'o%' and name = %(name)s; "
                    "select v from flags where name = :name",
                    parameters={"name": "old", "v": "0.2"},
                    expect={"value": {"equals": 0.2, "max": 0.2}},
                ),
            ),
            context_for({"n": 1}),
        )
        assert result["value"] == "0.2"
        pg.execute("drop table t_1; select v from flags where name = 'old'")
        assert str(pg.fetchone()[0]) == "0.2"

    def test_ddl_is_rolled_back_too(self, pg: Any) -> None:
        with pytest.raises(RefusedError, match="division by zero"):
            act(build("sql", sql("create table gone (a int); select 1/0")))
        pg.execute("select to_regclass('gone')")
        assert pg.fetchone() == (None,)

    def test_nan_is_never_as_expected(self, pg: Any) -> None:
        check = sql("select v from flags where name = 'new'", expect={"value": {"min": 0}})
        with pytest.raises(CheckFailedError, match="got NaN"):
            act(build("sql", check))

    def test_what_cannot_run_in_a_transaction_runs_alone(self, pg: Any) -> None:
        act(build("sql", sql("create index concurrently by_v on flags (v)")))
        act(build("sql", sql("vacuum flags")))

    def test_dollar_quotes_and_percent(self, pg: Any) -> None:
        statement = (
            "do $x$ begin perform 1; end $x$; select count(*) from flags where name like '%e%'"
        )
        act(build("sql", sql(statement, expect={"value": {"equals": 1}})))

    def test_a_server_that_is_not_there(
        self, postgres: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = {"conn_type": "postgres", "host": f"{postgres}/none", "login": "postgres"}
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(given))
        with pytest.raises(UnavailableError):
            act(build("sql", sql("select 1")))

    def test_a_database_that_is_not_there(
        self, postgres: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = {"conn_type": "postgres", "host": postgres, "login": "postgres", "schema": "none"}
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(given))
        with pytest.raises(MisconfiguredError, match='database "none" does not exist'):
            act(build("sql", sql("select 1")))

    def test_a_lock_that_times_out_is_unavailable(self, pg: Any) -> None:
        pg.execute("begin; lock table flags")
        try:
            with pytest.raises(UnavailableError, match="lock timeout"):
                act(build("sql", sql("set local lock_timeout = 50; update flags set v = 1")))
        finally:
            pg.execute("rollback")

    def test_on_kill_cancels_on_the_server(self, pg: Any) -> None:
        operator = build("sql", sql("update flags set v = 7; select pg_sleep(60)"))
        timer = threading.Timer(0.5, operator.on_kill)
        timer.start()
        with pytest.raises(UnavailableError, match="canceling statement due to user request"):
            act(operator)
        timer.join()
        pg.execute("select count(*) from flags where v = 7")
        assert pg.fetchone() == (0,)
