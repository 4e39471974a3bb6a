"""A thread that sends what is left, for processes that must not wait for it.

It goes on while anything waits to be told, also what others could not send, and ends when nothing
does. For the scheduler, see ``sender_process``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from planner_provider.errors import PlannerError
from planner_provider.notifications.clock import Now, utc_now

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger

log = logging.getLogger(__name__)

LONGEST_PAUSE = timedelta(minutes=1)
SHORTEST_PAUSE = timedelta(seconds=1)


class Sender:
    """Sends in the background. At most one thread of an object runs."""

    def __init__(self, open_ledger: Callable[[], Ledger], now: Now = utc_now) -> None:
        self._open = open_ledger
        self._now = now
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def wake(self, after: timedelta = timedelta(0)) -> None:
        """There may be something to send, now or after some time. Returns at once."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                self._wake.set()
                return
            self._thread = threading.Thread(
                target=self._run, args=(after.total_seconds(),), daemon=True,
                name="planner-notices",
            )  # fmt: skip
            self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is left to send; ``False`` if something is after so long."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return thread is None or not thread.is_alive()

    def _run(self, after: float) -> None:
        self._wake.wait(after)
        while True:
            self._wake.clear()
            pause = self._round()
            with self._lock:
                if pause is None and not self._wake.is_set():
                    self._thread = None
                    return
            self._wake.wait((pause or SHORTEST_PAUSE).total_seconds())

    def _round(self) -> timedelta | None:
        """Send what is due; give how long to wait, or ``None`` if nothing waits."""
        from planner_provider.notifications.outbox import send_due

        try:
            ledger = self._open()
            send_due(ledger, now=self._now)
            due = ledger.next_notice_due()
        except PlannerError as error:
            log.warning("Notices wait, because the ledger does not answer: %s", error)
            return LONGEST_PAUSE
        except Exception:
            log.exception("Notices could not be sent; they are tried again.")
            return LONGEST_PAUSE
        if due is None:
            return None
        return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, due - self._now()))
