"""What is looked at now and then by whoever waits: holds to be told, notices that were left."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from planner_provider.errors import PlannerError
from planner_provider.hooks.settings import open_ledger
from planner_provider.notifications.plans import note_holds
from planner_provider.notifications.sender import Sender

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger

log = logging.getLogger(__name__)

SENDER = Sender(open_ledger)
"""Sends in a thread of its own: a trigger that waits is not held up by a chat."""


def look(ledger: Ledger, now: datetime) -> None:
    """Write down what began or ended without a task that could tell, and have it sent.

    Three short queries when there is nothing to tell. Never raises.
    """
    note_holds(ledger, now=now)
    try:
        due = ledger.next_notice_due()
    except PlannerError as error:
        log.warning("Whether notices are left is not known: %s", error)
        return
    if due is not None and due <= now:
        SENDER.wake()
