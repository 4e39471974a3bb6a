"""The simulated clock: real time with a speed factor, or stepped by hand.

All times in whole milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

STEPPED_START_MS = int(datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp() * 1000)
"""Where a stepped clock begins unless told otherwise: a Monday at noon, always the same."""

MIN_SPEED, MAX_SPEED = 0.01, 600.0


class Clock:
    """Simulated time since 1970 in milliseconds.

    Without ``speed`` the clock stands still until ``advance``. With it, the clock runs ``speed``
    times as fast as real time from ``start_ms`` on; ``monotonic`` is replaced in tests.
    """

    def __init__(
        self,
        start_ms: int,
        speed: float | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.speed = speed
        self._monotonic = monotonic
        self._base_ms = start_ms
        self._base = monotonic()

    @property
    def stepped(self) -> bool:
        """Whether this clock only moves by ``advance``."""
        return self.speed is None

    def now_ms(self) -> int:
        """The simulated time."""
        if self.speed is None:
            return self._base_ms
        return self._base_ms + int((self._monotonic() - self._base) * 1000 * self.speed)

    def advance(self, ms: int) -> None:
        """Move a stepped clock on."""
        self._base_ms += ms

    def rebase(self, now_ms: int) -> None:
        """Say that it is ``now_ms`` now; used when the simulation fell too far behind."""
        self._base_ms = now_ms
        self._base = self._monotonic()


def iso(ms: int) -> str:
    """A time in milliseconds as ISO 8601 text in UTC, to the second, ending in ``Z``."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wall_ms() -> int:
    """The real time."""
    return time.time_ns() // 1_000_000
