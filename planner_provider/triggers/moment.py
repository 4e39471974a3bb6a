"""Wait until a moment, or until a person stops the run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from planner_provider.triggers.aborts import AbortWatch
from planner_provider.triggers.looking import LookingTrigger, pause_until

EVERY = 3.0
"""Seconds between two looks."""


class MomentTrigger(LookingTrigger):
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

    def pause(self, now: datetime) -> float:
        """Seconds until the next look."""
        return pause_until(self.moment, now, EVERY)

    async def look(self, now: datetime) -> dict[str, Any] | None:
        """What there is to do now; ``None`` if nothing. A ledger that is away is asked again."""
        if (aborted := await self.aborts.look()) is not None:
            return {"abort": aborted.isoformat()}
        return {"due": self.moment} if now >= datetime.fromisoformat(self.moment) else None
