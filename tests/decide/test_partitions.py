"""Which partitions are done, how many at once, and how progress is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.decide.partitions import (
    Tally,
    TargetRun,
    Way,
    allowed_errors,
    choose,
    interval_ends,
    partitions,
    places,
    poll_seconds,
    progress,
    rate_of,
    roughly,
    time_left,
)

T0 = datetime(2026, 11, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def at(hours: float) -> datetime:
    return T0 + hours * HOUR


def run(state: str, hours: float = 0, *, run_type: str = "manual", run_id: str = "r") -> TargetRun:
    return TargetRun(run_id, at(hours), state, run_type)


@pytest.mark.parametrize(
    ("state", "none", "failed", "completed"),
    [
        (None, Way.MAKE, Way.MAKE, Way.MAKE),
        ("success", Way.SKIP, Way.SKIP, Way.CLEAR),
        ("failed", Way.SKIP, Way.CLEAR, Way.CLEAR),
        ("queued", Way.WAIT, Way.WAIT, Way.WAIT),
        ("running", Way.WAIT, Way.WAIT, Way.WAIT),
    ],
)
def test_what_is_reprocessed(state: str | None, none: Way, failed: Way, completed: Way) -> None:
    there = None if state is None else run(state)
    assert choose(there, "none").way is none
    assert choose(there, "failed").way is failed
    assert choose(there, "completed").way is completed


def test_what_failed_here_runs_again_whatever_is_reprocessed() -> None:
    assert choose(run("failed"), "none", failed_here=True).way is Way.CLEAR
    assert choose(run("success"), "none", failed_here=True).way is Way.SKIP


def test_order_and_runs_under_way_that_airflow_does_not_list() -> None:
    runs = [
        run("running", 1, run_type="scheduled"),
        run("running", 1.5),  # somebody's own, at a date that is none of the schedule's
        run("success", 2),
        run("queued", 3, run_id="planner__2026-11-01T03:00:00Z__other.load.x"),
    ]
    listed = partitions([at(2), at(0)], runs, reprocess="none", order="oldest_first")
    assert [(p.logical_date, p.choice.way) for p in listed] == [
        (at(0), Way.MAKE),
        (at(1), Way.WAIT),
        (at(2), Way.SKIP),
        (at(3), Way.WAIT),
    ]
    newest = partitions([at(2), at(0)], runs, reprocess="none", order="newest_first")
    assert newest == tuple(reversed(listed))


def test_intervals_that_are_moments() -> None:
    known = {at(500): at(500)}
    assert interval_ends([at(0), at(1)], known) == {at(0): at(0), at(1): at(1)}


def test_intervals_that_reach_to_the_next_one() -> None:
    months = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3, 4, 11, 12)]
    known = {months[4]: months[5]}
    ends = interval_ends(months[:3], known, following=months[3])
    assert ends == {months[0]: months[1], months[1]: months[2], months[2]: months[3]}


def test_the_last_interval_ends_where_the_next_run_of_the_schedule_begins() -> None:
    known = {at(3): at(4)}
    assert interval_ends([at(0), at(1), at(2)], known) == {
        at(0): at(1), at(1): at(2), at(2): at(3),
    }  # fmt: skip


def test_the_last_interval_does_not_reach_over_a_gap() -> None:
    known = {at(500): at(501)}
    ends = interval_ends([at(0), at(1)], known)
    assert ends == {at(0): at(1), at(1): at(2)}


def test_intervals_longer_than_the_gaps_between_them() -> None:
    known = {at(10): at(34)}
    assert interval_ends([at(0), at(1)], known, following=at(2)) == {
        at(0): at(24), at(1): at(25),
    }  # fmt: skip
    neighbour = {at(0): at(24), at(500): at(524)}
    assert interval_ends([at(0), at(24.5)], neighbour, following=at(49)) == {
        at(0): at(24), at(24.5): at(48.5),
    }  # fmt: skip


def test_an_interval_that_is_known_is_taken_as_it_is() -> None:
    known = {at(1): at(1.5), at(9): at(10)}
    ends = interval_ends([at(0), at(1)], known, following=at(2))
    assert ends is not None
    assert ends[at(1)] == at(1.5)


def test_intervals_that_nothing_tells() -> None:
    assert interval_ends([at(0)], {}) is None
    assert interval_ends([], {}) == {}


@pytest.mark.parametrize(
    ("total", "max_errors", "allowed"),
    [(200, 3, 3), (10, 0, 0), (200, 0.1, 20), (19, 0.1, 1), (9, 0.1, 0), (30, 1.0, 30),
     (100, 0.29, 29), (1000, 0.057, 57)],
)  # fmt: skip
def test_how_many_may_fail(total: int, max_errors: float, allowed: int) -> None:
    assert allowed_errors(total, max_errors) == allowed


@pytest.mark.parametrize(
    ("limit", "of_dag", "others", "scheduled", "expected"),
    [
        (8, 16, 0, True, 8),
        (32, 16, 0, True, 15),
        (32, 16, 0, False, 16),
        (32, 16, 5, True, 10),
        (32, 16, 50, True, 7),
        (32, 1, 0, True, 1),
        (32, 1, 9, True, 1),
        (8, None, 9, True, 8),
        (0, 16, 0, True, 0),
    ],
)
def test_places(
    limit: int, of_dag: int | None, others: int, scheduled: bool, expected: int
) -> None:
    found = places(limit, max_active_runs=of_dag, others=others, scheduled=scheduled)
    assert found == expected


@given(
    limit=st.integers(1, 100), of_dag=st.integers(1, 100), others=st.integers(0, 200),
    scheduled=st.booleans(),
)  # fmt: skip
def test_a_backfill_always_has_a_place_and_never_more_than_allowed(
    limit: int, of_dag: int, others: int, scheduled: bool
) -> None:
    found = places(limit, max_active_runs=of_dag, others=others, scheduled=scheduled)
    assert 1 <= found <= min(limit, of_dag)
    if scheduled and of_dag > 1:
        assert found < of_dag


def test_rate_is_of_late() -> None:
    now = at(2)
    early = [at(0) + timedelta(minutes=5 + index) for index in range(20)]
    late = [now - timedelta(minutes=index) for index in range(15)]
    rate = rate_of([*early, *late], at(0), now)
    assert rate == pytest.approx(10 / 600), "ten ended in the last ten minutes"
    assert rate_of([], at(0), now) is None
    assert rate_of([at(0)], at(1), now) is None, "it ended before this began"


def test_rate_goes_further_back_where_little_ends() -> None:
    ends = [at(hour) for hour in range(1, 13)]
    assert rate_of(ends, at(0), at(12)) == pytest.approx(1 / 3600)
    assert rate_of([at(1)], at(0), at(2)) == pytest.approx(1 / 7200)


def test_time_left() -> None:
    tally = Tally(done=41, failed=3, running=6, waiting=150)
    assert time_left(tally, 0.5) == timedelta(seconds=312)
    assert time_left(tally, None) is None
    assert time_left(Tally(done=3), None) == timedelta(0)


def test_progress_in_one_line() -> None:
    tally = Tally(done=41, failed=3, running=6, waiting=150)
    assert progress(tally, limit=8, rate=0.9 / 60) == (
        "41 of 200 done, 3 failed, 6 running (limit 8), 0.9 a minute, about 2 h 54 min left"
    )
    held = progress(tally, limit=8, rate=0.9 / 60, held="a guard refuses")
    assert held.endswith("0.9 a minute, held: a guard refuses")
    assert progress(Tally(done=5, skipped=2), limit=8, rate=1) == "5 of 5 done, 2 left out"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (45, "45 s"), (90, "2 min"), (3600, "60 min"), (7200, "2 h"),
     (9600, "2 h 40 min"), (86400 * 3, "3 d"), (86400 * 3 + 7200, "3 d 2 h")],
)  # fmt: skip
def test_roughly(seconds: int, text: str) -> None:
    assert roughly(timedelta(seconds=seconds)) == text


def test_looks_are_as_often_as_runs_are_quick() -> None:
    assert poll_seconds(None) == 1
    assert poll_seconds(1) == 0.5
    assert poll_seconds(40) == 5
    assert poll_seconds(3600) == 10
