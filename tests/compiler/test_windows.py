"""A plan by calendar as a DAG."""

from __future__ import annotations

import json
from datetime import timedelta

from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from planner_provider.compiler.dag import build_dag
from planner_provider.graph.plan_window import WindowRule
from planner_provider.operators.window import WindowOperator
from planner_provider.timetables.window import WindowTimetable
from tests.compiler.conftest import Bundle

CALENDAR = """\
apiVersion: planner/v1
kind: Calendar
metadata: {name: nights}
spec:
  timezone: Europe/Berlin
  windows: [{dtstart: 2026-01-01T22:00, rrule: FREQ=DAILY, duration: PT4H}]
"""
PLAN = """\
apiVersion: planner/v1
kind: Plan
metadata: {name: nightly, owner: team-shop}
spec:
  summary: Something at night
  schedule: {calendar: nights, needs: 45m, catch_up: none, at_end: stop_after_step}
  steps:
    - id: put
      http: {connection: api, method: PUT, path: /a}
      rollback: {http: {connection: api, method: DELETE, path: /a}}
"""
FREEZE = "  freezes: [{window: {dtstart: 2026-12-01T00:00, duration: P1D}, reason: a sale}]\n"


def loaded(bundle: Bundle, calendar: str = CALENDAR) -> DAG:
    bundle.write("nightly.yaml", PLAN, calendar)
    assert bundle.error() == ""
    return bundle.load()["nightly"]


def test_it_starts_and_waits_and_acts_by_its_calendar(bundle: Bundle) -> None:
    dag = loaded(bundle)
    timetable = dag.timetable
    assert isinstance(timetable, WindowTimetable)
    assert (timetable.needs, timetable.catch_up) == (timedelta(minutes=45), "none")
    window = dag.get_task("window")
    assert isinstance(window, WindowOperator)
    assert window.window == WindowRule(
        calendar=timetable.calendar, needs=timedelta(minutes=45), at_end="stop_after_step"
    )
    assert dag.get_task("execute.put").plan_window == window.window
    assert dag.get_task("rollback.put").plan_window is None
    assert dag.get_task("window").downstream_task_ids == {"acquire"}


def test_it_survives_serialisation(bundle: Bundle) -> None:
    dag = loaded(bundle)
    data = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    again = DagSerialization.from_dict(data)
    assert again.timetable == dag.timetable
    assert again.timetable.summary.endswith(", needs 45m")
    assert again.max_active_runs == 1


def test_a_freeze_in_the_specs_changes_the_calendar_and_not_the_digest(bundle: Bundle) -> None:
    loaded(bundle)
    (before,) = [g for g in bundle.compiler.compile_all().graphs if g.name == "nightly"]
    dag = loaded(bundle, CALENDAR + FREEZE)
    (after,) = [g for g in bundle.compiler.compile_all().graphs if g.name == "nightly"]
    assert after.digest == before.digest
    assert (before.calendar, len(after.calendar.freezes if after.calendar else ())) != (None, 0)
    assert build_dag(before).timetable != dag.timetable
    kept = bundle.ledger.last_compiled("nightly")
    assert kept is not None
    assert "a sale" in kept.graph


def test_cached_plans_have_their_calendar(bundle: Bundle) -> None:
    loaded(bundle)
    again = bundle.compiler.compile_one("nightly")
    assert not again.fresh
    assert again.graphs[0].calendar is not None
