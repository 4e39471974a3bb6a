"""The part of ``Ledger`` that lets targets of a patch rollout begin, and ends them.

What holds a place under ``max_unavailable`` is the state of the target itself, not a lock beside
it: so whether others failed, how many are unavailable, and the begin are one transaction, and no
place can be left behind by a process that died.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from planner_provider.decide.waves import TargetState, Turn, TurnKind, turn
from planner_provider.ledger import audit, leases, runs, work_items
from planner_provider.ledger.database import Database
from planner_provider.ledger.engine import reading, writing
from planner_provider.ledger.rows import ItemState, WorkItem

GENERATION = "generation"
"""Fact of a target: the lease under which it was begun."""
AVAILABLE = "available"
"""Fact of a target that failed: whether it is known to be available again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a target may not exceed when it begins."""

    max_unavailable: int
    max_errors: int


def states_of(items: Iterable[WorkItem], generation: int | None) -> tuple[TargetState, ...]:
    """Targets as decisions see them; what failed under an earlier lease is no error any more."""
    return tuple(
        TargetState(
            name=item.item,
            wave=item.wave,
            state=item.state.value,
            detail=item.detail,
            available=bool(item.facts.get(AVAILABLE, False)),
            counts=item.facts.get(GENERATION) == generation,
        )
        for item in items
    )


class Targets(Database):
    """Targets of patch rollouts. See ``Ledger``."""

    def begin_target(
        self,
        plan_id: str,
        step: str,
        target: str,
        limits: Limits,
        *,
        elsewhere: Iterable[str],
        actor: str,
        now: datetime,
    ) -> Turn:
        """Begin a target if it is its turn, in the same transaction in which that is decided.

        One that is begun, or done, already is told to begin, and nothing changes. While a person
        holds the run, others wait. ``elsewhere``
        are the targets that are unavailable by what the world says. Raises ``ValueError`` for a
        target that the step does not have.
        """
        with writing(self._engine) as connection:
            run = runs.get(connection, plan_id, lock=True)  # one begins at a time
            items = work_items.of_step(connection, plan_id, step)
            item = next((item for item in items if item.item == target), None)
            if item is None:
                raise ValueError(f"{step} has no target {target}")
            if item.state in (ItemState.ACTING, ItemState.DONE):
                return Turn(TurnKind.BEGIN, f"it is {item.state.value} already")
            generation = _generation(connection, plan_id)
            answer = turn(
                target,
                states_of(items, generation),
                max_unavailable=limits.max_unavailable,
                max_errors=limits.max_errors,
                elsewhere=elsewhere,
            )
            if run is not None and run.held_at is not None and answer.kind is TurnKind.BEGIN:
                answer = replace(answer, kind=TurnKind.WAIT, why=run.held_words)
            if answer.kind is not TurnKind.BEGIN:
                if item.state is ItemState.WAITING:
                    work_items.move(
                        connection, plan_id, step, target, ItemState.WAITING,
                        detail=answer.why, facts=None, now=now,
                    )  # fmt: skip
                return answer
            work_items.move(
                connection, plan_id, step, target, ItemState.ACTING,
                detail=None, facts={GENERATION: generation, AVAILABLE: False}, now=now,
            )  # fmt: skip
            audit.append(
                connection, what="target.began", actor=actor, plan_id=plan_id,
                detail={"step": step, "target": target, "unavailable": list(answer.unavailable)},
                now=now,
            )  # fmt: skip
            return answer

    def end_target(
        self,
        plan_id: str,
        step: str,
        target: str,
        state: ItemState,
        *,
        detail: str | None,
        available: bool,
        actor: str,
        now: datetime,
    ) -> None:
        """Write how a target ended. ``available`` gives its place under the limit back."""
        with writing(self._engine) as connection:
            runs.get(connection, plan_id, lock=True)
            work_items.move(
                connection, plan_id, step, target, state,
                detail=detail, facts={AVAILABLE: available}, now=now,
            )  # fmt: skip
            audit.append(
                connection, what="target.ended", actor=actor, plan_id=plan_id,
                detail={
                    "step": step, "target": target, "state": state.value, "detail": detail,
                    "available": available,
                },
                now=now,
            )  # fmt: skip

    def target_states(self, plan_id: str, step: str) -> tuple[TargetState, ...]:
        """The targets of a step, as decisions see them."""
        with reading(self._engine) as connection:
            items = work_items.of_step(connection, plan_id, step)
            return states_of(items, _generation(connection, plan_id))


def _generation(connection: Connection, plan_id: str) -> int | None:
    lease = leases.latest(connection, plan_id)
    return lease.generation if lease else None
