"""Whether a notice that waited for its time is still needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner_provider.ledger.rows import ApprovalState, Outcome
from planner_provider.notifications.letter import Letter

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger


def no_need(ledger: Ledger, letter: Letter) -> str | None:
    """Why nobody needs to be told any more; ``None`` if they do."""
    event = letter.event
    if letter.silence is not None and event.kind == "started":
        started = ledger.run(event.plan_id)
        over = started is not None and started.outcome is not None
        return "The run has ended." if over else None
    if letter.unless_acted is None:
        return None
    run = ledger.run(event.plan_id)
    if run is None:
        return None
    if letter.unless_acted == "needs_approval":
        found = ledger.approval_of(event.plan_id, event.task) if event.task else None
        if found is not None and found.state is not ApprovalState.OPEN:
            return "It was answered."
        return "The run has ended." if run.outcome is not None else None
    if letter.unless_acted == "held":
        return None if run.held_at is not None and run.outcome is None else "It is not held."
    still = {"rollback_failed": Outcome.ROLLBACK_FAILED, "failed": Outcome.FAILED}
    wanted = still.get(letter.unless_acted)
    return None if wanted is None or run.outcome is wanted else "The run was taken up again."
