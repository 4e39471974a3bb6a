"""Waiting for a maintenance window in the triggerer."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow.triggers.base import TriggerEvent

from planner_provider.errors import PlannerError
from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.triggers.aborts import AbortWatch
from planner_provider.triggers.looking import KeptTrigger
from planner_provider.triggers.sharing import asked_once

if TYPE_CHECKING:
    from planner_provider.graph.calendars import PlanCalendar
    from planner_provider.ledger.rows import CalendarChange

EVERY = 30.0
"""Seconds between two looks for freezes and overrides, of all triggers of a process together."""


class WindowTrigger(KeptTrigger):
    """Ends when work may start: event ``{"open": moment}``.

    Also at a deadline (``{"late": moment}``), and when the run is stopped (``{"abort": moment}``).
    What people change about the calendar meanwhile is looked at twice a minute. While the ledger
    does not answer it waits on: what is not known opens no window.

    Args:
        calendar: JSON of a ``PlanCalendar``.
        needs: seconds that the work needs; ``None``: any time will do.
        not_before: seconds since 1970; no event earlier, for Airflow may lose it.
        deadline: seconds since 1970 after which there is no use in waiting; ``None``: no end.
        plan_id: the run whose abort ends this; ``None`` outside of plans.
    """

    def __init__(
        self,
        *,
        calendar: str,
        needs: float | None = None,
        not_before: float = 0.0,
        deadline: float | None = None,
        plan_id: str | None = None,
    ) -> None:
        super().__init__()
        self.calendar = sys.intern(calendar)
        self.needs = needs
        self.not_before = not_before
        self.deadline = deadline
        self.plan_id = plan_id
        self.aborts = AbortWatch(plan_id, self.log.warning)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to do."""
        aborted = await self.aborts.until(self.not_before)
        told: datetime | None = None
        while aborted is None:
            now = datetime.now(UTC)
            opens, known = await self.look(now)
            if known and opens is not None and opens <= now:
                yield TriggerEvent({"open": now.isoformat()})
                return
            if self.deadline is not None and now.timestamp() >= self.deadline:
                yield TriggerEvent({"late": now.isoformat()})
                return
            if opens != told:
                told = opens
                self.log.info("The window opens at %s.", opens.isoformat() if opens else "no time")
            aborted = await self.aborts.until(self._next_look(opens if known else None))
        yield TriggerEvent({"abort": aborted.isoformat()})

    async def look(self, now: datetime) -> tuple[datetime | None, bool]:
        """When work may start, as far as is known, and whether it is known."""
        from planner_provider.decide.windows import earliest_start
        from planner_provider.ledger.calendar_changes import counted

        calendar = _calendar(self.calendar)
        needs = None if self.needs is None else timedelta(seconds=self.needs)
        try:
            settings = load_settings()
            changes = await asked_once(
                ("calendar changes", settings.sql_alchemy_conn), EVERY, _changes_in_sight
            )
            counts = counted(calendar, changes, settings.override_users)
            return earliest_start(calendar, now, needs, counts), True
        except PlannerError as error:
            self.log.warning("Whether the window is open is not known, asked again: %s", error)
            return None, False

    def _next_look(self, opens: datetime | None) -> float:
        now = time.time()
        moments = [now + EVERY, *([self.deadline] if self.deadline is not None else [])]
        if opens is not None:
            moments.append(opens.timestamp())
        return max(min(moments), now + 0.05)


def _changes_in_sight() -> tuple[CalendarChange, ...]:
    return open_ledger().changes_in_sight(datetime.now(UTC))


@lru_cache(maxsize=256)
def _calendar(text: str) -> PlanCalendar:
    from planner_provider.graph.calendars import PlanCalendar

    return PlanCalendar.from_json(text)
