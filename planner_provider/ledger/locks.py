"""The part of ``Ledger`` that gives locks, takes them back, and keeps the queue for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from planner_provider.errors import UnavailableError
from planner_provider.ledger import audit, leases, reaper, runs, waiting
from planner_provider.ledger.contention import claims, conflict_text, in_the_way, strongest
from planner_provider.ledger.database import Database
from planner_provider.ledger.engine import reading, writing
from planner_provider.ledger.reaper import Reaped
from planner_provider.ledger.rows import Blocker, Course, Hold, Lease, Waiting


class Locks(Database):
    """Who may change what, and who waits for that. See ``Ledger``."""

    def take_lease(
        self, plan_id: str, holds: Sequence[Hold], *, actor: str, now: datetime
    ) -> Lease:
        """Take all resources or none, without waiting.

        Idempotent while the lease lives. Raises ``UnavailableError`` naming those who hold, or
        wait for, what conflicts.
        """
        answer = self._ask(plan_id, holds, actor, now, line=False)
        if isinstance(answer, Waiting):
            raise UnavailableError(
                "Another run holds what this plan touches; nothing was locked, nothing was "
                f"touched. {conflict_text(answer.blockers, now)}. Try again when it has ended."
            )
        return answer

    def ask_for_lease(
        self,
        plan_id: str,
        holds: Sequence[Hold],
        *,
        actor: str,
        now: datetime,
        patience: timedelta = waiting.PATIENCE,
    ) -> Lease | Waiting:
        """Take all resources, or none and a place in the queue.

        Ask again, or ``keep_places``, more often than ``patience``, else others overtake.
        """
        with reading(self._engine) as connection:
            waits = waiting.still_waits(connection, plan_id, holds, now, patience=patience)
        return waits or self._ask(plan_id, holds, actor, now, patience=patience)

    def _ask(
        self, plan_id: str, holds: Sequence[Hold], actor: str, now: datetime, **how: Any
    ) -> Lease | Waiting:
        with writing(self._engine) as connection:
            answer, is_new = waiting.ask(connection, plan_id, holds, now, **how)
            if isinstance(answer, Lease) and is_new:
                detail = {
                    "generation": answer.generation,
                    "holds": [[hold.resource, hold.mode.value] for hold in answer.holds],
                }
                audit.append(
                    connection, what="lease.taken", actor=actor, plan_id=plan_id,
                    detail=detail, now=now,
                )  # fmt: skip
            if isinstance(answer, Waiting) and answer.waiter.ticket and answer.waiter.since == now:
                behind = sorted({blocker.plan_id for blocker in answer.blockers})
                audit.append(
                    connection, what="lease.queued", actor=actor, plan_id=plan_id,
                    detail={"behind": behind}, now=now,
                )  # fmt: skip
            return answer

    def keep_places(self, plan_ids: Collection[str], *, now: datetime) -> None:
        """Say that these runs still wait for their locks."""
        with writing(self._engine) as connection:
            waiting.keep(connection, plan_ids, now)

    def leave_queue(self, plan_id: str) -> bool:
        """Wait no longer. ``False`` if the run did not wait."""
        with writing(self._engine) as connection:
            return waiting.leave(connection, [plan_id])

    def lease_queue(
        self, *, now: datetime, patience: timedelta = waiting.PATIENCE
    ) -> tuple[Waiting, ...]:
        """All who wait and give signs of life, in order of arrival, each with its blockers."""
        with reading(self._engine) as connection:
            return waiting.lined_up(connection, now, patience)

    def blockers(self, holds: Sequence[Hold], *, now: datetime) -> tuple[Blocker, ...]:
        """What would be in the way of a new run that wants this: a forecast, nothing is taken."""
        wanted = strongest(holds)
        with reading(self._engine) as connection:
            others = list(leases.held(connection, [hold.resource for hold in wanted]))
            for line in waiting.lined_up(connection, now):
                run = runs.get(connection, line.waiter.plan_id)
                name = (run.key.dag_id, run.key.run_id) if run else ("", "")
                others += claims(line.waiter, name)
        return in_the_way(wanted, others, plan_id="")

    def held_resources(self) -> tuple[Blocker, ...]:
        """Everything that is held now, by resource."""
        with reading(self._engine) as connection:
            return leases.held(connection, None)

    def reap(
        self,
        *,
        now: datetime,
        actor: str = "reaper",
        silence: timedelta = reaper.SILENCE,
        idle: timedelta = reaper.IDLE,
        idle_parked: timedelta = reaper.IDLE_PARKED,
    ) -> Reaped:
        """Take back the locks of runs that ended without giving them back, or vanished.

        Where something may still be acting, its steps are told to stop, and the locks are taken
        by a later call, when no sign of life came for ``silence``. Costs one query if there is
        nothing to do.
        """
        with reading(self._engine) as connection:
            plan_ids = reaper.candidates(connection, now, idle)
        if not plan_ids:
            return Reaped()
        with writing(self._engine) as connection:
            return reaper.reap(
                connection, plan_ids, actor=actor, now=now, silence=silence, idle=idle,
                idle_parked=idle_parked,
            )  # fmt: skip

    def check_lease(self, plan_id: str) -> Lease | None:
        """The lease that the run holds now, if it holds one."""
        with reading(self._engine) as connection:
            return leases.live(connection, plan_id)

    def last_lease(self, plan_id: str) -> Lease | None:
        """The last lease that the run held, given back or not."""
        with reading(self._engine) as connection:
            return leases.latest(connection, plan_id)

    def close_lease(self, plan_id: str, *, now: datetime) -> Lease | None:
        """Let no step of this lease begin, and tell those that act to stop."""
        with writing(self._engine) as connection:
            runs.get(connection, plan_id, lock=True)
            return leases.close(connection, plan_id, now)

    def record_course(
        self,
        plan_id: str,
        generation: int,
        course: Course,
        *,
        detail: Mapping[str, Any],
        actor: str,
        now: datetime,
    ) -> None:
        """Write what `decide` decided; undoing is allowed by nothing else."""
        with writing(self._engine) as connection:
            leases.set_course(connection, generation, course)
            audit.append(
                connection, what="run.decided", actor=actor, plan_id=plan_id,
                detail={"course": course.value, **detail}, now=now,
            )  # fmt: skip

    def release_lease(self, plan_id: str, *, actor: str, now: datetime) -> bool:
        """Give everything back. ``False`` if nothing was held."""
        with writing(self._engine) as connection:
            runs.get(connection, plan_id, lock=True)  # nobody begins to act meanwhile
            released = leases.release(connection, plan_id, now)
            if released:
                audit.append(
                    connection, what="lease.released", actor=actor, plan_id=plan_id,
                    detail={}, now=now,
                )  # fmt: skip
            return released
