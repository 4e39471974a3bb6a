"""Where the steps of a run stand and how far the long ones are. Pure: groups in, steps out.

For a step that is not mapped this is what ``Journal`` says. Of a mapped one it is told from the
newest acts of each result, so that ten thousand targets cost no more than ten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from planner_provider.ledger.journal import PART
from planner_provider.ledger.overview_rows import ActGroup, ItemGroup
from planner_provider.ledger.plan_facts import PartFacts, PlanFacts, StepFacts
from planner_provider.ledger.rows import ActResult, ActRole, ItemState

State = Literal["untouched", "done", "undone", "failed", "unknown", "undoing", "waiting", "acting"]
ORDER: tuple[State, ...] = State.__args__  # type: ignore[attr-defined]
"""Of the parts of a step, the one that comes last here speaks for all."""
OPEN: frozenset[State] = frozenset({"undoing", "waiting", "acting"})
CANARY = "canary"
WAITING_ACTIONS = frozenset({"gate", "approval", "wait"})
"""Actions that do nothing but wait."""
PROMOTE = "promote"
ENDED = (ItemState.DONE, ItemState.SKIPPED)

_STEP: dict[ActResult, State] = {
    ActResult.DONE: "done", ActResult.FAILED: "failed", ActResult.UNKNOWN: "unknown",
}  # fmt: skip
_UNDO: dict[ActResult, State] = {
    ActResult.DONE: "undone", ActResult.FAILED: "failed", ActResult.UNKNOWN: "failed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProgressNow:
    """How far a long step is."""

    kind: Literal["weight", "wave", "partitions", "chunks", "targets"]
    done: int
    total: int
    failed: int
    label: str
    eta: datetime | None


@dataclass(frozen=True, slots=True)
class StepNow:
    """A step of a run."""

    id: str
    action: str
    summary: str | None
    state: State
    since: datetime | None
    detail: str | None
    tries: int
    duration: timedelta | None
    """Of a step that does not go on."""
    progress: ProgressNow | None
    task_id: str | None
    """Its task in Airflow, or the part of it that acted last."""
    is_group: bool
    """Whether ``task_id`` is a group of tasks."""


def steps_of(
    facts: PlanFacts | None,
    groups: Iterable[ActGroup],
    items: Iterable[ItemGroup],
    *,
    live: bool,
) -> tuple[StepNow, ...]:
    """The steps in the order of the plan; then others that acted.

    ``live``: whether the run goes on, so that the parts of a step that are not begun still come.
    """
    acted: dict[str, list[ActGroup]] = {}
    for group in groups:
        acted.setdefault(_own(group.step), []).append(group)
    of_items: dict[str, list[ItemGroup]] = {}
    for item in items:
        of_items.setdefault(item.step, []).append(item)
    planned = {step.id: step for step in facts.steps} if facts else {}
    names = dict.fromkeys((*planned, *acted))
    return tuple(
        _step(name, planned.get(name), acted.get(name, []), of_items.get(name, []), live=live)
        for name in names
    )


def _own(name: str) -> str:
    return name.partition(PART)[0]


def state_of(group: ActGroup) -> State:
    """What one group says."""
    if group.role is ActRole.UNDO:
        return "undoing" if group.result is None else _UNDO[group.result]
    if group.result is None:
        return "waiting" if group.parked else "acting"
    return _STEP[group.result]


def _step(
    name: str,
    facts: StepFacts | None,
    groups: Sequence[ActGroup],
    items: Sequence[ItemGroup],
    *,
    live: bool,
) -> StepNow:
    state, speaks = _together(groups)
    begun = [group.begun_at for group in groups]
    if live and state == "done" and facts and _lacks_parts(facts, groups):
        state = "acting"
    if state == "waiting" and facts and facts.action not in WAITING_ACTIONS:
        state = "acting"  # between two looks, or while another system works for it
    since = duration = None
    if speaks is not None:
        alike = [group.begun_at for group in groups if group.role is speaks.role]
        since = min(alike) if state in OPEN else speaks.ended_at
        ends = [group.ended_at for group in groups if group.ended_at]
        if state not in OPEN and ends:
            duration = max(ends) - min(begun)
    task_id, is_group = _task(facts, groups)
    return StepNow(
        id=name,
        action=facts.action if facts else "",
        summary=facts.summary if facts else None,
        state=state,
        since=since,
        detail=speaks.detail if speaks else None,
        tries=max((group.tries for group in groups), default=0),
        duration=duration,
        progress=_progress(facts, state, groups, items),
        task_id=task_id,
        is_group=is_group,
    )


def _together(groups: Sequence[ActGroup]) -> tuple[State, ActGroup | None]:
    """The state of a step, and the group that says so."""
    undone = [group for group in groups if group.role is ActRole.UNDO]
    told: list[ActGroup] = []
    for group in groups:
        if group.role is ActRole.UNDO:
            continue
        since = [undo for undo in undone if undo.newest > group.newest and _undoes(undo, group)]
        told += since or [group]
    told += [undo for undo in undone if not any(_undoes(undo, group) for group in groups)]
    if not told:
        return "untouched", None
    speaks = max(told, key=lambda group: (ORDER.index(state_of(group)), group.newest))
    states = {state_of(group) for group in told}
    if "done" in states and state_of(speaks) == "undone":
        return "undoing", speaks
    return state_of(speaks), speaks


def _undoes(undo: ActGroup, group: ActGroup) -> bool:
    """Whether an undo is about the step, or the part of it, that a group is about."""
    if group.role is ActRole.UNDO:
        return False
    return group.step == undo.step or group.step.startswith(undo.step + PART)


def _lacks_parts(facts: StepFacts, groups: Sequence[ActGroup]) -> bool:
    names = {group.step for group in groups}
    plain = [part for part in facts.parts if not part.is_group]
    return any(f"{facts.id}{PART}{part.id}" not in names for part in plain)


def _task(facts: StepFacts | None, groups: Sequence[ActGroup]) -> tuple[str | None, bool]:
    """The task to look at: the newest part, if it is one task; otherwise the step's."""
    if facts is None:
        return None, False
    if not facts.parts:
        return facts.task_id, False
    newest = max(
        (group for group in groups if group.role is ActRole.STEP),
        key=lambda group: group.newest,
        default=None,
    )
    part = None if newest is None else newest.step.partition(PART)[2]
    if any(part == one.id and not one.is_group for one in facts.parts):
        return f"{facts.task_id}.{part}", False
    return facts.task_id, True


# ---- progress


def _progress(
    facts: StepFacts | None,
    state: State,
    groups: Sequence[ActGroup],
    items: Sequence[ItemGroup],
) -> ProgressNow | None:
    if items:
        return _of_items(facts, items, state)
    if facts is None or facts.action != CANARY or not groups:
        return None
    weights = [part for part in facts.parts if part.weight is not None]
    return _of_weights(facts, weights, state, groups)


def _of_weights(
    facts: StepFacts, weights: Sequence[PartFacts], state: State, groups: Sequence[ActGroup]
) -> ProgressNow:
    begun = {group.step: group for group in groups if group.role is ActRole.STEP}
    if state in {"undone", "undoing"}:
        return ProgressNow("weight", 0, 100, 0, "taken back", None)
    promoted = begun.get(f"{facts.id}{PART}{PROMOTE}")
    if promoted is not None and promoted.result is ActResult.DONE:
        return ProgressNow("weight", 100, 100, 0, "all of the traffic", None)
    now = 0
    eta = None
    for index, part in enumerate(weights):
        group = begun.get(f"{facts.id}{PART}{part.id}")
        if group is None:
            continue
        now = part.weight or 0
        bakes = [later.bake or timedelta(0) for later in weights[index:]]
        eta = group.begun_at + sum(bakes, timedelta(0)) if state in OPEN else None
    return ProgressNow("weight", now, 100, 0, f"{now}% of the traffic", eta)


def _of_items(facts: StepFacts | None, items: Sequence[ItemGroup], state: State) -> ProgressNow:
    waves = sorted({item.wave for item in items if item.wave is not None})
    counted = [item for item in items if item.wave is not None] if waves else list(items)
    counted = [item for item in counted if item.state is not ItemState.GONE]
    total = sum(item.count for item in counted)
    done = sum(item.count for item in counted if item.state in ENDED)
    failed = sum(item.count for item in counted if item.state is ItemState.FAILED)
    eta = _eta(counted, done + failed, total) if state in OPEN else None
    if waves:
        going = {i.wave for i in counted if i.state in {ItemState.WAITING, ItemState.ACTING}}
        place = waves.index(min(w for w in going if w)) + 1 if going else len(waves)
        label = f"wave {place} of {len(waves)}, {done} of {total} targets"
        return ProgressNow("wave", done, total, failed, label, eta)
    kind: Literal["chunks", "partitions"] = (
        "chunks" if facts is not None and facts.in_chunks else "partitions"
    )
    return ProgressNow(kind, done, total, failed, f"{done} of {total} {kind}", eta)


def _eta(items: Sequence[ItemGroup], ended: int, total: int) -> datetime | None:
    """When the rest ends, if it goes on as it did so far.

    It is worked out from the last end, not from now, so that it stays as it is until something
    ends.
    """
    begun = [item.begun_at for item in items if item.begun_at]
    ends = [item.ended_at for item in items if item.ended_at]
    if not begun or not ends or ended < 2 or ended >= total:
        return None
    spent = max(ends) - min(begun)
    if spent <= timedelta(0):
        return None
    try:
        at = max(ends) + spent / ended * (total - ended)
    except OverflowError:
        return None
    return at.replace(microsecond=0)
