"""Runs that start at the openings of a maintenance window."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

from planner_provider.graph.calendars import PlanCalendar
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from airflow.models.dag import DagModel  # noqa: TID251 - as Airflow hands it over
    from airflow.timetables.base import TimeRestriction
    from pendulum import DateTime

    from planner_provider.decide.openings import CatchUp, Openings

log = logging.getLogger(__name__)


class WindowTimetable(Timetable):
    """Start a run at each opening of a calendar at which the work fits, once an opening.

    The logical date of a run is the moment at which it should start. Freezes and overrides that
    people add by hand do not move it: the run starts, and waits in its window sensor.

    Args:
        calendar: with everything resolved, as a compiled plan has it.
        needs: time that must be left before the end of the opening.
        catch_up: what to do about openings at which the scheduler was down, or the DAG paused.
            ``latest``: start one run for the latest of them, late, if it is still open and the
            work still fits; else wait for the next opening. ``none``: wait for the next opening.
    """

    description = "At each opening of a maintenance window"

    def __init__(
        self,
        calendar: PlanCalendar,
        *,
        needs: timedelta | None = None,
        catch_up: CatchUp = "latest",
    ) -> None:
        self.calendar = calendar
        self.needs = needs
        self.catch_up: CatchUp = catch_up
        late = "one late run if it was missed" if catch_up == "latest" else "none if it was missed"
        self.description = f"At each opening of calendar {calendar.name}; {late}"

    def serialize(self) -> dict[str, Any]:
        """Everything, as JSON data: the scheduler reads no specs."""
        return {
            "calendar": self.calendar.to_json(),
            "needs": None if self.needs is None else self.needs.total_seconds(),
            "catch_up": self.catch_up,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> WindowTimetable:
        """Read what ``serialize`` wrote."""
        needs = data["needs"]
        return cls(
            PlanCalendar.from_json(data["calendar"]),
            needs=None if needs is None else timedelta(seconds=needs),
            catch_up=data["catch_up"],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WindowTimetable) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.calendar.to_json(), self.needs, self.catch_up))

    @property
    def summary(self) -> str:
        """The windows in words, as the list of DAGs shows them."""
        joined = " and " if self.calendar.combine == "all" else "; "
        windows = joined.join(source.label for source in self.calendar.windows if source.label)
        needs = f", needs {format_duration(self.needs)}" if self.needs else ""
        return f"{windows or self.calendar.name}{needs}"

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """A run that a person starts is about the moment at which it was started."""
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next run. With ``catchup``, as backfills have it, no opening is left out."""
        last = _plain(last_automated_data_interval and last_automated_data_interval.start)
        earliest, latest = _plain(restriction.earliest), _plain(restriction.latest)
        if restriction.catchup:
            since = last if last is not None else earliest and earliest - _TICK
            start = self._openings.after(since, last=last) if since is not None else None
        else:
            start = self._openings.due(datetime.now(UTC), last)
            if start is not None and earliest is not None and start < earliest:
                start = self._openings.after(earliest - _TICK, last=last)
        if start is None or (latest is not None and start > latest):
            return None
        return _info(start)

    def next_run_info_from_dag_model(self, *, dag_model: DagModel) -> DagRunInfo | None:
        """What the scheduler makes a run of, now that ``dag_model`` says that one is due.

        That was written down when the run before it was made, or when the DAG was last parsed. If
        the scheduler was down since, the opening may be over: then the run of the next one is
        made, and stays queued until it begins. Outside of a session which openings have their runs
        is not known, so it stays with what was written down, of which Airflow makes one run only.
        """
        planned = super().next_run_info_from_dag_model(dag_model=dag_model)
        now = datetime.now(UTC)
        if planned is None or planned.run_after > now:
            return planned
        start = self._openings.due(now, None)
        while start is not None and (taken := self._is_taken(dag_model, start, now)) is not False:
            if taken is None:
                return planned
            start = self._openings.after(start, last=start)
        if start is None:  # the calendar has ended: the run says so in its window sensor
            return planned
        if start != planned.run_after:
            log.warning(
                "The run of %s for the opening at %s was not started in time, and cannot be now: "
                "it is over, too little of it is left, or another run took it. The run for the "
                "opening at %s is made instead.",
                dag_model.dag_id, planned.run_after.isoformat(), start.isoformat(),
            )  # fmt: skip
        return _info(start)

    def _is_taken(self, dag_model: DagModel, start: datetime, now: datetime) -> bool | None:
        """Whether the opening has its run already, or one was still under way when it began.

        ``None`` outside of a session, where that is not known.
        """
        from airflow.models.dagrun import DagRun  # noqa: TID251 - within the scheduler
        from airflow.utils.types import DagRunType
        from sqlalchemy import and_, or_, select
        from sqlalchemy.orm import object_session

        session, opening = object_session(dag_model), self._openings.opening(start)
        if session is None:
            return None
        if opening is None:
            return False
        ways = [
            DagRun.logical_date == start,
            and_(
                DagRun.run_type != DagRunType.MANUAL,
                DagRun.logical_date >= opening.start,
                DagRun.logical_date < opening.end,
            ),
        ]
        if start <= now:
            ended_later = or_(DagRun.end_date.is_(None), DagRun.end_date > start)
            ways.append(and_(DagRun.start_date <= start, ended_later))
        query = select(DagRun.id).where(DagRun.dag_id == dag_model.dag_id, or_(*ways))
        return session.execute(query.limit(1)).first() is not None

    @cached_property
    def _openings(self) -> Openings:
        from planner_provider.decide.openings import Openings

        return Openings(self.calendar, self.needs, self.catch_up)


_TICK = timedelta(microseconds=1)


def _plain(moment: datetime | None) -> datetime | None:
    """A moment without what pendulum adds to the arithmetic of times."""
    if moment is None:
        return None
    at = moment.astimezone(UTC)
    return datetime(
        at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, tzinfo=UTC
    )


def _info(start: datetime) -> DagRunInfo:
    from pendulum import instance

    return DagRunInfo.exact(instance(start))
