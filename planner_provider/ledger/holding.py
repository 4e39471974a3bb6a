"""The part of ``Ledger`` that holds runs: nothing new begins until a person lets them go on."""

from __future__ import annotations

from datetime import datetime

from planner_provider.ledger import audit, runs
from planner_provider.ledger.database import Database
from planner_provider.ledger.engine import reading, writing
from planner_provider.ledger.rows import PlanRun

HELD, RESUMED = "run.held", "run.resumed"
"""What the audit trail calls it."""


class Holding(Database):
    """Runs that people hold. See ``Ledger``."""

    def hold_run(self, plan_id: str, *, actor: str, reason: str, now: datetime) -> PlanRun | None:
        """A person holds the run: no step, part, partition, chunk or target of it begins.

        Gives the run as it is then, ``None`` if it is not known. A run that is held already, that
        is being stopped, or that has ended, is left as it is: look at ``held_at``, ``abort_at`` and
        ``outcome``. What began before this returned goes on to its end.
        """
        with writing(self._engine) as connection:
            run = runs.get(connection, plan_id, lock=True)
            if run is None or run.held_at is not None:
                return run
            if run.outcome is not None or run.abort_at is not None:
                return run
            runs.set_hold(connection, plan_id, actor, reason, now)
            audit.append(
                connection, what=HELD, actor=actor, plan_id=plan_id,
                detail={"reason": reason}, now=now,
            )  # fmt: skip
            return runs.get(connection, plan_id)

    def resume_run(
        self, plan_id: str, *, actor: str, reason: str | None, now: datetime
    ) -> PlanRun | None:
        """A person lets the run go on; gives it as it is then, ``None`` if it is not known.

        A run that nobody holds is left as it is.
        """
        with writing(self._engine) as connection:
            run = runs.get(connection, plan_id, lock=True)
            if run is None or run.held_at is None:
                return run
            runs.end_hold(connection, plan_id)
            detail = {"held_by": run.held_by, "held_at": run.held_at}
            audit.append(
                connection, what=RESUMED, actor=actor, plan_id=plan_id,
                detail=detail | ({"reason": reason} if reason else {}), now=now,
            )  # fmt: skip
            return runs.get(connection, plan_id)

    def held_runs(self) -> frozenset[str]:
        """The plan IDs of the runs that are held and have not ended."""
        with reading(self._engine) as connection:
            return frozenset(runs.held(connection))
