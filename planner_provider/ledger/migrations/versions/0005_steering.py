"""Runs that people hold; notices to people; the trace of a run; indexes for lists of runs.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LISTED_BY = ("plan", "finished_at", "outcome")


def upgrade() -> None:
    op.add_column("plan_runs", sa.Column("held_at", TIME))
    op.add_column("plan_runs", sa.Column("held_by", sa.String(250)))
    op.add_column("plan_runs", sa.Column("held_reason", sa.Text()))
    op.add_column("plan_runs", sa.Column("trace_parent", sa.String(64)))
    for column in LISTED_BY:
        op.create_index(f"ix_plan_runs_{column}", "plan_runs", [column])
    op.create_table(
        "notices",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("event", sa.String(50), nullable=False),
        sa.Column("subject", sa.String(250), nullable=False),
        sa.Column("channel", sa.String(250), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text()),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("sent_at", TIME),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.UniqueConstraint(
            "plan_id", "event", "subject", "channel",
            name="uq_notices_plan_id_event_subject_channel",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notices_state_due_at", "notices", ["state", "due_at"])


def downgrade() -> None:
    op.drop_table("notices")
    for column in LISTED_BY:
        op.drop_index(f"ix_plan_runs_{column}", "plan_runs")
    for column in ("trace_parent", "held_reason", "held_by", "held_at"):
        op.drop_column("plan_runs", column)
