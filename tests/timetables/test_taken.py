"""Whether an opening has its run already, by Airflow's own tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import time_machine
from airflow.models.dag import DagModel  # noqa: TID251 - what the scheduler works with
from airflow.models.dagrun import DagRun  # noqa: TID251 - what the scheduler works with
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from planner_provider.timetables.window import WindowTimetable
from tests.decide.calendars import nights, utc

START = utc("2026-06-01T20:00")
NOW = utc("2026-06-01T20:20")


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    tables: Any = [DagModel.__table__, DagRun.__table__]
    DagModel.metadata.create_all(engine, tables=tables)
    with Session(engine) as session:
        yield session
    engine.dispose()


def taken(
    session: Session,
    start: datetime = START,
    *,
    logical: str | None = None,
    run_type: str = "scheduled",
    began: str | None = None,
    ended: str | None = None,
) -> bool | None:
    session.execute(
        DagRun.__table__.insert().values(
            dag_id="plan",
            run_id="r",
            run_type=run_type,
            state="success",
            log_template_id=None,
            logical_date=utc(logical) if logical else None,
            start_date=utc(began) if began else None,
            end_date=utc(ended) if ended else None,
            run_after=utc(logical or began or "2026-01-01T00:00"),
        )
    )
    model = DagModel(dag_id="plan")
    session.add(model)
    with session.no_autoflush:
        return WindowTimetable(nights())._is_taken(model, start, NOW)


def test_by_a_run_of_the_same_opening(session: Session) -> None:
    assert taken(session, logical="2026-06-01T21:00")


def test_by_a_run_that_was_under_way(session: Session) -> None:
    assert taken(
        session, logical="2026-05-31T20:00", began="2026-05-31T20:00", ended="2026-06-01T20:10"
    )


def test_by_a_run_by_hand_that_still_is(session: Session) -> None:
    assert taken(session, run_type="manual", began="2026-06-01T19:00")


def test_by_one_with_the_same_date(session: Session) -> None:
    assert taken(session, run_type="manual", logical="2026-06-01T20:00")


@pytest.mark.parametrize(
    "run",
    [
        {"logical": "2026-05-31T20:00", "began": "2026-05-31T20:00", "ended": "2026-06-01T19:59"},
        {"run_type": "manual", "logical": "2026-06-01T20:05", "began": "2026-06-01T20:05"},
        {"logical": "2026-06-02T20:00"},
    ],
    ids=["ended before", "began later, by hand", "of the next opening"],
)
def test_not_by_others(session: Session, run: dict[str, str]) -> None:
    assert not taken(session, **run)  # type: ignore[arg-type]


def test_what_is_under_way_now_does_not_take_an_opening_that_lies_ahead(session: Session) -> None:
    assert not taken(session, utc("2026-06-02T20:00"), began="2026-06-01T19:00")


def test_outside_of_a_session_it_is_not_known_and_stays_as_it_was_planned() -> None:
    """Of a date Airflow makes one run only; of an opening it would make two, by two dates."""
    table, planned = WindowTimetable(nights()), utc("2026-05-31T20:00")
    model = DagModel(dag_id="plan")
    model.next_dagrun = model.next_dagrun_data_interval_start = planned
    model.next_dagrun_data_interval_end = model.next_dagrun_create_after = planned
    assert table._is_taken(model, START, NOW) is None
    with time_machine.travel(NOW, tick=False):
        found = table.next_run_info_from_dag_model(dag_model=model)
    assert found is not None
    assert found.run_after == planned
