"""``planner abort``: stop a run, and have what it did rolled back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from planner_provider.cli.layout import moment, paragraph, span
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
    from planner_provider.ledger.reports import Story


def abort(
    plan_id: Annotated[str, typer.Argument(help="Plan ID, or the beginning of it.")],
    reason: Annotated[
        str,
        typer.Option("--reason", "-r", metavar="TEXT", help="Why; kept for good."),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    ledger: LedgerUrl = None,
) -> None:
    """Stop a run. Nothing new begins, and what it did is rolled back.

    Ends with 1 if the run has ended already, or the question is answered with no.
    """
    why = given_reason(reason)
    story = find_story(open_reports(ledger), plan_id)
    full = story.report.run.plan_id
    _refuse_ended(story)
    if not yes:
        _ask(story)
    stopped = open_for_writing(ledger).request_abort(full, actor=os_user(), reason=why, now=now())
    if stopped is None:
        raise UserError(f"the run {full} has just gone from the ledger")
    if stopped.abort_at is None:
        state = stopped.outcome.value if stopped.outcome else "ended"
        raise UserError(f"the run {full} has just ended: {state}", f"planner show {full}", FOUND)
    first = f"The run {full} is stopped since {moment(stopped.abort_at)} UTC."
    if story.report.run.abort_at is not None:
        first = f"The run {full} was stopped already, {moment(stopped.abort_at)} UTC."
    lines = [first, "", "What happens now:", *_what_happens(story)]
    write("\n".join(paragraph(line, width()) if line else "" for line in lines) + "\n")


def _refuse_ended(story: Story) -> None:
    run = story.report.run
    if run.outcome is None or any(lease.released_at is None for lease in story.leases):
        return
    raise UserError(
        f"the run {run.plan_id} has ended already: {run.outcome.value} at "
        f"{moment(run.finished_at)} UTC. Nothing was done",
        f"planner show {run.plan_id}",
        FOUND,
    )


def _ask(story: Story) -> None:
    report = story.report
    if not sys.stdin.isatty():
        raise UserError("nobody can be asked here", "add --yes to stop the run without a question")
    since = f" since {span(now() - report.started_at)}" if report.started_at else ""
    sys.stderr.write(
        paragraph(f"{report.run.plan_id} is under way{since}.", width())
        + "\n"
        + "\n".join(paragraph(line, width()) for line in _what_happens(story))
        + "\n"
    )
    if not typer.confirm("Stop it?", err=True):
        raise UserError("not stopped", code=FOUND)


def _what_happens(story: Story) -> list[str]:
    run = story.report.run
    acting = sum(act.may_act for act in story.acts)
    waiting = sum(act.is_open for act in story.acts) - acting
    lines = ["- No step of it begins any more."]
    if acting:
        what = "The one that acts is" if acting == 1 else f"The {acting} that act are"
        lines.append(f"- {what} told to stop within seconds.")
    if waiting or any(item.state.value == "open" for item in story.approvals):
        lines.append("- Whatever waits (a gate, a bake, an approval) gives up within 10 s.")
    done = any(act.role.value == "step" for act in story.acts)
    lines.append(
        "- When nothing acts any more, what was done is rolled back in reverse order and verified."
        if done
        else "- Nothing was done yet, so there is nothing to roll back."
    )
    lines.append(f"- Then it gives its locks back and ends. Follow it: planner show {run.plan_id}")
    return lines
