"""The first task of a ``backfill`` step over chunks: which there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.decide.chunks import (
    Chunk,
    batch,
    batches,
    chunks_of_keys,
    chunks_of_time,
)
from planner_provider.errors import RefusedError
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.rows import WorkItem
from planner_provider.operators.chunk_task import ChunkTask, bound
from planner_provider.spec.workloads import Backfill

if TYPE_CHECKING:
    from airflow.sdk import Context


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
                parameters=bound(sql, {"begin": span.begin, "end": span.end}),
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


def _label(items: Sequence[WorkItem]) -> str:
    """How a mapped task is called."""
    first, last = items[0].facts, items[-1].facts
    ends = sorted((str(first["begin"]), str(last["begin"])), key=lambda text: (len(text), text))
    return ends[0] if len(items) == 1 else f"{ends[0]} to {ends[1]} ({len(items)} chunks)"
