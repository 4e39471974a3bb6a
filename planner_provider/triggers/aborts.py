"""Whether there is use in waiting on: one query for all triggers of a process.

There is none when a person or the end of its window stopped the run, or when another step of it
failed for good.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from planner_provider.errors import PlannerError
from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.triggers.sharing import asked_once

EVERY = 2.0
"""Seconds between two looks into the ledger, of all triggers of a process together."""


LOOKS_EVERY = 4.0
"""Seconds between two looks of one trigger."""


async def abort_of(plan_id: str) -> datetime | None:
    """When the run was stopped, or began to fail; ``None`` if it goes on.

    Raises ``UnavailableError`` if the ledger does not answer.
    """
    settings = load_settings()
    aborts = await asked_once(("aborts", settings.sql_alchemy_conn), EVERY, _stops)
    return aborts.get(plan_id)


def _stops() -> dict[str, datetime]:
    """The runs that were stopped; those whose window has ended meanwhile are stopped first.

    People are told on the way of what no task tells: holds, and what could not be sent before.
    """
    from planner_provider.notifications.looking import look

    ledger, now = open_ledger(), datetime.now(UTC)
    ledger.end_windows(now)
    stops = ledger.open_stops()
    look(ledger, now)
    return stops


class AbortWatch:
    """Looks for the end of the run while a trigger waits.

    Args:
        plan_id: the run; ``None`` outside of plans, where nobody can abort it.
        tell: warns when the ledger does not answer; it is asked again.
    """

    def __init__(self, plan_id: str | None, tell: Callable[..., None]) -> None:
        self.plan_id = plan_id
        self.tell = tell

    async def look(self) -> datetime | None:
        """When the run was stopped, or began to fail; ``None`` if it goes on, or is not known."""
        if self.plan_id is None:
            return None
        try:
            return await abort_of(self.plan_id)
        except PlannerError as error:
            self.tell("Whether the run was aborted is not known: %s", error)
            return None

    async def until(self, moment: float) -> datetime | None:
        """Sleep until a moment, in seconds since 1970; end early with what `look` gives."""
        while (left := moment - time.time()) > 0:
            await asyncio.sleep(min(left, LOOKS_EVERY) if self.plan_id else left)
            if aborted := await self.look():
                return aborted
        return None
