"""Action ``backfill`` over chunks: a range of time or of numbers, worked through piece by piece.

``split`` finds out the chunks when the step begins, ``chunks`` is a mapped group that does them,
and ``check`` counts. Every chunk is an item in the ledger, so that a retry goes on where the last
one stopped. docs/backfills.md tells how to use it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.decide.chunks import (
    Chunk,
    batch,
    batches,
    chunks_of_keys,
    chunks_of_time,
)
from planner_provider.decide.partitions import allowed_errors
from planner_provider.errors import (
    AttentionError,
    NotAvailableError,
    PlannerError,
    RefusedError,
)
from planner_provider.graph.chunk_parts import CHECK, SPLIT
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.journal import PART
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.stopped import stop_told, stopped_error
from planner_provider.sensors.wait import GRACE
from planner_provider.spec.workloads import Backfill

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact, Part
    from planner_provider.graph.slos import Slo
    from planner_provider.hooks.chunk_slots import Gauge

LONGEST_WAIT = timedelta(days=30)
"""So long a chunk waits for a slot at most."""
NAMED = re.compile(r":(chunk_begin|chunk_end|begin|end)\b")
OPEN = (ItemState.WAITING, ItemState.ACTING)


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


class SplitOperator(ChunkTask, BaseOperator):
    """Find out the chunks of a range, once for all tries of the run.

    The XCom is a list with one entry for each mapped task, which does one chunk or, where there
    are more than Airflow can map, some one after the other.

    Args:
        action: the spec's ``backfill``.
        begin: first moment, ISO 8601 (templated).
        end: the moment after the last (templated).
        dry_run: only list the chunks (templated).
        plan_ref: the plan that this is a step of.

    Raises:
        RefusedError: the range cannot be split, or has too many chunks.
        UnavailableError: the database with the keys does not answer.
    """

    again = True
    template_fields: Sequence[str] = ("begin", "end", "dry_run")

    def __init__(self, *, action: Backfill, **kwargs: Any) -> None:
        super().__init__(action=action, **kwargs)
        begin, end = action.from_, action.to
        self.begin = begin.isoformat() if isinstance(begin, datetime) else begin
        self.end = end.isoformat() if isinstance(end, datetime) else end
        self.dry_run = action.dry_run

    def act(self, context: Context) -> list[str]:
        """Split, unless that is settled already."""
        from planner_provider.operators.backfill import truth

        items = self.items(context)
        if not items:
            chunks = self._split()
            if self.action.order == "newest_first":
                chunks = chunks[::-1]
            self.log.info("%d chunks.", len(chunks))
            if truth(self.dry_run):
                for chunk in chunks:
                    self.log.info("Dry run: %s to %s", chunk.begin, chunk.end)
                return []
            open_ledger().add_items(self._items(context, chunks))
            items = self.items(context)
        return [_label(batch(items, number)) for number in range(batches(len(items)))]

    def _split(self) -> tuple[Chunk, ...]:
        from planner_provider.operators.backfill_target import moment

        begin, end = moment(self.begin, "from"), moment(self.end, "to")
        if begin >= end:
            raise RefusedError(f"`from` must be before `to`; this is {begin} to {end}")
        assert self.action.chunks is not None
        try:
            if self.action.chunks.size is not None:
                return chunks_of_time(begin, end, self.action.chunks.size)
            keys = self.action.chunks.keys
            assert keys is not None
            first = self._key(keys.connection, keys.first, begin, end)
            last = self._key(keys.connection, keys.last, begin, end)
            if first is None or last is None:
                return ()
            return chunks_of_keys(first, last, keys.size)
        except ValueError as error:
            raise RefusedError(f"{error}. Nothing was done. Make the chunks larger") from error

    def _key(self, connection: str, sql: str, begin: datetime, end: datetime) -> int | None:
        from planner_provider.hooks.sql import SqlRequest, SqlSession

        span = Chunk(*(f"{at:%Y-%m-%d %H:%M:%S}" for at in (begin, end)))
        result = SqlSession(self.log).run(
            SqlRequest(
                connection=connection,
                sql=sql,
                parameters=_bound(sql, {"begin": span.begin, "end": span.end}),
                read_only=True,
            )
        )
        value = result.value
        if not result.has_row or value is None:
            return None
        if isinstance(value, bool) or int(value) != value:
            raise RefusedError(f"`{sql}` gave {value!r}, which is no whole number")
        return int(value)

    def _items(self, context: Context, chunks: Sequence[Chunk]) -> list[WorkItem]:
        plan_id, step = self.run_of(context), self.step_of()
        return [
            WorkItem(
                plan_id=plan_id,
                step=step,
                item=chunk.name,
                position=position,
                facts={"begin": chunk.begin, "end": chunk.end},
            )
            for position, chunk in enumerate(chunks)
        ]


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
            if not self._take(context, item):
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
        """Do a chunk, and write down how it ended. What a person must look at is raised."""
        self._move(item, ItemState.ACTING, None)
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
            inner.parameters = {**_bound(inner.statement, typed), **inner.parameters}
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
        return open_ledger().take_slot(item.plan_id, item.step, item.item, places.limit, now=now)

    def _defer(self, context: Context, item: WorkItem) -> None:
        from planner_provider.hooks.chunk_slots import ASKS
        from planner_provider.triggers.slots import SlotTrigger

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


def _bound(sql: str, values: dict[str, Any]) -> dict[str, Any]:
    """Those values that the SQL names."""
    named = set(NAMED.findall(sql))
    return {name: value for name, value in values.items() if name in named}


def _label(items: Sequence[WorkItem]) -> str:
    """How a mapped task is called."""
    first, last = items[0].facts, items[-1].facts
    ends = sorted((str(first["begin"]), str(last["begin"])), key=lambda text: (len(text), text))
    return ends[0] if len(items) == 1 else f"{ends[0]} to {ends[1]} ({len(items)} chunks)"
