"""A step that acts says so every few seconds, and hears in return whether it must stop."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from planner_provider.errors import PlannerError
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Act
from planner_provider.operators.clock import Clock

log = logging.getLogger(__name__)


class LifeSigns:
    """A thread that writes life signs for an act while the ``with`` block runs."""

    def __init__(
        self,
        ledger: Ledger,
        act: Act,
        *,
        every: timedelta,
        clock: Clock,
        stop: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._act = act
        self._every = every.total_seconds()
        self._clock = clock
        self._stop = stop
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="planner-life-signs", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(timeout=self._every)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                reason = self._ledger.life_sign(self._act.id, now=self._clock.now())
            except PlannerError as error:
                log.warning("No life sign could be written: %s", error)
                continue
            if reason is not None and not self._over.is_set():
                self._stop(reason)
                return


def interrupt_task() -> None:
    """End what the task's main thread is doing, the way Airflow does: SIGTERM, then ``on_kill``.

    Without a handler, as in ``dag.test()``, nothing is sent: it would end the whole process.
    """
    if callable(signal.getsignal(signal.SIGTERM)):
        os.kill(os.getpid(), signal.SIGTERM)
