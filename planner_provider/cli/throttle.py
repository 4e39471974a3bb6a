"""``planner throttle``: see how much a long step does at once, and change it while it works."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.layout import field, moment, plain
from planner_provider.cli.ledger_access import (
    AsJson,
    LedgerUrl,
    find_plan_id,
    find_story,
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

MOST = 1024
TRIES = 10
"""How often a change is made anew because the throttle itself moved meanwhile."""


def show(
    plan_id: Annotated[str, typer.Argument(help="Plan ID, or the beginning of it.")],
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Show the throttles of a run: how much may go on at once, and why."""
    full = find_plan_id(open_reports(ledger), plan_id)
    book = open_for_writing(ledger)
    found = [(item, book.slot_holders(full, item.name)) for item in book.throttles_of(full)]
    if json_:
        write(json_text([_as_json(item, held) for item, held in found]))
        return
    if not found:
        write(f"{full} has no throttle yet: one appears when its step begins.\n")
        return
    write("\n\n".join(_as_text(item, held) for item, held in found) + "\n")


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
    if not reason.strip():
        raise UserError("--reason is empty", "say why, for those who read this tomorrow")
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
    book = open_for_writing(ledger)
    for _ in range(TRIES):
        before = _find(book, full, name)
        after, detail = _changed(before, limit, minimum, maximum, paused, reason.strip())
        if book.set_throttle(after, detail):
            write(_as_text(replace(after, version=after.version + 1), ()) + "\n")
            return
    raise UserError(f"the throttle {name} moves all the time; nothing was changed", "try again")


def _find(book: Ledger, plan_id: str, name: str) -> Throttle:
    known = book.throttles_of(plan_id)
    for item in known:
        if item.name == name:
            return item
    names = ", ".join(item.name for item in known)
    raise UserError(
        f"{plan_id} has no throttle {name!r}",
        f"it has: {names}" if names else "one appears when its step begins",
    )


def _changed(
    before: Throttle,
    limit: int | None,
    minimum: int | None,
    maximum: int | None,
    paused: bool | None,
    reason: str,
) -> tuple[Throttle, dict[str, Any]]:
    """The throttle as it is to be, and what the audit trail is to say beside its numbers."""
    from planner_provider.decide.throttle import Kept, Pause, set_limit

    lowest = before.minimum if minimum is None else float(minimum)
    highest = before.maximum if maximum is None else float(maximum)
    if not 0 <= lowest <= highest <= MOST:
        raise UserError(
            f"0 <= min <= max <= {MOST} must hold: {lowest:g}, {highest:g}",
            "give --min and --max together, or --pause to begin nothing new",
        )
    if limit is not None and not lowest <= limit <= highest:
        raise UserError(
            f"--limit {limit} is not between {lowest:g} and {highest:g}",
            "change --min or --max as well",
        )
    who, at, kept = os_user(), now(), Kept.read(before.state)
    detail: dict[str, Any] = {"reason": reason, "before": before.limit}
    wanted = min(max(before.limit, lowest), highest)
    if limit is not None:
        wanted = float(limit)
        if kept.law is not None:
            kept = kept.model_copy(update={"law": set_limit(kept.law, wanted)})
    if paused is not None:
        pause = Pause(who=who, reason=reason, at=at) if paused else None
        kept = kept.model_copy(update={"paused": pause, "blocked": None})
        detail["paused"] = paused
    changed = replace(
        before,
        limit=wanted, minimum=lowest, maximum=highest,
        state=kept.text(), changed_by=who, changed_at=at,
    )  # fmt: skip
    return changed, detail


def _kept(item: Throttle) -> Kept:
    from planner_provider.decide.throttle import Kept

    return Kept.read(item.state)


def _allowed(item: Throttle) -> int:
    kept = _kept(item)
    return 0 if kept.paused or kept.blocked else int(item.limit + 1e-9)


def _as_text(item: Throttle, held: tuple[Slot, ...]) -> str:
    kept, columns = _kept(item), width()
    lines = [
        field("throttle", item.name, columns),
        field(
            "limit",
            f"{_allowed(item)} (between {item.minimum:g} and {item.maximum:g})",
            columns,
        ),
    ]
    if kept.paused is not None:
        said = f"by {kept.paused.who} at {moment(kept.paused.at)} UTC: {kept.paused.reason}"
        lines.append(field("paused", plain(said), columns))
    if kept.law is not None and kept.law.wall is not None:
        lines.append(field("wall", f"{kept.law.wall:.3g} ran when it was last too much", columns))
    if item.ticked_at is not None:
        lines.append(field("looked", f"{moment(item.ticked_at)} UTC", columns))
    if kept.told:
        lines.append(field("why", plain(kept.told), columns))
    if held:
        lines.append(field("slots", f"{len(held)} held", columns))
    lines.append(field("set", f"by {item.changed_by}, {moment(item.changed_at)} UTC", columns))
    return "\n".join(lines)


def _as_json(item: Throttle, held: tuple[Slot, ...]) -> dict[str, Any]:
    kept = _kept(item)
    return {
        "name": item.name,
        "allowed": _allowed(item),
        "limit": item.limit,
        "min": item.minimum,
        "max": item.maximum,
        "paused": kept.paused.model_dump() if kept.paused else None,
        "blocked": kept.blocked,
        "signal": kept.ratio,
        "draining": kept.law.draining if kept.law else None,
        "wall": kept.law.wall if kept.law else None,
        "why": kept.told or None,
        "looked_at": item.ticked_at,
        "changed_by": item.changed_by,
        "changed_at": item.changed_at,
        "slots": [{"holder": slot.holder, "taken_at": slot.taken_at} for slot in held],
    }
