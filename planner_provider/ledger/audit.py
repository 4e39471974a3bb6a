"""The audit trail: append-only, each entry bound to the one before by a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from planner_provider.ledger.engine import LOCK_AUDIT, lock
from planner_provider.ledger.rows import AuditEntry
from planner_provider.ledger.schema import AUDIT, AUDIT_HEAD

GENESIS = "0" * 64
HEAD_ID = 1
"""Key of the only row of ``audit_head``."""


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
    prev_hash = _head_hash(connection)
    plain = json.loads(json.dumps(detail, default=str))
    hash_ = entry_hash(prev_hash, now, plan_id, actor, what, plain)
    seq: int = connection.execute(
        AUDIT.insert()
        .values(
            at=now,
            plan_id=plan_id,
            actor=actor,
            what=what,
            detail=plain,
            prev_hash=prev_hash,
            hash=hash_,
        )
        .returning(AUDIT.c.seq)
    ).scalar_one()
    # Never inserted here: a record of the head that was taken away must stay missing.
    connection.execute(
        update(AUDIT_HEAD).where(AUDIT_HEAD.c.id == HEAD_ID).values(seq=seq, hash=hash_)
    )


def _head_hash(connection: Connection) -> str:
    """The hash to go on from: of the head, so that entries cut off the end leave a gap."""
    head = select(AUDIT_HEAD.c.hash).where(AUDIT_HEAD.c.id == HEAD_ID)
    latest = select(AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)
    for query in (head, latest):
        found: str | None = connection.execute(query).scalar_one_or_none()
        if found is not None:
            return found
    return GENESIS


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
