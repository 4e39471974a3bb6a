"""The tables. Migrations make them; ``HEAD`` is the version that this code works with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

HEAD = "0005"
VERSION_TABLE = "planner_ledger_version"

BigId = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. A datetime without zone is refused, it could mean anything."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; SQLite keeps no zone, so it is cut off there."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give back an aware datetime in UTC."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

PLAN_RUNS = Table(
    "plan_runs",
    METADATA,
    Column("plan_id", String(200), primary_key=True),
    Column("plan", String(100), nullable=False),
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("assessed_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("parameters", JSON, nullable=False),
    Column("abort_at", UtcDateTime),
    Column("outcome", String(20)),
    Column("reason", Text),
    Column("finished_at", UtcDateTime),
    Column("approvals", JSON, nullable=False, server_default="[]"),
    Column("parameters_sha", String(64), nullable=False, server_default=""),
    Column("abort_reason", Text),
    Column("failing_at", UtcDateTime),
    Column("failing_steps", JSON, nullable=False, server_default="[]"),
    Column("held_at", UtcDateTime),
    Column("held_by", String(250)),
    Column("held_reason", Text),
    Column("trace_parent", String(64)),
    UniqueConstraint("dag_id", "run_id"),
    Index(None, "plan"),
    Index(None, "finished_at"),
    Index(None, "outcome"),
)

LEASES = Table(
    "leases",
    METADATA,
    Column("generation", BigId, primary_key=True, autoincrement=True),
    Column("plan_id", ForeignKey("plan_runs.plan_id"), nullable=False),
    Column("taken_at", UtcDateTime, nullable=False),
    Column("closing_at", UtcDateTime),
    Column("course", String(10)),
    Column("released_at", UtcDateTime),
    Column("watched_at", UtcDateTime),
    Column("watched", Text),
    Index(None, "plan_id", "released_at"),
    Index(None, "released_at"),
    sqlite_autoincrement=True,
)

LEASE_RESOURCES = Table(
    "lease_resources",
    METADATA,
    Column("generation", ForeignKey("leases.generation"), primary_key=True),
    Column("resource", String(500), primary_key=True),
    Column("mode", String(10), nullable=False),
    Index(None, "resource"),
)

LEASE_QUEUE = Table(
    "lease_queue",
    METADATA,
    Column("ticket", BigId, primary_key=True, autoincrement=True),
    Column("plan_id", ForeignKey("plan_runs.plan_id"), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("alive_at", UtcDateTime, nullable=False),
    Column("holds", JSON, nullable=False),
    UniqueConstraint("plan_id"),
    sqlite_autoincrement=True,
)

ACTS = Table(
    "acts",
    METADATA,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("plan_id", ForeignKey("plan_runs.plan_id"), nullable=False),
    Column("generation", ForeignKey("leases.generation")),
    Column("step", String(250), nullable=False),
    Column("role", String(10), nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("intent_at", UtcDateTime, nullable=False),
    Column("alive_at", UtcDateTime, nullable=False),
    Column("parked_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("result", String(10)),
    Column("detail", Text),
    Index(None, "plan_id"),
    sqlite_autoincrement=True,
)

COMPILED_PLANS = Table(
    "compiled_plans",
    METADATA,
    Column("plan", String(100), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("graph", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("spec_sha", String(64), nullable=False),
    Column("compiled_at", UtcDateTime, nullable=False),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("plan_id", String(200), nullable=False),
    Column("step", String(250)),
    Column("actor", String(250), nullable=False),
    Column("kind", String(50), nullable=False),
    Column("version", Integer, nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Index(None, "plan_id"),
    sqlite_autoincrement=True,
)

MEMOS = Table(
    "memos",
    METADATA,
    Column("plan_id", String(200), primary_key=True),
    Column("step", String(250), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("value", Text, nullable=False),
)

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("plan_id", String(200), nullable=False),
    Column("task", String(250), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("parameters_sha", String(64), nullable=False),
    Column("requester", String(250)),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("rule", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("decision_id", ForeignKey("decisions.id")),
    Column("closed_at", UtcDateTime),
    Index(None, "plan_id", "task"),
    sqlite_autoincrement=True,
)

APPROVAL_ANSWERS = Table(
    "approval_answers",
    METADATA,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("approval_id", ForeignKey("approvals.id"), nullable=False),
    Column("user_name", String(250), nullable=False),
    Column("approve", Boolean, nullable=False),
    Column("reason", Text),
    Column("via", String(20), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Index(None, "approval_id"),
    sqlite_autoincrement=True,
)

THROTTLES = Table(
    "throttles",
    METADATA,
    Column("plan_id", String(200), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("current", Float, nullable=False),
    Column("minimum", Float, nullable=False),
    Column("maximum", Float, nullable=False),
    Column("changed_by", String(250), nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("state", Text),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("ticked_at", UtcDateTime),
)

SLOTS = Table(
    "slots",
    METADATA,
    Column("plan_id", String(200), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("holder", String(250), primary_key=True),
    Column("taken_at", UtcDateTime, nullable=False),
)
"""A counted semaphore: who holds one of the places. How many there are says whoever asks."""

WORK_ITEMS = Table(
    "work_items",
    METADATA,
    Column("plan_id", String(200), primary_key=True),
    Column("step", String(250), primary_key=True),
    Column("item", String(250), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("wave", Integer),
    Column("state", String(20), nullable=False),
    Column("detail", Text),
    Column("facts", JSON, nullable=False, server_default="{}"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
)
"""The targets of a patch rollout, the partitions or chunks of a backfill."""

CALENDAR_CHANGES = Table(
    "calendar_changes",
    METADATA,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("calendar", String(100), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("begins_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("who", String(250), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("withdrawn_at", UtcDateTime),
    Column("withdrawn_by", String(250)),
    Index(None, "calendar"),
    sqlite_autoincrement=True,
)
"""Freezes and overrides that people added while plans wait or run."""

NOTICES = Table(
    "notices",
    METADATA,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("plan_id", String(200), nullable=False),
    Column("event", String(50), nullable=False),
    Column("subject", String(250), nullable=False),
    Column("channel", String(250), nullable=False),
    Column("state", String(10), nullable=False),
    Column("body", Text, nullable=False),
    Column("thread", Text),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("error", Text),
    UniqueConstraint("plan_id", "event", "subject", "channel"),
    Index(None, "state", "due_at"),
    sqlite_autoincrement=True,
)
"""What people are told, once for each channel: written down first, then sent."""

AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", BigId, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("plan_id", String(200)),
    Column("actor", String(250), nullable=False),
    Column("what", String(50), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index(None, "plan_id"),
    sqlite_autoincrement=True,
)

AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)
"""One row, id 1: the last entry of the audit trail. The next one is chained to it."""
