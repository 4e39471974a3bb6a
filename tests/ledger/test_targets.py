"""Targets begin one at a time, within their limits, whoever asks at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from planner_provider.decide.waves import TurnKind
from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import ItemState, WorkItem
from planner_provider.ledger.targets import Limits
from tests.ledger.cases import Run

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Fleet:
    def __init__(self, ledger: Ledger, size: int) -> None:
        self.ledger = ledger
        self.run = Run(ledger).pin()
        self.run.lease()
        self.plan_id = self.run.key.plan_id
        names = [f"n{number}" for number in range(size)]
        ledger.add_items(
            WorkItem(self.plan_id, "kernel", name, number, wave=1)
            for number, name in enumerate(names)
        )

    def begin(self, name: str, limits: Limits, *elsewhere: str) -> TurnKind:
        return self.ledger.begin_target(
            self.plan_id, "kernel", name, limits, elsewhere=elsewhere, actor="t", now=NOW
        ).kind

    def end(self, name: str, state: ItemState, *, available: bool = True) -> None:
        self.ledger.end_target(
            self.plan_id, "kernel", name, state, detail="x", available=available, actor="t", now=NOW
        )

    def state(self, name: str) -> ItemState:
        found = self.ledger.item(self.plan_id, "kernel", name)
        assert found is not None
        return found.state


@pytest.fixture
def fleet(ledger: Ledger) -> Fleet:
    return Fleet(ledger, 6)


def test_a_target_that_begins_holds_its_place_until_it_ended(fleet: Fleet) -> None:
    one = Limits(1, 0)
    assert fleet.begin("n0", one) is TurnKind.BEGIN
    assert fleet.begin("n1", one) is TurnKind.WAIT
    assert fleet.begin("n0", one) is TurnKind.BEGIN, "asking again changes nothing"
    assert (fleet.state("n0"), fleet.state("n1")) == (ItemState.ACTING, ItemState.WAITING)
    fleet.end("n0", ItemState.DONE)
    assert fleet.begin("n1", one) is TurnKind.BEGIN
    assert fleet.begin("n0", one) is TurnKind.BEGIN
    assert fleet.state("n0") is ItemState.DONE, "what is done is not begun again"
    began = [e.detail["target"] for e in fleet.ledger.audit_of(fleet.plan_id)
             if e.what == "target.began"]  # fmt: skip
    assert began == ["n0", "n1"]


def test_why_one_waits_stands_at_it(fleet: Fleet) -> None:
    fleet.begin("n0", Limits(1, 0))
    fleet.begin("n1", Limits(1, 0))
    waits = fleet.ledger.item(fleet.plan_id, "kernel", "n1")
    assert waits is not None
    assert "1 others are unavailable (n0)" in (waits.detail or "")


def test_errors_of_an_earlier_lease_do_not_count(fleet: Fleet) -> None:
    limits = Limits(3, 0)
    fleet.begin("n0", limits)
    fleet.end("n0", ItemState.FAILED)
    assert fleet.begin("n1", limits) is TurnKind.STOP
    fleet.ledger.release_lease(fleet.plan_id, actor="t", now=NOW)
    fleet.run.lease()
    assert fleet.begin("n1", limits) is TurnKind.BEGIN
    assert fleet.begin("n0", limits) is TurnKind.BEGIN, "and what failed is tried again"


def test_a_target_that_the_step_does_not_have(fleet: Fleet) -> None:
    with pytest.raises(ValueError, match="kernel has no target n9"):
        fleet.begin("n9", Limits(1, 0))


def test_of_many_that_ask_at_once_no_more_begin_than_may(fleet: Fleet) -> None:
    answers: list[TurnKind] = []
    start = threading.Barrier(6)

    def ask(name: str) -> None:
        start.wait()
        answers.append(fleet.begin(name, Limits(2, 0)))

    threads = [threading.Thread(target=ask, args=(f"n{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [TurnKind.BEGIN] * 2 + [TurnKind.WAIT] * 4
    counts = fleet.ledger.item_counts(fleet.plan_id, "kernel")
    assert counts == {ItemState.ACTING: 2, ItemState.WAITING: 4}


def test_while_the_run_is_held_no_target_begins_and_what_began_goes_on(fleet: Fleet) -> None:
    two = Limits(2, 0)
    fleet.begin("n0", two)
    fleet.ledger.hold_run(fleet.plan_id, actor="ada", reason="Lag rises.", now=NOW)
    answer = fleet.ledger.begin_target(
        fleet.plan_id, "kernel", "n1", two, elsewhere=(), actor="t", now=NOW
    )
    assert (answer.kind, answer.why[:14]) == (TurnKind.WAIT, "ada holds this")
    assert fleet.state("n1") is ItemState.WAITING
    assert fleet.begin("n0", two) is TurnKind.BEGIN
    fleet.end("n0", ItemState.FAILED)
    assert fleet.begin("n1", two) is TurnKind.STOP, "a hold hides no failure"
    fleet.ledger.resume_run(fleet.plan_id, actor="ada", reason=None, now=NOW)
    assert fleet.begin("n2", Limits(2, 1)) is TurnKind.BEGIN
