"""Where a question and its answers are kept: in the ledger, or, in a DAG written by hand, in the
task's own state.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from planner_provider.decide.approval import Answer
from planner_provider.ledger.rows import (
    Approval,
    ApprovalAnswer,
    ApprovalRequest,
    ApprovalState,
)

if TYPE_CHECKING:
    from planner_provider.decide.model import Decision
    from planner_provider.ledger import Ledger

log = logging.getLogger(__name__)

KEY = "planner_approval"
"""Key in the task's state store, for DAGs written by hand."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is on record, with its answers, oldest first."""

    asked_at: datetime
    digest: str
    parameters_sha: str
    state: ApprovalState
    answers: tuple[Answer, ...]
    sources: tuple[str, ...]
    """Where each answer came from."""
    decision_id: int | None = None


class Book(Protocol):
    """Keeps one question."""

    def ask(self, request: ApprovalRequest, now: datetime) -> Asked:
        """Write the question down, unless the same is on record; give what is on record."""

    def find(self) -> Asked | None:
        """What is on record."""

    def answer(self, answer: Answer, source: str, now: datetime) -> bool:
        """Write an answer down. ``False`` if it is on record already, or nothing is open."""

    def decided(self, decision: Decision, now: datetime) -> int | None:
        """Write a decision down; give its id."""

    def close(self, state: ApprovalState, decision_id: int | None, now: datetime) -> None:
        """Write down how it ended."""

    def told(self, what: str) -> bool:
        """Whether people have been told this."""

    def remember_told(self, what: str, now: datetime) -> None:
        """Write down that people have been told this."""


class LedgerBook:
    """Kept in the ledger, where the steps that act look."""

    def __init__(self, ledger: Ledger, plan_id: str, task: str, actor: str) -> None:
        self.ledger = ledger
        self.plan_id = plan_id
        self.task = task
        self.actor = actor

    def ask(self, request: ApprovalRequest, now: datetime) -> Asked:
        """Write the question down, unless the same is on record; give what is on record."""
        return asked(self.ledger.open_approval(request, self.actor, now))

    def find(self) -> Asked | None:
        """What is on record."""
        found = self.ledger.approval_of(self.plan_id, self.task)
        return None if found is None else asked(found)

    def answer(self, answer: Answer, source: str, now: datetime) -> bool:
        """Write an answer down. ``False`` if it is on record already, or nothing is open."""
        given = ApprovalAnswer(
            user=answer.user,
            approve=answer.approve,
            reason=answer.reason,
            via=answer.via,
            at=answer.at,
            verified=answer.verified,
            source=source,
        )
        return self.ledger.record_answer(self.plan_id, self.task, given, self.actor, now)

    def decided(self, decision: Decision, now: datetime) -> int | None:
        """Write a decision down; give its id."""
        return self.ledger.record_decision(
            decision, plan_id=self.plan_id, step=self.task, actor=self.actor, now=now
        )

    def close(self, state: ApprovalState, decision_id: int | None, now: datetime) -> None:
        """Write down how it ended."""
        self.ledger.close_approval(
            self.plan_id, self.task, state, decision_id, actor=self.actor, now=now
        )

    def told(self, what: str) -> bool:
        """Whether people have been told this."""
        return self.ledger.remembered(self.plan_id, self.task, what) is not None

    def remember_told(self, what: str, now: datetime) -> None:
        """Write down that people have been told this."""
        self.ledger.remember_once(self.plan_id, self.task, what, now.isoformat())


class StoreBook:
    """Kept in ``task_state_store``; without one (a run by ``dag.test``), for this try only."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._data: dict[str, Any] = {}
        kept = store.get(KEY) if store is not None else None
        if isinstance(kept, dict):
            self._data = dict(kept)

    def ask(self, request: ApprovalRequest, now: datetime) -> Asked:
        """Write the question down, unless the same is on record; give what is on record."""
        before = self.find()
        holds = (ApprovalState.OPEN, ApprovalState.GRANTED)
        same = before is not None and before.parameters_sha == request.parameters_sha
        if before is not None and same and before.state in holds:
            return before
        self._data = {
            "asked_at": request.asked_at.isoformat(),
            "digest": request.digest,
            "parameters_sha": request.parameters_sha,
            "state": ApprovalState.OPEN.value,
            "answers": [],
            "told": [],
        }
        self._keep()
        return self._asked()

    def find(self) -> Asked | None:
        """What is on record."""
        return self._asked() if self._data else None

    def answer(self, answer: Answer, source: str, now: datetime) -> bool:
        """Write an answer down. ``False`` if it is on record already, or nothing is open."""
        entry = {"answer": answer.model_dump(mode="json"), "source": source}
        known = self._data.get("answers", [])
        if entry in known:
            return False
        self._data["answers"] = [*known, entry]
        self._keep()
        return True

    def decided(self, decision: Decision, now: datetime) -> int | None:
        """Nothing to write to."""
        return None

    def close(self, state: ApprovalState, decision_id: int | None, now: datetime) -> None:
        """Write down how it ended."""
        self._data["state"] = state.value
        self._keep()

    def told(self, what: str) -> bool:
        """Whether people have been told this."""
        return what in self._data.get("told", [])

    def remember_told(self, what: str, now: datetime) -> None:
        """Write down that people have been told this."""
        self._data["told"] = [*self._data.get("told", []), what]
        self._keep()

    def _keep(self) -> None:
        if self._store is not None:
            self._store.set(KEY, self._data)

    def _asked(self) -> Asked:
        entries = self._data["answers"]
        return Asked(
            asked_at=datetime.fromisoformat(self._data["asked_at"]),
            digest=self._data["digest"],
            parameters_sha=self._data["parameters_sha"],
            state=ApprovalState(self._data["state"]),
            answers=tuple(Answer.model_validate(entry["answer"]) for entry in entries),
            sources=tuple(entry["source"] for entry in entries),
        )


def asked(approval: Approval) -> Asked:
    """An approval of the ledger, as decisions take it. What cannot be read is not verified."""
    answers = []
    for given in approval.answers:
        known = given.via in ("airflow", "link", "jira", "github", "rule")
        answers.append(
            Answer(
                user=given.user,
                approve=given.approve,
                reason=given.reason,
                via=given.via if known else "link",
                at=given.at,
                verified=given.verified and known,
            )
        )
    return Asked(
        asked_at=approval.request.asked_at,
        digest=approval.request.digest,
        parameters_sha=approval.request.parameters_sha,
        state=approval.state,
        answers=tuple(answers),
        sources=tuple(given.source for given in approval.answers),
        decision_id=approval.decision_id,
    )
