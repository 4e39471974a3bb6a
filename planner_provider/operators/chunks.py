"""Action ``backfill`` over chunks: a range of time or of numbers, worked through piece by piece.

``split`` finds out the chunks when the step begins, ``chunks`` is a mapped group that does them,
and ``check`` counts. Every chunk is an item in the ledger, so that a retry goes on where the last
one stopped. docs/backfills.md tells how to use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.errors import NotAvailableError, RefusedError
from planner_provider.graph.chunk_parts import CHECK, SPLIT
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.rows import ItemState
from planner_provider.operators.chunk_run import RunChunksOperator
from planner_provider.operators.chunk_split import SplitOperator
from planner_provider.operators.chunk_task import OPEN, ChunkTask
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.spec.workloads import Backfill

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact, Part
    from planner_provider.graph.slos import Slo


class ChunkPart:
    """The task for one part of a ``backfill`` step over chunks."""

    @classmethod
    def from_action(
        cls,
        action: Backfill,
        *,
        part: Part,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        slos: tuple[Slo, ...] = (),
        **base_kwargs: Any,
    ) -> BaseOperator:
        """The operator for a part, as ``graph.chunk_parts`` lists them."""
        assert plan_ref is not None, "chunks are a step of a plan"
        if action.chunks is None or action.chunks.pod is not None:
            raise NotAvailableError("over `chunks` with `pod`")
        base: dict[str, Any] = {"action": action, "plan_ref": plan_ref, **base_kwargs}
        if part.id == SPLIT:
            return SplitOperator(**base)
        if part.id == CHECK:
            return CheckChunksOperator(**base)
        return RunChunksOperator(slos=slos, **base)


class CheckChunksOperator(ChunkTask, BaseOperator):
    """Count how the chunks ended. The XCom is ``{total, done, failed, left, failed_chunks}``.

    Raises:
        RefusedError: too many chunks failed, or some were not done.
    """

    again = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def act(self, context: Context) -> dict[str, Any]:
        """Count, and let go of slots that somebody left behind."""
        ledger, plan_id, step = open_ledger(), self.run_of(context), self.step_of()
        items = self.items(context)
        for slot in ledger.slot_holders(plan_id, step):
            ledger.give_slot_back(plan_id, step, slot.holder)
        failed = [item.item for item in items if item.state is ItemState.FAILED]
        left = [item.item for item in items if item.state in OPEN]
        found = {
            "total": len(items),
            "done": sum(item.state is ItemState.DONE for item in items),
            "failed": len(failed),
            "left": len(left),
            "failed_chunks": failed[:100],
        }
        context["ti"].xcom_push(key="progress", value=found)
        self.log.info("%d chunks: %d done, %d failed, %d left.", len(items), found["done"],
                      len(failed), len(left))  # fmt: skip
        why = self.too_many_failed(items)
        if why is not None:
            raise RefusedError(f"{why}: {', '.join(failed[:5])}")
        if left:
            raise RefusedError(f"{len(left)} of {len(items)} chunks were not done: "
                               f"{', '.join(left[:5])}. Clear their tasks to go on")  # fmt: skip
        return found
