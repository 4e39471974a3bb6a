"""The last good compilation of each plan, in force while its spec is broken."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from planner_provider.ledger.rows import CompiledPlan
from planner_provider.ledger.schema import COMPILED_PLANS

_KEYS = ("plan", "digest", "graph", "file", "spec_sha", "compiled_at")


def remember(connection: Connection, plans: Iterable[CompiledPlan]) -> None:
    """Write them, over what was there."""
    for plan in plans:
        values = {key: getattr(plan, key) for key in _KEYS}
        done = connection.execute(
            update(COMPILED_PLANS).where(COMPILED_PLANS.c.plan == plan.plan).values(**values)
        )
        if not done.rowcount:
            connection.execute(COMPILED_PLANS.insert().values(**values))


def last(connection: Connection, plan: str) -> CompiledPlan | None:
    """The last good compilation of a plan."""
    query = select(COMPILED_PLANS).where(COMPILED_PLANS.c.plan == plan)
    row = connection.execute(query).one_or_none()
    return None if row is None else CompiledPlan(**row._mapping)


def digests(connection: Connection) -> dict[str, tuple[str, str]]:
    """Plan -> digest and hash of its spec text."""
    query = select(COMPILED_PLANS.c.plan, COMPILED_PLANS.c.digest, COMPILED_PLANS.c.spec_sha)
    return {row.plan: (row.digest, row.spec_sha) for row in connection.execute(query)}
