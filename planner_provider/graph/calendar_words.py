"""What a window of a calendar says, in words: ``2nd Tue of the month, 22:00 to 02:00``."""

from __future__ import annotations

from planner_provider.spec.calendar_kind import Window
from planner_provider.spec.recurrence import Rule, parse_rule

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NTH = {1: "1st", 2: "2nd", 3: "3rd", -1: "last"}
_EVERY = {"YEARLY": "year", "MONTHLY": "month", "WEEKLY": "week", "DAILY": "day", "HOURLY": "hour"}


def window_words(window: Window, zone: str) -> str:
    """One line about a window that is written in a spec."""
    if window.ics is not None:
        return f"events of {window.ics}"
    if window.days is not None:
        on = window.days if isinstance(window.days, str) else _listed(window.days)
        begins, ends = window.from_, window.to
    elif window.day is not None:
        on, begins, ends = f"{window.day} of the month", window.from_, window.to
    else:
        start = window.dtstart or ""
        on = f"once on {start[:10]}" if window.rrule is None else rule_words(window.rrule, start)
        begins, ends = start[11:16] or "00:00", window.until_local
        if window.rrule is not None and "BYHOUR" in window.rrule.upper():
            begins = None
    shift = f" {window.offset_days:+d} days" if window.offset_days else ""
    until = f" to {ends}" if ends else f" for {window.duration}"
    clock = f", {begins}{until}" if begins else f",{until}"
    return f"{on}{shift}{clock} {window.timezone or zone}"


def rule_words(text: str, start: str) -> str:
    """A rule in words where that is short; else the rule itself."""
    rule = parse_rule(text)
    simple = Rule(
        freq=rule.freq, interval=rule.interval, by_day=rule.by_day, week_start=rule.week_start,
        count=rule.count, until=rule.until,
    )  # fmt: skip
    if rule != simple:
        return text
    ends = ""
    if rule.count:
        ends = f" ({rule.count} times)" if rule.count > 1 else " (once)"
    elif rule.until:
        ends = f" (until {rule.until:%Y-%m-%d})"
    if rule.interval > 1:
        every = f"every {rule.interval} {_EVERY[rule.freq]}s"
    elif rule.by_day and rule.freq in {"WEEKLY", "DAILY"}:
        every = ""
    else:
        every = f"every {_EVERY[rule.freq]}"
    on = ""
    if rule.by_day:
        on = _listed(
            f"{_NTH.get(nth, f'{nth}.')} {_DAYS[day]}" if nth else _DAYS[day]
            for nth, day in rule.by_day
        )
    elif rule.freq == "YEARLY" and len(start) >= 10:
        on = f"{int(start[8:10])} {_MONTHS[int(start[5:7]) - 1]}"
    elif rule.freq == "MONTHLY" and len(start) >= 10:
        on = f"day {int(start[8:10])}"
    between = " on " if every and on else ""
    return f"{every}{between}{on}{ends}"


def _listed(words: object) -> str:
    return ", ".join(str(word).capitalize() for word in words)  # type: ignore[attr-defined]
