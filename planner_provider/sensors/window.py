"""Waiting for a maintenance window that is long enough for the work, in a DAG written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from planner_provider.errors import SpecError
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.windows import WindowClosedError
from planner_provider.operators.clock import SYSTEM_CLOCK, Clock
from planner_provider.operators.window_look import (
    GRACE,
    RESUME,
    SHORT,
    WindowLook,
    window_trigger,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.calendars import PlanCalendar


class WindowSensor(BaseOperator):
    """Wait for a maintenance window, in a DAG written by hand. The XCom is when it was open.

    Freezes and overrides that people add with ``planner calendar`` count, by the calendar's name.

    Args:
        calendar: a ``PlanCalendar``, or a document of kind ``Calendar`` as a mapping.
        needs: time that must be left before the end of the window.
        timeout: how long to wait at most; ``None``: no end. Raises ``WindowClosedError`` then, and
            if the window never opens.
    """

    clock: ClassVar[Clock] = SYSTEM_CLOCK
    ui_color = "#f3f4f6"

    def __init__(
        self,
        *,
        calendar: PlanCalendar | Mapping[str, Any],
        needs: timedelta | None = None,
        timeout: timedelta | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.calendar = _resolved(calendar)
        self.needs = needs
        self.timeout = timeout

    def execute(self, context: Context) -> str:
        """Pass, or defer."""
        now = self.clock.now()
        return self._look(now + self.timeout if self.timeout is not None else None)

    def looked(
        self,
        context: Context,
        event: dict[str, Any] | None = None,
        deadline: str | None = None,
    ) -> str:
        """Go on after the deferral."""
        return self._look(datetime.fromisoformat(deadline) if deadline else None)

    def _look(self, deadline: datetime | None) -> str:
        while True:
            now = self.clock.now()
            look = WindowLook.at(self.calendar, self.needs, open_ledger(), now)
            self.log.info("%s", look.verdict.text)
            if look.verdict.passes:
                return now.isoformat()
            if look.opens is None or (deadline is not None and now >= deadline):
                raise WindowClosedError(look.closed())
            wait = look.opens - now
            if wait >= SHORT:
                self.defer(
                    trigger=window_trigger(self.calendar, self.needs, now, deadline, None),
                    method_name=RESUME,
                    kwargs={"deadline": deadline.isoformat() if deadline else None},
                    timeout=deadline - now + GRACE if deadline else None,
                )
            self.clock.sleep(max(0.05, wait.total_seconds()))


def _resolved(calendar: PlanCalendar | Mapping[str, Any]) -> PlanCalendar:
    from planner_provider.graph.calendars import PlanCalendar, plan_calendar
    from planner_provider.spec.kinds import Calendar

    if isinstance(calendar, PlanCalendar):
        return calendar
    try:
        return plan_calendar(Calendar.model_validate(dict(calendar)))
    except ValueError as error:
        raise SpecError(f"`calendar` is no document of kind Calendar: {error}") from error
