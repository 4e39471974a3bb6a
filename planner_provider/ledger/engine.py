"""Connections and transactions, alike for SQLite and PostgreSQL."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from planner_provider.errors import MisconfiguredError, UnavailableError

BUSY_SECONDS = 30
"""How long a writer waits for another one."""
LOCK_SPACE = 0x504C414E
"""First key of PostgreSQL's advisory locks ("PLAN"); the second says what is locked."""
LOCK_UPGRADE, LOCK_LEASES, LOCK_AUDIT, LOCK_SLOTS = 1, 2, 3, 4


def make_engine(url: str, *, pooled: bool = False) -> Engine:
    """Make an engine that survives forks: no pool, each transaction has its own connection.

    ``pooled`` is for a process that reads all the time and does not fork: it keeps connections.

    Raises ``MisconfiguredError`` if the URL cannot be used.
    """
    parsed = _parse(url)
    backend = parsed.get_backend_name()
    if backend not in {"sqlite", "postgresql"}:
        raise MisconfiguredError(
            f"[planner] sql_alchemy_conn names a {backend} database; the ledger needs SQLite or "
            "PostgreSQL."
        )
    arguments: dict[str, Any] = {}
    if backend == "sqlite":
        arguments["timeout"] = BUSY_SECONDS
        _make_folder(parsed)
    else:
        arguments["connect_timeout"] = 10
    try:
        if pooled:
            engine = create_engine(
                parsed, connect_args=arguments, pool_size=4, max_overflow=4, pool_pre_ping=True
            )
        else:
            engine = create_engine(parsed, poolclass=NullPool, connect_args=arguments)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise MisconfiguredError(
            f"The ledger at {shown(parsed)} cannot be opened: {error}. "
            "For PostgreSQL install airflow-provider-planner[postgres]."
        ) from error
    if backend == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def shown(url: URL | str) -> str:
    """The URL without its password."""
    return make_url(url).render_as_string(hide_password=True)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads. Raises ``UnavailableError`` if nothing answers."""
    with _translated(engine), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write: all or nothing.

    On SQLite it takes the write lock at once, so that what it read cannot change before it
    writes. On PostgreSQL the caller locks what it relies on.
    """
    with (
        _translated(engine),
        engine.connect().execution_options(planner_write=True) as connection,
        connection.begin(),
    ):
        yield connection


def lock(connection: Connection, what: int) -> None:
    """Let only one transaction at a time past this point. SQLite's write lock does so anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:space, :what)"),
            {"space": LOCK_SPACE, "what": what},
        )


def insert_if_absent(connection: Connection, table: Table, **values: Any) -> bool:
    """Insert a row unless one with its key is there. Gives whether it was inserted."""
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    key = next(iter(table.primary_key))
    inserted = dialect.insert(table).values(**values).on_conflict_do_nothing().returning(key)
    return connection.execute(inserted).first() is not None


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    from sqlalchemy.exc import InterfaceError, OperationalError

    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise UnavailableError(
            f"The ledger at {shown(engine.url)} did not answer: {_first_line(error)}"
        ) from error


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else str(error.code)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise MisconfiguredError(
            "[planner] sql_alchemy_conn is not a SQLAlchemy URL such as "
            "postgresql://user:password@host/planner"
        ) from error
    if parsed.drivername in {"postgresql", "postgres"}:
        has_psycopg = importlib.util.find_spec("psycopg") is not None
        parsed = parsed.set(drivername="postgresql+psycopg" if has_psycopg else "postgresql")
    return parsed


def _make_folder(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise MisconfiguredError(
            "The ledger cannot live in memory: each task is a process of its own. "
            "Give [planner] sql_alchemy_conn a file, such as sqlite:////var/lib/planner/planner.db"
        )
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MisconfiguredError(
            f"The folder {folder} for the ledger cannot be made: {error}"
        ) from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("planner_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
