"""``planner throttle``: see how much a long step does at once, and change it while it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.layout import field, moment, plain
from planner_provider.cli.ledger_access import (
    AsJson,
    LedgerUrl,
    find_plan_id,
    find_story,
    given_reason,
    json_text,
    now,
    open_for_writing,
    open_reports,
    os_user,
)
from planner_provider.cli.terminal import FOUND, UserError, width, write

if TYPE_CHECKING:
    from planner_provider.decide.throttle import Kept
    from planner_provider.ledger import Ledger
    from planner_provider.ledger.rows import Slot, Throttle
    from planner_provider.ledger.throttle_change import ThrottleOrder


def show(
    plan_id: Annotated[str, typer.Argument(help="Plan ID, or the beginning of it.")],
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Show the throttles of a run: how much may go on at once, and why."""
    full = find_plan_id(open_reports(ledger), plan_id)
    book = open_for_writing(ledger)
    run = book.run(full)
    hold = run.held_words if run is not None and run.outcome is None else ""
    found = [(item, book.slot_holders(full, item.name)) for item in book.throttles_of(full)]
    if json_:
        write(json_text([_as_json(item, slots, hold) for item, slots in found]))
        return
    if not found:
        write(f"{full} has no throttle yet: one appears when its step begins.\n")
        return
    write("\n\n".join(_as_text(item, slots, hold) for item, slots in found) + "\n")


def change(
    plan_id: Annotated[str, typer.Argument(help="Plan ID, or the beginning of it.")],
    name: Annotated[str, typer.Argument(help="Name of the throttle: the step that it is of.")],
    reason: Annotated[
        str, typer.Option("--reason", "-r", metavar="TEXT", help="Why; kept for good.")
    ],
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", help="May run from now on; it moves from there."),
    ] = None,
    minimum: Annotated[
        int | None, typer.Option("--min", metavar="N", help="Never less than so many.")
    ] = None,
    maximum: Annotated[
        int | None, typer.Option("--max", metavar="N", help="Never more than so many.")
    ] = None,
    pause: Annotated[
        bool, typer.Option("--pause", help="Begin nothing new until it is resumed.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Begin again.")] = False,
    ledger: LedgerUrl = None,
) -> None:
    """Change a throttle of a run that goes on. What runs is not stopped.

    Ends with 1 if the run has ended.
    """
    from planner_provider.ledger.throttle_change import ThrottleOrder

    why = given_reason(reason)
    if pause and resume:
        raise UserError("--pause and --resume exclude each other")
    paused = pause if pause or resume else None
    if limit is None and minimum is None and maximum is None and paused is None:
        raise UserError(
            "nothing is to be changed", "give --limit, --min, --max, --pause or --resume"
        )
    story = find_story(open_reports(ledger), plan_id)
    full = story.report.run.plan_id
    outcome = story.report.run.outcome
    if outcome is not None:
        raise UserError(f"the run {full} has ended already: {outcome.value}", code=FOUND)
    order = ThrottleOrder(limit, minimum, maximum, paused, why)
    after = _change(open_for_writing(ledger), full, name, order)
    write(_as_text(after, (), story.report.run.held_words) + "\n")


def _change(book: Ledger, plan_id: str, name: str, order: ThrottleOrder) -> Throttle:
    from planner_provider.errors import UnavailableError
    from planner_provider.ledger.throttle_change import (
        ThrottleRangeError,
        UnknownThrottleError,
        change_throttle,
    )

    try:
        return change_throttle(book, plan_id, name, order, who=os_user(), now=now())
    except UnknownThrottleError as error:
        names = ", ".join(error.known)
        hint = f"it has: {names}" if names else "one appears when its step begins"
        raise UserError(str(error), hint) from error
    except ThrottleRangeError as error:
        told = str(error)
        raise UserError(f"--{told}" if told.startswith("limit ") else told, error.hint) from error
    except UnavailableError as error:
        raise UserError(str(error), "try again") from error


def _kept(item: Throttle) -> Kept:
    from planner_provider.decide.throttle import Kept

    return Kept.read(item.state)


def _allowed(item: Throttle, hold: str) -> int:
    kept = _kept(item)
    return 0 if hold or kept.paused or kept.blocked else int(item.limit + 1e-9)


def _as_text(item: Throttle, slots: tuple[Slot, ...], hold: str) -> str:
    kept, columns = _kept(item), width()
    lines = [
        field("throttle", item.name, columns),
        field(
            "limit",
            f"{_allowed(item, hold)} (between {item.minimum:g} and {item.maximum:g})",
            columns,
        ),
    ]
    if hold:
        lines.append(field("held", plain(f"{hold}. Nothing begins"), columns))
    if kept.paused is not None:
        said = f"by {kept.paused.who} at {moment(kept.paused.at)} UTC: {kept.paused.reason}"
        lines.append(field("paused", plain(said), columns))
    if kept.law is not None and kept.law.wall is not None:
        lines.append(field("wall", f"{kept.law.wall:.3g} ran when it was last too much", columns))
    if item.ticked_at is not None:
        lines.append(field("looked", f"{moment(item.ticked_at)} UTC", columns))
    if kept.told:
        lines.append(field("why", plain(kept.told), columns))
    if slots:
        lines.append(field("slots", f"{len(slots)} held", columns))
    lines.append(field("set", f"by {item.changed_by}, {moment(item.changed_at)} UTC", columns))
    return "\n".join(lines)


def _as_json(item: Throttle, slots: tuple[Slot, ...], hold: str) -> dict[str, Any]:
    kept = _kept(item)
    return {
        "name": item.name,
        "allowed": _allowed(item, hold),
        "limit": item.limit,
        "min": item.minimum,
        "max": item.maximum,
        "paused": kept.paused.model_dump() if kept.paused else None,
        "held": hold or None,
        "blocked": kept.blocked,
        "signal": kept.ratio,
        "draining": kept.law.draining if kept.law else None,
        "wall": kept.law.wall if kept.law else None,
        "why": kept.told or None,
        "looked_at": item.ticked_at,
        "changed_by": item.changed_by,
        "changed_at": item.changed_at,
        "slots": [{"holder": slot.holder, "taken_at": slot.taken_at} for slot in slots],
    }
