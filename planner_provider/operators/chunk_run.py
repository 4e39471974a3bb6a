"""The mapped tasks of a ``backfill`` step over chunks, which do them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.decide.chunks import Chunk, batch
from planner_provider.errors import AttentionError, PlannerError, RefusedError
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.operators.chunk_task import OPEN, ChunkTask, bound
from planner_provider.operators.stopped import stop_told, stopped_error
from planner_provider.sensors.wait import GRACE
from planner_provider.spec.workloads import Backfill

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.slos import Slo
    from planner_provider.hooks.chunk_slots import Gauge

LONGEST_WAIT = timedelta(days=30)
"""So long a chunk waits for a slot at most."""


class RunChunksOperator(ChunkTask, BaseOperator):
    """Do one chunk, or some one after the other. Each takes a slot, and waits while there is none.

    It waits without holding a worker. A chunk that fails is tried again, ``attempts`` times in
    all, and is a failed chunk then; the task goes on. The XCom is ``{done, failed}``.

    Args:
        action: the spec's ``backfill``.
        slos: the plan's SLOs, of which the throttle may follow one.
        plan_ref: the plan that this is a step of.

    Raises:
        RefusedError: more chunks failed than may.
        AttentionError: what a chunk did is not known; a person must look.
        AbortedError, FailingRunError: the run was stopped.
    """

    _inner: Any = None

    def __init__(
        self,
        *,
        action: Backfill,
        slos: tuple[Slo, ...] = (),
        guard_slos: tuple[Slo, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(action=action, **kwargs)
        self.slos = slos
        self.guards = guard_slos
        """They pause the step; they do not fail it."""

    def act(self, context: Context) -> dict[str, int]:
        """Begin. What failed in an earlier try of this task is done again."""
        for item in self._mine(context):
            if item.state is ItemState.FAILED:
                self._move(item, ItemState.WAITING, None, failures=0)
        return self._work(context)

    def granted(self, context: Context, event: dict[str, Any]) -> dict[str, int]:
        """Go on after the deferral: there is a slot, or no use in waiting."""
        if stop_told(event):
            raise stopped_error(self.plan_id(context), event, "no chunk begins any more")
        return self._work(context)

    def on_kill(self) -> None:
        """Stop the chunk that is under way."""
        if self._inner is not None:
            self._inner.on_kill()
        super().on_kill()

    # ---- one after the other

    def _work(self, context: Context) -> dict[str, int]:
        while True:
            item = next((item for item in self._mine(context) if item.state in OPEN), None)
            if item is None:
                break
            self.pause(0)
            why = self.too_many_failed(self.items(context))
            if why is not None:
                raise RefusedError(f"{why}: no chunk begins any more")
            if not self._take(context, item) or not self._begun(item):
                self._defer(context, item)
            try:
                self._one(context, item)
            finally:
                open_ledger().give_slot_back(item.plan_id, item.step, item.item)
        states = [item.state for item in self._mine(context)]
        return {
            "done": states.count(ItemState.DONE),
            "failed": states.count(ItemState.FAILED),
        }

    def _one(self, context: Context, item: WorkItem) -> None:
        """Do a chunk that has begun, and write down how it ended.

        What a person must look at is raised.
        """
        failures = int(item.facts.get("failures", 0))
        try:
            self._do(context, item)
        except AttentionError:
            self._move(item, ItemState.FAILED, "what it did is not known")
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, this chunk failed
            failures += 1
            last = failures >= self.action.attempts
            told = str(error) if isinstance(error, PlannerError) else repr(error)
            self.log.warning("Chunk %s failed, try %d: %s", item.item, failures, told)
            state = ItemState.FAILED if last else ItemState.WAITING
            self._move(item, state, told[:500], failures=failures)
        else:
            self._move(item, ItemState.DONE, None)

    def _do(self, context: Context, item: WorkItem) -> None:
        """What the spec says, with the chunk known to its templates."""
        from planner_provider.operators.actions import ACTIONS, operator_class

        assert self.action.chunks is not None
        assert self.plan_ref is not None
        chunk = Chunk(str(item.facts["begin"]), str(item.facts["end"]))
        name = next(n for n in ("sql", "shell", "http") if getattr(self.action.chunks, n))
        made = operator_class(ACTIONS[name])
        inner: Any = made.from_action(
            getattr(self.action.chunks, name), plan_ref=replace(self.plan_ref), task_id=self.task_id
        )
        inner.clock, inner._acting = self.clock, self._acting
        known: Any = context
        known["chunk"] = chunk
        inner.render_template_fields(context)
        values = {"chunk_begin": chunk.begin, "chunk_end": chunk.end}
        if name == "sql":
            numbers = self.action.chunks.keys is not None
            typed = {key: int(value) if numbers else value for key, value in values.items()}
            inner.parameters = {**bound(inner.statement, typed), **inner.parameters}
        elif name == "shell":
            told = {f"PLANNER_{key.upper()}": value for key, value in values.items()}
            inner.env = {**told, **inner.env}
        self._inner = inner
        try:
            inner.act(context)
        finally:
            self._inner = None

    # ---- slots

    def _take(self, context: Context, item: WorkItem) -> bool:
        from planner_provider.hooks.chunk_slots import look

        now = self.clock.now()
        places = look(self._gauge(context), open_ledger(), now)
        if places.held:
            self.log.info("%s. No chunk begins before that ends.", places.held)
            return False
        return open_ledger().take_slot(item.plan_id, item.step, item.item, places.limit, now=now)

    def _begun(self, item: WorkItem) -> bool:
        """Begin, unless a person has held the run this moment."""
        held = open_ledger().begin_item(item.plan_id, item.step, item.item, now=self.clock.now())
        if held is not None:
            self.log.info("%s. No chunk begins before that ends.", held)
        return held is None

    def _defer(self, context: Context, item: WorkItem) -> None:
        from planner_provider.hooks.chunk_slots import ASKS
        from planner_provider.triggers.slots import SlotTrigger

        open_ledger().give_slot_back(item.plan_id, item.step, item.item)
        self._move(item, ItemState.WAITING, ASKS)
        self.log.info("Chunk %s waits for a slot, without holding a worker.", item.item)
        gauge = self._gauge(context).model_dump_json(exclude_defaults=True)
        self.defer(
            trigger=SlotTrigger(gauge=gauge, item=item.item),
            method_name="granted",
            timeout=LONGEST_WAIT + GRACE,
        )

    def _gauge(self, context: Context) -> Gauge:
        from planner_provider.decide.slo import SloRules
        from planner_provider.hooks.chunk_slots import Gauge

        throttle = self.action.throttle
        if throttle.signal is not None and throttle.signal.query is not None:
            query = self.render_template(throttle.signal.query, context)
            signal = throttle.signal.model_copy(update={"query": query})
            throttle = throttle.model_copy(update={"signal": signal})
        return Gauge(
            plan_id=self.run_of(context),
            step=self.step_of(),
            throttle=throttle,
            slos=self.slos,
            guards=self.guards,
            rules=SloRules.of(self.guard_budget, in_progress=True),
        )

    # ---- items

    def _mine(self, context: Context) -> Sequence[WorkItem]:
        return batch(self.items(context), int(context["ti"].map_index or 0))

    def _move(self, item: WorkItem, state: ItemState, detail: str | None, **facts: Any) -> None:
        open_ledger().move_item(
            item.plan_id, item.step, item.item, state,
            now=self.clock.now(), detail=detail, facts=facts or None,
        )  # fmt: skip
