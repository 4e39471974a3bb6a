"""Wait until a moment, or until a person stops the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from planner_provider.triggers.aborts import AbortWatch

EVERY = 3.0
"""Seconds between two looks."""


class MomentTrigger(BaseTrigger):
    """End at a moment (event ``{"due": moment}``) or on an abort (``{"abort": moment}``).

    Args:
        moment: ISO 8601; absolute, so that a restart of the triggerer begins nothing anew.
        not_before: ISO 8601; no event earlier. A trigger that fires within three seconds of the
            deferral may be lost (apache/airflow issue 66374).
        plan_id: the run whose abort ends this; ``None`` outside of plans.
    """

    def __init__(self, *, moment: str, not_before: str, plan_id: str | None = None) -> None:
        super().__init__()
        self.moment = moment
        self.not_before = not_before
        self.plan_id = plan_id
        self.aborts = AbortWatch(plan_id, self.log.warning)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Name and arguments, for the triggerer."""
        arguments = {name: getattr(self, name) for name in ("moment", "not_before", "plan_id")}
        return "planner_provider.triggers.moment.MomentTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the time has come."""
        while True:
            event = await self.look(datetime.now(UTC))
            if event is not None:
                early = datetime.fromisoformat(self.not_before) - datetime.now(UTC)
                await asyncio.sleep(max(0.0, early.total_seconds()))
                yield TriggerEvent(event)
                return
            left = (datetime.fromisoformat(self.moment) - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(max(0.05, min(EVERY, left)))

    async def look(self, now: datetime) -> dict[str, Any] | None:
        """What there is to do now; ``None`` if nothing. A ledger that is away is asked again."""
        if (aborted := await self.aborts.look()) is not None:
            return {"abort": aborted.isoformat()}
        return {"due": self.moment} if now >= datetime.fromisoformat(self.moment) else None
