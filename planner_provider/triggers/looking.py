"""What triggers have in common: how they are kept, and the loop of those that look at intervals."""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class KeptTrigger(BaseTrigger):
    """A trigger whose arguments are its attributes of the same names."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Path and arguments, as Airflow keeps them."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {name: getattr(self, name) for name in names},
        )


class LookingTrigger(KeptTrigger):
    """Looks at intervals until there is something to do, which is its one event.

    No event comes before ``not_before`` (ISO 8601): Airflow may lose the event of a trigger that
    fires within three seconds of the deferral (apache/airflow issue 66374).
    """

    not_before: str

    @abstractmethod
    async def look(self, now: datetime) -> dict[str, Any] | None:
        """What there is to do now; ``None`` if nothing."""

    @abstractmethod
    def pause(self, now: datetime) -> float:
        """Seconds until the next look."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to do."""
        while (event := await self.look(datetime.now(UTC))) is None:
            await asyncio.sleep(self.pause(datetime.now(UTC)))
        early = datetime.fromisoformat(self.not_before) - datetime.now(UTC)
        await asyncio.sleep(max(0.0, early.total_seconds()))
        yield TriggerEvent(event)


def pause_until(moment: str, now: datetime, most: float) -> float:
    """Seconds to pause where a moment (ISO 8601) must not be missed: never more than ``most``."""
    return max(0.05, min(most, (datetime.fromisoformat(moment) - now).total_seconds()))
