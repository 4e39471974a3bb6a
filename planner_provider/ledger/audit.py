"""The audit trail: append-only, each entry bound to the one before by a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from planner_provider.ledger.engine import LOCK_AUDIT, lock
from planner_provider.ledger.rows import AuditEntry
from planner_provider.ledger.schema import AUDIT

GENESIS = "0" * 64


def append(
    connection: Connection,
    *,
    what: str,
    actor: str,
    plan_id: str | None,
    detail: Mapping[str, Any],
    now: datetime,
) -> None:
    """Write one entry. Writers wait for each other until their transactions end."""
    lock(connection, LOCK_AUDIT)
    latest = select(AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)
    prev_hash = connection.execute(latest).scalar_one_or_none() or GENESIS
    plain = json.loads(json.dumps(detail, default=str))
    connection.execute(
        AUDIT.insert().values(
            at=now,
            plan_id=plan_id,
            actor=actor,
            what=what,
            detail=plain,
            prev_hash=prev_hash,
            hash=entry_hash(prev_hash, now, plan_id, actor, what, plain),
        )
    )


def entry_hash(
    prev_hash: str,
    at: datetime,
    plan_id: str | None,
    actor: str,
    what: str,
    detail: Mapping[str, Any],
) -> str:
    """SHA-256 over the hash before and the entry, as JSON with sorted keys."""
    content = [
        prev_hash,
        at.astimezone(UTC).isoformat(timespec="microseconds"),
        plan_id,
        actor,
        what,
        detail,
    ]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def first_broken(entries: Iterable[AuditEntry]) -> AuditEntry | None:
    """The first entry that does not follow from the one before, ``None`` if all do."""
    prev_hash = GENESIS
    for entry in entries:
        expected = entry_hash(
            prev_hash, entry.at, entry.plan_id, entry.actor, entry.what, entry.detail
        )
        if entry.prev_hash != prev_hash or entry.hash != expected:
            return entry
        prev_hash = entry.hash
    return None


def entries(connection: Connection, plan_id: str | None) -> tuple[AuditEntry, ...]:
    """Entries of one run, or all of them, oldest first."""
    query = select(AUDIT).order_by(AUDIT.c.seq)
    if plan_id is not None:
        query = query.where(AUDIT.c.plan_id == plan_id)
    return tuple(_entry(row) for row in connection.execute(query))


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(**row._mapping)
