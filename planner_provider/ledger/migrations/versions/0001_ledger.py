"""The first tables: runs, acts, leases, compiled plans, audit.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "plan_runs",
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("plan", sa.String(100), nullable=False),
        sa.Column("dag_id", sa.String(250), nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("assessed_at", TIME),
        sa.Column("expires_at", TIME),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("abort_at", TIME),
        sa.Column("outcome", sa.String(20)),
        sa.Column("reason", sa.Text()),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("plan_id", name="pk_plan_runs"),
        sa.UniqueConstraint("dag_id", "run_id", name="uq_plan_runs_dag_id_run_id"),
    )
    op.create_table(
        "leases",
        sa.Column("generation", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("taken_at", TIME, nullable=False),
        sa.Column("closing_at", TIME),
        sa.Column("verdict", sa.String(10)),
        sa.Column("released_at", TIME),
        sa.PrimaryKeyConstraint("generation", name="pk_leases"),
        sa.ForeignKeyConstraint(["plan_id"], ["plan_runs.plan_id"], name="fk_leases_plan_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_leases_plan_id_released_at", "leases", ["plan_id", "released_at"])
    op.create_table(
        "lease_resources",
        sa.Column("generation", BIG_ID, nullable=False),
        sa.Column("resource", sa.String(500), nullable=False),
        sa.Column("mode", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("generation", "resource", name="pk_lease_resources"),
        sa.ForeignKeyConstraint(
            ["generation"], ["leases.generation"], name="fk_lease_resources_generation"
        ),
    )
    op.create_index("ix_lease_resources_resource", "lease_resources", ["resource"])
    op.create_table(
        "acts",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("plan_id", sa.String(200), nullable=False),
        sa.Column("generation", BIG_ID),
        sa.Column("step", sa.String(250), nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("intent_at", TIME, nullable=False),
        sa.Column("alive_at", TIME, nullable=False),
        sa.Column("parked_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("result", sa.String(10)),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_acts"),
        sa.ForeignKeyConstraint(["plan_id"], ["plan_runs.plan_id"], name="fk_acts_plan_id"),
        sa.ForeignKeyConstraint(["generation"], ["leases.generation"], name="fk_acts_generation"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_acts_plan_id", "acts", ["plan_id"])
    op.create_table(
        "compiled_plans",
        sa.Column("plan", sa.String(100), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("graph", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("spec_sha", sa.String(64), nullable=False),
        sa.Column("compiled_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("plan", name="pk_compiled_plans"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("plan_id", sa.String(200)),
        sa.Column("actor", sa.String(250), nullable=False),
        sa.Column("what", sa.String(50), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_plan_id", "audit", ["plan_id"])
    _make_append_only()


def _make_append_only() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION planner_audit_append_only() RETURNS trigger AS $$ "
        "BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$ LANGUAGE plpgsql"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION planner_audit_append_only()"
    )


def downgrade() -> None:
    for table in ("audit", "compiled_plans", "acts", "lease_resources", "leases", "plan_runs"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION planner_audit_append_only()")
