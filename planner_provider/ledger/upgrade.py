"""The version of the schema, and bringing it up to date, safely from many processes at once."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from planner_provider.errors import MisconfiguredError, UnavailableError
from planner_provider.ledger.engine import (
    BUSY_SECONDS,
    LOCK_UPGRADE,
    lock,
    reading,
    shown,
    writing,
)
from planner_provider.ledger.schema import HEAD, VERSION_TABLE

MIGRATIONS = Path(__file__).parent / "migrations"


def schema_version(engine: Engine) -> str | None:
    """The version that the database has, ``None`` if it is empty."""
    with reading(engine) as connection:
        return _version(connection)


def require_schema(engine: Engine, *, upgrade: bool) -> None:
    """Make sure that the schema is the one that this code works with.

    Cheap if it is. Otherwise upgrades, if ``upgrade`` allows it, or raises
    ``MisconfiguredError``; always raises it if the database is newer than this code.
    """
    version = schema_version(engine)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise MisconfiguredError(
            f"The ledger at {shown(engine.url)} has schema {version}, this release knows {HEAD}: "
            "it was upgraded by a newer airflow-provider-planner. Install that release here too."
        )
    if not upgrade:
        raise MisconfiguredError(
            f"The ledger at {shown(engine.url)} has schema {version or 'none'}, this release needs "
            f"{HEAD}. Run `planner ledger upgrade`, or set [planner] ledger_auto_upgrade to True."
        )
    upgrade_schema(engine)


def upgrade_schema(engine: Engine) -> None:
    """Bring the schema to ``HEAD``. Whoever comes second waits and finds it done."""
    if engine.dialect.name == "sqlite":
        _switch_to_wal(engine)
    with writing(engine) as connection:
        lock(connection, LOCK_UPGRADE)
        if _version(connection) != HEAD:
            _migrate(connection)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.execute(
        text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant
    ).scalar_one_or_none()
    return version


def _switch_to_wal(engine: Engine) -> None:
    """Let readers and a writer not block each other. It stays with the file.

    SQLite itself does not wait for others at this switch, whatever its timeout; so this does.
    """
    raw = engine.raw_connection()
    try:
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                raw.cursor().execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if time.monotonic() > end:
                    raise UnavailableError(
                        f"The ledger at {shown(engine.url)} is busy: {error}"
                    ) from error
                time.sleep(0.05)
            else:
                return
    finally:
        raw.close()
