"""The pieces of a long step: targets of a patch rollout, partitions or chunks of a backfill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from planner_provider.ledger.engine import insert_if_absent
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.ledger.schema import WORK_ITEMS

ENDED = (ItemState.DONE, ItemState.FAILED, ItemState.SKIPPED, ItemState.GONE)


def of_step(connection: Connection, plan_id: str, step: str) -> tuple[WorkItem, ...]:
    """All items of a step, in their order."""
    query = (
        select(WORK_ITEMS)
        .where(WORK_ITEMS.c.plan_id == plan_id, WORK_ITEMS.c.step == step)
        .order_by(WORK_ITEMS.c.position, WORK_ITEMS.c.item)
    )
    return tuple(_item(row) for row in connection.execute(query))


def find(connection: Connection, plan_id: str, step: str, item: str) -> WorkItem | None:
    """One item."""
    row = connection.execute(
        select(WORK_ITEMS).where(
            WORK_ITEMS.c.plan_id == plan_id, WORK_ITEMS.c.step == step, WORK_ITEMS.c.item == item
        )
    ).one_or_none()
    return None if row is None else _item(row)


def counts(connection: Connection, plan_id: str, step: str) -> dict[ItemState, int]:
    """How many items of a step there are in each state; states without items are left out."""
    query = (
        select(WORK_ITEMS.c.state, func.count().label("n"))
        .where(WORK_ITEMS.c.plan_id == plan_id, WORK_ITEMS.c.step == step)
        .group_by(WORK_ITEMS.c.state)
    )
    return {ItemState(row.state): row.n for row in connection.execute(query)}


def add(connection: Connection, items: Iterable[WorkItem]) -> int:
    """Write items down. Those that are known are left as they are. Gives how many were new."""
    return sum(
        insert_if_absent(
            connection,
            WORK_ITEMS,
            plan_id=item.plan_id,
            step=item.step,
            item=item.item,
            position=item.position,
            wave=item.wave,
            state=item.state.value,
            detail=item.detail,
            facts=dict(item.facts),
            tries=item.tries,
            started_at=item.started_at,
            ended_at=item.ended_at,
        )
        for item in items
    )


def move(
    connection: Connection,
    plan_id: str,
    step: str,
    item: str,
    state: ItemState,
    *,
    detail: str | None,
    facts: Mapping[str, Any] | None,
    now: datetime,
) -> bool:
    """Set the state of an item; ``False`` if there is none.

    A step into ``acting`` counts as a try and clears the end; the first one is its start. States
    in which nothing goes on get the time of the end. ``facts`` are laid over what is known.
    """
    query = select(WORK_ITEMS).where(
        WORK_ITEMS.c.plan_id == plan_id, WORK_ITEMS.c.step == step, WORK_ITEMS.c.item == item
    )
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        return False
    values: dict[str, Any] = {"state": state.value, "detail": detail}
    if facts:
        values["facts"] = {**row.facts, **facts}
    if state is ItemState.ACTING:
        if row.state != ItemState.ACTING:
            values["tries"] = row.tries + 1
        values |= {"started_at": row.started_at or now, "ended_at": None}
    elif state in ENDED:
        values["ended_at"] = now
    connection.execute(
        update(WORK_ITEMS)
        .where(
            WORK_ITEMS.c.plan_id == plan_id,
            WORK_ITEMS.c.step == step,
            WORK_ITEMS.c.item == item,
        )
        .values(**values)
    )
    return True


def _item(row: Row[Any]) -> WorkItem:
    return WorkItem(
        plan_id=row.plan_id,
        step=row.step,
        item=row.item,
        position=row.position,
        wave=row.wave,
        state=ItemState(row.state),
        detail=row.detail,
        facts=row.facts,
        tries=row.tries,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
