"""How much of a backfill may run: its throttle, held while a guard of the plan refuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from planner_provider.decide.throttle import Kept
from planner_provider.hooks.throttler import Throttler
from planner_provider.operators.guard import log_look, record, told

if TYPE_CHECKING:
    from planner_provider.graph.calendars import PlanCalendar
    from planner_provider.graph.slos import Slo
    from planner_provider.ledger import Ledger
    from planner_provider.spec.actions import Budget
    from planner_provider.spec.workloads import Throttle


class StepLimiter:
    """The throttle of a step, with the words for why nothing may begin.

    Args:
        ledger: where the throttle is kept.
        plan_id: run of the plan.
        step: the step, which is also the throttle's name.
        throttle: what the spec says.
        slos: the plan's SLOs, of which the throttle may follow one.
        guard: asked once a period; why nothing may begin, as a sentence.
        actor: who asks, for the record.
    """

    def __init__(
        self,
        ledger: Ledger,
        plan_id: str,
        step: str,
        throttle: Throttle,
        *,
        slos: tuple[Slo, ...],
        guard: Callable[[], str | None],
        actor: str,
    ) -> None:
        self._ledger, self._plan_id, self._step = ledger, plan_id, step
        self._throttler = Throttler(
            ledger, plan_id, step, throttle, slos=slos, guard=guard, actor=actor
        )

    def tick(self, now: datetime, running: int, completed: int) -> int:
        """How many may run from now on: none while a person holds the run; the throttle rests."""
        if self._held_words():
            return 0
        return self._throttler.tick(now, running, completed)

    def why_none(self) -> str:
        """Why nothing may begin, where the limit is 0."""
        if held := self._held_words():
            return held
        row = self._ledger.throttle(self._plan_id, self._step)
        kept = Kept.read(row.state) if row is not None else None
        if kept is not None and kept.paused is not None:
            return f"{kept.paused.who} paused it: {kept.paused.reason}"
        if kept is not None and kept.blocked is not None:
            return kept.blocked
        return "the throttle allows nothing now"

    def _held_words(self) -> str:
        run = self._ledger.run(self._plan_id)
        return run.held_words if run is not None else ""


def ask_calendar(
    calendar: PlanCalendar, *, ledger: Ledger, users: tuple[str, ...], now: Callable[[], datetime]
) -> str | None:
    """Why a calendar is closed now, as a sentence; ``None`` while it is open.

    ``users`` are those whose overrides count.
    """
    from planner_provider.decide.window_words import closed_words
    from planner_provider.decide.windows import is_open

    at = now()
    changes = ledger.live_changes(calendar, override_users=users, now=at)
    if is_open(calendar, at, changes):
        return None
    return closed_words(calendar, at, None, changes, means="no partition begins").lead


def ask_guards(
    slos: tuple[Slo, ...],
    budget: Budget | None,
    *,
    ledger: Ledger,
    plan_id: str | None,
    step: str,
    actor: str,
    now: Callable[[], datetime],
) -> Callable[[], str | None]:
    """A function that asks the guards of a step, and says why nothing may begin.

    Their answer is logged and written down when it changes, not each time.
    """
    from planner_provider.decide.slo import SloRules
    from planner_provider.hooks.slo_facts import look_at

    last: list[object] = [None]

    def ask() -> str | None:
        if not slos:
            return None
        look = look_at(slos, SloRules.of(budget, in_progress=True), clock=now)
        if look.verdict.kind != last[0]:
            last[0] = look.verdict.kind
            log_look(look)
            record(look, ledger=ledger, plan_id=plan_id, step=step, actor=actor, now=now)
        return None if look.verdict.passes else f"A guard refuses: {told(look)}"

    return ask
