"""``planner audit``: does the audit trail hold together, and what does it say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.layout import aligned, moment, paragraph, plain, short
from planner_provider.cli.ledger_access import (
    AsJson,
    LedgerUrl,
    Since,
    find_plan_id,
    json_text,
    moment_since,
    now,
    open_reports,
)
from planner_provider.cli.terminal import FOUND, UserError, width, write

if TYPE_CHECKING:
    from planner_provider.ledger.audit_check import AuditRow, Fault, Finding, Noted
    from planner_provider.ledger.rows import AuditEntry

SHOWN = 50
"""Faults that are shown as text."""
DETAIL = 1000
"""Characters of an entry's detail that are shown as text."""


def verify(
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="SEQ:HASH",
            help="A row and its hash, kept elsewhere: what `planner audit head` printed.",
        ),
    ] = None,
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Check that no row of the audit trail was changed, removed, added, moved or cut off.

    Somebody with full write access can compute the whole trail anew: only --expect shows that.
    Ends with 0 if the trail is intact, 1 if it is not, 2 if it cannot be read.
    """
    noted = _noted(expect)
    reports = open_reports(ledger)
    found = reports.check_audit(noted)
    if json_:
        write(json_text(_finding_json(found, noted)))
    else:
        write(_finding_text(found, noted, reports.place))
    if not found.intact:
        raise typer.Exit(FOUND)


def head(ledger: LedgerUrl = None, json_: AsJson = False) -> None:
    """Print the last row of the audit trail as SEQ:HASH, to be kept elsewhere.

    A ticket, a chat or another system will do. `planner audit verify --expect SEQ:HASH` then also
    shows whether the trail up to this row was computed anew. Check it first: this only prints.
    """
    found = open_reports(ledger).audit_head()
    if found is None:
        raise UserError("the record of the head is missing", "run `planner audit verify`", FOUND)
    write(
        json_text({"seq": found.seq, "hash": found.hash})
        if json_
        else f"{found.seq}:{found.hash}\n"
    )


def show(
    plan_id: Annotated[
        str | None, typer.Argument(help="Plan ID, or the beginning of it. Left out: all runs.")
    ] = None,
    since: Since = None,
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Print the audit trail, oldest first: who did what, when."""
    reports = open_reports(ledger)
    full = None if plan_id is None else find_plan_id(reports, plan_id)
    entries = reports.audit(full, moment_since(since, now()))
    if json_:
        write(json_text([_entry_json(entry) for entry in entries]))
        return
    if not entries:
        write("No entries.\n")
        return
    columns = width()
    write("\n".join(line for entry in entries for line in _entry_text(entry, full, columns)))


def _noted(text: str | None) -> Noted | None:
    from planner_provider.ledger.audit_check import MIN_HASH, Noted

    if text is None:
        return None
    match = re.fullmatch(rf"(\d{{1,18}}):([0-9a-fA-F]{{{MIN_HASH},64}})", text.strip())
    if not match:
        raise UserError(
            f"--expect {text!r} is not SEQ:HASH",
            f"such as `planner audit head` prints; at least {MIN_HASH} characters of the hash",
        )
    return Noted(int(match[1]), match[2].lower())


def _finding_text(found: Finding, noted: Noted | None, place: str) -> str:
    columns = width()
    rows = "1 row" if found.rows == 1 else f"{found.rows:,} rows"
    if found.intact:
        last = f", the last one {found.last.seq}:{found.last.hash[:12]}" if found.last else ""
        more = " It has the row that you noted." if noted else ""
        return paragraph(f"The audit trail is intact: {rows}{last}.{more}", columns) + "\n"
    faults = "1 fault" if len(found.faults) == 1 else f"{len(found.faults):,} faults"
    lines = [f"The audit trail is BROKEN: {faults}, {rows} at {place}"]
    for fault in found.faults[:SHOWN]:
        lines += ["", f"row {fault.seq}: {fault.kind.value}", paragraph(fault.text, columns, 4)]
        if fault.row is not None:
            lines.append(paragraph(_written(fault, fault.row), columns, 4))
    if len(found.faults) > SHOWN:
        lines += ["", f"... and {len(found.faults) - SHOWN:,} more; --json has them all"]
    lines += [
        "",
        "Next:",
        *aligned([(f"{number}.", text) for number, text in enumerate(_next(found), 1)], columns),
    ]
    return "\n".join(lines) + "\n"


def _written(fault: Fault, row: AuditRow) -> str:
    words = f"{moment(row.at)} UTC, {row.what}, by {row.actor}"
    if row.plan_id:
        words += f", run {row.plan_id}"
    if row.seq == fault.seq:
        return f"It says: written {words}."
    which = "next one" if row.seq > fault.seq else "last one left"
    return f"The {which}, row {row.seq}, says: written {words}."


def _next(found: Finding) -> list[str]:
    """What to do about a broken trail."""
    rows = [fault.row for fault in found.faults if fault.row]
    runs = sorted({row.plan_id for row in rows if row.plan_id})
    steps = [
        "Copy the database as it is, before anything else is done to it, and tell whoever is "
        "responsible for security: a row can only be touched past the planner.",
        "Run `planner audit verify --json` on the last backups: the newest one that is intact "
        "shows what stood there, and between which times it was touched.",
        "Ask the database's own log who wrote to it. A backup that was put back, or a table that "
        "was copied in part, looks the same as a hand at work.",
    ]
    if runs:
        shown = ", ".join(runs[:3]) + (", ..." if len(runs) > 3 else "")
        steps.append(f"Do not rely on what the trail says about {shown}.")
    return steps


def _finding_json(found: Finding, noted: Noted | None) -> dict[str, Any]:
    return {
        "intact": found.intact,
        "rows": found.rows,
        "last": found.last and {"seq": found.last.seq, "hash": found.last.hash},
        "expected": noted and {"seq": noted.seq, "hash": noted.hash},
        "faults": [
            {
                "kind": fault.kind.value,
                "seq": fault.seq,
                "text": fault.text,
                "row": fault.row
                and {
                    "seq": fault.row.seq,
                    "at": fault.row.at,
                    "plan_id": fault.row.plan_id,
                    "actor": fault.row.actor,
                    "what": fault.row.what,
                },
            }
            for fault in found.faults
        ],
    }


def _entry_text(entry: AuditEntry, of_run: str | None, columns: int) -> list[str]:
    detail = ", ".join(f"{name}={_value(value)}" for name, value in entry.detail.items())
    lines = [f"{entry.seq:>6}  {moment(entry.at)}  {entry.what}  {plain(entry.actor)}"]
    if of_run is None and entry.plan_id:
        lines.append(f"        {plain(entry.plan_id)}")
    if detail:
        lines.append(paragraph(short(detail, DETAIL), columns, 8))
    return lines


def _value(value: Any) -> str:
    import json

    if isinstance(value, str):
        return f"{value[:12]}..." if re.fullmatch("[0-9a-f]{64}", value) else value
    return json.dumps(value, ensure_ascii=False)


def _entry_json(entry: AuditEntry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": entry.at,
        "plan_id": entry.plan_id,
        "actor": entry.actor,
        "what": entry.what,
        "detail": dict(entry.detail),
        "hash": entry.hash,
    }
