"""Run by Alembic. The connection, already in its transaction, comes from ``ledger.upgrade``."""

from alembic import context

from planner_provider.ledger.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
