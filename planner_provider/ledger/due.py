"""Which plans start next by themselves, and which of them get in each other's way."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from planner_provider.ledger.calendar_changes import counted
from planner_provider.ledger.plan_facts import PlanFacts
from planner_provider.ledger.rows import CalendarChange

if TYPE_CHECKING:
    from planner_provider.decide.windows import Changes, Interval

HORIZON = timedelta(days=31)
"""What opens later than that is not due."""
MOST_OPENINGS = 60
"""So many openings are looked at for one in which the work fits."""
ASSUMED = timedelta(hours=1)
"""How long a plan by cron is taken to run, for conflicts."""


@dataclass(frozen=True, slots=True)
class DueNow:
    """A plan that will start by itself."""

    facts: PlanFacts
    opens_at: datetime
    closes_at: datetime | None
    """``None`` for cron."""
    conflicts: tuple[str, ...] = ()
    """Names of plans that touch the same, at the same time."""


class DuePlans:
    """Works out when plans are due, and remembers it until it changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, DueNow | None, datetime]] = {}

    def due(
        self,
        plans: Iterable[PlanFacts],
        changes: Sequence[CalendarChange],
        *,
        override_users: Collection[str],
        running: Mapping[str, PlanFacts],
        now: datetime,
    ) -> tuple[DueNow, ...]:
        """The plans that are due, the soonest first.

        ``changes`` are those that people made to calendars; ``running`` are the plans that run.
        """
        found: list[DueNow] = []
        names = set()
        for facts in plans:
            if facts.schedule is None:
                continue
            names.add(facts.plan)
            item = self._of(facts, changes, override_users, now)
            if item is not None and item.opens_at <= now + HORIZON:
                found.append(item)
        for gone in self._known.keys() - names:
            self._known.pop(gone, None)
        found.sort(key=lambda item: (item.opens_at, item.facts.plan))
        return with_conflicts(found, running, now)

    def _of(
        self,
        facts: PlanFacts,
        changes: Sequence[CalendarChange],
        override_users: Collection[str],
        now: datetime,
    ) -> DueNow | None:
        counts = None
        if facts.calendar is not None:
            counts = counted(facts.calendar, changes, override_users)
        mark = (facts.digest, facts.compiled_at, counts)
        known = self._known.get(facts.plan)
        if known is not None and known[0] == mark and now < known[2]:
            return known[1]
        item = _next(facts, counts, now)
        until = now + timedelta(hours=1) if item is None else item.opens_at
        self._known[facts.plan] = (mark, item, until)
        return item


def _next(facts: PlanFacts, changes: Changes | None, now: datetime) -> DueNow | None:
    schedule = facts.schedule
    assert schedule is not None
    if facts.calendar is not None:
        opening = _opening(facts, changes, now)
        return None if opening is None else DueNow(facts, opening.start, opening.end)
    if schedule.cron is None:
        return None
    from zoneinfo import ZoneInfo

    from croniter import croniter

    zone = ZoneInfo(schedule.timezone or "UTC")
    at: datetime = croniter(schedule.cron, now.astimezone(zone)).get_next(datetime)
    return DueNow(facts, at.astimezone(now.tzinfo), None)


def _opening(facts: PlanFacts, changes: Changes | None, now: datetime) -> Interval | None:
    from planner_provider.decide.windows import NO_CHANGES, openings

    assert facts.calendar is not None
    assert facts.schedule is not None
    needs = facts.schedule.needs or timedelta(0)
    least = max(needs, facts.calendar.cutoff)
    ahead = openings(facts.calendar, now, changes or NO_CHANGES)
    for opening in itertools.islice(ahead, MOST_OPENINGS):
        if opening.start > now + HORIZON:
            return opening
        if opening.length >= least:
            return opening
    return None


# ---- conflicts


def conflict(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two plans touch something that not both only share."""
    return any(
        resource in other and "exclusive" in (mode, other[resource])
        for resource, mode in one.items()
    )


def with_conflicts(
    due: Sequence[DueNow], running: Mapping[str, PlanFacts], now: datetime
) -> tuple[DueNow, ...]:
    """The same, each with the plans that are in its way."""
    by_resource: dict[str, list[int]] = {}
    for index, item in enumerate(due):
        for resource in item.facts.touches:
            by_resource.setdefault(resource, []).append(index)
    return tuple(
        replace(item, conflicts=names) if (names := _names(item, due, by_resource, running, now))
        else item
        for item in due
    )  # fmt: skip


def _names(
    item: DueNow,
    due: Sequence[DueNow],
    by_resource: Mapping[str, Sequence[int]],
    running: Mapping[str, PlanFacts],
    now: datetime,
) -> tuple[str, ...]:
    own, names = item.facts, set()
    near = {index for resource in own.touches for index in by_resource[resource]}
    for index in near:
        other = due[index]
        if other.facts.plan == own.plan or not _overlap(item, other):
            continue
        if conflict(own.touches, other.facts.touches):
            names.add(other.facts.plan)
    if item.opens_at <= now + ASSUMED:
        names |= {
            name
            for name, facts in running.items()
            if name != own.plan and conflict(own.touches, facts.touches)
        }
    return tuple(sorted(names))


def _overlap(one: DueNow, other: DueNow) -> bool:
    ends = [item.closes_at or item.opens_at + ASSUMED for item in (one, other)]
    return one.opens_at < ends[1] and other.opens_at < ends[0]
