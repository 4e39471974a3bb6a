"""The partitions of a backfill in the ledger, and the agreement with other plans about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from planner_provider.decide.partitions import Tally, Way
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.operators.backfill_target import Listing, shown
from planner_provider.operators.backfill_work import BackfillWork
from planner_provider.operators.clock import Clock

BY_HAND = timedelta(days=1)
"""So long a partition is taken to be worked on by a task that belongs to no plan."""
ENDED = (ItemState.DONE, ItemState.FAILED, ItemState.SKIPPED)


def items_of(listing: Listing, work: BackfillWork) -> tuple[WorkItem, ...]:
    """The partitions as the ledger keeps them."""
    return tuple(
        WorkItem(
            plan_id=work.plan_id,
            step=work.step,
            item=shown(partition.logical_date),
            position=position,
            state=ItemState.SKIPPED if partition.choice.way is Way.SKIP else ItemState.WAITING,
            detail=partition.choice.why,
            facts={
                "end": shown(listing.ends[partition.logical_date]),
                "fresh": partition.run is None,
            },
        )
        for position, partition in enumerate(listing.partitions, start=1)
    )


def tally_of(items: Mapping[str, WorkItem]) -> Tally:
    """Where the items stand."""
    states = [item.state for item in items.values()]
    return Tally(
        done=states.count(ItemState.DONE),
        failed=states.count(ItemState.FAILED),
        skipped=states.count(ItemState.SKIPPED) + states.count(ItemState.GONE),
        running=states.count(ItemState.ACTING),
        waiting=states.count(ItemState.WAITING),
    )


def date_of(item: WorkItem) -> datetime:
    """The logical date of an item."""
    return datetime.fromisoformat(item.item)


class BackfillItems:
    """The items of one backfill. Only the step that acts moves them, so they are read once."""

    def __init__(self, ledger: Ledger, work: BackfillWork, clock: Clock) -> None:
        self._ledger = ledger
        self._work = work
        self._clock = clock
        items = ledger.items_of(work.plan_id, work.step)
        self._items = {item.item: item for item in items}
        self._claimed = {i.item for i in items if i.facts.get("fresh") is False}
        self.tally = tally_of(self._items)
        """Where they stand."""
        self.begun = min((i.started_at for i in items if i.started_at), default=clock.now())
        """When the first of them was begun."""

    def of(self, state: ItemState) -> list[WorkItem]:
        """Those in a state, in the order in which they are begun."""
        return [item for item in self._items.values() if item.state is state]

    def ends(self) -> list[datetime]:
        """When those ended that were run."""
        ran = (*self.of(ItemState.DONE), *self.of(ItemState.FAILED))
        return [item.ended_at for item in ran if item.ended_at]

    def move(self, item: WorkItem, state: ItemState, detail: str, **facts: Any) -> WorkItem:
        """Set the state of an item; ``facts`` are laid over what is known of it."""
        now = self._clock.now()
        self._ledger.move_item(
            self._work.plan_id, self._work.step, item.item, state,
            now=now, detail=detail, facts=facts or None,
        )  # fmt: skip
        moved = replace(
            self._items[item.item],
            state=state,
            detail=detail,
            facts={**item.facts, **facts},
            ended_at=now if state in ENDED else None,
        )
        self._items[item.item] = moved
        self.tally = tally_of(self._items)
        if state is not ItemState.ACTING:
            self.give_back(item)
        return moved

    def begin(self, item: WorkItem, detail: str, **facts: Any) -> WorkItem | None:
        """Let an item act; ``None``, with nothing changed, while a person holds the run."""
        held = self._ledger.begin_item(
            self._work.plan_id, self._work.step, item.item,
            now=self._clock.now(), detail=detail, facts=facts or None,
        )  # fmt: skip
        if held is not None:
            return None
        begun = replace(
            self._items[item.item], state=ItemState.ACTING, detail=detail,
            facts={**item.facts, **facts}, ended_at=None,
        )  # fmt: skip
        self._items[item.item] = begun
        self.tally = tally_of(self._items)
        return begun

    def claim(self, item: WorkItem) -> str | None:
        """Keep other plans from this partition; why not, if one of them works on it."""
        place, name = self._work.place, item.item
        for _ in range(2):
            if self._ledger.take_slot(place, name, self._work.holder, 1, now=self._clock.now()):
                self._claimed.add(name)
                return None
            for slot in self._ledger.slot_holders(place, name):
                plan_id, _, step = slot.holder.partition(" ")
                run = self._ledger.run(plan_id)
                if run is None:  # of a DAG written by hand: whether it goes on is not known
                    works = self._clock.now() - slot.taken_at < BY_HAND
                else:
                    works = run.outcome is None
                if works:
                    return f"step {step} of {plan_id} works on it"
                self._ledger.give_slot_back(place, name, slot.holder)
        return "another plan works on it"

    def give_back(self, item: WorkItem) -> None:
        """Let other plans work on this partition."""
        if item.item in self._claimed:
            self._claimed.discard(item.item)
            self._ledger.give_slot_back(self._work.place, item.item, self._work.holder)
