"""The one place where operators ask what time it is, so that tests can answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as operators see it."""

    now: Callable[[], datetime] = _utc_now
    """The moment, in UTC, as written into the ledger."""
    monotonic: Callable[[], float] = time.monotonic
    """Seconds that only rise, to measure how long something lasts."""
    sleep: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()
