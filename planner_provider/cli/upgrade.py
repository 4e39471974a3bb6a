"""``planner ledger upgrade``: bring the ledger up to date, or make it."""

from __future__ import annotations

from planner_provider.cli.ledger_access import LedgerUrl, url_of
from planner_provider.cli.terminal import write


def upgrade(ledger: LedgerUrl = None) -> None:
    """Bring the ledger's tables to what this release needs; make them if there are none.

    Safe from many places at once. Tasks of an older release cannot use it afterwards, so do it
    when no run is under way, and back the database up before.
    """
    from planner_provider.ledger import Ledger
    from planner_provider.ledger.engine import shown

    url = url_of(ledger)
    opened = Ledger(url)
    before = opened.version()
    opened.upgrade()
    after = opened.version()
    done = "was up to date" if before == after else f"is upgraded from {before or 'nothing'}"
    write(f"The ledger at {shown(url)} {done}: schema {after}.\n")
