"""Wait while a person holds the run: one look at the ledger an interval, for all who wait."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from planner_provider.errors import PlannerError
from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.triggers.aborts import AbortWatch
from planner_provider.triggers.looking import LookingTrigger
from planner_provider.triggers.sharing import asked_once

EVERY = 2.0
"""Seconds between two looks into the ledger, of all triggers of a process together."""
LOOK = 1.0
"""Seconds after which a trigger looks again at what is known."""


async def is_held(plan_id: str) -> bool:
    """Whether a person holds the run. Raises ``UnavailableError`` if the ledger does not answer."""
    url = load_settings().sql_alchemy_conn
    found = await asked_once(("holds", url), EVERY, lambda: open_ledger().held_runs())
    return plan_id in found


class HoldTrigger(LookingTrigger):
    """End when nobody holds the run any more, or when there is no use in waiting on.

    What the event says (``{"resumed": True}``, ``{"late": True}`` or ``{"abort": moment}``) is only
    a hint: the task asks again whether it may begin. While the ledger does not answer it waits on.

    Args:
        plan_id: the run.
        ask_at: ISO 8601; from then on the task will be refused, as its time or its window is over.
            ``None``: never.
        not_before: ISO 8601; no event earlier, for Airflow may lose it.
    """

    def __init__(self, *, plan_id: str, ask_at: str | None, not_before: str) -> None:
        super().__init__()
        self.plan_id = plan_id
        self.ask_at = ask_at
        self.not_before = not_before
        self.aborts = AbortWatch(plan_id, self.log.warning)

    def pause(self, now: datetime) -> float:
        """Seconds until the next look."""
        return LOOK

    async def look(self, now: datetime) -> dict[str, Any] | None:
        """What there is to do now; ``None`` if nothing."""
        if (aborted := await self.aborts.look()) is not None:
            return {"abort": aborted.isoformat()}
        try:
            if not await is_held(self.plan_id):
                return {"resumed": True}
        except PlannerError as error:
            self.log.warning("Whether the run is held is not known, asked again: %s", error)
        late = self.ask_at is not None and now >= datetime.fromisoformat(self.ask_at)
        return {"late": True} if late else None
