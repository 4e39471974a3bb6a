"""What the tasks of a ``backfill`` step over chunks have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from planner_provider.decide.partitions import allowed_errors
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.journal import PART
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.spec.workloads import Backfill

if TYPE_CHECKING:
    from airflow.sdk import Context

NAMED = re.compile(r":(chunk_begin|chunk_end|begin|end)\b")
OPEN = (ItemState.WAITING, ItemState.ACTING)
"""States of chunks that are not done, and have not failed."""


class ChunkTask(PlanStepMixin):
    """What the tasks of such a step have in common. Put it before an operator class."""

    ui_color = "#e0e7ff"

    def __init__(self, *, action: Backfill, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action = action

    def step_of(self) -> str:
        """The step: name of its items, of its throttle and of its slots."""
        assert self.plan_ref is not None
        return (self.plan_ref.step or "").split(PART)[0]

    def run_of(self, context: Context) -> str:
        """The plan ID."""
        plan_id = self.plan_id(context)
        assert plan_id is not None, "chunks are a step of a plan"
        return plan_id

    def items(self, context: Context) -> tuple[WorkItem, ...]:
        """All chunks, in the order in which they are done."""
        return open_ledger().items_of(self.run_of(context), self.step_of())

    def too_many_failed(self, items: Sequence[WorkItem]) -> str | None:
        """Why no chunk may begin any more, ``None`` if one may."""
        failed = sum(item.state is ItemState.FAILED for item in items)
        allowed = allowed_errors(len(items), self.action.max_errors)
        if failed <= allowed:
            return None
        return f"{failed} of {len(items)} chunks failed, and {allowed} may"


def bound(sql: str, values: dict[str, Any]) -> dict[str, Any]:
    """Those values that the SQL names, as its parameters."""
    named = set(NAMED.findall(sql))
    return {name: value for name, value in values.items() if name in named}
