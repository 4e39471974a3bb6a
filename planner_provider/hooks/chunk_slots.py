"""Slots for chunks of a backfill: so many at once as the throttle of the step allows."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from planner_provider.decide.model import Frozen
from planner_provider.decide.slo import SloRules
from planner_provider.graph.slos import Slo
from planner_provider.hooks.throttler import Throttler
from planner_provider.ledger.rows import ItemState
from planner_provider.spec.workloads import Throttle

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger

ASKS = "waits for a slot"
"""What is told of an item that asked for a slot and got none."""
SLACK = 2
"""So many more than there are free slots may try for one, in case one of the first is gone."""
STRAY = 0.02
"""Chance to try for a slot out of turn, so that nobody waits for those who are gone."""


class Gauge(Frozen):
    """What decides how many chunks of a step run at once. JSON, so that a trigger has it."""

    plan_id: str
    step: str
    throttle: Throttle
    slos: tuple[Slo, ...] = ()
    """Those of the plan, of which the throttle may follow one."""
    guards: tuple[Slo, ...] = ()
    """While one of these is breached or not known, nothing new begins."""
    rules: SloRules = SloRules(in_progress=True)


@dataclass(frozen=True, slots=True)
class Places:
    """What there is at one moment."""

    limit: int
    holders: frozenset[str]
    """Items that have a slot."""
    asking: tuple[str, ...]
    """Items that asked for a slot and have none, in their order."""
    held: str = ""
    """Who holds the run since when and why; empty if nobody does. While it is, none goes on."""

    def may_try(self, item: str, chance: Callable[[], float] = random.random) -> bool:
        """Whether it is worth while for an item to try for a slot now; surely if it has one."""
        if self.held:
            return False
        if item in self.holders:
            return True
        free = self.limit - len(self.holders)
        if free <= 0:
            return False
        return item in self.asking[: free + SLACK] or item not in self.asking or chance() < STRAY


def look(gauge: Gauge, ledger: Ledger, now: datetime) -> Places:
    """Let the throttle tick if it is time to, and count. Raises what the ledger raises.

    While a person holds the run the limit is 0 and the throttle rests, as it would without a task.
    """
    run = ledger.run(gauge.plan_id)
    held = run.held_words if run is not None else ""
    items = ledger.items_of(gauge.plan_id, gauge.step)
    holders = frozenset(s.holder for s in ledger.slot_holders(gauge.plan_id, gauge.step))
    ended = sum(item.state in (ItemState.DONE, ItemState.FAILED) for item in items)
    throttler = Throttler(
        ledger,
        gauge.plan_id,
        gauge.step,
        gauge.throttle,
        slos=gauge.slos,
        guard=lambda: guard_of(gauge, now),
    )
    return Places(
        limit=0 if held else throttler.tick(now, len(holders), ended),
        holders=holders,
        asking=tuple(
            item.item for item in items if item.state is ItemState.WAITING and item.detail == ASKS
        ),
        held=held,
    )


def guard_of(gauge: Gauge, now: datetime) -> str | None:
    """Why nothing new may begin, by the guards; ``None`` if it may."""
    if not gauge.guards:
        return None
    from planner_provider.hooks.slo_facts import look_at

    verdict = look_at(gauge.guards, gauge.rules, clock=lambda: now).verdict
    return None if verdict.passes else f"A guard refuses: {verdict.reasons[0].text}"
