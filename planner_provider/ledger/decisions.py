"""Recorded decisions, and memos: values that a step settles once."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from planner_provider.decide.model import Decision
from planner_provider.ledger.engine import insert_if_absent
from planner_provider.ledger.rows import RecordedDecision
from planner_provider.ledger.schema import DECISIONS, MEMOS


def fingerprint(decision: Decision) -> str:
    """SHA-256 of a decision: in the audit trail it shows whether the record was changed later."""
    parts = [
        decision.kind,
        decision.version,
        decision.decided_at.astimezone(UTC).isoformat(timespec="microseconds"),
        decision.inputs,
        decision.verdict,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def record(
    connection: Connection,
    decision: Decision,
    *,
    plan_id: str,
    step: str | None,
    actor: str,
    now: datetime,
) -> int:
    """Write a decision down; give its id."""
    decision_id: int = connection.execute(
        DECISIONS.insert()
        .values(
            plan_id=plan_id,
            step=step,
            actor=actor,
            kind=decision.kind,
            version=decision.version,
            decided_at=decision.decided_at,
            inputs=decision.inputs,
            verdict=decision.verdict,
            recorded_at=now,
        )
        .returning(DECISIONS.c.id)
    ).scalar_one()
    return decision_id


def of_run(connection: Connection, plan_id: str) -> tuple[RecordedDecision, ...]:
    """The decisions of a run, oldest first."""
    query = select(DECISIONS).where(DECISIONS.c.plan_id == plan_id).order_by(DECISIONS.c.id)
    return tuple(_decision(row) for row in connection.execute(query))


def find(connection: Connection, decision_id: int) -> RecordedDecision | None:
    """The decision with this id."""
    row = connection.execute(select(DECISIONS).where(DECISIONS.c.id == decision_id)).one_or_none()
    return None if row is None else _decision(row)


def remember_once(connection: Connection, plan_id: str, step: str, name: str, value: Any) -> Any:
    """Keep the first value that is written; give the one that is kept."""
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    insert_if_absent(connection, MEMOS, plan_id=plan_id, step=step, name=name, value=text)
    return remembered(connection, plan_id, step, name)


def remembered(connection: Connection, plan_id: str, step: str, name: str) -> Any:
    """The value that is kept, ``None`` if there is none."""
    query = select(MEMOS.c.value).where(
        MEMOS.c.plan_id == plan_id, MEMOS.c.step == step, MEMOS.c.name == name
    )
    text = connection.execute(query).scalar_one_or_none()
    return None if text is None else json.loads(text)


def _decision(row: Row[Any]) -> RecordedDecision:
    return RecordedDecision(
        id=row.id,
        plan_id=row.plan_id,
        step=row.step,
        actor=row.actor,
        decision=Decision(
            kind=row.kind,
            version=row.version,
            decided_at=row.decided_at,
            inputs=row.inputs,
            verdict=row.verdict,
        ),
    )
