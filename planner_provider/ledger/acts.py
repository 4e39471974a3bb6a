"""The journal of acts: intent before anything is changed, life signs, the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, select, update

from planner_provider.ledger import approvals, leases, runs
from planner_provider.ledger.authority import refusal
from planner_provider.ledger.journal import Journal, StepStatus
from planner_provider.ledger.rows import Act, ActResult, ActRole, Claim, PlanRun
from planner_provider.ledger.schema import ACTS
from planner_provider.ledger.windows import (
    closes_at,
    is_over,
    note_window,
    require_window,
    stop_at_end,
)


class Permit(StrEnum):
    """What a task that wants to act is told."""

    GRANTED = "granted"
    """Its intent is written: act."""
    ALREADY_DONE = "already done"
    NOTHING_TO_UNDO = "nothing to undo"
    BUSY = "busy"
    """An earlier attempt may still be acting: wait until it is quiet, then ask again."""
    HELD = "held"
    """A person holds the run: wait until it is resumed, then ask again."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The answer to a claim."""

    permit: Permit
    plan_id: str
    act: Act | None = None
    """The act that was begun, or the earlier one that makes it needless."""
    open_acts: tuple[Act, ...] = ()
    """With BUSY: the acts to wait for."""
    why: str = ""
    """With HELD: who holds the run since when and why, without a stop at the end."""
    ask_at: datetime | None = None
    """With HELD: from then on the answer will be no, as far as is known now."""


def of_run(connection: Connection, plan_id: str) -> tuple[Act, ...]:
    """All acts of a run, oldest first."""
    query = select(ACTS).where(ACTS.c.plan_id == plan_id).order_by(ACTS.c.id)
    return tuple(act_of(row) for row in connection.execute(query))


def ask(connection: Connection, claim: Claim, now: datetime) -> Begin:
    """What ``begin`` would say, with nothing written: GRANTED comes without an act.

    Raises what ``authority.refusal`` gives.
    """
    return _look(connection, claim, now).answer


def begin(connection: Connection, claim: Claim, now: datetime) -> Begin:
    """Check the authority to act and write the intent, in one transaction.

    Raises what ``authority.refusal`` gives.
    """
    look = _look(connection, claim, now)
    if look.answer.permit is not Permit.GRANTED:
        return look.answer
    plan_id = look.run.plan_id
    if look.parked is not None:
        act = _unpark(connection, look.parked, look.generation, now)
        return Begin(Permit.GRANTED, plan_id, act)
    for act in look.opened:
        end(connection, act.id, ActResult.UNKNOWN, "given up: a later try began", now)
    if claim.role is ActRole.STEP:
        runs.begins_again(connection, look.run, claim.step)
        note_window(connection, plan_id, claim)
    act_id: int = connection.execute(
        ACTS.insert()
        .values(
            plan_id=plan_id,
            generation=look.generation,
            step=claim.step,
            role=claim.role.value,
            try_number=claim.try_number,
            map_index=claim.map_index,
            intent_at=now,
            alive_at=now,
        )
        .returning(ACTS.c.id)
    ).scalar_one()
    return Begin(Permit.GRANTED, plan_id, _get(connection, act_id))


@dataclass(frozen=True, slots=True)
class _Look:
    """The answer to a claim, and what it was found from."""

    answer: Begin
    run: PlanRun
    generation: int | None
    opened: Sequence[Act] = ()
    """Earlier acts of the same task that have not ended."""
    parked: Act | None = None
    """The one of them that goes on."""


def _look(connection: Connection, claim: Claim, now: datetime) -> _Look:
    run = runs.find(connection, claim.dag_id, claim.run_id, lock=True)
    acts = of_run(connection, run.plan_id) if run else ()
    lease = leases.live(connection, run.plan_id) if run else None
    before = Journal(a for a in acts if not _is_own_and_open(a, claim))
    state = before.of(claim.step, claim.map_index)
    needless = _needless(claim, state.status)
    needed = run.approvals if run and claim.role is ActRole.STEP else ()
    granted = approvals.of_tasks(connection, run.plan_id, needed) if run else {}
    opened = [act for act in acts if _is_own_and_open(act, claim)]
    parked = next((act for act in reversed(opened) if claim.resumes and act.parked_at), None)
    refused = refusal(claim, run, lease, before, now, granted, goes_on=parked is not None)
    if refused and not (needless and run and run.key.digest == claim.digest):
        raise refused
    if run is None:
        raise AssertionError("a claim without a run is refused above")
    generation = lease.generation if lease and claim.role is not ActRole.CHECK else None
    if needless:
        return _Look(Begin(needless, run.plan_id, state.last), run, generation)
    require_window(connection, claim, lease, acts, now, goes_on=parked is not None)
    busy = tuple(act for act in opened if act.may_act and claim.role is not ActRole.CHECK)
    may = Begin(Permit.GRANTED, run.plan_id)
    if parked is not None:
        return _Look(may, run, generation, opened, parked)
    if busy:
        return _Look(Begin(Permit.BUSY, run.plan_id, open_acts=busy), run, generation)
    if run.held_at is not None and claim.role is ActRole.STEP and claim.held_up:
        limits = [run.expires_at, closes_at(connection, claim, lease, acts, now)]
        limits += [item.request.expires_at for item in granted.values() if item is not None]
        ask_at = min((limit for limit in limits if limit is not None), default=None)
        held = Begin(Permit.HELD, run.plan_id, why=run.held_words, ask_at=ask_at)
        return _Look(held, run, generation)
    return _Look(may, run, generation, opened)


def sign_of_life(connection: Connection, act_id: int, now: datetime) -> str | None:
    """Write that the act goes on. Gives the reason if it must stop instead."""
    act = _get(connection, act_id)
    if act.ended_at is not None:
        return f"this act was taken to be over ({act.result}: {act.detail}); another try may act"
    if act.role is ActRole.STEP:
        lease = leases.latest(connection, act.plan_id)
        if lease is None or lease.generation != act.generation or lease.released_at is not None:
            return "the run no longer holds the locks that this act began with"
        if lease.closing_at is not None:
            return f"the run is being wound up since {lease.closing_at:%H:%M:%S} UTC"
        run = runs.get(connection, act.plan_id)
        if run and run.abort_at is not None:
            return f"{run.stopped_by} stopped the run at {run.abort_at:%H:%M:%S} UTC"
        if run and is_over(connection, act.plan_id, now):
            ended = stop_at_end(connection, run, now)
            if ended is not None:
                return ended
    connection.execute(
        update(ACTS).where(ACTS.c.id == act_id, ACTS.c.ended_at.is_(None)).values(alive_at=now)
    )
    return None


def park(connection: Connection, act_id: int, now: datetime) -> None:
    """The task is deferred: from now on no process acts, and no life signs come."""
    connection.execute(
        update(ACTS)
        .where(ACTS.c.id == act_id, ACTS.c.ended_at.is_(None))
        .values(parked_at=now, alive_at=now)
    )


def end(
    connection: Connection, act_id: int, result: ActResult, detail: str | None, now: datetime
) -> bool:
    """Write how the act ended. ``False`` if that was already written, by itself or by others."""
    done = connection.execute(
        update(ACTS)
        .where(ACTS.c.id == act_id, ACTS.c.ended_at.is_(None))
        .values(ended_at=now, result=result.value, detail=detail)
    )
    return done.rowcount > 0


def end_silent(
    connection: Connection, seen: Mapping[int, datetime], now: datetime
) -> tuple[int, ...]:
    """End the acts that gave no sign of life since ``seen`` (act id -> last sign), as unknown."""
    ended = []
    for act_id, alive_at in seen.items():
        done = connection.execute(
            update(ACTS)
            .where(ACTS.c.id == act_id, ACTS.c.ended_at.is_(None), ACTS.c.alive_at == alive_at)
            .values(ended_at=now, result=ActResult.UNKNOWN.value, detail="its process fell silent")
        )
        if done.rowcount:
            ended.append(act_id)
    return tuple(ended)


def _needless(claim: Claim, status: StepStatus) -> Permit | None:
    if claim.role is ActRole.STEP and status is StepStatus.DONE and not claim.again:
        return Permit.ALREADY_DONE
    if claim.role is ActRole.UNDO:
        if status is StepStatus.UNDONE:
            return Permit.ALREADY_DONE
        if status is StepStatus.UNTOUCHED:
            return Permit.NOTHING_TO_UNDO
    return None


def _is_own_and_open(act: Act, claim: Claim) -> bool:
    return (
        act.is_open
        and act.step == claim.step
        and act.role is claim.role
        and act.map_index == claim.map_index
    )


def _unpark(connection: Connection, act: Act, generation: int | None, now: datetime) -> Act:
    connection.execute(
        update(ACTS)
        .where(ACTS.c.id == act.id)
        .values(parked_at=None, alive_at=now, generation=generation)
    )
    return _get(connection, act.id)


def _get(connection: Connection, act_id: int) -> Act:
    return act_of(connection.execute(select(ACTS).where(ACTS.c.id == act_id)).one())


def act_of(row: Row[Any]) -> Act:
    """An act from its row."""
    return Act(
        id=row.id,
        plan_id=row.plan_id,
        generation=row.generation,
        step=row.step,
        role=ActRole(row.role),
        try_number=row.try_number,
        map_index=row.map_index,
        intent_at=row.intent_at,
        alive_at=row.alive_at,
        parked_at=row.parked_at,
        ended_at=row.ended_at,
        result=None if row.result is None else ActResult(row.result),
        detail=row.detail,
    )
