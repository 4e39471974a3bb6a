"""The part of ``Ledger`` that keeps the pieces of long steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from planner_provider.ledger import runs, work_items
from planner_provider.ledger.engine import reading, writing
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.ledger.targets import Targets


class Workloads(Targets):
    """Targets, partitions and chunks of steps. See ``Ledger``."""

    def add_items(self, items: Iterable[WorkItem]) -> int:
        """Write items of a step down; those that are known stay as they are. Gives how many
        were new."""
        listed = list(items)
        with writing(self._engine) as connection:
            return work_items.add(connection, listed)

    def items_of(self, plan_id: str, step: str) -> tuple[WorkItem, ...]:
        """All items of a step, in their order."""
        with reading(self._engine) as connection:
            return work_items.of_step(connection, plan_id, step)

    def item(self, plan_id: str, step: str, item: str) -> WorkItem | None:
        """One item of a step."""
        with reading(self._engine) as connection:
            return work_items.find(connection, plan_id, step, item)

    def item_counts(self, plan_id: str, step: str) -> dict[ItemState, int]:
        """How many items of a step there are in each state that occurs."""
        with reading(self._engine) as connection:
            return work_items.counts(connection, plan_id, step)

    def move_item(
        self,
        plan_id: str,
        step: str,
        item: str,
        state: ItemState,
        *,
        now: datetime,
        detail: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> bool:
        """Set the state of an item; ``False`` if there is none. See ``work_items.move``."""
        with writing(self._engine) as connection:
            return work_items.move(
                connection, plan_id, step, item, state, detail=detail, facts=facts, now=now
            )

    def begin_item(
        self,
        plan_id: str,
        step: str,
        item: str,
        *,
        now: datetime,
        detail: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Let an item act, unless a person holds the run: then nothing changes.

        Gives who holds it since when and why, ``None`` if the item may act now. Both in one
        transaction: once a run is held, no item of it begins.
        """
        with writing(self._engine) as connection:
            run = runs.get(connection, plan_id, lock=True)
            if run is not None and run.held_at is not None:
                return run.held_words
            work_items.move(
                connection, plan_id, step, item, ItemState.ACTING,
                detail=detail, facts=facts, now=now,
            )  # fmt: skip
            return None
