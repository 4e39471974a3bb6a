from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from planner_provider.ledger import Ledger
from planner_provider.ledger.audit import first_broken
from planner_provider.ledger.engine import make_engine, writing
from planner_provider.ledger.rows import Outcome
from tests.ledger.cases import NOW, Run, later


def test_what_happens_is_written_in_order_and_holds_together(ledger: Ledger) -> None:
    run = Run(ledger).pin()
    run.lease("db://x")
    run.do("s1")
    ledger.release_lease(run.key.plan_id, actor="t", now=NOW)
    ledger.finish_run(run.key, Outcome.SUCCEEDED, "ok", actor="t", now=later(5))
    entries = ledger.audit_of(run.key.plan_id)
    assert [entry.what for entry in entries] == [
        "run.assessed", "lease.taken", "act.began", "act.ended", "lease.released", "run.finished",
    ]  # fmt: skip
    assert first_broken(ledger.audit_of()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"what": "x"}, {"actor": "y"}, {"plan_id": None}, {"detail": {}}, {"at": later(1)},
        {"prev_hash": "0" * 63 + "1"}, {"hash": "0" * 64},
    ],
)  # fmt: skip
def test_a_changed_entry_is_found(ledger: Ledger, change: dict[str, object]) -> None:
    Run(ledger).pin().lease()
    entries = list(ledger.audit_of())
    entries[1] = replace(entries[1], **change)
    assert first_broken(entries) == entries[1]


def test_a_missing_entry_is_found(ledger: Ledger) -> None:
    run = Run(ledger).pin()
    run.lease()
    run.do("s1")
    entries = ledger.audit_of()
    assert first_broken([entries[0], *entries[2:]]) == entries[2]


@pytest.mark.parametrize("statement", ["UPDATE audit SET what = 'x'", "DELETE FROM audit"])
def test_the_database_refuses_to_change_it(ledger: Ledger, statement: str) -> None:
    Run(ledger).pin()
    with pytest.raises(DatabaseError, match="append-only"), writing(make_engine(ledger.url)) as c:
        c.execute(text(statement))


def test_many_writers_at_once_make_one_chain(ledger: Ledger) -> None:
    ledger.upgrade()
    barrier = threading.Barrier(6)

    def write(number: int) -> None:
        barrier.wait()
        for turn in range(4):
            ledger.record(
                "x", plan_id=None, actor=f"t{number}", detail={"turn": turn}, now=later(number)
            )

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = ledger.audit_of()
    assert len(entries) == 24
    assert first_broken(entries) is None
