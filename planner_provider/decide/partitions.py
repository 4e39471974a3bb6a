"""Partitions of a backfill: which are to be done and how, which are next, and how long it takes.

Pure: no clock, no Airflow. A partition is one logical date of the DAG that is backfilled.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Literal

Reprocess = Literal["none", "failed", "completed"]
Order = Literal["oldest_first", "newest_first"]

MADE = "planner__"
"""So begin the ids of runs that plans make."""
SUCCESS = "success"
FAILED = "failed"
ENDED_STATES = frozenset({SUCCESS, FAILED})
RATE_SPAN = timedelta(minutes=10)
"""The rate is taken over this time at least; over more where partitions end seldom."""
RATE_ENDS = 10
"""As many ends as make a rate good enough to go by."""
POLL_SHORTEST, POLL_LONGEST = 0.5, 10.0
"""Bounds of the time between two looks at the runs, in seconds."""


@dataclass(frozen=True, slots=True)
class TargetRun:
    """A run of the DAG that is backfilled, as Airflow has it."""

    run_id: str
    logical_date: datetime | None
    state: str
    """``queued``, ``running``, ``success`` or ``failed``."""
    run_type: str = "manual"
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it goes on."""
        return self.state in ENDED_STATES

    @property
    def is_of_schedule(self) -> bool:
        """Whether its logical date is surely one of the timetable's: who made it says so."""
        return self.run_type in ("scheduled", "backfill") or self.run_id.startswith(MADE)


class Way(StrEnum):
    """What is to be done for a partition."""

    MAKE = "make"
    """There is no run: make one."""
    CLEAR = "clear"
    """There is a run that ended: let it run again."""
    SKIP = "skip"
    """There is a run that ended, and it is left as it is."""
    WAIT = "wait"
    """Somebody else's run of it is under way: two at once would do the same work."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be done for a partition, and why, in words."""

    way: Way
    why: str


def choose(run: TargetRun | None, reprocess: Reprocess, *, failed_here: bool = False) -> Choice:
    """What is to be done for a partition whose run is ``run``.

    ``failed_here``: this backfill ran it already, and it failed; then it is run again whatever
    ``reprocess`` says.
    """
    if run is None:
        return Choice(Way.MAKE, "it has no run")
    if not run.has_ended:
        return Choice(Way.WAIT, f"its run {run.run_id} is {run.state}, and not from here")
    if run.state == FAILED and (failed_here or reprocess == "failed"):
        return Choice(Way.CLEAR, f"its run {run.run_id} failed")
    if reprocess == "completed":
        return Choice(Way.CLEAR, f"its run {run.run_id} ended with {run.state}")
    return Choice(Way.SKIP, f"its run {run.run_id} ended with {run.state}")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition in its place in the order."""

    logical_date: datetime
    choice: Choice
    run: TargetRun | None = None


def partitions(
    dates: Iterable[datetime],
    runs: Iterable[TargetRun],
    *,
    reprocess: Reprocess,
    order: Order,
) -> tuple[Partition, ...]:
    """All partitions of a range in the order in which they are begun.

    Args:
        dates: logical dates that the DAG's timetable gives.
        runs: runs that there are in the range, also of dates that are none of the timetable's.
            Those of its own schedule, or made by a plan, that are under way are partitions even if
            ``dates``, which Airflow gives without them, has them not.
        reprocess: what is done again: nothing, what failed, or everything that ended.
        order: which end of the range comes first.
    """
    by_date: dict[datetime, TargetRun] = {}
    wanted = set(dates)
    for run in runs:
        if run.logical_date is None:
            continue
        by_date[run.logical_date] = run
        if not run.has_ended and run.is_of_schedule:
            wanted.add(run.logical_date)
    ordered = sorted(wanted, reverse=order == "newest_first")
    return tuple(
        Partition(date, choose(by_date.get(date), reprocess), by_date.get(date)) for date in ordered
    )


def interval_ends(
    dates: Collection[datetime],
    known: Mapping[datetime, datetime],
    *,
    following: datetime | None = None,
) -> dict[datetime, datetime] | None:
    """The end of the data interval of each logical date; ``None`` if it cannot be told.

    Airflow's API gives logical dates without their intervals, and for a run with a logical date
    but no interval it takes the interval *before* that date. So the intervals are had from what is
    known of this timetable. Intervals begin at their logical dates, and are moments
    (``CronTriggerTimetable``), reach to the next one (``CronDataIntervalTimetable``), or all have
    one length.

    Args:
        dates: neighbouring logical dates of the timetable, none between them left out.
        known: logical date -> end of its interval, of runs that the schedule made or will make.
        following: the timetable's next date after them, if it is known.
    """
    if not known:
        return None if dates else {}
    lengths = {end - begin for begin, end in known.items()}
    if lengths == {timedelta(0)}:
        return {date: date for date in dates}
    ticks = sorted({*dates} | ({following} if following is not None else set()))
    after = dict(itertools.pairwise(ticks))
    if _reach_to_next(known, after, lengths):
        usual = max(lengths)
        ends = {date: after.get(date, date + usual) for date in dates}
        last = max(dates)
        later = sorted(date for date in known if last < date <= last + usual * 1.5)
        if last not in after and later:
            ends[last] = later[0]
    else:
        ends = {date: date + max(lengths) for date in dates}
    return ends | {date: known[date] for date in dates if date in known}


def _reach_to_next(
    known: Mapping[datetime, datetime],
    after: Mapping[datetime, datetime],
    lengths: Collection[timedelta],
) -> bool:
    """Whether intervals end where the next begins, as far as neighbours or their gaps tell."""
    pairs = [end == after[begin] for begin, end in known.items() if begin in after]
    if pairs:
        return all(pairs)
    gaps = [end - begin for begin, end in after.items()]
    if not gaps:
        return True
    return all(min(gaps) * 0.95 <= length <= max(gaps) * 1.05 for length in lengths)


def allowed_errors(total: int, max_errors: float | Fraction) -> int:
    """How many partitions may fail: a count as it is, a share of ``total`` rounded down.

    A share is a float (10% is 0.1, 100% is 1.0), a count an int.
    """
    if isinstance(max_errors, int):
        return max_errors
    return math.floor(Fraction(str(max_errors)) * total)


def places(
    limit: int,
    *,
    max_active_runs: int | None,
    others: int,
    scheduled: bool,
) -> int:
    """How many runs this backfill may have under way.

    Airflow counts its runs among the DAG's own: with ``max_active_runs`` reached, it makes no run
    of the schedule either. So one place is left to the schedule, and what others use is theirs;
    but half of the places are the backfill's, so that it ends.

    Args:
        limit: what the throttle allows.
        max_active_runs: the DAG's own limit.
        others: runs that others have under way or queued.
        scheduled: whether the DAG runs by a schedule.
    """
    if limit <= 0:
        return 0
    if not max_active_runs:
        return limit
    own = max(1, max_active_runs - 1 if scheduled else max_active_runs)
    return min(limit, max(1, own // 2, own - others))


@dataclass(frozen=True, slots=True)
class Tally:
    """Where a backfill stands, in numbers of partitions."""

    done: int = 0
    failed: int = 0
    skipped: int = 0
    running: int = 0
    waiting: int = 0

    @property
    def total(self) -> int:
        """All that there is something to do for."""
        return self.done + self.failed + self.running + self.waiting

    @property
    def left(self) -> int:
        """Not ended yet."""
        return self.running + self.waiting


def rate_of(ends: Iterable[datetime], begun: datetime, now: datetime) -> float | None:
    """Partitions that end in a second, of late; ``None`` while none has ended.

    Taken over the last `RATE_SPAN`, or as far back as `RATE_ENDS` ends need.
    """
    ordered = sorted(end for end in ends if end >= begun)
    if not ordered:
        return None
    since = begun
    if len(ordered) > RATE_ENDS:
        since = max(begun, min(now - RATE_SPAN, ordered[-RATE_ENDS - 1]))
    counted = sum(end > since for end in ordered)
    seconds = (now - since).total_seconds()
    return counted / seconds if counted and seconds > 0 else None


def time_left(tally: Tally, rate: float | None) -> timedelta | None:
    """How long the rest takes at this rate; ``None`` if it cannot be told."""
    if not tally.left:
        return timedelta(0)
    if not rate:
        return None
    seconds = tally.left / rate
    return timedelta(seconds=seconds) if seconds < timedelta.max.total_seconds() else None


def progress(
    tally: Tally, *, limit: int | None, rate: float | None, held: str | None = None
) -> str:
    """One line for people: ``41 of 200 done, 3 failed, 6 running (limit 8), ...``.

    ``held`` says why nothing begins now; then there is no time left to tell.
    """
    parts = [f"{tally.done} of {tally.total} done"]
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    if tally.skipped:
        parts.append(f"{tally.skipped} left out")
    if tally.left:
        parts.append(f"{tally.running} running" + ("" if limit is None else f" (limit {limit})"))
        if rate:
            parts.append(_rate_text(rate))
        if held:
            parts.append(f"held: {held}")
        elif (left := time_left(tally, rate)) is not None:
            parts.append(f"about {roughly(left)} left")
    return ", ".join(parts)


def _rate_text(rate: float) -> str:
    """The rate by the unit of time that gives a readable number."""
    if rate >= 2:
        return f"{rate:.1f} a second"
    if rate * 60 >= 0.5:
        return f"{rate * 60:.1f} a minute"
    return f"{rate * 3600:.1f} an hour"


def roughly(span: timedelta) -> str:
    """A time as people say it: ``2 h 40 min``."""
    seconds = span.total_seconds()
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(round(minutes / 60), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def poll_seconds(took: float | None) -> float:
    """Seconds until the next look at the runs, when one takes ``took`` seconds."""
    if took is None:
        return 1.0
    return min(POLL_LONGEST, max(POLL_SHORTEST, took / 8))
