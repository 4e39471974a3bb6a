"""The door to the ledger: one method per thing that happens, each one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from planner_provider.ledger import acts, audit, compiled, leases, runs, waiting
from planner_provider.ledger.acts import Begin, Permit
from planner_provider.ledger.engine import reading, writing
from planner_provider.ledger.holding import Holding
from planner_provider.ledger.locks import Locks
from planner_provider.ledger.records import Records
from planner_provider.ledger.rows import (
    Act,
    ActResult,
    AuditEntry,
    Claim,
    CompiledPlan,
    Outcome,
    PlanRun,
    RunKey,
)
from planner_provider.ledger.telling import Telling
from planner_provider.ledger.throttling import Throttling
from planner_provider.ledger.windows import Windows
from planner_provider.ledger.workloads import Workloads


class Ledger(Records, Locks, Workloads, Throttling, Windows, Holding, Telling):
    """The record of what happened, in SQLite or PostgreSQL.

    Every method is one transaction, may be repeated without harm, and raises ``UnavailableError``
    if the database does not answer, ``MisconfiguredError`` if it cannot be used. Times come in as
    ``now``; the ledger has no clock.
    """

    # ---- runs

    def pin_run(
        self,
        key: RunKey,
        *,
        expires_at: datetime | None,
        parameters: Mapping[str, Any],
        actor: str,
        now: datetime,
        approvals: tuple[str, ...] = (),
        parameters_sha: str = "",
        requester: str | None = None,
    ) -> PlanRun:
        """Bind a run to its version and start its time to live.

        No step may act before each task in ``approvals`` has its approval, for this version and
        these parameters. ``requester`` is who started it, where Airflow knows. Raises
        ``SupersededError`` if the run is bound to another version.
        """
        with writing(self._engine) as connection:
            bound = runs.Binding(expires_at, parameters, approvals, parameters_sha)
            run = runs.pin(connection, key, bound, now)
            detail = {
                "digest": key.digest,
                "run_id": key.run_id,
                "expires_at": expires_at,
                "approvals": list(approvals),
                "parameters_sha": parameters_sha,
                "requester": requester,
            }
            audit.append(
                connection, what="run.assessed", actor=actor, plan_id=run.plan_id,
                detail=detail, now=now,
            )  # fmt: skip
            return run

    def keep_trace(self, plan_id: str, trace_parent: str) -> None:
        """Keep the W3C ``traceparent`` of a run; the first that is kept stays."""
        with writing(self._engine) as connection:
            runs.set_trace(connection, plan_id, trace_parent)

    def run_of(self, dag_id: str, run_id: str) -> PlanRun | None:
        """What is known of a run."""
        with reading(self._engine) as connection:
            return runs.find(connection, dag_id, run_id)

    def run(self, plan_id: str) -> PlanRun | None:
        """What is known of the run with this plan ID."""
        with reading(self._engine) as connection:
            return runs.get(connection, plan_id)

    def finish_run(
        self, key: RunKey, outcome: Outcome, reason: str, *, actor: str, now: datetime
    ) -> str:
        """Write how a run ended, also if it was never assessed. Gives its plan ID."""
        with writing(self._engine) as connection:
            known = runs.find(connection, key.dag_id, key.run_id, lock=True)
            run = known or runs.ensure(connection, key)
            runs.set_outcome(connection, run.plan_id, outcome, reason, now)
            waiting.leave(connection, [run.plan_id])
            audit.append(
                connection, what="run.finished", actor=actor, plan_id=run.plan_id,
                detail={"outcome": outcome.value, "reason": reason}, now=now,
            )  # fmt: skip
            return run.plan_id

    def record_abort(
        self, dag_id: str, run_id: str, *, actor: str, now: datetime, reason: str | None = None
    ) -> bool:
        """A person stopped the run: no step may begin. ``False`` if the run is not known."""
        with writing(self._engine) as connection:
            run = runs.find(connection, dag_id, run_id, lock=True)
            if run is None:
                return False
            if run.outcome is not None and leases.live(connection, run.plan_id) is None:
                return True  # it has ended: there is nothing to stop
            self._abort(connection, run, actor, reason, now)
            return True

    def request_abort(
        self, plan_id: str, *, actor: str, reason: str | None, now: datetime
    ) -> PlanRun | None:
        """A person stops the run with this plan ID; gives the run as it is then.

        ``None`` if it is not known. A run that is stopped already, or that has ended and holds no
        locks, is left as it is: look at ``abort_at`` and ``outcome``.
        """
        with writing(self._engine) as connection:
            run = runs.get(connection, plan_id, lock=True)
            if run is None or (run.abort_at is not None and run.outcome is None):
                return run
            if run.outcome is not None and leases.live(connection, plan_id) is None:
                return run
            self._abort(connection, run, actor, reason, now)
            return runs.get(connection, plan_id)

    def record_failing(
        self, dag_id: str, run_id: str, step: str, *, actor: str, now: datetime
    ) -> bool:
        """A step has failed for good: no other may begin, and what waits need not wait on.

        ``False`` if that is known already, or if the run is not known.
        """
        with writing(self._engine) as connection:
            run = runs.find(connection, dag_id, run_id, lock=True)
            if run is None or not runs.set_failing(connection, run, step, now):
                return False
            audit.append(
                connection, what="run.failing", actor=actor, plan_id=run.plan_id,
                detail={"step": step}, now=now,
            )  # fmt: skip
            return True

    def open_stops(self) -> dict[str, datetime]:
        """The runs that a person stopped, or in which a step has failed for good: plan ID -> when.

        Runs that have ended since are left out.
        """
        with reading(self._engine) as connection:
            return runs.open_stops(connection)

    @staticmethod
    def _abort(
        connection: Connection, run: PlanRun, actor: str, reason: str | None, now: datetime
    ) -> None:
        runs.set_abort(connection, run.plan_id, reason, now)
        waiting.leave(connection, [run.plan_id])
        audit.append(
            connection, what="run.aborted", actor=actor, plan_id=run.plan_id,
            detail={"reason": reason} if reason else {}, now=now,
        )  # fmt: skip

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

    def ask_to_begin(self, claim: Claim, *, now: datetime) -> Begin:
        """What ``begin_act`` would say now, with nothing written: GRANTED comes without an act.

        Raises what ``begin_act`` raises.
        """
        with writing(self._engine) as connection:
            return acts.ask(connection, claim, now)

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
        connection: Connection, what: str, act: Act, actor: str, now: datetime, **extra: Any
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
