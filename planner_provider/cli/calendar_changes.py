"""``planner calendar freeze | override | changes | withdraw``: changing calendars by hand, at once.

What is written here counts for plans that wait and for plans that run. It stands in the ledger, not
in the specs; what is to stay belongs into the specs.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.layout import aligned, moment, paragraph, plain, section, span
from planner_provider.cli.ledger_access import (
    AsJson,
    LedgerUrl,
    given_reason,
    json_text,
    now,
    open_for_writing,
    open_reports,
    url_of,
)
from planner_provider.cli.terminal import FOUND, UserError, width, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planner_provider.decide.windows import Changes
    from planner_provider.graph.calendars import PlanCalendar
    from planner_provider.ledger import Ledger
    from planner_provider.ledger.rows import CalendarChange, ChangeKind

Name = Annotated[str, typer.Argument(help="Name of the calendar.", metavar="NAME")]
Reason = Annotated[
    str, typer.Option("--reason", "-r", metavar="TEXT", help="Why; kept for good, for all to see.")
]
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="WHEN", help="Since when: a moment with its zone, or 2h from now. "
        "Left out: now.",
    ),
]  # fmt: skip
Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="Also for a calendar that no compiled plan uses (yet)."),
]


def freeze(
    name: Name,
    to: Annotated[str, typer.Option("--to", metavar="WHEN", help="Until when: as for --from.")],
    reason: Reason,
    from_: From = None,
    anyway: Anyway = False,
    ledger: LedgerUrl = None,
) -> None:
    """Freeze a calendar: plans that wait for it wait on, and no further step of others begins.

    It also holds for calendars that need this one to be open. Steps that act now are not cut off
    by it, unless their plan says `at_end: abort`.
    """
    from planner_provider.ledger.rows import ChangeKind

    _add(ledger, name, ChangeKind.FREEZE, from_, to, reason, anyway=anyway)


def override(
    name: Name,
    until: Annotated[
        str, typer.Option("--until", metavar="WHEN", help="Until when: as for --from.")
    ],
    reason: Reason,
    from_: From = None,
    anyway: Anyway = False,
    ledger: LedgerUrl = None,
) -> None:
    """Open a calendar in an emergency, over closed windows and freezes.

    It counts only from users that `[planner] override_users` of the workers and triggerers names.
    """
    from planner_provider.ledger.rows import ChangeKind

    _add(ledger, name, ChangeKind.OVERRIDE, from_, until, reason, anyway=anyway)


def changes(
    name: Annotated[
        str | None, typer.Argument(help="Name of the calendar. Left out: all.", metavar="NAME")
    ] = None,
    past: Annotated[bool, typer.Option("--past", help="Also what is over.")] = False,
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Show the freezes and overrides that people added."""
    open_reports(ledger)
    found = _ledger(ledger).calendar_changes_of(name)
    moment_now = now()
    if not past:
        found = tuple(c for c in found if c.ends_at > moment_now and c.withdrawn_at is None)
    if json_:
        write(json_text([asdict(change) for change in found]))
        return
    which = f" of calendar {plain(name)}" if name else ""
    if not found:
        write(f"Nothing was changed{which}{'' if past else ' that still matters'}.\n")
        return
    columns = width()
    lines = [line for change in found for line in _lines(change, moment_now, columns)]
    write("\n".join(lines) + "\n")


def withdraw(
    id_: Annotated[
        int, typer.Argument(help="Its number, as `planner calendar changes` shows.", metavar="ID")
    ],
    ledger: LedgerUrl = None,
) -> None:
    """Take a freeze or an override back.

    Anybody may take an override back; a freeze only whoever added it, and users that may override.
    Ends with 1 if that is not allowed.
    """
    from planner_provider.ledger.calendar_changes import may_lift

    book = open_for_writing(ledger)
    known = book.calendar_change(id_)
    if known is None:
        raise UserError(f"there is no change {id_}", "`planner calendar changes` lists them")
    who = _who()
    if not may_lift(known, who, _override_users()):
        raise UserError(
            f"change {id_} is a freeze by {known.who}; {who} may not take it back",
            _permission("ask them, or a user that may override"),
            FOUND,
        )
    done = book.withdraw_calendar_change(id_, actor=who, now=now())
    if done is None:
        raise UserError(f"change {id_} has just gone from the ledger")
    assert done.withdrawn_at is not None
    write(
        f"The {done.kind.value} {id_} of calendar {plain(done.calendar)} was taken back at "
        f"{moment(done.withdrawn_at)} UTC by {plain(done.withdrawn_by)}.\n"
    )


def _add(
    url: str | None,
    name: str,
    kind: ChangeKind,
    begins: str | None,
    ends: str,
    reason: str,
    *,
    anyway: bool,
) -> None:
    from planner_provider.ledger.rows import CalendarChange, ChangeKind

    why = given_reason(reason)
    at, who = now(), _who()
    start = at if begins is None else _moment("--from", begins, at)
    end = _moment("--until" if kind is ChangeKind.OVERRIDE else "--to", ends, at)
    if end <= start or end <= at:
        raise UserError(
            f"it would end at {moment(end)} UTC, which is before "
            f"{'it begins' if end <= start else 'now'}",
            "the end must lie after the beginning, and ahead",
        )
    if kind is ChangeKind.OVERRIDE:
        _require_permission(who)
    book = open_for_writing(url)
    affected = _plans_with(book, name)
    if not affected and not anyway:
        known = sorted(set(_calendars(book).values()))
        listed = ", ".join(plain(item) for item in known) or "none"
        raise UserError(
            f"no compiled plan uses a calendar '{name}', so this would change nothing. Nothing "
            f"was written. Calendars of plans: {listed}",
            "mend the name, or add --anyway",
        )
    added = book.add_calendar_change(
        CalendarChange(
            id=0, calendar=name, kind=kind, begins_at=start, ends_at=end, reason=why,
            who=who, created_at=at,
        )
    )  # fmt: skip
    what = "frozen" if kind is ChangeKind.FREEZE else "open"
    columns = width()
    lines = [
        paragraph(
            f"Calendar {name} is {what} from {moment(start)} to {moment(end)} UTC, "
            f"{span(end - start)} (change {added.id}, by {who}).",
            columns,
        ),
        *section("Plans by this calendar:", (f"  {plain(plan)}" for plan in affected)),
        "",
        paragraph(
            f"Plans that wait see it within a minute. To take it back: planner calendar withdraw "
            f"{added.id}",
            columns,
        ),
    ]
    write("\n".join(lines) + "\n")


def _lines(change: CalendarChange, at: datetime, columns: int) -> list[str]:
    state = "is over" if change.ends_at <= at else "in force" if change.begins_at <= at else "ahead"
    if change.withdrawn_at is not None:
        state = f"taken back {moment(change.withdrawn_at)} by {plain(change.withdrawn_by)}"
    rows = [
        ("from", f"{moment(change.begins_at)} UTC"),
        ("until", f"{moment(change.ends_at)} UTC"),
        ("by", f"{change.who}, {moment(change.created_at)} UTC"),
        ("reason", change.reason),
    ]
    head = f"{change.id:>4}  {change.kind.value} of {plain(change.calendar)}: {state}"
    return [head, *aligned(rows, columns, indent=6)]


def _plans_with(book: Ledger, name: str) -> list[str]:
    """Plans whose calendar is this one, or needs it to be open."""
    return sorted({plan for (plan, calendar) in _calendars(book) if calendar == name})


def _calendars(book: Ledger) -> Mapping[tuple[str, str], str]:
    """The calendars of the plans that were compiled: (plan, calendar) -> calendar."""
    import json

    found = {}
    for plan in book.compiled_digests():
        kept = book.last_compiled(plan)
        graph: dict[str, Any] = json.loads(kept.graph) if kept else {}
        for used in (graph.get("calendar"), *graph.get("calendars", ())):
            for calendar in _names(used):
                found[plan, calendar] = calendar
    return found


def _names(calendar: Any) -> list[str]:
    if not isinstance(calendar, dict):
        return []
    needed = calendar.get("requires", ())
    return [calendar["name"], *(name for item in needed for name in _names(item))]


def _moment(option: str, text: str, at: datetime) -> datetime:
    """A moment with its zone, or a duration from now. Raises ``UserError``."""
    from planner_provider.spec.values import parse_duration

    try:
        return at + parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{option} {text!r} is neither a duration nor a moment",
            "such as 90m, 2h, 2026-03-29T01:30Z, 2026-03-29T03:30+02:00",
        ) from None
    if found.tzinfo is None:
        raise UserError(
            f"{option} {text!r} names no time zone",
            f"in UTC it is {text}Z; in another zone add its offset, such as {text}+01:00",
        )
    return found.astimezone(UTC)


def _who() -> str:
    """Who types, by the number that the operating system gave the process, not by variables."""
    import pwd

    try:
        return f"cli:{pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"cli:uid {os.geteuid()}"


def live_changes(calendar: PlanCalendar, ledger: str | None) -> Changes:
    """What people added by hand, where there is a ledger; none if none is configured or made yet.

    Raises ``UserError`` for a ledger that cannot be read.
    """
    from planner_provider.decide.windows import NO_CHANGES

    url = url_of(ledger)
    if ledger is None and url.startswith("sqlite:///") and not Path(url[10:]).exists():
        return NO_CHANGES
    open_reports(ledger)
    opened = _ledger(ledger)
    return opened.live_changes(calendar, override_users=_override_users(), now=now())


def _override_users() -> tuple[str, ...]:
    from planner_provider.ledger.location import setting

    names = setting(os.environ, "override_users").split(",")
    return tuple(filter(None, (name.strip() for name in names)))


def _require_permission(who: str) -> None:
    from planner_provider.ledger.calendar_changes import user_of

    if user_of(who) not in _override_users():
        raise UserError(
            f"{who} may not override calendars. Nothing was written",
            _permission("ask one of those who may"),
            FOUND,
        )


def _permission(then: str) -> str:
    allowed = ", ".join(_override_users()) or "nobody"
    return f"`[planner] override_users` names those who may, here: {allowed}; {then}"


def _ledger(url: str | None) -> Ledger:
    from planner_provider.ledger import Ledger

    return Ledger(url_of(url), auto_upgrade=False)
