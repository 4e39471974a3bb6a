"""SQL through an Airflow Connection: all statements in one transaction, checked before it commits.

Works with every database whose Airflow provider has a ``DbApiHook``. Where the database commits
by itself (DDL on MySQL and Oracle), the statements before such a one are not undone by a failure.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.sdk.exceptions import AirflowException

from planner_provider.errors import (
    AttentionError,
    MisconfiguredError,
    PlannerError,
    RefusedError,
    UnavailableError,
)
from planner_provider.hooks.connections import get_connection, redact, secrets_of, shorten
from planner_provider.hooks.sql_text import Statement, bind, check_parameters, split

_FETCH = 1000
_MYSQL_UNAVAILABLE = {1040, 1053, 1205, 1213, 2002, 2003, 2006, 2013}
_MYSQL_MISCONFIGURED = {1044, 1045, 1049}
_SQLITE_UNAVAILABLE = tuple(f"SQLITE_{word}" for word in ("BUSY", "LOCKED", "IOERR", "FULL"))
_READ_ONLY = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}


@dataclass(frozen=True, slots=True)
class SqlRequest:
    """What to run."""

    connection: str
    sql: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    comment: str = ""
    """A comment for the end of every statement, such as one of sqlcommenter."""
    read_only: bool = False
    """Only queries; whatever the database says, everything is rolled back at the end."""


@dataclass(frozen=True, slots=True)
class SqlResult:
    """What the last statement gave."""

    where: str
    statements: int
    rows: int | None
    """Rows that came back, or that were changed; ``None`` if the database did not say."""
    has_row: bool
    value: Any
    """First column of the first row."""
    milliseconds: int


class SqlSession:
    """One connection to a database, used for one request.

    ``cancel`` may be called from a signal handler or another thread while ``run`` is at work.
    """

    def __init__(self, log: logging.Logger | Any | None = None) -> None:
        self._log = log or logging.getLogger(__name__)
        self._connection: Any = None
        self._cancelled = False

    def cancel(self) -> None:
        """Ask the database to stop what it does for this session. Never raises."""
        self._cancelled = True
        for name in ("interrupt", "cancel"):
            stop = getattr(self._connection, name, None)
            if stop is not None:
                with contextlib.suppress(Exception):
                    stop()
                return

    def run(
        self, request: SqlRequest, accept: Callable[[SqlResult], None] = lambda result: None
    ) -> SqlResult:
        """Run all statements in one transaction and commit it.

        ``accept`` sees the result before the commit; if it raises, everything is rolled back.
        A statement that cannot run in a transaction, such as VACUUM, must be the only one.

        Raises:
            RefusedError: the database refused a statement, or the SQL does not fit its parameters.
            UnavailableError: no connection, a lock or deadlock, or a server that shuts down.
            MisconfiguredError: no such Connection, no provider for it, or wrong credentials.
            AttentionError: the connection broke during the commit.
        """
        connection = get_connection(request.connection, "sql")
        hook = _hook(request.connection, connection)
        where = f"SQL on connection {request.connection}"
        statements = split(
            request.sql,
            named_parameters=bool(request.parameters),
            backslash_escapes=connection.conn_type in ("mysql", "mariadb"),
        )
        _check(statements, request, where)
        with _translated(where, secrets_of(connection), "connecting"):
            self._connection = hook.get_conn()
        try:
            with _translated(where, secrets_of(connection), "running"):
                self._begin(hook, connection.conn_type, statements, read_only=request.read_only)
                return self._transaction(hook, statements, request, accept, where)
        finally:
            with contextlib.suppress(Exception):
                self._connection.close()

    def _transaction(
        self,
        hook: DbApiHook,
        statements: tuple[Statement, ...],
        request: SqlRequest,
        accept: Callable[[SqlResult], None],
        where: str,
    ) -> SqlResult:
        started = time.monotonic()
        with contextlib.closing(self._connection.cursor()) as cursor:
            try:
                style = _paramstyle(self._connection, hook)
                for statement in statements:
                    text, values = bind(statement, request.parameters, style, request.comment)
                    self._log.info("%s: %s", where, shorten(statement.text, 500))
                    cursor.execute(text) if values is None else cursor.execute(text, values)
                has_row, value, rows = _outcome(cursor)
                elapsed = round((time.monotonic() - started) * 1000)
                result = SqlResult(where, len(statements), rows, has_row, value, elapsed)
                if self._cancelled:
                    raise RefusedError(f"{where}: stopped before the commit; nothing was changed")
                accept(result)
            except BaseException:
                with contextlib.suppress(Exception):
                    self._connection.rollback()
                raise
        if request.read_only:
            self._connection.rollback()
        elif not statements[0].stands_alone:
            self._commit(where)
        return result

    def _begin(
        self, hook: DbApiHook, kind: str, statements: tuple[Statement, ...], *, read_only: bool
    ) -> None:
        autocommit = statements[0].stands_alone
        if isinstance(self._connection, sqlite3.Connection):
            if read_only:
                self._connection.execute(_READ_ONLY["sqlite"])
            if not autocommit:  # by itself, it begins one only before it changes rows
                self._connection.execute("BEGIN")
            return
        if hook.supports_autocommit:
            hook.set_autocommit(self._connection, autocommit)
        if read_only and (command := _READ_ONLY.get({"postgres": "postgresql"}.get(kind, kind))):
            with contextlib.closing(self._connection.cursor()) as cursor:
                cursor.execute(command)
            self._connection.commit()  # it holds from the next transaction on

    def _commit(self, where: str) -> None:
        try:
            self._connection.commit()
        except Exception as error:
            if _is_connection_loss(error):
                raise AttentionError(
                    f"{where}: the connection broke during the commit, so whether the change is in "
                    "is not known. Look into the database before anything goes on."
                ) from error
            raise


def _hook(conn_id: str, connection: Any) -> DbApiHook:
    try:
        hook = connection.get_hook()
    except (AirflowException, ImportError) as error:
        kind = connection.conn_type
        raise MisconfiguredError(
            f"Connection '{conn_id}' is of type {kind}, for which no Airflow provider is installed "
            f"on this worker (such as apache-airflow-providers-{kind}): {shorten(str(error))}"
        ) from error
    if not isinstance(hook, DbApiHook):
        raise MisconfiguredError(
            f"Connection '{conn_id}' is of type {connection.conn_type}, which is not a SQL database"
        )
    return hook


def _check(statements: tuple[Statement, ...], request: SqlRequest, where: str) -> None:
    if not statements:
        raise RefusedError(f"{where}: there is no statement to run, only blanks or comments")
    check_parameters(statements, request.parameters)
    for statement in statements:
        shown = shorten(statement.text, 80)
        if statement.is_transaction_control:
            raise RefusedError(
                f"{where}: take out '{shown}'; all statements of a step are one transaction already"
            )
        if request.read_only and not statement.is_query:
            raise RefusedError(f"{where}: a check only reads, but this is '{shown}'")
        if statement.stands_alone and len(statements) > 1:
            raise RefusedError(
                f"{where}: '{shown}' cannot run in a transaction; give it a step of its own"
            )


def _outcome(cursor: Any) -> tuple[bool, Any, int | None]:
    if cursor.description is None:
        count = cursor.rowcount
        return False, None, count if isinstance(count, int) and count >= 0 else None
    first: Any = None
    rows = 0
    while batch := cursor.fetchmany(_FETCH):
        if not rows:
            first = batch[0]
        rows += len(batch)
    return rows > 0, first[0] if first else None, rows


def _paramstyle(connection: Any, hook: DbApiHook) -> str:
    """The driver's own word for its placeholders, by PEP 249; else what the hook says."""
    name = type(connection).__module__
    while name:
        style = getattr(sys.modules.get(name), "paramstyle", None)
        if isinstance(style, str):
            return style
        name = name.rpartition(".")[0]
    return "qmark" if hook.placeholder == "?" else "format"


@contextlib.contextmanager
def _translated(where: str, secrets: tuple[str, ...], phase: str) -> Iterator[None]:
    try:
        yield
    except PlannerError:
        raise
    except Exception as error:
        text = redact(shorten(str(error) or type(error).__name__, 500), secrets)
        raise _by_consequence(error, phase)(f"{where}: {text}") from error


def _by_consequence(error: Exception, phase: str) -> type[PlannerError]:
    names = {cls.__name__ for cls in type(error).__mro__}
    if isinstance(error, ImportError):
        return MisconfiguredError
    sqlite_name = getattr(error, "sqlite_errorname", None)
    if sqlite_name is not None:
        if sqlite_name.startswith("SQLITE_CANTOPEN"):
            return MisconfiguredError
        return UnavailableError if sqlite_name.startswith(_SQLITE_UNAVAILABLE) else RefusedError
    state = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if isinstance(state, str) and len(state) == 5:
        return _by_sqlstate(state)
    code = error.args[0] if error.args else None
    if isinstance(code, int):
        if code in _MYSQL_MISCONFIGURED:
            return MisconfiguredError
        if code in _MYSQL_UNAVAILABLE:
            return UnavailableError
    if phase == "connecting":
        wrong = ("authentication failed", "does not exist", "no pg_hba.conf entry", "Access denied")
        return MisconfiguredError if any(word in str(error) for word in wrong) else UnavailableError
    if names & {"OperationalError", "InterfaceError"} or isinstance(error, OSError):
        return UnavailableError
    return RefusedError


def _by_sqlstate(state: str) -> type[PlannerError]:
    if state.startswith("28") or state == "3D000":
        return MisconfiguredError
    if state[:2] in ("08", "40", "53", "57", "58") or state == "55P03":
        return UnavailableError
    return RefusedError


def _is_connection_loss(error: Exception) -> bool:
    state = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(("08", "57P"))
    if getattr(error, "sqlite_errorname", None) is not None:
        return False
    code = error.args[0] if error.args else None
    if isinstance(code, int):
        return code in (2006, 2013)
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"OperationalError", "InterfaceError"}) or isinstance(error, OSError)
