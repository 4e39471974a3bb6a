from __future__ import annotations

import random
import threading
import time

from planner_provider.ledger import Ledger
from tests.ledger.cases import NOW, later


def test_so_many_as_are_allowed(ledger: Ledger) -> None:
    assert ledger.take_slot("p", "fill", "a", 2, now=NOW)
    assert ledger.take_slot("p", "fill", "b", 2, now=later(1))
    assert not ledger.take_slot("p", "fill", "c", 2, now=later(2))
    assert ledger.take_slot("p", "other", "c", 2, now=later(2))
    assert ledger.take_slot("q", "fill", "c", 2, now=later(2))
    assert [slot.holder for slot in ledger.slot_holders("p", "fill")] == ["a", "b"]
    assert ledger.give_slot_back("p", "fill", "a")
    assert not ledger.give_slot_back("p", "fill", "a")
    assert ledger.take_slot("p", "fill", "c", 2, now=later(3))


def test_who_takes_twice_holds_one(ledger: Ledger) -> None:
    assert ledger.take_slot("p", "fill", "a", 3, now=NOW)
    assert ledger.take_slot("p", "fill", "a", 3, now=later(9))
    (slot,) = ledger.slot_holders("p", "fill")
    assert (slot.holder, slot.taken_at) == ("a", NOW)
    assert ledger.give_slot_back("p", "fill", "a")
    assert ledger.slot_holders("p", "fill") == ()


def test_a_limit_that_falls_takes_nothing_away_and_gives_nothing(ledger: Ledger) -> None:
    for holder in "abc":
        assert ledger.take_slot("p", "fill", holder, 3, now=NOW)
    assert ledger.take_slot("p", "fill", "a", 1, now=NOW)
    assert ledger.give_slot_back("p", "fill", "b")
    assert not ledger.take_slot("p", "fill", "d", 2, now=NOW)
    assert not ledger.take_slot("p", "none", "d", 0, now=NOW)


def test_many_at_once_never_hold_more(ledger: Ledger) -> None:
    limit, workers, rounds = 3, 8, 12
    held: set[str] = set()
    guard, trouble, most = threading.Lock(), [], [0]
    ledger.slot_holders("p", "fill")  # open it once

    def work(number: int) -> None:
        rng = random.Random(number)
        for turn in range(rounds):
            holder = f"h{number}-{turn}"
            if not ledger.take_slot("p", "fill", holder, limit, now=NOW):
                time.sleep(rng.uniform(0, 0.01))
                continue
            with guard:
                held.add(holder)
                most[0] = max(most[0], len(held))
                if len(held) > limit:
                    trouble.append(sorted(held))
            time.sleep(rng.uniform(0, 0.02))
            with guard:
                held.remove(holder)
            ledger.give_slot_back("p", "fill", holder)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not trouble
    assert most[0] >= 2
    assert ledger.slot_holders("p", "fill") == ()
