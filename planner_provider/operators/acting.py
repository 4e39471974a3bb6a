"""What a step knows while it acts, and how it is told to stop."""

from __future__ import annotations

import threading


class Stopped(BaseException):
    """The task was told to stop while it acted. Not an ``Exception``: actions must let it pass."""


class Acting:
    """What a step knows while it acts."""

    def __init__(self, *, needed: bool) -> None:
        self.needed = needed
        """Whether to act at all. ``False``: it is already done, or there is nothing to undo."""
        self.stop = threading.Event()
        self.why = ""
        self.in_body = False
        self.generation: int | None = None
        """Generation of the lease under which it acts."""

    def tell_to_stop(self, why: str) -> None:
        """Ask the action to end. Its loops look at ``PlanStepMixin.stopping``."""
        self.why = self.why or why
        self.stop.set()
