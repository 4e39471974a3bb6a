from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.decide.chunks import (
    MOST_TASKS,
    Chunk,
    batch,
    batches,
    chunks_of_keys,
    chunks_of_time,
)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_time() -> None:
    found = chunks_of_time(NOON, NOON + timedelta(minutes=150), timedelta(hours=1))
    assert [chunk.begin for chunk in found] == [
        "2026-11-01 12:00:00", "2026-11-01 13:00:00", "2026-11-01 14:00:00",
    ]  # fmt: skip
    assert found[-1].end == "2026-11-01 14:30:00"
    assert found[0].name == "2026-11-01 12:00:00/2026-11-01 13:00:00"
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    assert chunks_of_time(elsewhere, NOON + timedelta(hours=1), timedelta(hours=1)) == found[:1]
    assert chunks_of_time(NOON, NOON, timedelta(hours=1)) == ()


def test_keys() -> None:
    assert chunks_of_keys(5, 12, 4) == (Chunk("5", "9"), Chunk("9", "13"))
    assert chunks_of_keys(7, 7, 100) == (Chunk("7", "8"),)
    assert chunks_of_keys(8, 7, 100) == ()


def test_too_many() -> None:
    with pytest.raises(ValueError, match="are more than 100000"):
        chunks_of_keys(0, 10**9, 10)
    with pytest.raises(ValueError, match="are more than"):
        chunks_of_time(NOON, NOON + timedelta(days=300), timedelta(seconds=1))


@given(st.integers(-1000, 1000), st.integers(0, 500), st.integers(1, 90))
def test_every_key_is_in_one_chunk(first: int, more: int, size: int) -> None:
    chunks = chunks_of_keys(first, first + more, size)
    keys = [key for chunk in chunks for key in range(int(chunk.begin), int(chunk.end))]
    assert keys == list(range(first, first + more + 1))


@given(st.integers(0, 5000))
def test_every_chunk_is_in_one_task(count: int) -> None:
    items = range(count)
    tasks = [batch(items, number) for number in range(batches(count))]
    assert [item for task in tasks for item in task] == list(items)
    assert len(tasks) <= MOST_TASKS
    assert all(tasks)
    assert batch(items, len(tasks)) == ()
    assert batch(items, -1) == ()
