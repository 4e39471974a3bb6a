"""An Airflow in memory, with the methods of ``hooks.airflow_api.AirflowApi``, on a fake clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from planner_provider.decide.partitions import TargetRun
from planner_provider.hooks.airflow_api import NewRun, TargetDag
from planner_provider.operators.clock import Clock

T0 = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAG = TargetDag("orders", False, False, False, 16, True, False, None, None)


def at(hours: int) -> datetime:
    return T0 + hours * HOUR


class FakeTime:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.clock = Clock(self.now, lambda: self.seconds, self.sleep)
        self.meanwhile: list[tuple[float, Callable[[], object]]] = []

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Let something happen so many seconds from now."""
        self.meanwhile.append((self.seconds + seconds, what))

    def sleep(self, seconds: float) -> None:
        end = self.seconds + seconds
        while due := sorted((e for e in self.meanwhile if e[0] <= end), key=lambda e: e[0])[:1]:
            self.meanwhile.remove(due[0])
            self.seconds = max(self.seconds, due[0][0])
            due[0][1]()
        self.seconds = end


@dataclass
class FakeAirflow:
    """Runs take ``takes`` seconds; those at hours in ``bad`` fail as often as it says."""

    time: FakeTime
    hours: int = 6
    takes: float = 10.0
    bad: dict[int, int] = field(default_factory=dict)
    dag_now: TargetDag = field(
        default_factory=lambda: replace(DAG, next_interval=(at(500), at(501)))
    )
    found: dict[str, TargetRun] = field(default_factory=dict)
    begun: list[tuple[str, str]] = field(default_factory=list)
    """What was asked for: ``make`` or ``clear``, and the run."""
    most: int = 0
    """Most runs of ours that were under way at once."""
    ends: dict[str, tuple[float, str]] = field(default_factory=dict)
    fail_next: list[Exception] = field(default_factory=list)
    """Raised by the next calls, one each."""
    lose_next: bool = False
    """The next request to begin a run is carried out, and its answer lost."""
    paused_by: list[bool] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    confs: dict[str, object] = field(default_factory=dict)
    intervals: dict[str, datetime] = field(default_factory=dict)
    pause: Callable[[float], None] = lambda seconds: None

    def close(self) -> None:
        pass

    def _called(self) -> None:
        if self.fail_next:
            raise self.fail_next.pop(0)
        for run_id, (end, state) in list(self.ends.items()):
            if self.time.seconds >= end:
                del self.ends[run_id]
                moment = self.time.now()
                self.found[run_id] = replace(self.found[run_id], state=state, ended_at=moment)
        self.most = max(self.most, len(self.ends))

    def there(self, hour: int, state: str, run_id: str | None = None, **more: object) -> str:
        """Put somebody's run into it."""
        name = run_id or f"scheduled__{hour}"
        ended = at(hour) + HOUR if state in ("success", "failed") else None
        self.found[name] = TargetRun(name, at(hour), state, ended_at=ended, **more)  # type: ignore[arg-type]
        return name

    def _start(self, run_id: str, what: str) -> None:
        run = self.found[run_id]
        assert run.logical_date is not None
        hour = round((run.logical_date - T0) / HOUR)
        left = self.bad.get(hour, 0)
        if left:
            self.bad[hour] = left - 1
        self.found[run_id] = replace(
            run, state="running", started_at=self.time.now(), ended_at=None
        )
        self.ends[run_id] = (self.time.seconds + self.takes, "failed" if left else "success")
        self.begun.append((what, run_id))
        if self.lose_next:
            from planner_provider.errors import UnavailableError

            self.lose_next = False
            raise UnavailableError("the answer was lost")

    def dag(self, dag_id: str) -> TargetDag:
        self._called()
        return self.dag_now

    def set_paused(self, dag_id: str, paused: bool) -> None:
        self._called()
        self.paused_by.append(paused)
        self.dag_now = replace(self.dag_now, is_paused=paused)

    def logical_dates(self, dag_id: str, begin: datetime, end: datetime) -> tuple[datetime, ...]:
        self._called()
        busy = {r.logical_date for r in self.found.values() if not r.has_ended}
        dates = (at(hour) for hour in range(self.hours))
        return tuple(d for d in dates if begin <= d < end and d not in busy)

    def runs(
        self, dag_id: str, begin: datetime, end: datetime, *, states: tuple[str, ...] = ()
    ) -> tuple[TargetRun, ...]:
        self._called()
        return tuple(
            run
            for run in self.found.values()
            if run.logical_date is not None
            and begin <= run.logical_date <= end
            and (not states or run.state in states)
        )

    def scheduled_runs(self, dag_id: str, limit: int = 100) -> dict[datetime, datetime]:
        self._called()
        return {}

    def count_active(self, dag_id: str) -> int:
        self._called()
        return sum(not run.has_ended for run in self.found.values())

    def run_at(self, dag_id: str, logical_date: datetime) -> TargetRun | None:
        return next(iter(self.runs(dag_id, logical_date, logical_date)), None)

    def run(self, dag_id: str, run_id: str) -> TargetRun | None:
        self._called()
        return self.found.get(run_id)

    def make_run(self, dag_id: str, new: NewRun) -> bool:
        self._called()
        if new.run_id in self.found or any(
            run.logical_date == new.logical_date for run in self.found.values()
        ):
            return False
        self.found[new.run_id] = TargetRun(new.run_id, new.logical_date, "queued")
        self.confs[new.run_id] = dict(new.conf)
        self.intervals[new.run_id] = new.interval_end
        self._start(new.run_id, "make")
        return True

    def clear_run(self, dag_id: str, run_id: str, note: str) -> None:
        self._called()
        assert self.found[run_id].has_ended, "a run under way was cleared"
        self._start(run_id, "clear")

    def fail_run(self, dag_id: str, run_id: str) -> None:
        self._called()
        self.stopped.append(run_id)
        self.ends.pop(run_id, None)
        self.found[run_id] = replace(self.found[run_id], state="failed", ended_at=self.time.now())
