"""Decisions, memos, approvals, throttles, the queue for locks; what a run is bound to.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column(
        "plan_runs", sa.Column("approvals", sa.JSON(), nullable=False, server_default="[]")
    )
    op.add_column(
        "plan_runs",
        sa.Column("parameters_sha", sa.String(64), nullable=False, server_default=""),
    )
    op.add_column("plan_runs", sa.Column("abort_reason", sa.Text()))
    op.execute("ALTER TABLE leases RENAME COLUMN verdict TO course")
    op.add_column("leases", sa.Column("watched_at", TIME))
    op.add_column("leases", sa.Column("watched", sa.Text()))
    op.create_index("ix_leases_released_at", "leases", ["released_at"])
    op.create_table(
        "lease_queue",
        sa.Column("ticket", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("alive_at", TIME, nullable=False),
        sa.Column("holds", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", name="pk_lease_queue"),
        sa.ForeignKeyConstraint(["plan_id"], ["plan_runs.plan_id"], name="fk_lease_queue_plan_id"),
        sa.UniqueConstraint("plan_id", name="uq_lease_queue_plan_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "decisions",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("step", sa.String(250)),
        sa.Column("actor", sa.String(250), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("decided_at", TIME, nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_decisions_plan_id", "decisions", ["plan_id"])
    op.create_table(
        "memos",
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("step", sa.String(250), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "step", "name", name="pk_memos"),
    )
    op.create_table(
        "approvals",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("task", sa.String(250), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("parameters_sha", sa.String(64), nullable=False),
        sa.Column("requester", sa.String(250)),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("decision_id", BIG_ID),
        sa.Column("closed_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.id"], name="fk_approvals_decision_id"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_approvals_plan_id_task", "approvals", ["plan_id", "task"])
    op.create_table(
        "approval_answers",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("approval_id", BIG_ID, nullable=False),
        sa.Column("user_name", sa.String(250), nullable=False),
        sa.Column("approve", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("via", sa.String(20), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_approval_answers"),
        sa.ForeignKeyConstraint(
            ["approval_id"], ["approvals.id"], name="fk_approval_answers_approval_id"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_approval_answers_approval_id", "approval_answers", ["approval_id"])
    op.create_table(
        "throttles",
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("current", sa.Float(), nullable=False),
        sa.Column("minimum", sa.Float(), nullable=False),
        sa.Column("maximum", sa.Float(), nullable=False),
        sa.Column("changed_by", sa.String(250), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "name", name="pk_throttles"),
    )


def downgrade() -> None:
    for table in (
        "throttles", "approval_answers", "approvals", "memos", "decisions", "lease_queue",
    ):
        op.drop_table(table)
    op.drop_index("ix_leases_released_at", "leases")
    for column in ("watched", "watched_at"):
        op.drop_column("leases", column)
    op.execute("ALTER TABLE leases RENAME COLUMN course TO verdict")
    for column in ("abort_reason", "parameters_sha", "approvals"):
        op.drop_column("plan_runs", column)
