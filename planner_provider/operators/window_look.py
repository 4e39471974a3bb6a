"""One look at a calendar, with what people changed about it, and how to wait for its opening."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from planner_provider.hooks.settings import load_settings
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from planner_provider.decide.model import Decision, Verdict
    from planner_provider.decide.windows import Changes
    from planner_provider.graph.calendars import PlanCalendar
    from planner_provider.ledger import Ledger
    from planner_provider.triggers.window import WindowTrigger

SHORT = timedelta(seconds=10)
"""Shorter waits stay on the worker: a trigger that fires within three seconds of the deferral may
be lost (apache/airflow issue 66374)."""
NOT_BEFORE = timedelta(seconds=4)
"""A trigger says nothing so soon after the deferral; see ``SHORT``."""
GRACE = timedelta(minutes=15)
"""A deferral that is not answered so long after its deadline ends with an error."""
RESUME = "looked"
"""Method that goes on after the deferral."""


class WindowLook:
    """The calendar at one moment, with what people changed about it."""

    def __init__(
        self,
        calendar: PlanCalendar,
        needs: timedelta | None,
        changes: Changes,
        now: datetime,
    ) -> None:
        from planner_provider.decide.windows import earliest_start

        self.calendar, self.needs, self.changes, self.now = calendar, needs, changes, now
        self.verdict: Verdict
        self.decision: Decision
        self.verdict, self.decision = _decide(calendar, needs, changes, now)
        self.opens = earliest_start(calendar, now, needs, changes)

    @classmethod
    def at(
        cls, calendar: PlanCalendar, needs: timedelta | None, ledger: Ledger, now: datetime
    ) -> WindowLook:
        """Look. Raises ``UnavailableError`` if the ledger does not answer: nobody guesses."""
        users = load_settings().override_users
        changes = ledger.live_changes(calendar, override_users=users, now=now)
        return cls(calendar, needs, changes, now)

    @property
    def waits_for(self) -> str:
        """What there was not yet, in words."""
        needs = f" with {format_duration(self.needs)}" if self.needs else ""
        return f"no window of calendar {self.calendar.name}{needs} was open for it"

    def closed(self) -> str:
        """Why it is closed and what to do, for an error."""
        from planner_provider.decide.window_words import closed_words

        said = closed_words(self.calendar, self.now, self.needs, self.changes)
        return f"{said.lead} Nothing was touched.{said.next}"


def _decide(
    calendar: PlanCalendar, needs: timedelta | None, changes: Changes, now: datetime
) -> tuple[Verdict, Decision]:
    from planner_provider.decide.replay import decide
    from planner_provider.decide.windows.verdict import WindowInputs

    return decide(WindowInputs(now=now, calendar=calendar, changes=changes, work=needs))


def window_trigger(
    calendar: PlanCalendar,
    needs: timedelta | None,
    now: datetime,
    deadline: datetime | None,
    plan_id: str | None,
) -> WindowTrigger:
    """What waits: it looks at the calendar, at what people change, and for aborts."""
    from planner_provider.triggers.window import WindowTrigger

    return WindowTrigger(
        calendar=calendar.to_json(),
        needs=None if needs is None else needs.total_seconds(),
        not_before=(now + NOT_BEFORE).timestamp(),
        deadline=None if deadline is None else deadline.timestamp(),
        plan_id=plan_id,
    )
