from __future__ import annotations

from dataclasses import replace

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Throttle
from tests.ledger.cases import NOW, later

FIRST = Throttle("fill", "p", 10, 1, 50, "throttle", NOW)


def test_it_begins_once(ledger: Ledger) -> None:
    assert ledger.throttle("p", "fill") is None
    assert ledger.begin_throttle(FIRST) == FIRST
    assert ledger.begin_throttle(replace(FIRST, limit=20)) == FIRST
    ledger.begin_throttle(replace(FIRST, name="api"))
    assert [item.name for item in ledger.throttles_of("p")] == ["api", "fill"]
    assert ledger.throttles_of("q") == ()
    assert [entry.what for entry in ledger.audit_of("p")] == ["throttle.began"] * 2


def test_of_many_who_see_the_same_one_ticks(ledger: Ledger) -> None:
    row = ledger.begin_throttle(FIRST)
    mine = ledger.claim_tick(row, now=later(30))
    assert mine == replace(FIRST, version=1, ticked_at=later(30))
    assert ledger.claim_tick(row, now=later(30)) is None
    assert ledger.throttle("p", "fill") == mine


def test_who_comes_second_changes_nothing(ledger: Ledger) -> None:
    row = ledger.begin_throttle(FIRST)
    by_hand = replace(row, limit=3, maximum=5, changed_by="cli:ada", changed_at=later(5))
    assert ledger.set_throttle(by_hand, {"reason": "slow"})
    assert not ledger.move_throttle(replace(row, limit=11, state="{}"))
    assert not ledger.set_throttle(replace(row, limit=12), {})
    found = ledger.throttle("p", "fill")
    assert found == replace(by_hand, version=1)
    assert ledger.move_throttle(replace(by_hand, version=1, limit=4, state="{}"))
    last = ledger.audit_of("p")[-1]
    assert (last.what, last.actor) == ("throttle.set", "cli:ada")
    assert last.detail == {
        "name": "fill", "limit": 3.0, "minimum": 1.0, "maximum": 5.0, "reason": "slow",
    }  # fmt: skip


@pytest.mark.parametrize("limit", [0.5, 51, float("nan")])
def test_a_limit_out_of_its_bounds_is_refused(ledger: Ledger, limit: float) -> None:
    with pytest.raises(ValueError, match="not between"):
        ledger.begin_throttle(replace(FIRST, limit=limit))
    row = ledger.begin_throttle(FIRST)
    with pytest.raises(ValueError, match="not between"):
        ledger.move_throttle(replace(row, limit=limit))
