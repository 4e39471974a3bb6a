"""Waiting for locks in the triggerer: one look at the ledger an interval, for all who wait."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import TriggerEvent

from planner_provider.errors import PlannerError
from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.triggers.aborts import AbortWatch
from planner_provider.triggers.looking import KeptTrigger
from planner_provider.triggers.sharing import asked_once

log = logging.getLogger(__name__)

EVERY = 3.0
"""Seconds between two looks at the queue, of all triggers of a process together."""
LOOK = 1.0
"""Seconds after which a trigger looks again at what is known."""
SETTLED = timedelta(seconds=10)
"""How long after its start a trigger takes it for a fact that its run is not in the queue."""

_waiting: Counter[str] = Counter()
"""The runs that triggers of this process wait for."""


class LocksTrigger(KeptTrigger):
    """End when the run may have its locks, when its time is over, or when a person stopped it.

    Meanwhile it keeps the run's place in the queue. It cannot take the locks: it says only that
    they look free, and the task takes them, or waits on. The event is ``{"free": True}``,
    ``{"late": True}`` or ``{"abort": moment}``.

    Args:
        plan_id: the run that waits.
        deadline: ISO 8601; when to end at the latest.
        not_before: ISO 8601; no event earlier. A trigger that fires within three seconds of the
            deferral may be lost (apache/airflow issue 66374).
    """

    def __init__(self, *, plan_id: str, deadline: str, not_before: str) -> None:
        super().__init__()
        self.plan_id = plan_id
        self.deadline = deadline
        self.not_before = not_before
        self.aborts = AbortWatch(plan_id, self.log.warning)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to do."""
        _waiting[self.plan_id] += 1
        try:
            began = datetime.now(UTC)
            while True:
                now = datetime.now(UTC)
                event = await self.look(now, settled=now - began >= SETTLED)
                if event is not None:
                    early = datetime.fromisoformat(self.not_before) - datetime.now(UTC)
                    await asyncio.sleep(max(0.0, early.total_seconds()))
                    yield TriggerEvent(event)
                    return
                await asyncio.sleep(LOOK)
        finally:
            _waiting[self.plan_id] -= 1
            if not _waiting[self.plan_id]:
                del _waiting[self.plan_id]

    async def look(self, now: datetime, *, settled: bool = True) -> dict[str, Any] | None:
        """What there is to do now; ``None`` if nothing. A ledger that is away is asked again."""
        if (aborted := await self.aborts.look()) is not None:
            return {"abort": aborted.isoformat()}
        try:
            url = load_settings().sql_alchemy_conn
            blocked = await asked_once(("locks", url), EVERY, _look_at_queue)
        except PlannerError as error:
            log.warning("Not known for now, asked again in %g s: %s", EVERY, error)
        else:
            if not blocked.get(self.plan_id, not settled):
                return {"free": True}
        return {"late": True} if now >= datetime.fromisoformat(self.deadline) else None


def _look_at_queue() -> dict[str, bool]:
    """Keep the places, take back what ended runs hold, and see who is still blocked."""
    ledger, now = open_ledger(), datetime.now(UTC)
    ledger.keep_places(list(_waiting), now=now)
    ledger.reap(now=now, actor="triggerer", silence=load_settings().silence)
    return {line.waiter.plan_id: bool(line.blockers) for line in ledger.lease_queue(now=now)}
