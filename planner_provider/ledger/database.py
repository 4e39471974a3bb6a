"""The database behind the ledger: opened on first use, brought up to date if that is allowed."""

from __future__ import annotations

from functools import cached_property

from sqlalchemy import Engine

from planner_provider.ledger.engine import make_engine, shown
from planner_provider.ledger.upgrade import require_schema, schema_version, upgrade_schema


class Database:
    """Where the ledger is. The parts of ``Ledger`` are built on it."""

    def __init__(self, url: str, *, auto_upgrade: bool = True) -> None:
        self.url = url
        self.auto_upgrade = auto_upgrade

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown(self.url)})"

    @cached_property
    def _engine(self) -> Engine:
        engine = make_engine(self.url)
        require_schema(engine, upgrade=self.auto_upgrade)
        return engine

    def version(self) -> str | None:
        """The version of the schema in the database, ``None`` if it is empty."""
        return schema_version(make_engine(self.url))

    def upgrade(self) -> None:
        """Bring the schema up to date. Safe from many processes at once."""
        upgrade_schema(make_engine(self.url))
