"""A process that sends what is left, for the scheduler.

The scheduler learns that a run has ended when no task of it is left that could tell so. It may not
wait for a chat, and no thread of it may either: the scheduler forks the processes of tasks, and
what another thread holds at that moment (the lock of a module that is being imported, say) stays
held in those for ever.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from datetime import timedelta

log = logging.getLogger(__name__)

PROGRAM = (sys.executable, "-m", "planner_provider.notifications.sender_process")
LONGEST_LIFE = timedelta(hours=2)
"""What still waits then is sent by whoever comes next."""


class SenderProcess:
    """Has a process send in the background. At most one of an object runs."""

    def __init__(self, program: tuple[str, ...] = PROGRAM) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def wake(self, after: timedelta = timedelta(0)) -> None:
        """There may be something to send, now or after some time. Returns at once.

        A process that runs looks for itself, at least once a minute.
        """
        if self._process is not None and self._process.poll() is None:
            return
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [*self._program, str(after.total_seconds()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            log.warning("Notices wait, because no process could be started: %s", error)

    def wait(self, seconds: float) -> bool:
        """Wait until the process has ended; ``False`` if it runs on after so long."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def main(arguments: list[str]) -> None:
    """Send until nothing is left. Ends with the process that started it."""
    from planner_provider.hooks.parent_death import die_with_parent
    from planner_provider.hooks.settings import open_ledger
    from planner_provider.notifications.sender import Sender

    die_with_parent()
    if os.getppid() != int(arguments[1]):
        return  # it has ended already
    threading.Event().wait(float(arguments[0]))
    sender = Sender(open_ledger)
    sender.wake()
    sender.wait(LONGEST_LIFE.total_seconds())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(sys.argv[1:])
