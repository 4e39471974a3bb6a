"""The timetable as Airflow asks it: over downtime, restarts, and through serialisation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from hypothesis import given, settings
from hypothesis import strategies as st
from pendulum import instance

from planner_provider.graph.calendars import PlanCalendar
from planner_provider.timetables.window import WindowTimetable
from tests.decide.calendars import BERLIN, nights, source, utc

HOUR = timedelta(hours=1)
RESTRICTION = TimeRestriction(instance(utc("2026-01-01T00:00")), None, catchup=False)


def timetable(**more: Any) -> WindowTimetable:
    return WindowTimetable(nights(), **{"needs": HOUR, **more})


def asked(table: WindowTimetable, now: str, last: str | None = None, **more: Any) -> str | None:
    interval = None if last is None else DataInterval.exact(instance(utc(last)))
    with time_machine.travel(utc(now), tick=False):
        found = table.next_dagrun_info(
            last_automated_data_interval=interval, restriction=RESTRICTION._replace(**more)
        )
    if found is None:
        return None
    assert found.run_after == found.logical_date
    return found.run_after.strftime("%Y-%m-%dT%H:%M")


def test_survives_serialisation() -> None:
    table = timetable(catch_up="none")
    again = WindowTimetable.deserialize(json.loads(json.dumps(table.serialize())))
    assert again == table
    assert hash(again) == hash(table)
    assert again != timetable()
    assert asked(again, "2026-06-01T12:00") == "2026-06-01T20:00"


def test_what_people_see() -> None:
    assert timetable().summary == "22:00-02:00 daily, needs 1h"
    assert "calendar nights" in timetable().description


def test_a_dag_that_is_unpaused_does_not_start_at_a_window_of_weeks_ago() -> None:
    assert asked(timetable(), "2026-06-01T12:00", "2026-04-01T20:00") == "2026-06-01T20:00"
    assert asked(timetable(), "2026-06-01T12:00") == "2026-06-01T20:00"


def test_no_run_before_the_start_or_after_the_end_of_the_dag() -> None:
    early = {"earliest": instance(utc("2026-07-01T00:00"))}
    assert asked(timetable(), "2026-06-01T20:30", **early) == "2026-07-01T20:00"
    late = {"latest": instance(utc("2026-06-01T19:59"))}
    assert asked(timetable(), "2026-06-01T12:00", **late) is None


def test_a_backfill_has_every_opening() -> None:
    both = {"catchup": True, "earliest": instance(utc("2026-03-01T00:00"))}
    assert asked(timetable(), "2026-06-01T12:00", **both) == "2026-03-01T21:00"
    assert asked(timetable(), "2026-06-01T12:00", "2026-03-01T21:00", **both) == "2026-03-02T21:00"


def test_a_run_by_hand_is_about_its_own_moment() -> None:
    moment = instance(utc("2026-06-01T12:34"))
    assert timetable().infer_manual_data_interval(run_after=moment) == DataInterval.exact(moment)


def planned(start: datetime) -> Any:
    """What a ``DagModel`` holds about the next run."""
    return SimpleNamespace(
        dag_id="plan",
        next_dagrun=instance(start),
        next_dagrun_create_after=instance(start),
        next_dagrun_data_interval=DataInterval.exact(instance(start)),
        next_dagrun_partition_date=None,
        next_dagrun_partition_key=None,
    )


@dataclass
class Scheduler:
    """What Airflow keeps of a DAG, and does with its timetable: as read in version 3.3.2."""

    table: WindowTimetable
    made: list[datetime] = field(default_factory=list)
    planned: DagRunInfo | None = None
    """What ``DagModel.next_dagrun...`` holds."""

    def parse(self) -> None:
        """The dag-processor reads the file anew."""
        self.table = WindowTimetable.deserialize(self.table.serialize())
        object.__setattr__(self.table, "_is_taken", self.is_taken)
        last = self.made[-1] if self.made else None
        interval = None if last is None else DataInterval.exact(instance(last))
        self.planned = self.table.next_dagrun_info(
            last_automated_data_interval=interval, restriction=RESTRICTION
        )

    def tick(self) -> datetime | None:
        """The scheduler makes the run that is due, if one is; gives its start."""
        if self.planned is None or self.planned.run_after > datetime.now(UTC):
            return None
        found = self.table.next_run_info_from_dag_model(dag_model=planned(self.planned.run_after))
        assert found is not None
        start = datetime.fromtimestamp(found.run_after.timestamp(), UTC)
        assert start not in self.made, "Airflow would refuse the same date twice"
        self.made.append(start)
        self.parse()
        return start

    def is_taken(self, _: Any, start: datetime, __: datetime) -> bool:
        opening = self.table._openings.opening(start)
        return opening is not None and any(run in opening for run in self.made)


RULES = st.sampled_from(
    [
        ("2026-01-01T22:00", "FREQ=DAILY", "PT4H"),
        ("2026-01-01T01:30", "FREQ=DAILY", "PT2H"),
        ("2026-01-01T02:30", "FREQ=DAILY", "PT45M"),
        ("2026-01-05T22:00", "FREQ=WEEKLY;BYDAY=MO,TH", "PT6H"),
        ("2026-01-03T00:00", "FREQ=WEEKLY;BYDAY=SA", "P2D"),
    ]
)


DAYS = 4
STEP = 5


@settings(max_examples=25, deadline=None)
@given(
    rule=RULES,
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe"]),
    start=st.sampled_from(["2026-03-06T10:00", "2026-03-27T10:00", "2026-10-23T10:00"]),
    catch_up=st.sampled_from(["latest", "none"]),
    outages=st.lists(
        st.tuples(st.integers(0, DAYS * 24 * 60), st.integers(10, 2 * 24 * 60)), max_size=3
    ),
    parses=st.booleans(),
)
def test_no_run_is_lost_or_doubled(
    rule: tuple[str, str, str],
    zone: str,
    start: str,
    catch_up: Any,
    outages: list[tuple[int, int]],
    parses: bool,
) -> None:
    """Some days in steps of five minutes, with the scheduler down now and then."""
    window = source(rule[0], rule[1], duration=rule[2], timezone=zone)
    calendar = PlanCalendar(name="x", timezone=zone, windows=(window,))
    scheduler = Scheduler(WindowTimetable(calendar, needs=HOUR / 2, catch_up=catch_up))
    openings = scheduler.table._openings
    began: dict[datetime, datetime] = {}
    up_at: list[datetime] = []
    with time_machine.travel(utc(start), tick=False) as traveller:
        scheduler.parse()
        for minute in range(0, DAYS * 24 * 60, STEP):
            now = utc(start) + timedelta(minutes=minute)
            traveller.move_to(now, tick=False)
            down = any(at <= minute < at + length for at, length in outages)
            if parses and minute % 40 == 0:
                scheduler.parse()
            if down:
                continue
            up_at.append(now)
            made = scheduler.tick()
            if made is not None:
                began[made] = max(made, now)
    end = utc(start) + timedelta(days=DAYS)
    for made, at in began.items():
        opening = openings.opening(made)
        assert opening is not None
        assert made == openings.start_in(opening)
        if at < end:
            assert at in opening
            assert at + HOUR / 2 <= opening.end
            assert catch_up == "latest" or at - made <= timedelta(minutes=5)
    found, at = [], utc(start)
    while (at := openings.after(at) or end) < end:
        found.append(at)
    for start_ in found:
        opening = openings.opening(start_)
        assert opening is not None
        runs = [made for made in began if made in opening]
        last = opening.end - HOUR / 2
        if catch_up == "none":
            last = min(last, start_ + timedelta(minutes=5))
        possible = any(start_ <= moment <= last for moment in up_at)
        # one may have been made ahead for an opening at which the scheduler is down
        assert len(runs) == int(possible or start_ in began)


def test_a_run_that_is_late_over_several_openings_is_made_for_the_present_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(WindowTimetable, "_is_taken", lambda *_: False)
    model = planned(utc("2026-06-01T20:00"))
    for now, expected in [
        ("2026-06-01T20:00", "2026-06-01T20:00"),
        ("2026-06-03T21:00", "2026-06-03T20:00"),
        ("2026-06-03T23:30", "2026-06-04T20:00"),
    ]:
        with time_machine.travel(utc(now), tick=False):
            found = timetable().next_run_info_from_dag_model(dag_model=model)
        assert found is not None
        assert found.run_after == utc(expected)


def test_an_opening_that_another_run_took_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = utc("2026-06-01T20:00")
    monkeypatch.setattr(WindowTimetable, "_is_taken", lambda _, __, start, ___: start == taken)
    model = planned(taken)
    with time_machine.travel(utc("2026-06-01T20:20"), tick=False):
        found = timetable().next_run_info_from_dag_model(dag_model=model)
    assert found is not None
    assert found.run_after == utc("2026-06-02T20:00")
