"""From what the ledger holds to what the page shows, for one user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from planner_provider.ledger.due import DueNow
from planner_provider.ledger.overview import Board
from planner_provider.ledger.plan_facts import PlanFacts
from planner_provider.ledger.run_now import RunNow, Wanted
from planner_provider.ledger.run_steps import StepNow
from planner_provider.ledger.verdict_marks import VerdictMark
from planner_provider.spec.plan import Schedule
from planner_provider.spec.values import format_duration
from planner_provider.web import links
from planner_provider.web.access import Access
from planner_provider.web.airflow_dags import DagNow
from planner_provider.web.models import (
    AttentionItem,
    BudgetState,
    DecisionRow,
    DueRow,
    Overview,
    PlanRow,
    Progress,
    Reason,
    RunRow,
    Step,
)


def overview(board: Board, dags: Mapping[str, DagNow], access: Access) -> Overview:
    """All of the first page, without what the user may not read."""
    ended: dict[str, int] = {}
    for (dag_id, outcome), count in sorted(board.ended_7d.items()):
        if access.reads(dag_id):
            ended[outcome] = ended.get(outcome, 0) + count
    return Overview(
        at=board.at,
        needs_me=tuple(
            attention(item) for item in board.wanted if access.reads(item.run.key.dag_id)
        ),
        running=runs(board.live, access),
        due=tuple(
            due(item, dags[item.facts.plan], access)
            for item in board.due
            if item.facts.plan in dags
            and not dags[item.facts.plan].is_stale
            and access.reads(item.facts.plan)
        ),
        recent=runs(board.recent, access),
        ended_7d=ended,
    )


def runs(found: Iterable[RunNow], access: Access) -> tuple[RunRow, ...]:
    """Runs in a list, without those that the user may not read."""
    return tuple(run(item, access) for item in found if access.reads(item.run.key.dag_id))


def run(item: RunNow, access: Access) -> RunRow:
    """One run."""
    record, key = item.run, item.run.key
    return RunRow(
        plan_id=record.plan_id,
        plan=key.plan,
        dag_id=key.dag_id,
        run_id=key.run_id,
        summary=item.facts.summary if item.facts else None,
        owner=item.facts.owner if item.facts else None,
        version=key.digest[:8],
        state=item.state,
        reason=record.reason or record.abort_reason,
        started_at=item.started_at,
        started_by=item.started_by,
        finished_at=record.finished_at,
        steps=tuple(step(one, key.dag_id, key.run_id) for one in item.steps),
        budgets=tuple(
            BudgetState(
                slo=budget.slo,
                remaining=budget.remaining,
                burn_rate=budget.burn_rate,
                breached=budget.breached,
                observed_at=budget.observed_at,
            )
            for budget in item.budgets
        ),
        waits_for=item.waits_for,
        eta=item.eta,
        rights=access.rights[key.dag_id],
    )


def step(item: StepNow, dag_id: str, run_id: str) -> Step:
    """A step with its progress and the task that shows its log."""
    url = None
    if item.task_id is not None:
        url = links.task(dag_id, run_id, item.task_id, is_group=item.is_group)
    known = item.progress
    progress = known and Progress(
        kind=known.kind,
        done=known.done,
        total=known.total,
        failed=known.failed,
        label=known.label,
        eta=known.eta,
    )
    return Step(
        id=item.id,
        action=item.action,
        summary=item.summary,
        state=item.state,
        since=item.since,
        detail=item.detail,
        tries=item.tries,
        duration_s=item.duration.total_seconds() if item.duration is not None else None,
        progress=progress,
        log_url=url,
    )


def attention(item: Wanted) -> AttentionItem:
    """What a run wants of people, and where it is done."""
    key = item.run.key
    url = links.plan_run(key.plan_id)
    if item.kind == "approval" and item.task_id is not None:
        url = links.required_actions(key.dag_id, key.run_id, item.task_id)
    return AttentionItem(
        kind=item.kind,
        plan_id=key.plan_id,
        plan=key.plan,
        dag_id=key.dag_id,
        run_id=key.run_id,
        text=item.text,
        since=item.since,
        url=url,
        task_id=item.task_id,
    )


def due(item: DueNow, dag: DagNow, access: Access) -> DueRow:
    """A plan that starts by itself, without conflicts with plans that the user may not read."""
    facts = item.facts
    return DueRow(
        plan=facts.plan,
        dag_id=facts.plan,
        summary=facts.summary,
        paused=dag.is_paused,
        opens_at=item.opens_at,
        closes_at=item.closes_at,
        calendar=facts.calendar.name if facts.calendar else None,
        conflicts=tuple(name for name in item.conflicts if access.reads(name)),
        rights=access.rights[facts.plan],
    )


def plan(facts: PlanFacts, dag: DagNow, access: Access) -> PlanRow:
    """A plan that is compiled."""
    return PlanRow(
        plan=facts.plan,
        dag_id=facts.plan,
        summary=facts.summary,
        owner=facts.owner,
        version=facts.digest[:8],
        file=facts.file,
        compiled_at=facts.compiled_at,
        paused=dag.is_paused,
        schedule=schedule_words(facts.schedule),
        parameters={name: dict(schema) for name, schema in facts.parameters.items()},
        runbook=facts.runbook,
        rights=access.rights[facts.plan],
    )


def schedule_words(schedule: Schedule | None) -> str | None:
    """When a plan starts by itself."""
    if schedule is None:
        return None
    if schedule.cron is not None:
        return f"cron {schedule.cron} ({schedule.timezone or 'UTC'})"
    needs = f", needs {format_duration(schedule.needs)}" if schedule.needs else ""
    return f"in the windows of calendar {schedule.calendar}{needs}"


def decision(item: VerdictMark) -> DecisionRow:
    """A decision in a list."""
    return DecisionRow(
        id=item.id,
        plan_id=item.plan_id,
        step=item.step,
        kind=item.kind,
        verdict=f"{item.verdict} (inconclusive)" if item.inconclusive else item.verdict,
        decided_at=item.decided_at,
        actor=item.actor,
        reasons=tuple(Reason(code=code, text=text) for code, text in item.reasons),
    )
