"""``planner history``: what ran, newest first."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.layout import moment, plain, short, span
from planner_provider.cli.ledger_access import (
    AsJson,
    LedgerUrl,
    Since,
    json_text,
    moment_since,
    now,
    open_reports,
)
from planner_provider.cli.options import PlanName
from planner_provider.cli.terminal import width, write

if TYPE_CHECKING:
    from planner_provider.ledger.reports import RunReport


class Ending(StrEnum):
    """The outcomes of runs, and ``running`` for those that have none yet."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    BLOCKED = "blocked"
    ABORTED = "aborted"
    FAILED = "failed"


def history(
    plan: PlanName = None,
    since: Since = None,
    outcome: Annotated[
        Ending | None, typer.Option("--outcome", help="Only runs that ended so.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=100_000, help="At most so many.")
    ] = 20,
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """List the runs of plans, newest first: when, how it ended, how long it took, who, why.

    With --since, runs that have not ended are listed whenever they began.
    """
    from planner_provider.ledger.rows import Outcome

    moment_now = now()
    reports = open_reports(ledger)
    running = outcome is Ending.RUNNING
    found = reports.runs(
        plan=plan,
        since=moment_since(since, moment_now),
        outcome=None if outcome is None or running else Outcome(outcome.value),
        unfinished=running,
        limit=limit + 1,
    )
    shown = found[:limit]
    if json_:
        write(json_text([run_json(item) for item in shown]))
        return
    lines = [line for item in shown for line in _lines(item, moment_now, width())]
    if not shown:
        lines = ["No runs." if plan is None else f"No runs of {plan}."]
    elif len(found) > limit:
        lines.append(f"Older runs are not shown: --limit {limit} was reached.")
    write("\n".join(lines))


def state_of(report: RunReport) -> str:
    """The outcome, or what the run is doing."""
    run = report.run
    if run.outcome is not None:
        return run.outcome.value
    if run.abort_at is not None:
        return "being aborted"
    return "held" if run.held_at is not None else "running"


def run_json(report: RunReport) -> dict[str, Any]:
    """What all commands say of a run."""
    run = report.run
    return {
        "plan_id": run.plan_id,
        "plan": run.key.plan,
        "digest": run.key.digest,
        "dag_id": run.key.dag_id,
        "run_id": run.key.run_id,
        "state": state_of(report),
        "started_at": report.started_at,
        "started_by": report.started_by,
        "finished_at": run.finished_at,
        "took_seconds": report.took.total_seconds() if report.took else None,
        "outcome": run.outcome.value if run.outcome else None,
        "reason": run.reason,
        "abort_at": run.abort_at,
        "abort_reason": run.abort_reason,
        "held_at": run.held_at,
        "held_by": run.held_by,
        "held_reason": run.held_reason,
    }


def _lines(report: RunReport, moment_now: datetime, columns: int) -> list[str]:
    run = report.run
    took = report.took
    if took is None and run.outcome is None and report.started_at:
        took = moment_now - report.started_at
    first = f"{moment(report.started_at):<19}  {state_of(report):<15}  {span(took):>7}"
    plan_id = plain(run.plan_id)
    words = f"by {report.started_by}"
    reason = run.reason or run.abort_reason or run.held_words
    if reason:
        words += f": {reason}"
    indent = " " * 21
    if len(first) + 2 + len(plan_id) <= columns:
        lines = [f"{first}  {plan_id}"]
    else:
        lines = [first, f"{indent}{plan_id}"]
    return [*lines, f"{indent}{short(words, max(20, columns - len(indent)))}"]
