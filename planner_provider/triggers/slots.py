"""Wait for a slot under the limit of a step, and take it: one look for all who wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import TriggerEvent

from planner_provider.errors import PlannerError
from planner_provider.hooks.chunk_slots import Gauge, Places, look
from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.triggers.aborts import AbortWatch
from planner_provider.triggers.looking import KeptTrigger
from planner_provider.triggers.sharing import asked_once

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two looks, of all triggers of a step in a process together."""
FIRST_EVENT = 3.5
"""Seconds from the start before which nothing is said: Airflow may lose earlier events."""


class SlotTrigger(KeptTrigger):
    """End when an item has a slot (``{"slot": item}``), or the run is stopped (``{"abort": ...}``).

    It takes the slot for the item, so that no more tasks go on than there are slots; the task
    takes it again, which changes nothing.

    Args:
        gauge: JSON of the `Gauge` of the step.
        item: the item that waits.
    """

    def __init__(self, *, gauge: str, item: str) -> None:
        super().__init__()
        self.gauge = gauge
        self.item = item

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the slot is taken."""
        began = time.monotonic()
        gauge = Gauge.model_validate_json(self.gauge)
        while True:
            event = await self.attempt(gauge)
            if event is not None:
                await asyncio.sleep(max(0.0, FIRST_EVENT - (time.monotonic() - began)))
                yield TriggerEvent(event)
                return
            await asyncio.sleep(EVERY)

    async def attempt(self, gauge: Gauge) -> dict[str, Any] | None:
        """Try once; ``None`` if there is nothing yet. What is away is asked again."""
        aborted = await AbortWatch(gauge.plan_id, log.warning).look()
        if aborted is not None:
            return {"abort": aborted.isoformat()}
        try:
            url = load_settings().sql_alchemy_conn
            places: Places = await asked_once(
                ("slots", url, gauge.plan_id, gauge.step),
                EVERY,
                lambda: look(gauge, open_ledger(), datetime.now(UTC)),
            )
            if places.may_try(self.item):
                loop = asyncio.get_running_loop()
                if await loop.run_in_executor(None, self._take, gauge, places.limit):
                    return {"slot": self.item}
        except PlannerError as error:
            log.warning("Not known for now, asked again in %g s: %s", EVERY, error)
        return None

    def _take(self, gauge: Gauge, limit: int) -> bool:
        return open_ledger().take_slot(
            gauge.plan_id, gauge.step, self.item, limit, now=datetime.now(UTC)
        )
