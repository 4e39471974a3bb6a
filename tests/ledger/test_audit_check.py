"""The audit trail touched past the planner, in a real database: it is found, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, text, update

from planner_provider.ledger import Ledger
from planner_provider.ledger.audit import GENESIS, entry_hash
from planner_provider.ledger.audit_check import AuditRow, FaultKind, Finding, Noted, check
from planner_provider.ledger.audit_rows import read_head, read_rows
from planner_provider.ledger.engine import make_engine, reading, writing
from planner_provider.ledger.schema import AUDIT, AUDIT_HEAD
from tests.ledger.cases import later

CHANGED, REMOVED, INSERTED, MOVED, CUT_OFF = (
    FaultKind.CHANGED, FaultKind.REMOVED, FaultKind.INSERTED, FaultKind.MOVED, FaultKind.CUT_OFF,
)  # fmt: skip


@pytest.fixture
def trail(ledger: Ledger) -> Ledger:
    """A ledger with eight entries."""
    for number in range(1, 9):
        write(ledger, number)
    return ledger


def write(ledger: Ledger, number: int) -> None:
    ledger.record(
        "thing.done", plan_id=f"p{number}", actor="t", detail={"n": number}, now=later(number)
    )


def found(ledger: Ledger, noted: Noted | None = None) -> Finding:
    with reading(make_engine(ledger.url)) as connection:
        return check(lambda: read_rows(connection), read_head(connection), noted)


def faults(ledger: Ledger, noted: Noted | None = None) -> list[tuple[FaultKind, int]]:
    return [(fault.kind, fault.seq) for fault in found(ledger, noted).faults]


class Tamper:
    """A hand with full write access to the database: the triggers are switched off."""

    def __init__(self, ledger: Ledger) -> None:
        self._writing = writing(make_engine(ledger.url))

    def __enter__(self) -> Connection:
        connection = self._writing.__enter__()
        if connection.dialect.name == "sqlite":
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{verb}"))
        else:
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        return connection

    def __exit__(self, *error: Any) -> None:
        self._writing.__exit__(*error)


def row_of(connection: Connection, seq: int) -> dict[str, Any]:
    return dict(connection.execute(select(AUDIT).where(AUDIT.c.seq == seq)).one()._mapping)


def rehash(row: dict[str, Any]) -> None:
    names = ("prev_hash", "at", "plan_id", "actor", "what", "detail")
    row["hash"] = entry_hash(**{name: row[name] for name in names})


def rewrite(connection: Connection, seqs: Sequence[int]) -> None:
    """Compute these rows anew, each after the one before it."""
    previous = connection.execute(
        select(AUDIT.c.hash).where(AUDIT.c.seq < seqs[0]).order_by(AUDIT.c.seq.desc()).limit(1)
    ).scalar_one_or_none()
    for seq in seqs:
        row = row_of(connection, seq)
        row["prev_hash"] = previous or GENESIS
        rehash(row)
        connection.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(**row))
        previous = row["hash"]


def test_an_untouched_trail_is_intact(trail: Ledger) -> None:
    last = found(trail).last
    assert last is not None
    assert (found(trail).rows, last.seq, faults(trail)) == (8, 8, [])
    with reading(make_engine(trail.url)) as connection:
        assert read_head(connection) == last


def test_an_empty_trail_is_intact(ledger: Ledger) -> None:
    ledger.upgrade()
    assert found(ledger) == Finding(0, None, ())


@pytest.mark.parametrize(
    "change",
    [
        {"what": "x"}, {"actor": "x"}, {"plan_id": None}, {"detail": {"n": 9}}, {"at": later(99)},
        {"detail": []}, {"hash": "f" * 64}, {"prev_hash": "f" * 64},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("seq", [1, 4, 8])
def test_a_changed_row_is_named(trail: Ledger, seq: int, change: dict[str, Any]) -> None:
    with Tamper(trail) as connection:
        connection.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(**change))
    finding = found(trail)
    assert {fault.seq for fault in finding.faults} == {seq}
    assert {fault.kind for fault in finding.faults} == {CHANGED}
    assert finding.faults[0].row is not None
    assert finding.faults[0].row.seq == seq


def test_a_row_that_claims_to_be_the_first_is_named(trail: Ledger) -> None:
    with Tamper(trail) as connection:
        connection.execute(update(AUDIT).where(AUDIT.c.seq == 4).values(prev_hash=GENESIS))
    assert faults(trail) == [(CHANGED, 4)]


@pytest.mark.parametrize("column", ["detail", "at"])
def test_a_row_that_cannot_be_read_is_named(trail: Ledger, column: str) -> None:
    with Tamper(trail) as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text(f"UPDATE audit SET {column} = 'rubbish' WHERE seq = 4"))
        elif column == "at":
            connection.execute(text("UPDATE audit SET at = 'infinity' WHERE seq = 4"))
        else:
            connection.execute(
                text("""UPDATE audit SET detail = '{"n": 9, "n": 4}' WHERE seq = 4""")
            )
    assert faults(trail) == [(CHANGED, 4)]
    assert "cannot be read" in found(trail).faults[0].text


@pytest.mark.parametrize(("seqs", "named"), [([4], 4), ([4, 5, 6], 4), ([1], 1), ([1, 2], 1)])
def test_removed_rows_are_named(trail: Ledger, seqs: list[int], named: int) -> None:
    with Tamper(trail) as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.seq.in_(seqs)))
    assert faults(trail) == [(REMOVED, named)]
    after = found(trail).faults[0].row
    assert after is not None
    assert after.seq == seqs[-1] + 1


def test_rows_removed_in_two_places(trail: Ledger) -> None:
    with Tamper(trail) as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.seq.in_([2, 5, 6])))
    assert faults(trail) == [(REMOVED, 2), (REMOVED, 5)]


def test_a_removal_with_the_rest_numbered_anew_is_found(trail: Ledger) -> None:
    with Tamper(trail) as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.seq == 4))
        for seq in range(5, 9):
            connection.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(seq=seq - 1))
    assert faults(trail) == [(CHANGED, 3), (CUT_OFF, 8)]
    assert "removed and the others numbered anew" in found(trail).faults[0].text


@pytest.mark.parametrize("how", ["well chained", "not chained", "wrong hash"])
def test_an_inserted_row_is_named(trail: Ledger, how: str) -> None:
    with Tamper(trail) as connection:
        for seq in range(8, 3, -1):
            connection.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(seq=seq + 1))
        forged = {**row_of(connection, 3), "seq": 4, "what": "approval.granted"}
        forged["prev_hash"] = row_of(connection, 3)["hash"] if how == "well chained" else "a" * 64
        rehash(forged)
        if how == "wrong hash":
            forged["hash"] = "b" * 64
        connection.execute(AUDIT.insert().values(**forged))
        connection.execute(update(AUDIT_HEAD).values(seq=9))
    assert faults(trail) == [(INSERTED, 4)]


def test_a_row_added_past_the_planner_at_the_end_is_named(trail: Ledger) -> None:
    with Tamper(trail) as connection:
        forged = {**row_of(connection, 8), "seq": 9, "prev_hash": row_of(connection, 8)["hash"]}
        rehash(forged)
        connection.execute(AUDIT.insert().values(**forged))
    assert faults(trail) == [(INSERTED, 9)]


def test_it_is_still_named_after_the_planner_wrote_more(trail: Ledger) -> None:
    with Tamper(trail) as connection:
        forged = {**row_of(connection, 8), "prev_hash": row_of(connection, 8)["hash"]}
        del forged["seq"]
        rehash(forged)
        connection.execute(AUDIT.insert().values(**forged))
    write(trail, 9)
    assert faults(trail) == [(INSERTED, 9)]


@pytest.mark.parametrize(("a", "b"), [(3, 4), (2, 6), (1, 8)])
def test_rows_that_changed_places_are_named(trail: Ledger, a: int, b: int) -> None:
    with Tamper(trail) as connection:
        for old, new in ((a, 1000), (b, a), (1000, b)):
            connection.execute(update(AUDIT).where(AUDIT.c.seq == old).values(seq=new))
    named = [fault for fault in faults(trail) if fault[0] is MOVED]
    if b == a + 1:  # either of them can be said to have moved
        assert named in ([(MOVED, a)], [(MOVED, b)])
    else:
        assert named == [(MOVED, a), (MOVED, b)]
    assert {kind for kind, _ in faults(trail)} <= {MOVED, CHANGED}


def test_a_row_that_was_moved_to_another_place_is_named(trail: Ledger) -> None:
    with Tamper(trail) as connection:
        connection.execute(update(AUDIT).where(AUDIT.c.seq == 3).values(seq=1000))
        for seq in (4, 5, 6):
            connection.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(seq=seq - 1))
        connection.execute(update(AUDIT).where(AUDIT.c.seq == 1000).values(seq=6))
    assert faults(trail) == [(MOVED, 6)]


@pytest.mark.parametrize("kept", [7, 3, 0])
def test_a_tail_that_was_cut_off_is_found(trail: Ledger, kept: int) -> None:
    with Tamper(trail) as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.seq > kept))
    assert faults(trail) == [(CUT_OFF, kept + 1)]


@pytest.mark.parametrize("kept", [7, 3, 0])
def test_it_is_still_found_after_the_planner_wrote_more(trail: Ledger, kept: int) -> None:
    with Tamper(trail) as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.seq > kept))
    write(trail, 9)
    assert faults(trail) == [(REMOVED, kept + 1)]


def test_a_missing_record_of_the_head_is_found_and_stays_missing(trail: Ledger) -> None:
    with Tamper(trail) as connection:
        connection.execute(delete(AUDIT_HEAD))
    assert faults(trail) == [(FaultKind.HEAD, 8)]
    write(trail, 9)
    assert faults(trail) == [(FaultKind.HEAD, 9)]


def test_a_row_with_its_hash_computed_anew_is_named(trail: Ledger) -> None:
    with Tamper(trail) as connection:
        connection.execute(update(AUDIT).where(AUDIT.c.seq == 4).values(actor="x"))
        rewrite(connection, [4])
    assert faults(trail) == [(CHANGED, 4)]


def test_a_last_row_with_its_hash_computed_anew_is_named(trail: Ledger) -> None:
    with Tamper(trail) as connection:
        connection.execute(update(AUDIT).where(AUDIT.c.seq == 8).values(actor="x"))
        rewrite(connection, [8])
    assert faults(trail) == [(CHANGED, 8)]


def test_only_a_hash_kept_elsewhere_shows_that_everything_was_computed_anew(
    trail: Ledger,
) -> None:
    noted = found(trail).last
    assert noted is not None
    write(trail, 9)
    assert faults(trail, noted) == []
    with Tamper(trail) as connection:
        connection.execute(update(AUDIT).where(AUDIT.c.seq == 4).values(actor="x"))
        rewrite(connection, range(4, 10))
        last = row_of(connection, 9)["hash"]
        connection.execute(update(AUDIT_HEAD).values(hash=last))
    assert faults(trail) == []
    assert faults(trail, noted) == [(FaultKind.NOT_AS_NOTED, 8)]
    assert faults(trail, Noted(8, noted.hash[:12])) == [(FaultKind.NOT_AS_NOTED, 8)]


def test_a_noted_row_that_is_gone(trail: Ledger) -> None:
    assert faults(trail, Noted(99, "a" * 12)) == [(FaultKind.NOT_AS_NOTED, 99)]


def test_numbers_that_were_never_used_are_no_fault(trail: Ledger) -> None:
    """PostgreSQL leaves out the number of a transaction that was rolled back."""
    with Tamper(trail) as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("UPDATE sqlite_sequence SET seq = 20 WHERE name = 'audit'"))
        else:
            connection.execute(text("SELECT setval(pg_get_serial_sequence('audit','seq'), 20)"))
    write(trail, 9)
    finding = found(trail)
    assert finding.last is not None
    assert (finding.last.seq, finding.faults) == (21, ())


def test_many_rows_are_read_in_parts(trail: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner_provider.ledger.audit_rows.AT_ONCE", 3)
    with reading(make_engine(trail.url)) as connection:
        assert [row.seq for row in read_rows(connection)] == list(range(1, 9))


def test_an_upgrade_makes_the_record_of_the_head(ledger: Ledger) -> None:
    from alembic import command
    from alembic.config import Config

    from planner_provider.ledger.upgrade import MIGRATIONS

    write(ledger, 1)
    write(ledger, 2)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with writing(make_engine(ledger.url)) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
    Ledger(ledger.url).upgrade()
    assert faults(ledger) == []
    assert found(ledger).rows == 2


def test_rows_are_read_once_unless_a_link_is_broken() -> None:
    times = 0

    def read() -> list[AuditRow]:
        nonlocal times
        times += 1
        return []

    check(read, Noted(0, GENESIS))
    assert times == 1
