"""``planner locks``: who holds what, who waits for whom, and giving back what was left behind."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.layout import aligned, clock, moment, paragraph, plain, span
from planner_provider.cli.ledger_access import (
    AsJson,
    LedgerUrl,
    find_plan_id,
    json_text,
    now,
    open_reports,
    os_user,
    url_of,
)
from planner_provider.cli.terminal import FOUND, UserError, width, write

if TYPE_CHECKING:
    from planner_provider.ledger.by_hand import HandedBack
    from planner_provider.ledger.reports import HeldLease, Locked, Reports
    from planner_provider.ledger.rows import Waiter, Waiting


def locks(
    release: Annotated[
        str | None,
        typer.Option(
            "--release",
            metavar="PLAN_ID",
            help="Give back the locks of this run, which must have ended. Needs --reason.",
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", "-r", metavar="TEXT", help="Why; kept for good, for all to see."),
    ] = None,
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Show who holds which locks, who waits for them, and for whom.

    With --release it ends with 1 while the run goes on, or something of it may still act.
    """
    reports = open_reports(ledger)
    if release is not None:
        _release(reports, url_of(ledger), release, reason)
        return
    if reason is not None:
        raise UserError("--reason needs --release PLAN_ID", "without it, locks are only shown")
    moment_now = now()
    found = reports.locked(moment_now)
    write(json_text(_locked_json(found)) if json_ else _locked_text(found, moment_now))


def _release(reports: Reports, url: str, given: str, reason: str | None) -> None:
    from planner_provider.ledger.by_hand import hand_back

    if reason is None or not reason.strip():
        raise UserError("--release needs a reason", "add --reason TEXT: it is kept for good")
    plan_id = find_plan_id(reports, given)
    moment_now = now()
    done = hand_back(url, plan_id, reason=reason.strip(), actor=os_user(), now=moment_now)
    if done.refusal is not None:
        raise _refused(done, plan_id, moment_now)
    if done.lease is None:
        write(f"{plan_id} holds no locks; nothing was done.\n")
        return
    lines = [f"{plan_id} has given back:", *(f"  {hold.resource}" for hold in done.lease.holds)]
    write("\n".join(lines) + "\n")


def _refused(done: HandedBack, plan_id: str, moment_now: datetime) -> UserError:
    from planner_provider.ledger.by_hand import Refusal
    from planner_provider.ledger.reaper import SILENCE

    match done.refusal:
        case Refusal.NOT_ENDED:
            return UserError(
                f"{plan_id} has not ended, so it keeps its locks. Nothing was done",
                f"to stop it: planner abort {plan_id} --reason TEXT",
                FOUND,
            )
        case Refusal.MAY_ACT:
            acting = ", ".join(
                f"{act.role.value} {act.step} (last sign of life "
                f"{span(moment_now - act.alive_at)} ago)"
                for act in done.acting
            )
            return UserError(
                f"something of {plan_id} may still be acting: {acting}. The locks stay; nothing "
                "new begins under them",
                f"it is told to stop. If it gives no sign for {span(SILENCE)} it is taken to be "
                "over: the planner then takes the locks back by itself, or run this again",
                FOUND,
            )
        case _:
            return UserError(f"the run {plan_id} has just gone from the ledger")


def _locked_text(found: Locked, moment_now: datetime) -> str:
    columns = width()
    if not (found.held or found.waiting or found.silent):
        return "Nothing is locked and nobody waits.\n"
    lines = []
    for item in found.held:
        lines += [*_held_lines(item, moment_now, columns), ""]
    if not found.held:
        lines += ["Nothing is locked.", ""]
    if found.waiting or found.silent:
        lines.append("Waiting, in order of arrival:")
        for number, waiting in enumerate(found.waiting, 1):
            lines += _waiting_lines(number, waiting, moment_now, columns)
        for silent in found.silent:
            lines += _silent_lines(silent, moment_now, columns)
    else:
        lines.append("Nobody waits.")
    return "\n".join(lines) + "\n"


def _held_lines(item: HeldLease, moment_now: datetime, columns: int) -> list[str]:
    lease, run = item.lease, item.run
    words = f"holds since {moment(lease.taken_at)} UTC, for {span(moment_now - lease.taken_at)}"
    if run.outcome is not None:
        words += (
            f". The run has ENDED ({run.outcome.value}, {clock(run.finished_at, moment_now)}): if "
            f"this stays, `planner locks --release {run.plan_id} --reason ...`"
        )
    elif lease.closing_at is not None:
        words += f", being wound up since {clock(lease.closing_at, lease.taken_at)}"
    elif run.abort_at is not None:
        words += f", being aborted since {clock(run.abort_at, lease.taken_at)}"
    rows = [(hold.mode.value, hold.resource) for hold in lease.holds]
    return [
        plain(run.plan_id),
        paragraph(words, columns, 2),
        *aligned(rows, columns, indent=4),
    ]


def _waiting_lines(number: int, item: Waiting, moment_now: datetime, columns: int) -> list[str]:
    waiter = item.waiter
    lines = [
        f"{number:>3}. {plain(waiter.plan_id)}",
        paragraph(
            f"since {moment(waiter.since)} UTC, for {span(moment_now - waiter.since)}", columns, 5
        ),
    ]
    if not item.blockers:
        lines.append(paragraph("nobody is in its way any more: it goes on soon", columns, 5))
    for blocker in item.blockers:
        does = "holds" if blocker.holds else "came first and wants"
        words = f"for {blocker.resource}: {blocker.plan_id} {does} it ({blocker.mode.value})"
        lines.append(paragraph(words, columns, 5))
    return lines


def _silent_lines(waiter: Waiter, moment_now: datetime, columns: int) -> list[str]:
    words = (
        f"waits since {moment(waiter.since)} UTC, but gave no sign of life for "
        f"{span(moment_now - waiter.alive_at)}: others overtake it"
    )
    return [f"  -  {plain(waiter.plan_id)}", paragraph(words, columns, 5)]


def _locked_json(found: Locked) -> dict[str, Any]:
    return {
        "held": [
            {
                "plan_id": item.run.plan_id,
                "plan": item.run.key.plan,
                "outcome": item.run.outcome,
                "abort_at": item.run.abort_at,
                **asdict(item.lease),
            }
            for item in found.held
        ],
        "waiting": [asdict(item) for item in found.waiting],
        "silent": [asdict(item) for item in found.silent],
    }
