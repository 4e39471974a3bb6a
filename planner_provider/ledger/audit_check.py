"""Does the audit trail hold together? Pure: rows and the head record in, faults out.

Every row carries the hash of the row before, and a hash over that and over its own content. The
record of the head (``audit_head``) names the last row and is written in the same transaction.

Proved, if no fault is found: no row was changed, removed, put in between or moved by anybody who
did not also compute anew the hashes of every later row *and* the head record; and no row was cut
off the end, or put there, by anybody who did not also write the head record.

Not proved: that nobody with full write access to the database did exactly that. Such a rewriting
shows only against a hash that was kept elsewhere: keep what ``planner audit head`` prints (in a
ticket, a chat, another system) and give it back to ``planner audit verify --expect SEQ:HASH``. It
vouches for that row and for all before it. Nor is it proved that what was written was true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from planner_provider.ledger.audit import GENESIS, entry_hash
from planner_provider.ledger.audit_order import Link, find_astray

MIN_HASH = 12
"""Shortest beginning of a hash that ``Noted`` may have."""


class FaultKind(StrEnum):
    """What happened to a row."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    MOVED = "moved"
    CUT_OFF = "cut off"
    """Rows at the end are gone."""
    HEAD = "head record"
    """The record of the head itself is missing."""
    NOT_AS_NOTED = "not as noted"
    """The trail does not have the row whose hash was kept elsewhere."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A row as it is read, whatever state it is in. Texts may be anything."""

    seq: int
    at: datetime | None
    plan_id: str | None
    actor: str
    what: str
    detail: Mapping[str, Any] | None
    prev_hash: str
    hash: str
    unreadable: str | None = None
    """What of it cannot be read; then it was changed, since all that is written can be."""

    def hash_after(self, prev_hash: str) -> str | None:
        """The hash that its content has after a row with ``prev_hash``."""
        if self.unreadable or self.at is None or self.detail is None:
            return None
        return entry_hash(prev_hash, self.at, self.plan_id, self.actor, self.what, self.detail)


@dataclass(frozen=True, slots=True)
class Noted:
    """A sequence number and the hash that its row has, or the beginning of it."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    kind: FaultKind
    seq: int
    """The row it is about; the first missing one, or the one after, for rows that are gone."""
    text: str
    row: AuditRow | None = None
    """The row that is wrong; that stands after the gap, or last, for rows that are gone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the check found."""

    rows: int
    last: Noted | None
    faults: tuple[Fault, ...]
    """In the order of the rows."""

    @property
    def intact(self) -> bool:
        """Whether no fault was found."""
        return not self.faults


def check(
    read: Callable[[], Iterable[AuditRow]], head: Noted | None, noted: Noted | None = None
) -> Finding:
    """Walk the trail and name everything that is wrong with it.

    :param read: gives the rows by ``seq``. Called once, and again only if a link is broken; both
        times it must give the same.
    :param head: the record of the head; ``None`` if there is none.
    :param noted: the hash of a row that was kept elsewhere.
    """
    count = 0
    last: AuditRow | None = None
    faults: dict[int, Fault] = {}
    broken = False
    seen_noted = False
    links = {GENESIS}
    for row in read():
        count += 1
        fits = row.hash_after(row.prev_hash) == row.hash
        if row.prev_hash not in links:
            relinked = next((link for link in links if row.hash_after(link) == row.hash), None)
            if relinked:
                faults[row.seq] = _changed(row, "Its reference to the row before was changed.")
                fits = True
            else:
                broken = True
        if not fits:
            faults[row.seq] = _changed(row, _why_changed(row))
        if noted and row.seq == noted.seq:
            seen_noted = row.hash.startswith(noted.hash)
        links = {row.hash, *filter(None, [row.hash_after(row.prev_hash)])}
        last = row
    if broken:
        links_ = tuple(
            Link.of(row.seq, row.prev_hash, row.hash, row.hash_after(row.prev_hash))
            for row in read()
        )
        for astray in find_astray(links_, frozenset(faults), head.hash if head else None):
            if head and astray.after_head(head.seq):
                continue  # told below
            fault = Fault(FaultKind(astray.kind), astray.seq, astray.text)
            if fault.seq not in faults or fault.kind in {FaultKind.INSERTED, FaultKind.MOVED}:
                faults[fault.seq] = fault
        faults = _with_rows(faults, read())
    found = sorted(faults.values(), key=lambda fault: fault.seq)
    found += _head_faults(head, last)
    if noted and not seen_noted:
        found.append(_not_as_noted(noted, last))
    return Finding(count, Noted(last.seq, last.hash) if last else None, tuple(found))


def _changed(row: AuditRow, text: str) -> Fault:
    return Fault(FaultKind.CHANGED, row.seq, text, row)


def _why_changed(row: AuditRow) -> str:
    if row.unreadable:
        return f"It cannot be read any more: {row.unreadable}."
    return "What it says does not fit its hash, so one of them was changed after it was written."


def _with_rows(faults: Mapping[int, Fault], rows: Iterable[AuditRow]) -> dict[int, Fault]:
    """Add to each fault the row that it is about, or the next one if that is gone."""
    waiting = sorted(seq for seq, fault in faults.items() if fault.row is None)
    filled = dict(faults)
    for row in rows:
        while waiting and waiting[0] <= row.seq:
            seq = waiting.pop(0)
            filled[seq] = replace(filled[seq], row=row)
    return filled


def _head_faults(head: Noted | None, last: AuditRow | None) -> list[Fault]:
    end = last.seq if last else 0
    if head is None:
        text = "The record of the head is gone, so rows may have been cut off the end unseen."
        return [Fault(FaultKind.HEAD, end, text, last)]
    if end < head.seq:
        one = f"row {head.seq} is" if head.seq == end + 1 else f"rows {end + 1} to {head.seq} are"
        where = f"The trail ends with row {end}" if last else "The trail is empty"
        text = f"{where}, and row {head.seq} was written last: {one} gone from the end."
        return [Fault(FaultKind.CUT_OFF, end + 1, text, last)]
    if last is None:
        return []
    if last.seq > head.seq:
        text = (
            f"The planner wrote row {head.seq} last. What comes after it, up to row {last.seq}, "
            "was put there past the planner."
        )
        return [Fault(FaultKind.INSERTED, head.seq + 1, text, last)]
    if last.hash != head.hash:
        text = "It is the last row, and it is not the one that the planner wrote last."
        return [Fault(FaultKind.CHANGED, last.seq, text, last)]
    return []


def _not_as_noted(noted: Noted, last: AuditRow | None) -> Fault:
    if last is None or last.seq < noted.seq:
        text = f"There is no row {noted.seq} any more, of which you have the hash."
    else:
        text = (
            f"Row {noted.seq} does not have the hash that you noted ({noted.hash[:12]}...): it, or "
            "one before it, was changed and everything after it computed anew; or the hash is of "
            "another ledger."
        )
    return Fault(FaultKind.NOT_AS_NOTED, noted.seq, text, last)
