"""Airflow Connections: found, or a message that says how to add them. Secrets stay secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

from planner_provider.errors import MisconfiguredError, UnavailableError

MASK = "***"
EXCERPT = 200
"""Longest excerpt of foreign text in a message or a result, in characters."""
_MIN_SECRET = 3
_EXAMPLES = {
    "http": "'http://user:password@host.example.com:8080'",
    "sql": "'postgresql://user:password@db.example.com:5432/shop'",
    "kubernetes": '\'{"conn_type": "kubernetes", "extra": {"in_cluster": true}}\'',
}


def get_connection(conn_id: str, kind: str = "http") -> Connection:
    """Fetch a Connection.

    Args:
        conn_id: id of the Connection.
        kind: ``http``, ``sql`` or ``kubernetes``; decides what the example in the message shows.

    Raises:
        MisconfiguredError: there is no such Connection.
        UnavailableError: Airflow or its secrets backend did not answer.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise missing_connection(conn_id, kind) from None
    except AirflowRuntimeError as error:
        raise UnavailableError(
            f"Airflow could not look up connection '{conn_id}': {shorten(str(error))}"
        ) from error


def missing_connection(conn_id: str, kind: str = "http") -> MisconfiguredError:
    """The error that says how to add a Connection."""
    example = _EXAMPLES[kind]
    flag = "--conn-json" if example.startswith("'{") else "--conn-uri"
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    by_variable = (
        f", or set {variable}={example} for the workers"
        if re.fullmatch(r"[A-Z_][A-Z0-9_]*", variable)
        else ""
    )
    return MisconfiguredError(
        f"Airflow has no connection '{conn_id}'. Add it with "
        f"`airflow connections add {conn_id} {flag} {example}`{by_variable}."
    )


def secrets_of(connection: Connection) -> tuple[str, ...]:
    """What must not be repeated: the password and every text in the extra field."""
    found = {connection.password or ""}
    found.update(_texts(connection.extra_dejson))
    kept = (text for text in found if len(text) >= _MIN_SECRET)
    return tuple(sorted(kept, key=len, reverse=True))


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret replaced by asterisks."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def shorten(text: str, limit: int = EXCERPT) -> str:
    """The text on one line, cut to ``limit`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
