"""Whether work may start, or go on, by a calendar: a decision that is recorded and replayed."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from planner_provider.decide.model import Inputs, Measure, Reason, Verdict, VerdictKind
from planner_provider.decide.replay import Decider
from planner_provider.decide.windows.model import NO_CHANGES, Changes
from planner_provider.decide.windows.queries import earliest_start, may_start
from planner_provider.decide.windows.why import Why, shown, span_words, why
from planner_provider.graph.calendars import PlanCalendar
from planner_provider.spec.values import Duration


class WindowInputs(Inputs):
    """A calendar, what was changed of it live, and what is asked."""

    kind: ClassVar[str] = "window"

    calendar: PlanCalendar
    changes: Changes = NO_CHANGES
    asked: Literal["start", "go_on"] = "start"
    """May new work start, or may work that runs take its next step (the cutoff left aside)?"""
    work: Duration | None = None
    """Time that must be left in the interval, for ``start``."""


def window_verdict(inputs: WindowInputs) -> Verdict:
    """``proceed`` if the calendar allows it at this moment, else ``hold``."""
    calendar, now, changes, work = inputs.calendar, inputs.now, inputs.changes, inputs.work
    found = why(calendar, now, changes)
    going_on = inputs.asked == "go_on"
    allowed = found.is_open if going_on else may_start(calendar, now, work, changes)
    reasons = [Reason(code=cause.kind.value, text=cause.text) for cause in found.causes]
    measures = _measures(found, work)
    if allowed:
        return Verdict(kind=VerdictKind.PROCEED, reasons=tuple(reasons), measures=measures)
    if found.may_start and work is not None and not going_on:
        assert found.interval is not None
        left = found.interval.end - now
        text = f"The work needs {span_words(work)}, and only {span_words(left)} are left."
        reasons.insert(0, Reason(code="too_short", text=text))
    again = earliest_start(calendar, now, work, changes)
    if again is None:
        text = "It never may: no window is long enough." if work else "No window comes any more."
        reasons.append(Reason(code="never", text=text))
    else:
        text = f"It may start {shown(again, calendar.timezone)}."
        reasons.append(Reason(code="next_start", text=text))
    return Verdict(kind=VerdictKind.HOLD, reasons=tuple(reasons), measures=measures)


def _measures(found: Why, work: timedelta | None) -> tuple[Measure, ...]:
    left = None if found.interval is None else (found.interval.end - found.at).total_seconds()
    needed = None if work is None else work.total_seconds()
    return (Measure(name="time left in the window", value=left or 0.0, unit="s", limit=needed),)


DECIDER = Decider(WindowInputs, window_verdict, version=1)
