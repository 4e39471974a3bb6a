"""Whether a person stopped the run that a trigger waits for: one query for all of them."""

from __future__ import annotations

from datetime import datetime

from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.triggers.sharing import asked_once

EVERY = 2.0
"""Seconds between two looks into the ledger, of all triggers of a process together."""


async def abort_of(plan_id: str) -> datetime | None:
    """When a person stopped the run; ``None`` if nobody did.

    Raises ``UnavailableError`` if the ledger does not answer.
    """
    settings = load_settings()
    aborts = await asked_once(
        ("aborts", settings.sql_alchemy_conn), EVERY, lambda: open_ledger().open_aborts()
    )
    return aborts.get(plan_id)
