"""The DAG that a backfill works on: whether it can be backfilled, and its partitions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from planner_provider.decide.partitions import (
    Order,
    Partition,
    Reprocess,
    TargetRun,
    interval_ends,
    partitions,
)
from planner_provider.errors import MisconfiguredError, RefusedError, UnavailableError
from planner_provider.hooks.airflow_api import ACTIVE, AirflowApi, TargetDag

log = logging.getLogger(__name__)

MAKES = "manual"
"""Type of a run that is made over Airflow's API."""
CLOCKS_DIFFER = timedelta(minutes=1)
"""No more than this do the clocks of two machines differ."""
BEYOND = (timedelta(days=1), timedelta(days=32), timedelta(days=370))
"""How far beyond the range the timetable's next date is looked for."""


@dataclass(frozen=True, slots=True)
class Range:
    """From when on and before when, in UTC."""

    begin: datetime
    end: datetime

    def __str__(self) -> str:
        return f"from {shown(self.begin)} to {shown(self.end)}"


@dataclass(frozen=True, slots=True)
class Listing:
    """The partitions of a range, in the order of the backfill, with the ends of their intervals."""

    partitions: tuple[Partition, ...]
    ends: dict[datetime, datetime]


def moment(text: datetime | str, name: str) -> datetime:
    """A moment in UTC from what a template rendered to. Raises ``RefusedError``."""
    if isinstance(text, str):
        try:
            text = datetime.fromisoformat(text.strip())
        except ValueError:
            raise RefusedError(
                f"`{name}` is '{text}', which is not a moment such as 2026-11-01T00:00Z"
            ) from None
    if text.tzinfo is None:
        raise RefusedError(
            f"`{name}` is '{text.isoformat()}', which names no time zone; end it with Z or an "
            "offset such as +01:00"
        )
    return text.astimezone(UTC)


def shown(date: datetime) -> str:
    """A logical date for people and as the name of an item: ISO 8601 in UTC."""
    return date.astimezone(UTC).isoformat().replace("+00:00", "Z")


def check(dag: TargetDag) -> None:
    """Raises ``RefusedError`` if runs of this DAG cannot be made by partition."""
    name = f"DAG '{dag.dag_id}'"
    if dag.is_stale:
        raise RefusedError(
            f"{name} is not in any DAG file any more; mend `dag`, or bring its file back"
        )
    if dag.has_import_errors:
        raise RefusedError(f"The file of {name} cannot be imported; mend it first")
    if dag.partitioned:
        raise RefusedError(
            f"The runs of {name} go by partition keys, not by logical dates; this cannot be "
            "backfilled by a plan yet"
        )
    if not dag.periodic:
        raise RefusedError(
            f"{name} has no schedule that gives logical dates, so there are no partitions; use "
            "`chunks`"
        )
    if dag.allowed_run_types is not None and MAKES not in dag.allowed_run_types:
        raise RefusedError(
            f"{name} allows runs of these types only: {', '.join(dag.allowed_run_types)}; a plan "
            f"makes runs of type `{MAKES}`"
        )


def list_partitions(
    api: AirflowApi, dag: TargetDag, span: Range, *, reprocess: Reprocess, order: Order
) -> Listing:
    """The partitions of a range, with what is to be done for each.

    Raises:
        RefusedError: there are none, or Airflow refuses to list them.
        UnavailableError: somebody's own run in the range is under way, so that Airflow does not
            tell whether its date is a partition.
        MisconfiguredError: their data intervals cannot be told.
    """
    asked_at = datetime.now(UTC)
    dates = set(api.logical_dates(dag.dag_id, span.begin, span.end))
    runs = [
        run
        for run in api.runs(dag.dag_id, span.begin, span.end)
        if run.logical_date is not None and run.logical_date < span.end
    ]
    dates |= _under_way(dag, runs, dates, asked_at)
    listed = partitions(dates, runs, reprocess=reprocess, order=order)
    if not listed:
        raise RefusedError(
            f"The schedule of DAG '{dag.dag_id}' gives no partition {span} whose interval is over; "
            "mend `from` and `to`, or look at its start_date"
        )
    known = api.scheduled_runs(dag.dag_id)
    if dag.next_interval is not None:
        known = {**known, dag.next_interval[0]: dag.next_interval[1]}
    found = tuple(partition.logical_date for partition in listed)
    ends = interval_ends(found, known, following=_following(api, dag, span))
    if ends is None:
        raise MisconfiguredError(
            f"The data intervals of DAG '{dag.dag_id}' cannot be told: it has no next run and no "
            "earlier one by its schedule. Backfill one partition with Airflow's own backfill first"
        )
    return Listing(listed, ends)


def _under_way(
    dag: TargetDag, runs: Iterable[TargetRun], dates: Collection[datetime], asked_at: datetime
) -> set[datetime]:
    """The dates that Airflow left out of ``dates``, because their runs were under way then.

    With a gap, partitions would be missing and intervals wrong.
    """
    found: set[datetime] = set()
    for run in runs:
        ended = run.ended_at is not None and run.ended_at < asked_at - CLOCKS_DIFFER
        if run.logical_date is None or run.logical_date in dates or (run.has_ended and ended):
            continue
        if not run.is_of_schedule and not run.has_ended:
            raise UnavailableError(
                f"Run {run.run_id} of DAG '{dag.dag_id}' at {run.logical_date} is under way, and "
                "meanwhile Airflow does not say whether this is one of the schedule's dates, so "
                "the partitions are not known. Nothing was begun. Wait until it has ended, or "
                "leave its date out of the range"
            )
        if run.is_of_schedule:
            found.add(run.logical_date)
    return found


def _following(api: AirflowApi, dag: TargetDag, span: Range) -> datetime | None:
    """The timetable's first date at or after the range's end, if its interval is over."""
    now = datetime.now(UTC)
    for beyond in BEYOND:
        if span.end >= now:
            return None
        until = min(span.end + beyond, now)
        found = list(api.logical_dates(dag.dag_id, span.end, until))
        found += [
            run.logical_date
            for run in api.runs(dag.dag_id, span.end, until, states=ACTIVE)
            if run.logical_date is not None and run.is_of_schedule
        ]
        if found:
            return min(found)
        if until == now:
            return None
    return None
