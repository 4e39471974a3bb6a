"""``planner backfill``: how far a backfill is, what failed, and when it will be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.layout import aligned, moment, paragraph, plain, span
from planner_provider.cli.ledger_access import (
    AsJson,
    LedgerUrl,
    find_story,
    json_text,
    now,
    open_for_writing,
    open_reports,
)
from planner_provider.cli.terminal import UserError, width, write

if TYPE_CHECKING:
    from planner_provider.decide.partitions import Tally
    from planner_provider.ledger import Ledger
    from planner_provider.ledger.reports import Story
    from planner_provider.ledger.rows import WorkItem

NAMED = 20
"""Most partitions of a state that are listed without --all."""


@dataclass(frozen=True, slots=True)
class Filling:
    """One step that is a backfill, as it stands."""

    step: str
    items: tuple[WorkItem, ...]
    tally: Tally
    limit: int | None
    rate: float | None
    """Partitions in a second, of late."""
    begun: datetime | None
    ended: datetime | None
    """The last end of a partition."""


def backfill(
    plan_id: Annotated[
        str,
        typer.Argument(metavar="PLAN_ID", help="A run of a plan; the beginning of its ID will do."),
    ],
    all_: Annotated[bool, typer.Option("--all", help="List every partition.")] = False,
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Show how far the backfills of a run are: done, failed, left, rate, time left."""
    story = find_story(open_reports(ledger), plan_id)
    run = story.report.run
    found = [
        filling
        for step in dict.fromkeys(act.step for act in story.acts)
        if (filling := _filling(open_for_writing(ledger), run.plan_id, step)) is not None
    ]
    if not found:
        raise UserError(
            f"no step of {run.plan_id} is a backfill that has begun",
            "`planner show` tells what the run does",
        )
    write(json_text(_as_json(story, found)) if json_ else _as_text(story, found, all_))


def _filling(ledger: Ledger, plan_id: str, step: str) -> Filling | None:
    from planner_provider.decide.partitions import Tally, rate_of
    from planner_provider.ledger.rows import ItemState

    items = ledger.items_of(plan_id, step)
    if not items or any(item.wave is not None for item in items):
        return None
    states = [item.state for item in items]
    ended = (ItemState.DONE, ItemState.FAILED)
    ends = [item.ended_at for item in items if item.ended_at and item.state in ended]
    begun = min((item.started_at for item in items if item.started_at), default=None)
    throttle = ledger.throttle(plan_id, step)
    return Filling(
        step=step,
        items=items,
        tally=Tally(
            done=states.count(ItemState.DONE),
            failed=states.count(ItemState.FAILED),
            skipped=states.count(ItemState.SKIPPED) + states.count(ItemState.GONE),
            running=states.count(ItemState.ACTING),
            waiting=states.count(ItemState.WAITING),
        ),
        limit=None if throttle is None else int(throttle.limit),
        rate=rate_of(ends, begun, now()) if begun else None,
        begun=begun,
        ended=max(ends, default=None),
    )


def _as_text(story: Story, found: Sequence[Filling], all_: bool) -> str:
    columns = width()
    run = story.report.run
    over = f"the run has ended ({run.outcome.value})" if run.outcome else run.held_words or None
    lines = [plain(run.plan_id)]
    for filling in found:
        lines += ["", f"step {plain(filling.step)}", *_summary(filling, over, columns)]
        lines += _listed(filling, all_, columns)
    return "\n".join(lines) + "\n"


def _summary(filling: Filling, over: str | None, columns: int) -> list[str]:
    from planner_provider.decide.partitions import progress

    rate = None if over else filling.rate
    told = progress(filling.tally, limit=filling.limit, rate=rate, held=over)
    lines = [paragraph(told, columns, 2)]
    if filling.begun:
        words = f"began {moment(filling.begun)} UTC"
        if filling.ended:
            words += f", last end {moment(filling.ended)} UTC"
            words += f" ({span(filling.ended - filling.begun)} later)"
        lines.append(paragraph(words, columns, 2))
    return lines


def _listed(filling: Filling, all_: bool, columns: int) -> list[str]:
    from planner_provider.ledger.rows import ItemState

    shown = list(ItemState) if all_ else [ItemState.FAILED, ItemState.ACTING]
    titles = {ItemState.ACTING: "running"}
    lines: list[str] = []
    for state in shown:
        items = [item for item in filling.items if item.state is state]
        if not items:
            continue
        some = items if all_ else items[:NAMED]
        lines.append(f"  {titles.get(state, state.value)}")
        lines += aligned([(item.item, item.detail or "") for item in some], columns, indent=4)
        if len(some) < len(items):
            lines.append(f"    and {len(items) - len(some)} more; --all lists them")
    return lines


def _as_json(story: Story, found: Sequence[Filling]) -> dict[str, Any]:
    from planner_provider.decide.partitions import time_left

    def seconds(filling: Filling) -> float | None:
        left = None if story.report.run.outcome else time_left(filling.tally, filling.rate)
        return None if left is None else round(left.total_seconds(), 1)

    return {
        "plan_id": story.report.run.plan_id,
        "outcome": story.report.run.outcome,
        "steps": [
            {
                "step": filling.step,
                "total": filling.tally.total,
                **asdict(filling.tally),
                "limit": filling.limit,
                "per_hour": None if filling.rate is None else round(filling.rate * 3600, 3),
                "seconds_left": seconds(filling),
                "begun": filling.begun,
                "partitions": [
                    {
                        "partition": item.item,
                        "state": item.state.value,
                        "detail": item.detail,
                        "tries": item.tries,
                        "run": item.facts.get("run"),
                        "started_at": item.started_at,
                        "ended_at": item.ended_at,
                    }
                    for item in filling.items
                ],
            }
            for filling in found
        ],
    }
