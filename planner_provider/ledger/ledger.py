"""The door to the ledger: one method per thing that happens, each one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Engine

from planner_provider.ledger import acts, audit, compiled, leases, runs
from planner_provider.ledger.acts import Begin, Permit
from planner_provider.ledger.engine import make_engine, reading, shown, writing
from planner_provider.ledger.rows import (
    Act,
    ActResult,
    AuditEntry,
    Claim,
    CompiledPlan,
    Hold,
    Lease,
    Outcome,
    PlanRun,
    RunKey,
    Verdict,
)
from planner_provider.ledger.upgrade import require_schema, schema_version, upgrade_schema


class Ledger:
    """The record of what happened, in SQLite or PostgreSQL.

    Every method is one transaction, may be repeated without harm, and raises ``UnavailableError``
    if the database does not answer, ``MisconfiguredError`` if it cannot be used. Times come in as
    ``now``; the ledger has no clock.
    """

    def __init__(self, url: str, *, auto_upgrade: bool = True) -> None:
        self.url = url
        self.auto_upgrade = auto_upgrade

    def __repr__(self) -> str:
        return f"Ledger({shown(self.url)})"

    @cached_property
    def _engine(self) -> Engine:
        engine = make_engine(self.url)
        require_schema(engine, upgrade=self.auto_upgrade)
        return engine

    # ---- the database itself

    def version(self) -> str | None:
        """The version of the schema in the database, ``None`` if it is empty."""
        return schema_version(make_engine(self.url))

    def upgrade(self) -> None:
        """Bring the schema up to date. Safe from many processes at once."""
        upgrade_schema(make_engine(self.url))

    # ---- runs

    def pin_run(
        self,
        key: RunKey,
        *,
        expires_at: datetime | None,
        parameters: Mapping[str, Any],
        actor: str,
        now: datetime,
    ) -> PlanRun:
        """Bind a run to its version and start its time to live.

        Raises ``SupersededError`` if it is bound to another version.
        """
        with writing(self._engine) as connection:
            run = runs.pin(connection, key, expires_at=expires_at, parameters=parameters, now=now)
            detail = {"digest": key.digest, "run_id": key.run_id, "expires_at": expires_at}
            audit.append(
                connection, what="run.assessed", actor=actor, plan_id=run.plan_id,
                detail=detail, now=now,
            )  # fmt: skip
            return run

    def run_of(self, dag_id: str, run_id: str) -> PlanRun | None:
        """What is known of a run."""
        with reading(self._engine) as connection:
            return runs.find(connection, dag_id, run_id)

    def finish_run(
        self, key: RunKey, outcome: Outcome, reason: str, *, actor: str, now: datetime
    ) -> str:
        """Write how a run ended, also if it was never assessed. Gives its plan ID."""
        with writing(self._engine) as connection:
            known = runs.find(connection, key.dag_id, key.run_id, lock=True)
            run = known or runs.ensure(connection, key)
            runs.set_outcome(connection, run.plan_id, outcome, reason, now)
            audit.append(
                connection, what="run.finished", actor=actor, plan_id=run.plan_id,
                detail={"outcome": outcome.value, "reason": reason}, now=now,
            )  # fmt: skip
            return run.plan_id

    def record_abort(self, dag_id: str, run_id: str, *, actor: str, now: datetime) -> bool:
        """A person stopped the run: no step may begin. ``False`` if the run is not known."""
        with writing(self._engine) as connection:
            run = runs.find(connection, dag_id, run_id, lock=True)
            if run is None:
                return False
            runs.set_abort(connection, run.plan_id, now)
            audit.append(
                connection, what="run.aborted", actor=actor, plan_id=run.plan_id, detail={}, now=now
            )
            return True

    # ---- leases

    def take_lease(
        self, plan_id: str, holds: Sequence[Hold], *, actor: str, now: datetime
    ) -> Lease:
        """Take all resources or none.

        Idempotent while the lease lives. Raises ``UnavailableError`` naming the holders of what
        another run holds.
        """
        with writing(self._engine) as connection:
            before = leases.live(connection, plan_id)
            lease = leases.take(connection, plan_id, holds, now)
            if before is None or before.generation != lease.generation:
                detail = {
                    "generation": lease.generation,
                    "holds": [[hold.resource, hold.mode.value] for hold in lease.holds],
                }
                audit.append(
                    connection, what="lease.taken", actor=actor, plan_id=plan_id,
                    detail=detail, now=now,
                )  # fmt: skip
            return lease

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

    def record_verdict(
        self,
        plan_id: str,
        generation: int,
        verdict: Verdict,
        *,
        detail: Mapping[str, Any],
        actor: str,
        now: datetime,
    ) -> None:
        """Write what `decide` decided; undoing is allowed by nothing else."""
        with writing(self._engine) as connection:
            leases.set_verdict(connection, generation, verdict)
            audit.append(
                connection, what="run.decided", actor=actor, plan_id=plan_id,
                detail={"verdict": verdict.value, **detail}, now=now,
            )  # fmt: skip

    def release_lease(self, plan_id: str, *, actor: str, now: datetime) -> bool:
        """Give everything back. ``False`` if nothing was held."""
        with writing(self._engine) as connection:
            released = leases.release(connection, plan_id, now)
            if released:
                audit.append(
                    connection, what="lease.released", actor=actor, plan_id=plan_id,
                    detail={}, now=now,
                )  # fmt: skip
            return released

    # ---- acts

    def begin_act(self, claim: Claim, *, now: datetime) -> Begin:
        """Check the authority to act and write the intent, in one transaction.

        Raises ``SupersededError``, ``NoAuthorityError`` or ``AttentionError``.
        """
        with writing(self._engine) as connection:
            answer = acts.begin(connection, claim, now)
            if answer.permit is Permit.GRANTED and answer.act:
                self._audit_act(connection, "act.began", answer.act, claim.actor, now)
            return answer

    def life_sign(self, act_id: int, *, now: datetime) -> str | None:
        """Write that the act goes on. Gives the reason if it must stop instead."""
        with writing(self._engine) as connection:
            return acts.sign_of_life(connection, act_id, now)

    def park_act(self, act_id: int, *, now: datetime) -> None:
        """The task is deferred: nothing acts until it resumes."""
        with writing(self._engine) as connection:
            acts.park(connection, act_id, now)

    def end_act(
        self, act: Act, result: ActResult, detail: str | None, *, actor: str, now: datetime
    ) -> bool:
        """Write how the act ended. ``False`` if others had already taken it to be over."""
        with writing(self._engine) as connection:
            runs.get(connection, act.plan_id, lock=True)
            written = acts.end(connection, act.id, result, detail, now)
            what = "act.ended" if written else "act.ended_late"
            extra = {"result": result.value, "detail": detail}
            self._audit_act(connection, what, act, actor, now, **extra)
            return written

    def end_silent_acts(
        self, plan_id: str, seen: Mapping[int, datetime], *, actor: str, now: datetime
    ) -> tuple[int, ...]:
        """End as unknown the acts that gave no sign of life since ``seen``; give their ids."""
        with writing(self._engine) as connection:
            runs.get(connection, plan_id, lock=True)
            ended = acts.end_silent(connection, seen, now)
            if ended:
                audit.append(
                    connection, what="act.silent", actor=actor, plan_id=plan_id,
                    detail={"acts": list(ended)}, now=now,
                )  # fmt: skip
            return ended

    def acts_of(self, plan_id: str) -> tuple[Act, ...]:
        """All acts of a run, oldest first."""
        with reading(self._engine) as connection:
            return acts.of_run(connection, plan_id)

    @staticmethod
    def _audit_act(
        connection: Any, what: str, act: Act, actor: str, now: datetime, **extra: Any
    ) -> None:
        detail = {"act": act.id, "role": act.role.value, "step": act.step, "try": act.try_number}
        audit.append(
            connection, what=what, actor=actor, plan_id=act.plan_id,
            detail={**detail, **extra}, now=now,
        )  # fmt: skip

    # ---- compiled plans

    def remember_compiled(self, plans: Iterable[CompiledPlan]) -> None:
        """Keep them as last good ones. Those that are already kept are not written again."""
        known = self.compiled_digests()
        fresh = [p for p in plans if known.get(p.plan) != (p.digest, p.spec_sha)]
        if fresh:
            with writing(self._engine) as connection:
                compiled.remember(connection, fresh)

    def last_compiled(self, plan: str) -> CompiledPlan | None:
        """The last good compilation of a plan."""
        with reading(self._engine) as connection:
            return compiled.last(connection, plan)

    def compiled_digests(self) -> dict[str, tuple[str, str]]:
        """Plan -> digest and hash of its spec text, of all that are kept."""
        with reading(self._engine) as connection:
            return compiled.digests(connection)

    # ---- audit

    def record(
        self,
        what: str,
        *,
        plan_id: str | None,
        actor: str,
        detail: Mapping[str, Any],
        now: datetime,
    ) -> None:
        """Add an entry to the audit trail."""
        with writing(self._engine) as connection:
            audit.append(
                connection, what=what, actor=actor, plan_id=plan_id, detail=detail, now=now
            )

    def audit_of(self, plan_id: str | None = None) -> tuple[AuditEntry, ...]:
        """The audit trail of one run, or all of it, oldest first."""
        with reading(self._engine) as connection:
            return audit.entries(connection, plan_id)
