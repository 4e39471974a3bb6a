"""Put the question to people: in Airflow's required actions, and through webhooks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from planner_provider.decide.approval import Answer, identity
from planner_provider.decide.risk import Risk
from planner_provider.errors import PlannerError
from planner_provider.graph.approvals import ApprovalRule
from planner_provider.graph.change_summary import ChangeSummary
from planner_provider.operators.approval_book import Book
from planner_provider.operators.approval_facts import question_link
from planner_provider.operators.approval_text import body_text, chat_text, subject_text, who_text
from planner_provider.operators.notify import Message, post, run_url
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.tracing import idempotency_key, trace_of

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

APPROVE = "Approve"
REJECT = "Reject"
AGAIN = timedelta(minutes=1)
"""After so long people are told again who could not be told."""
MAX_REASON = 2000
"""Longest reason that is kept, in characters."""
REASON = {
    "reason": {
        "value": "",
        "description": "Why; it is kept with the answer.",
        "schema": {
            "type": "string",
            "title": "Reason",
            "format": "multiline",
            "maxLength": MAX_REASON,
        },
    }
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of whom, and until when."""

    context: Context
    rule: ApprovalRule
    name: str
    """Task id of the approval on record."""
    plan_ref: PlanRef | None
    asked_at: datetime
    answers_until: datetime
    requester: str | None
    parameters: Mapping[str, Any]
    change: ChangeSummary | None = None
    subject: str | None = None
    body: str | None = None
    message: str | None = None
    in_airflow: bool = True
    """Whether it is answered in Airflow."""

    def ask_airflow(self, risk: Risk | None, *, assign: bool) -> None:
        """Put it among the required actions, without an answer."""
        from airflow.sdk.execution_time.hitl import HITLUser, upsert_hitl_detail

        barred = self.requester if self.rule.not_requester else None
        users = [HITLUser(id=u, name=u) for u in self.rule.everybody if u != barred]
        upsert_hitl_detail(
            ti_id=self.context["ti"].id,
            options=[APPROVE, REJECT],
            subject=self.line,
            body=self.body or self._body(risk),
            params=REASON,
            assigned_users=users if assign else None,
        )
        log.info("Asked %s.", ", ".join(self.rule.approvers))

    def tell(self, book: Book, now: datetime) -> datetime:
        """Tell those whose time has come, once; give the moment to look again at the latest."""
        due = self.answers_until
        rounds = [("asked", timedelta(0), self.rule.connections)]
        rounds += [
            (f"escalated after {item.after.total_seconds():g} s", item.after, item.connections)
            for item in self.rule.escalations
        ]
        for name, after, connections in rounds:
            moment = self.asked_at + after
            if moment > now:
                due = min(due, moment)
                continue
            for connection in connections:
                what = f"{name}, {connection}, {self.asked_at.isoformat()}"
                if book.told(what):
                    continue
                if self._post(connection, what, urgent=after > timedelta(0)):
                    book.remember_told(what, now)
                else:
                    due = min(due, now + AGAIN)
        return due

    @property
    def line(self) -> str:
        """The question on one line."""
        if self.subject:
            return self.subject
        return subject_text(self.change, self.context["ti"].task_id, self._shown)

    @property
    def _shown(self) -> dict[str, Any]:
        """The parameters, with secrets masked."""
        from airflow.sdk.log import redact

        return {name: redact(value, name) for name, value in self.parameters.items()}

    def _body(self, risk: Risk | None) -> str:
        run_id = self.context["ti"].run_id
        return body_text(
            self.change,
            self.rule,
            parameters=self._shown,
            requester=self.requester,
            answers_until=self.answers_until,
            risk=risk,
            message=self.message,
            plan_id=self.plan_ref.plan_id(run_id) if self.plan_ref else None,
            link=question_link(self.context) if self.in_airflow else None,
        )

    def _post(self, connection: str, what: str, *, urgent: bool) -> bool:
        ti = self.context["ti"]
        who = who_text(self.rule, self.requester, self.answers_until)
        link = question_link(self.context) if self.in_airflow else run_url(self.context)
        message = Message(
            text=chat_text(self.line, who, link),
            severity="warning" if urgent else "info",
            trace=trace_of(self.plan_ref, self.context),
            run_url=run_url(self.context),
        )
        key = idempotency_key(f"{ti.dag_id} {ti.run_id}", f"{self.name} {what}")
        try:
            post(connection, message, key)
        except PlannerError as error:
            log.error("%s could not be told, and is told again later: %s", connection, error)
            return False
        log.info("%s was told (%s).", connection, what)
        return True


def answer_from_airflow(
    response: Mapping[str, Any], rule: ApprovalRule, requester: str | None
) -> tuple[Answer, str]:
    """The answer in Airflow's own record of it, and who gave it in Airflow's words.

    Without a user it is not verified: it is a default, or somebody's doing without a login.
    """
    user = response.get("responded_by_user") or {}
    at = response["responded_at"]
    reason = (response.get("params_input") or {}).get("reason")
    ids = [str(user[key]) for key in ("id", "name") if user.get(key)]
    answer = Answer(
        user=identity(ids, known=rule.everybody, requester=requester) or "nobody",
        approve=list(response.get("chosen_options") or ()) == [APPROVE],
        reason=str(reason)[:MAX_REASON] if reason else None,
        via="airflow",
        at=datetime.fromisoformat(at) if isinstance(at, str) else at,
        verified=bool(ids),
    )
    return answer, " / ".join(dict.fromkeys(ids)) or "nobody"
