"""Work items, slots, throttles that adapt, live changes of calendars; runs that are failing.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("plan_runs", sa.Column("failing_at", TIME))
    op.add_column(
        "plan_runs", sa.Column("failing_steps", sa.JSON(), nullable=False, server_default="[]")
    )
    op.add_column("throttles", sa.Column("state", sa.Text()))
    op.add_column(
        "throttles", sa.Column("version", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("throttles", sa.Column("ticked_at", TIME))
    op.create_table(
        "slots",
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("holder", sa.String(250), nullable=False),
        sa.Column("taken_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "name", "holder", name="pk_slots"),
    )
    op.create_table(
        "work_items",
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("step", sa.String(250), nullable=False),
        sa.Column("item", sa.String(250), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("wave", sa.Integer()),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("facts", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("started_at", TIME),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("plan_id", "step", "item", name="pk_work_items"),
    )
    op.create_table(
        "calendar_changes",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("calendar", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("begins_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("who", sa.String(250), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("withdrawn_at", TIME),
        sa.Column("withdrawn_by", sa.String(250)),
        sa.PrimaryKeyConstraint("id", name="pk_calendar_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_calendar_changes_calendar", "calendar_changes", ["calendar"])


def downgrade() -> None:
    for table in ("calendar_changes", "work_items", "slots"):
        op.drop_table(table)
    for column in ("ticked_at", "version", "state"):
        op.drop_column("throttles", column)
    for column in ("failing_steps", "failing_at"):
        op.drop_column("plan_runs", column)
