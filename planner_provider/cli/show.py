"""``planner show``: everything that is on record about one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.history import run_json, state_of
from planner_provider.cli.layout import aligned, clock, field, moment, plain, section, span
from planner_provider.cli.ledger_access import (
    AsJson,
    LedgerUrl,
    find_story,
    json_text,
    now,
    open_reports,
)
from planner_provider.cli.terminal import width, write

if TYPE_CHECKING:
    from datetime import datetime

    from planner_provider.ledger.reports import Story
    from planner_provider.ledger.rows import Act, Approval, Lease, RecordedDecision


def show(
    plan_id: Annotated[str, typer.Argument(help="Plan ID, or the beginning of it.")],
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Tell one run's whole story: steps, acts, decisions, approvals, locks, and what to do next."""
    from planner_provider.ledger.advice import advice

    story = find_story(open_reports(ledger), plan_id)
    moment_now = now()
    if json_:
        write(json_text(_story_json(story, advice(story, moment_now))))
    else:
        write(_story_text(story, advice(story, moment_now), moment_now))


def _story_text(story: Story, next_: tuple[str, ...], moment_now: datetime) -> str:
    columns = width()
    run = story.report.run
    day = story.report.started_at or moment_now
    lines = [plain(run.plan_id), *_head(story, moment_now, columns)]
    lines += section("Steps", _steps(story, day, columns))
    lines += section("Acts", _acts(story.acts, day, columns))
    lines += section("Decisions", _decisions(story.decisions, day, columns))
    lines += section("Approvals", _approvals(story, day, columns))
    lines += section("Locks", _locks(story, day, moment_now, columns))
    lines += section("Next", aligned([("-", text) for text in next_], columns, indent=0))
    return "\n".join(lines) + "\n"


def _head(story: Story, moment_now: datetime, columns: int) -> list[str]:
    report, run = story.report, story.report.run
    lines = [field("Outcome", _outcome(story, moment_now), columns)]
    if run.reason:
        lines.append(field("Reason", run.reason, columns))
    if run.abort_at is not None:
        why = f": {run.abort_reason}" if run.abort_reason else ""
        lines.append(field("Aborted", f"{moment(run.abort_at)} UTC{why}", columns))
    if run.held_at is not None:
        why = f": {run.held_reason}" if run.held_reason else ""
        said = f"{moment(run.held_at)} UTC by {run.held_by}{why}"
        lines.append(field("Held", said, columns))
    lines.append(
        field("Plan", f"{run.key.plan}, version {run.key.digest[:8]}", columns),
    )
    lines.append(field("Airflow", f"DAG {run.key.dag_id}, run {run.key.run_id}", columns))
    started = f"{moment(report.started_at)} UTC by {report.started_by}"
    if run.assessed_at is None:
        started += "; it was never assessed"
    elif report.started_at and (run.assessed_at - report.started_at).total_seconds() > 1:
        started += f"; assessed again {moment(run.assessed_at)}"
    lines.append(field("Started", started, columns))
    if run.expires_at is not None:
        over = ", which is over" if run.expires_at <= moment_now else ""
        lines.append(
            field("Valid until", f"{moment(run.expires_at)} UTC to begin steps{over}", columns)
        )
    values = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in run.parameters.items()
    )
    return [*lines, field("Parameters", values or "none", columns)]


def _outcome(story: Story, moment_now: datetime) -> str:
    report, run = story.report, story.report.run
    if run.outcome is not None:
        took = f", after {span(report.took)}" if report.took else ""
        return f"{run.outcome.value} at {moment(run.finished_at)} UTC{took}"
    since = f", for {span(moment_now - report.started_at)}" if report.started_at else ""
    return f"{state_of(report)}{since}"


def _steps(story: Story, day: datetime, columns: int) -> list[str]:
    from planner_provider.ledger.advice import step_names
    from planner_provider.ledger.journal import Journal, StepStatus

    journal = Journal(story.acts)
    rows = []
    for step in step_names(story):
        state = journal[step]
        last = state.last
        words = "has not begun" if state.status is StepStatus.UNTOUCHED else state.status.value
        if state.status is StepStatus.ACTING and last is not None and last.parked_at is not None:
            words = "waiting"
        told = ""
        if last is not None:
            told = clock(last.ended_at or last.intent_at, day)
            told += f", {plain(last.detail)}" if last.detail else ""
        rows.append((plain(step), words, told))
    if not rows:
        return ["  None has begun, and this version of the plan is not kept any more."]
    return aligned(rows, columns)


def _acts(acts: tuple[Act, ...], day: datetime, columns: int) -> list[str]:
    rows = []
    for act in acts:
        if act.ended_at is not None:
            result = act.result.value if act.result else "ended"
            told = f"{result}, {span(act.ended_at - act.intent_at)}"
        elif act.parked_at is not None:
            told = f"waits, deferred since {clock(act.parked_at, day)}"
        else:
            told = f"acting, last sign of life {clock(act.alive_at, day)}"
        part = f" [{act.map_index}]" if act.map_index >= 0 else ""
        what = f"{act.role.value} {plain(act.step)}{part}"
        rows.append((clock(act.intent_at, day), what, f"try {act.try_number}", told))
    return aligned(rows, columns)


def _decisions(found: tuple[RecordedDecision, ...], day: datetime, columns: int) -> list[str]:
    rows = []
    for item in found:
        verdict, reason = verdict_words(item)
        where = f" {plain(item.step)}" if item.step else ""
        what = f"{plain(item.decision.kind)}{where}: {verdict}"
        rows.append((f"#{item.id}", clock(item.decision.decided_at, day), f"{what}. {reason}"))
    return aligned(rows, columns)


def verdict_words(item: RecordedDecision) -> tuple[str, str]:
    """A decision's verdict and its first reason."""
    try:
        verdict = item.decision.outcome
    except ValueError:
        return "cannot be read", "The record of the verdict is not what this release writes."
    unsure = " (inconclusive)" if verdict.inconclusive else ""
    return f"{verdict.kind.value}{unsure}", verdict.reasons[0].text


def _approvals(story: Story, day: datetime, columns: int) -> list[str]:
    from planner_provider.ledger.approval_answers import problems

    rows = []
    for item in story.approvals:
        rows.append((plain(item.request.task), _approval_words(item, day)))
        for answer, problem in zip(item.answers, problems(item, now()), strict=True):
            said = "yes" if answer.approve else "no"
            why = f": {answer.reason}" if answer.reason else ""
            words = f"{said} by {answer.user} through {answer.via}{why}"
            rows.append(("", f"{clock(answer.at, day)} {words}"))
            if problem:
                rows.append(("", f"which does not count: {problem}"))
    asked = {item.request.task for item in story.approvals}
    rows += [
        (plain(task), "not asked for yet; no step acts before it is granted")
        for task in story.report.run.approvals
        if task not in asked
    ]
    return aligned(rows, columns)


def _approval_words(item: Approval, day: datetime) -> str:
    words = item.state.value
    if item.closed_at:
        words += f" {clock(item.closed_at, day)}"
    words += f", asked {clock(item.request.asked_at, day)}"
    if item.request.requester:
        words += f" for {item.request.requester}"
    if item.request.expires_at:
        words += f", valid until {clock(item.request.expires_at, day)}"
    if item.decision_id is not None:
        words += f" (decision #{item.decision_id})"
    return words


def _locks(story: Story, day: datetime, moment_now: datetime, columns: int) -> list[str]:
    rows = [(f"#{lease.generation}", _lease_words(lease, day)) for lease in story.leases]
    if story.waits is not None:
        wants = ", ".join(f"{h.resource} ({h.mode.value})" for h in story.waits.holds)
        waited = span(moment_now - story.waits.since)
        rows.append(("queue", f"waits for {waited} for {wants}; see `planner locks`"))
    return aligned(rows, columns)


def _lease_words(lease: Lease, day: datetime) -> str:
    if lease.released_at is not None:
        state = f"{clock(lease.taken_at, day)} to {clock(lease.released_at, day)}"
    else:
        state = f"HELD since {clock(lease.taken_at, day)}"
        if lease.closing_at is not None:
            state += f", being wound up since {clock(lease.closing_at, day)}"
    course = f", decided to {lease.course.value}" if lease.course else ""
    holds = ", ".join(f"{hold.resource} ({hold.mode.value})" for hold in lease.holds)
    return f"{state}{course}: {holds}"


def _story_json(story: Story, next_: tuple[str, ...]) -> dict[str, Any]:
    from dataclasses import asdict

    from planner_provider.ledger.advice import step_names
    from planner_provider.ledger.journal import Journal

    run = story.report.run
    journal = Journal(story.acts)
    return {
        **run_json(story.report),
        "assessed_at": run.assessed_at,
        "expires_at": run.expires_at,
        "parameters": dict(run.parameters),
        "steps": [
            {"step": step, "status": journal[step].status.value} for step in step_names(story)
        ],
        "acts": [asdict(act) for act in story.acts],
        "decisions": [
            {
                "id": item.id,
                "step": item.step,
                "actor": item.actor,
                "kind": item.decision.kind,
                "version": item.decision.version,
                "decided_at": item.decision.decided_at,
                "verdict": _json_or_text(item.decision.verdict),
            }
            for item in story.decisions
        ],
        "approvals": [asdict(item) for item in story.approvals],
        "approvals_needed": list(run.approvals),
        "leases": [asdict(lease) for lease in story.leases],
        "waits_for_locks": story.waits and asdict(story.waits),
        "next": list(next_),
    }


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
