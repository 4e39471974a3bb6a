"""Looks at a canary again and again, until it is certain how the watch over one weight ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from planner_provider.triggers.aborts import AbortWatch
from planner_provider.triggers.looking import KeptTrigger

if TYPE_CHECKING:
    from planner_provider.hooks.canary_watch import CanaryLook

FIRST_EVENT = 3.0
"""Seconds from the start before which nothing is said: Airflow may lose earlier events."""


class CanaryTrigger(KeptTrigger):
    """Watches one weight of a canary. Fires once.

    The event is ``{"end": ..., "decisions": [...], "looks": ...}`` with the ``BakeEnd``, the JSON
    of the decisions of the last look, and the number of looks; or ``{"abort": ...}`` with the
    moment of the abort. If the triggerer dies, the next one goes on by the same moments.

    Args:
        watch: JSON of a ``hooks.canary_watch.CanaryWatch``.
        every: seconds between two looks.
        plan_id: the run that ends the watch when it is aborted.
    """

    def __init__(self, *, watch: str, every: float, plan_id: str | None = None) -> None:
        super().__init__()
        self.watch = watch
        self.every = every
        self.plan_id = plan_id

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the end is certain."""
        from planner_provider.hooks.canary_watch import CanaryWatch, look_at_canary

        begun, number, told = time.monotonic(), 0, ""
        watch = CanaryWatch.model_validate_json(self.watch)
        aborts = AbortWatch(self.plan_id, self.log.warning)
        while True:
            number += 1
            look = await asyncio.to_thread(look_at_canary, watch, number)
            if look.summary != told:
                told = look.summary
                self.log.info("Look %d at weight %d: %s", number, watch.weight, told)
            if look.end is not None:
                event = event_of(look, number)
                break
            aborted = await aborts.until(time.time() + self.every)
            if aborted is not None:
                event = {"abort": aborted.isoformat()}
                break
        await asyncio.sleep(FIRST_EVENT - (time.monotonic() - begun))
        yield TriggerEvent(event)


def event_of(look: CanaryLook, number: int) -> dict[str, Any]:
    """What the task is told."""
    return {
        "end": look.end.value if look.end else None,
        "decisions": [json.loads(item.decision.model_dump_json()) for item in look.looks],
        "looks": number,
    }
