"""The part of ``Ledger`` that keeps decisions, memos and approvals."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from planner_provider.decide.model import Decision
from planner_provider.ledger import approvals, audit, decisions
from planner_provider.ledger.database import Database
from planner_provider.ledger.engine import reading, writing
from planner_provider.ledger.rows import (
    Approval,
    ApprovalAnswer,
    ApprovalRequest,
    ApprovalState,
    RecordedDecision,
)


class Records(Database):
    """What was decided, remembered and approved. See ``Ledger``."""

    # ---- decisions

    def record_decision(
        self, decision: Decision, *, plan_id: str, step: str | None, actor: str, now: datetime
    ) -> int:
        """Write a decision down with all that it was made from; give its id."""
        with writing(self._engine) as connection:
            decision_id = decisions.record(
                connection, decision, plan_id=plan_id, step=step, actor=actor, now=now
            )
            outcome = decision.outcome
            detail = {
                "decision": decision_id,
                "kind": decision.kind,
                "step": step,
                "verdict": outcome.kind.value,
                "reasons": [reason.text for reason in outcome.reasons],
                "sha256": decisions.fingerprint(decision),
            }
            audit.append(
                connection, what="decision.made", actor=actor, plan_id=plan_id,
                detail=detail, now=now,
            )  # fmt: skip
            return decision_id

    def decisions_of(self, plan_id: str) -> tuple[RecordedDecision, ...]:
        """The decisions of a run, oldest first."""
        with reading(self._engine) as connection:
            return decisions.of_run(connection, plan_id)

    def decision(self, decision_id: int) -> RecordedDecision | None:
        """The decision with this id."""
        with reading(self._engine) as connection:
            return decisions.find(connection, decision_id)

    # ---- memos

    def remember_once(self, plan_id: str, step: str, name: str, value: Any) -> Any:
        """Keep a value that JSON can hold, unless one is kept already; give the one that is kept.

        For what must be settled once for all tries of a step, such as what was there before it.
        Raises ``TypeError`` or ``ValueError`` for values that JSON cannot hold.
        """
        with writing(self._engine) as connection:
            return decisions.remember_once(connection, plan_id, step, name, value)

    def remembered(self, plan_id: str, step: str, name: str) -> Any:
        """The value that is kept, ``None`` if there is none."""
        with reading(self._engine) as connection:
            return decisions.remembered(connection, plan_id, step, name)

    # ---- approvals

    def open_approval(self, request: ApprovalRequest, actor: str, now: datetime) -> Approval:
        """Ask for an approval, unless the same is open, or granted and not void, already."""
        with writing(self._engine) as connection:
            approval, is_new = approvals.open_(connection, request, now)
            if is_new:
                detail = {
                    "task": request.task,
                    "digest": request.digest,
                    "parameters_sha": request.parameters_sha,
                    "requester": request.requester,
                    "expires_at": request.expires_at,
                }
                audit.append(
                    connection, what="approval.asked", actor=actor, plan_id=request.plan_id,
                    detail=detail, now=now,
                )  # fmt: skip
            return approval

    def record_answer(
        self, plan_id: str, task: str, answer: ApprovalAnswer, actor: str, now: datetime
    ) -> bool:
        """Write down what somebody answered.

        ``False`` if the same user said the same there already, or if nothing is open; the latter
        goes into the audit trail as "approval.answered_late" and counts for nothing.
        """
        with writing(self._engine) as connection:
            said = approvals.answer(connection, plan_id, task, answer)
            if said != "known":
                detail = {
                    "task": task,
                    "user": answer.user,
                    "approve": answer.approve,
                    "reason": answer.reason,
                    "via": answer.via,
                    "verified": answer.verified,
                    "source": answer.source,
                    "at": answer.at,
                }
                what = "approval.answered" if said == "answered" else "approval.answered_late"
                audit.append(
                    connection, what=what, actor=actor, plan_id=plan_id, detail=detail, now=now
                )
            return said == "answered"

    def approval_of(self, plan_id: str, task: str) -> Approval | None:
        """The last approval that a task asked for."""
        with reading(self._engine) as connection:
            return approvals.find(connection, plan_id, task)

    def close_approval(
        self,
        plan_id: str,
        task: str,
        state: ApprovalState,
        decision_id: int | None,
        *,
        actor: str,
        now: datetime,
    ) -> bool:
        """Close what is open; ``False`` if nothing is.

        Raises ``ValueError`` for a grant without a recorded decision of this run that proceeds.
        """
        with writing(self._engine) as connection:
            closed = approvals.close(connection, plan_id, task, state, decision_id, now)
            if closed:
                audit.append(
                    connection, what=f"approval.{state.value}", actor=actor, plan_id=plan_id,
                    detail={"task": task, "decision": decision_id}, now=now,
                )  # fmt: skip
            return closed
