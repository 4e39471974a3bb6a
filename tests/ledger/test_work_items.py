"""Items of long steps: added once, moved, counted, in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ItemState, WorkItem

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def item(name: str, position: int, **given: object) -> WorkItem:
    return WorkItem("p-1", "kernel", name, position, **given)  # type: ignore[arg-type]


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    ledger.add_items([item("b", 2, wave=1), item("a", 1, wave=1, facts={"zone": "z1"})])
    return ledger


def test_items_come_in_their_order(filled: Ledger) -> None:
    assert [found.item for found in filled.items_of("p-1", "kernel")] == ["a", "b"]
    assert filled.items_of("p-1", "other") == ()


def test_what_is_known_is_left_as_it_is(filled: Ledger) -> None:
    filled.move_item("p-1", "kernel", "a", ItemState.DONE, now=NOW)
    assert filled.add_items([item("a", 9), item("c", 3)]) == 1
    first = filled.item("p-1", "kernel", "a")
    assert first is not None
    assert (first.state, first.position) == (ItemState.DONE, 1)


def test_tries_and_times_are_kept(filled: Ledger) -> None:
    later = NOW + timedelta(minutes=5)
    filled.move_item("p-1", "kernel", "a", ItemState.ACTING, now=NOW)
    filled.move_item("p-1", "kernel", "a", ItemState.ACTING, now=later, facts={"boot": "x"})
    filled.move_item("p-1", "kernel", "a", ItemState.FAILED, now=later, detail="drain timed out")
    failed = filled.item("p-1", "kernel", "a")
    assert failed is not None
    assert (failed.tries, failed.started_at, failed.ended_at) == (1, NOW, later)
    assert (failed.detail, failed.facts) == ("drain timed out", {"zone": "z1", "boot": "x"})
    filled.move_item("p-1", "kernel", "a", ItemState.ACTING, now=later)
    again = filled.item("p-1", "kernel", "a")
    assert again is not None
    assert (again.tries, again.started_at, again.ended_at) == (2, NOW, None)


def test_states_are_counted(filled: Ledger) -> None:
    filled.move_item("p-1", "kernel", "a", ItemState.DONE, now=NOW)
    assert filled.item_counts("p-1", "kernel") == {ItemState.DONE: 1, ItemState.WAITING: 1}


def test_an_item_that_is_not_there_is_said(filled: Ledger) -> None:
    assert not filled.move_item("p-1", "kernel", "z", ItemState.DONE, now=NOW)
    assert filled.item("p-1", "kernel", "z") is None
