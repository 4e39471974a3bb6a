"""``planner calendar``: when a calendar is open, why, and whether it is what people think it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.calendar_changes import live_changes
from planner_provider.cli.calendar_input import find_calendar, moment_of, specs_of, work_of
from planner_provider.cli.layout import span
from planner_provider.cli.ledger_access import LedgerUrl
from planner_provider.cli.options import Output, TextOrJson
from planner_provider.cli.terminal import FOUND, UserError, write

if TYPE_CHECKING:
    from planner_provider.decide.windows import Interval
    from planner_provider.graph.calendars import PlanCalendar

MOST_OPENINGS = 10_000

Calendar = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE", help="A calendar of the specs, or a file that holds one (FILE:NAME)."
    ),
]
Specs = Annotated[
    Path | None,
    typer.Option("--specs", metavar="FOLDER", help="The specs. Left out: the specs folder."),
]
Format = Annotated[TextOrJson, typer.Option("--format", "-f", help="For people or for programs.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="TIME", help="2026-11-01T22:00Z; without a zone: the calendar's. Now."
    ),
]


def next_(
    calendar: Calendar,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1000, help="How many.")] = 1,
    at: At = None,
    work: Annotated[
        str | None,
        typer.Option("--work", metavar="TIME", help="Only those this long, such as 45m."),
    ] = None,
    specs: Specs = None,
    ledger: LedgerUrl = None,
    format_: Format = TextOrJson.TEXT,
) -> None:
    """Show when work may start next, and the openings that follow.

    Ends with 1 if there is none. Freezes and overrides that were added by hand count, where there
    is a ledger.
    """
    from planner_provider.decide.windows import earliest_start, interval_at

    found = find_calendar(calendar, specs)
    changes = live_changes(found, ledger)
    moment, needed = moment_of(at, found.timezone), work_of(work)
    rows: list[tuple[datetime, Interval]] = []
    start = earliest_start(found, moment, needed, changes)
    while start is not None and len(rows) < count:
        opening = interval_at(found, start, changes)
        assert opening is not None
        rows.append((start, opening))
        start = earliest_start(found, opening.end, needed, changes)
    if format_ is TextOrJson.JSON:
        write(_json([_opening(opening) | {"may_start": _utc(start)} for start, opening in rows]))
    elif rows:
        write(_lines([(start, opening.end) for start, opening in rows], found))
    if not rows:
        what = f"work of {work} never fits" if needed else "it never opens"
        raise UserError(f"calendar {found.name}: {what} after {_local(moment, found)}", code=FOUND)


def expand(
    calendar: Calendar,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From then on. Left out: now.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Until then. Left out: 31 days on.")
    ] = None,
    specs: Specs = None,
    format_: Format = TextOrJson.TEXT,
) -> None:
    """List all that is open between two moments, freezes taken out."""
    found = find_calendar(calendar, specs)
    openings = _between(found, start, end, timedelta(days=31))
    if format_ is TextOrJson.JSON:
        write(_json([_opening(opening) for opening in openings]))
        return
    listed = [(one.start, one.end) for one in openings]
    write(_lines(listed, found) if listed else "closed throughout")


def why(
    calendar: Calendar,
    at: At = None,
    specs: Specs = None,
    ledger: LedgerUrl = None,
    format_: Format = TextOrJson.TEXT,
) -> None:
    """Say which window, freeze or cutoff makes a moment open or closed.

    Freezes and overrides that were added by hand count, where there is a ledger.
    """
    from planner_provider.decide.windows import why as ask

    found = find_calendar(calendar, specs)
    answer = ask(found, moment_of(at, found.timezone), live_changes(found, ledger))
    if format_ is TextOrJson.JSON:
        told: dict[str, Any] = {
            "calendar": answer.calendar,
            "at": _utc(answer.at),
            "open": answer.is_open,
            "may_start": answer.may_start,
            "interval": answer.interval and _opening(answer.interval),
            "next_start": answer.next_start and _utc(answer.next_start),
            "causes": [
                {
                    "kind": cause.kind.value,
                    "text": cause.text,
                    "interval": cause.interval and _opening(cause.interval),
                }
                for cause in answer.causes
            ],
        }
        write(_json(told))
        return
    state = "OPEN" if answer.may_start else "OPEN, BUT NOTHING NEW" if answer.is_open else "CLOSED"
    lines = [f"{found.name} is {state} at {_local(answer.at, found)}"]
    lines += [f"  {cause.text}" for cause in answer.causes]
    if answer.next_start is None:
        lines.append("  Work may never start again.")
    elif answer.next_start != answer.at:
        lines.append(f"  Work may start {_local(answer.next_start, found)}.")
    write("\n".join(lines))


def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of cases.")],
    specs: Specs = None,
    format_: Format = TextOrJson.TEXT,
) -> None:
    """Run cases that say what a calendar must answer. Ends with 1 if any fails."""
    from planner_provider.decide.windows.cases import CaseResult, check_cases
    from planner_provider.spec.output import render_text
    from planner_provider.spec.sources import SourceFile
    from planner_provider.spec.window_cases import CaseFile, read_cases

    read: list[tuple[Path, CaseFile]] = []
    broken = []
    for path in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from None
        cases, problems = read_cases(str(path), content)
        if cases is None or any(problem.is_error for problem in problems):
            source = SourceFile(str(path), content, path)
            broken.append(render_text(problems, [source], color=False, width=100).rstrip())
        else:
            read.append((path, cases))
    if broken:
        raise UserError("these are not files of cases\n" + "\n".join(broken))
    named = any(
        case.calendar or (file.calendar and not case.windows)
        for _, file in read
        for case in file.cases
    )
    catalog = specs_of(specs, needed=named)
    results: list[tuple[Path, CaseResult]] = [
        (path, result) for path, file in read for result in check_cases(file, catalog)
    ]
    bad = sum(not result.passed for _, result in results)
    if format_ is TextOrJson.JSON:
        shown = [
            {"file": str(path), "id": one.id, "passed": one.passed, "expected": one.expected,
             "got": one.got, "problem": one.problem}
            for path, one in results
        ]  # fmt: skip
        write(_json({"cases": shown, "passed": len(results) - bad, "failed": bad}))
    else:
        lines = [_case_line(result) for _, result in results]
        write(
            "\n".join([*lines, f"{len(results)} cases: {len(results) - bad} passed, {bad} failed"])
        )
    if bad:
        raise typer.Exit(FOUND)


def _case_line(result: Any) -> str:
    if result.passed:
        return f"ok    {result.id}"
    if result.problem is not None:
        return f"FAIL  {result.id}: {result.problem}"
    return (
        f"FAIL  {result.id}: expected {json.dumps(result.expected)}, got {json.dumps(result.got)}"
    )


def export(
    calendar: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE]", help="The calendar. Not with --plans.")
    ] = None,
    plans: Annotated[
        bool, typer.Option("--plans", help="The openings of all plans that start by a calendar.")
    ] = False,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From then on. Left out: now.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Until then. Left out: a year on.")
    ] = None,
    specs: Specs = None,
    output: Output = None,
) -> None:
    """Write openings as an iCalendar file, to be looked at beside other calendars."""
    from planner_provider.cli.calendar_export import Entry, calendar_file
    from planner_provider.cli.calendar_input import plans_with_calendars

    if (calendar is None) != plans:
        raise UserError("name either a calendar or --plans")
    year = timedelta(days=366)
    entries: list[Entry] = []
    if calendar is not None:
        found = find_calendar(calendar, specs)
        title = found.name
        entries += [
            Entry(found.name, f"{found.name} is open", one)
            for one in _between(found, start, end, year)
        ]
    else:
        title = "plans"
        for plan, found in plans_with_calendars(specs):
            text = f"{plan} may run (calendar {found.name})"
            entries += [Entry(plan, text, one) for one in _between(found, start, end, year)]
    write(calendar_file(title, entries), output)


def _between(
    calendar: PlanCalendar, start: str | None, end: str | None, length: timedelta
) -> Sequence[Interval]:
    from planner_provider.decide.windows import expand as expand_calendar

    first = moment_of(start, calendar.timezone)
    last = first + length if end is None else moment_of(end, calendar.timezone)
    if last <= first:
        raise UserError("--to is not after --from")
    if last - first > timedelta(days=366 * 30):
        raise UserError("that is more than 30 years", "choose --from and --to closer together")
    found = expand_calendar(calendar, first, last)
    if len(found) > MOST_OPENINGS:
        raise UserError(
            f"these are {len(found):,} openings, more than {MOST_OPENINGS:,}",
            "choose --from and --to closer together",
        )
    return found


def _lines(openings: Sequence[tuple[datetime, datetime]], calendar: PlanCalendar) -> str:
    """A line for each, its length first."""
    return "\n".join(
        f"{span(end - start):<8}{_local(start, calendar)} to {_local(end, calendar)}"
        for start, end in openings
    )


def _local(at: datetime, calendar: PlanCalendar) -> str:
    from planner_provider.decide.windows.why import shown

    return shown(at, calendar.timezone)


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _opening(one: Interval) -> dict[str, Any]:
    seconds = one.length.total_seconds()
    return {"start": _utc(one.start), "end": _utc(one.end), "seconds": seconds}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
