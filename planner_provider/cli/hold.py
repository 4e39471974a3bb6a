"""``planner hold`` and ``planner resume``: let nothing new begin in a run, and let it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from planner_provider.cli.layout import moment, paragraph
from planner_provider.cli.ledger_access import (
    LedgerUrl,
    find_story,
    given_reason,
    now,
    open_for_writing,
    open_reports,
    os_user,
)
from planner_provider.cli.terminal import FOUND, UserError, width, write

if TYPE_CHECKING:
    from datetime import datetime

    from planner_provider.ledger.reports import Story
    from planner_provider.ledger.rows import PlanRun


def hold(
    plan_id: Annotated[str, typer.Argument(help="Plan ID, or the beginning of it.")],
    reason: Annotated[
        str,
        typer.Option("--reason", "-r", metavar="TEXT", help="Why; kept for good."),
    ],
    ledger: LedgerUrl = None,
) -> None:
    """Hold a run: nothing new begins, what acts goes on to its end, nothing is undone.

    Ends with 1 if the run has ended already, or is being stopped.
    """
    why = given_reason(reason)
    story = find_story(open_reports(ledger), plan_id)
    full = story.report.run.plan_id
    held = open_for_writing(ledger).hold_run(full, actor=os_user(), reason=why, now=now())
    run = _still_there(full, held)
    _refuse_over(run, "hold")
    first = f"The run {full} is held since {moment(run.held_at)} UTC."
    before = story.report.run
    if before.held_at is not None:
        first = f"The run {full} was held already: {before.held_words}. Nothing was changed."
    _tell(first, "What happens now:", *_what_is_held(story, run))


def resume(
    plan_id: Annotated[str, typer.Argument(help="Plan ID, or the beginning of it.")],
    reason: Annotated[
        str | None,
        typer.Option("--reason", "-r", metavar="TEXT", help="Why; kept for good."),
    ] = None,
    ledger: LedgerUrl = None,
) -> None:
    """Let a run go on that is held.

    Ends with 1 if the run has ended already, or is being stopped.
    """
    story = find_story(open_reports(ledger), plan_id)
    full = story.report.run.plan_id
    moment_now = now()
    found = open_for_writing(ledger).resume_run(
        full, actor=os_user(), reason=(reason or "").strip() or None, now=moment_now
    )
    run = _still_there(full, found)
    _refuse_over(run, "resume")
    before = story.report.run
    if before.held_at is None:
        _tell(f"Nobody holds the run {full}. Nothing was changed.")
        return
    _tell(
        f"The run {full} goes on; {before.held_by} had held it since {moment(before.held_at)} UTC.",
        "What happens now:",
        *_what_goes_on(run, moment_now),
    )


def _still_there(plan_id: str, run: PlanRun | None) -> PlanRun:
    if run is None:
        raise UserError(f"the run {plan_id} has just gone from the ledger")
    return run


def _refuse_over(run: PlanRun, what: str) -> None:
    hint = f"planner show {run.plan_id}"
    if run.outcome is not None:
        raise UserError(
            f"the run {run.plan_id} has ended already: {run.outcome.value} at "
            f"{moment(run.finished_at)} UTC. There is nothing to {what}",
            hint,
            FOUND,
        )
    if run.abort_at is not None:
        raise UserError(
            f"the run {run.plan_id} was stopped by {run.stopped_by} at {moment(run.abort_at)} UTC. "
            f"There is nothing to {what}: no step of it begins any more",
            hint,
            FOUND,
        )


def _what_is_held(story: Story, run: PlanRun) -> list[str]:
    acting = sum(act.may_act for act in story.acts)
    waiting = sum(act.is_open for act in story.acts) - acting
    lines = [
        "- No step of it begins, no part, partition, chunk or target. What would begin waits "
        "without a worker and uses up none of its retries."
    ]
    if acting:
        what = "What acts now goes" if acting == 1 else f"The {acting} that act now go"
        lines.append(f"- {what} on to the end.")
    if waiting:
        lines.append(
            "- What waits (a gate, a bake) waits on and may end. A canary keeps its share of the "
            "traffic: it is still watched and may be taken back, but gets no more."
        )
    lines.append("- It keeps its locks, so others that need them wait.")
    if run.expires_at is not None:
        lines.append(
            f"- Its time goes on: after {moment(run.expires_at)} UTC no step begins, and what was "
            "done is rolled back. The end of a maintenance window counts as ever, too."
        )
    else:
        lines.append("- The end of a maintenance window counts as ever.")
    lines.append(f"- To let it go on: planner resume {run.plan_id}")
    lines.append(f"- To stop it instead: planner abort {run.plan_id} --reason ...")
    return lines


def _what_goes_on(run: PlanRun, moment_now: datetime) -> list[str]:
    if run.expires_at is not None and run.expires_at <= moment_now:
        return [
            f"- Its time to begin steps was over at {moment(run.expires_at)} UTC: none begins, and "
            "what was done is rolled back."
        ]
    if run.failing_at is not None:
        return [
            "- A step of it has failed for good: none begins, and what was done is rolled back."
        ]
    return [
        "- What waited because of the hold asks again within 10 s, and begins if it may: guards, "
        "window, locks and approvals are looked at as ever.",
        f"- Follow it: planner show {run.plan_id}",
    ]


def _tell(first: str, *lines: str) -> None:
    shown = [first, *(["", *lines] if lines else [])]
    write("\n".join(paragraph(line, width()) if line else "" for line in shown) + "\n")
