"""What a person may make of a throttle: one rule for the command line and for the Plans page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from planner_provider.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    from planner_provider.ledger.rows import Throttle
    from planner_provider.ledger.throttling import Throttling

MOST = 1024
TRIES = 10
"""How often a change is made anew because the throttle itself moved meanwhile."""


class UnknownThrottleError(RefusedError):
    """The run has no throttle of this name. ``known`` are those that it has."""

    def __init__(self, message: str, known: tuple[str, ...]) -> None:
        super().__init__(message)
        self.known = known


class ThrottleRangeError(RefusedError):
    """The limits do not go together. ``hint`` says what would."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ThrottleOrder:
    """What is to be changed; what is ``None`` stays."""

    limit: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    paused: bool | None = None
    reason: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be changed."""
        wanted = (self.limit, self.minimum, self.maximum, self.paused)
        return all(value is None for value in wanted)


def change_throttle(
    book: Throttling, plan_id: str, name: str, order: ThrottleOrder, *, who: str, now: datetime
) -> Throttle:
    """Change a throttle; give it as it is then.

    Raises ``UnknownThrottleError``, ``ThrottleRangeError``, or ``UnavailableError`` if it moves
    all the time.
    """
    for _ in range(TRIES):
        before = _find(book, plan_id, name)
        after, detail = changed(before, order, who=who, now=now)
        if book.set_throttle(after, detail):
            return replace(after, version=after.version + 1)
    raise UnavailableError(f"the throttle {name} moves all the time; nothing was changed")


def _find(book: Throttling, plan_id: str, name: str) -> Throttle:
    known = book.throttles_of(plan_id)
    for item in known:
        if item.name == name:
            return item
    raise UnknownThrottleError(
        f"{plan_id} has no throttle {name!r}", tuple(item.name for item in known)
    )


def changed(
    before: Throttle, order: ThrottleOrder, *, who: str, now: datetime
) -> tuple[Throttle, dict[str, Any]]:
    """The throttle as it is to be, and what the audit trail is to say beside its numbers."""
    from planner_provider.decide.throttle import Kept, Pause, set_limit

    lowest = before.minimum if order.minimum is None else float(order.minimum)
    highest = before.maximum if order.maximum is None else float(order.maximum)
    if not 0 <= lowest <= highest <= MOST:
        raise ThrottleRangeError(
            f"0 <= min <= max <= {MOST} must hold: {lowest:g}, {highest:g}",
            "give min and max together, or pause it to begin nothing new",
        )
    if order.limit is not None and not lowest <= order.limit <= highest:
        raise ThrottleRangeError(
            f"limit {order.limit:g} is not between {lowest:g} and {highest:g}",
            "change min or max as well",
        )
    kept = Kept.read(before.state)
    detail: dict[str, Any] = {"reason": order.reason, "before": before.limit}
    wanted = min(max(before.limit, lowest), highest)
    if order.limit is not None:
        wanted = float(order.limit)
        if kept.law is not None:
            kept = kept.model_copy(update={"law": set_limit(kept.law, wanted)})
    if order.paused is not None:
        pause = Pause(who=who, reason=order.reason, at=now) if order.paused else None
        kept = kept.model_copy(update={"paused": pause, "blocked": None})
        detail["paused"] = order.paused
    after = replace(
        before,
        limit=wanted,
        minimum=lowest,
        maximum=highest,
        state=kept.text(),
        changed_by=who,
        changed_at=now,
    )
    return after, detail
