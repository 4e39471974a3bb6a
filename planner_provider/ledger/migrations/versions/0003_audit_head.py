"""The record of the head of the audit trail, which shows when its end was cut off.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    op.execute(f"INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '{'0' * 64}')")
    for column in ("seq", "hash"):
        op.execute(
            f"UPDATE audit_head SET {column} = "
            f"(SELECT {column} FROM audit ORDER BY audit.seq DESC LIMIT 1) "
            "WHERE EXISTS (SELECT 1 FROM audit)"
        )


def downgrade() -> None:
    op.drop_table("audit_head")
