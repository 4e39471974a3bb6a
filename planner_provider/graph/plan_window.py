"""What a plan's calendar asks of its steps."""

from __future__ import annotations

from typing import Literal

from planner_provider.graph.calendars import PlanCalendar
from planner_provider.graph.frozen import Frozen
from planner_provider.spec.plan import Schedule
from planner_provider.spec.values import Duration

AtEnd = Literal["finish", "stop_after_step", "abort"]


class WindowRule(Frozen):
    """When the steps of a plan may act. Asked again before each of them begins."""

    calendar: PlanCalendar
    needs: Duration | None = None
    """Time that must be left, before the end of the window, when the first step begins."""
    at_end: AtEnd = "finish"
    """What happens to work that still runs when the window ends."""

    @classmethod
    def of(cls, schedule: Schedule | None, calendar: PlanCalendar | None) -> WindowRule | None:
        """The rule of a plan; ``None`` if it may run at any time."""
        if schedule is None or calendar is None:
            return None
        return cls(calendar=calendar, needs=schedule.needs, at_end=schedule.at_end)
