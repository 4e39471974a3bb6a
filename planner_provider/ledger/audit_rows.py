"""The rows of the audit trail as text, so that a row is read whatever somebody wrote into it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Text, cast, func, select
from sqlalchemy.sql import ColumnElement

from planner_provider.ledger.audit import HEAD_ID
from planner_provider.ledger.audit_check import AuditRow, Noted
from planner_provider.ledger.schema import AUDIT, AUDIT_HEAD

AT_ONCE = 2000
"""Rows that are held in memory."""


def read_head(connection: Connection) -> Noted | None:
    """The record of the head, if there is one."""
    query = select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash).where(AUDIT_HEAD.c.id == HEAD_ID)
    row = connection.execute(query).one_or_none()
    return None if row is None else Noted(row.seq, row.hash)


def read_rows(connection: Connection) -> Iterator[AuditRow]:
    """All rows by ``seq``. None is skipped, and none stops the reading."""
    texts = [
        cast(AUDIT.c[name], Text).label(name)
        for name in ("plan_id", "actor", "what", "detail", "prev_hash", "hash")
    ]
    moment = _moment(connection.dialect.name).label("at")
    last = None
    while True:
        query = select(AUDIT.c.seq, moment, *texts).order_by(AUDIT.c.seq).limit(AT_ONCE)
        if last is not None:
            query = query.where(AUDIT.c.seq > last)
        rows = connection.execute(query).all()
        for row in rows:
            yield _audit_row(row)
        if len(rows) < AT_ONCE:
            return
        last = rows[-1].seq


def _moment(dialect: str) -> ColumnElement[Any]:
    if dialect == "postgresql":
        return func.to_char(func.timezone("UTC", AUDIT.c.at), 'YYYY-MM-DD"T"HH24:MI:SS.US')
    return cast(AUDIT.c.at, Text)


def _audit_row(row: Row[Any]) -> AuditRow:
    troubles = []
    at = detail = None
    try:
        at = datetime.fromisoformat(row.at or "").replace(tzinfo=UTC)
    except ValueError:
        troubles.append(f"its time is {row.at!r}")
    try:
        detail = json.loads(row.detail or "", object_pairs_hook=_object)
    except ValueError as error:
        troubles.append(f"its detail is no JSON ({error})")
    else:
        if not isinstance(detail, dict):
            detail = None
            troubles.append("its detail is no JSON object")
    return AuditRow(
        seq=row.seq,
        at=at,
        plan_id=row.plan_id,
        actor=row.actor,
        what=row.what,
        detail=detail,
        prev_hash=row.prev_hash,
        hash=row.hash,
        unreadable="; ".join(troubles) or None,
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that is written twice would hide one of its values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is written twice")
    return found
