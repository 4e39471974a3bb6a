"""Put the question to people: in Airflow's required actions, and wherever they are told things."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from planner_provider.decide.approval import Answer, identity
from planner_provider.decide.risk import Risk
from planner_provider.errors import PlannerError
from planner_provider.graph.approvals import ApprovalRule
from planner_provider.graph.change_summary import ChangeSummary
from planner_provider.graph.contacts import ContactRoute
from planner_provider.notifications.delivery import deliver
from planner_provider.notifications.events import Event, event_key, subject_of
from planner_provider.notifications.outbox import send_left, tell, write
from planner_provider.notifications.plans import audience_of, run_event
from planner_provider.notifications.routing import wanted
from planner_provider.notifications.services.parcel import Parcel
from planner_provider.operators.approval_book import Book, LedgerBook
from planner_provider.operators.approval_facts import question_link
from planner_provider.operators.approval_text import body_text, subject_text, who_text
from planner_provider.operators.notify import run_url
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.ledger import Ledger
    from planner_provider.ledger.rows import PlanRun

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
    run: PlanRun | None = None
    """The run of a plan that it is about."""

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
        rounds = [("asked", timedelta(0), self.rule.ways)]
        rounds += [
            (f"escalated after {item.after.total_seconds():g} s", item.after, item.ways)
            for item in self.rule.escalations
        ]
        for name, after, ways in rounds:
            moment = self.asked_at + after
            if moment > now:
                due = min(due, moment)
            elif isinstance(book, LedgerBook) and self.run is not None:
                self._note(book.ledger, self.run, after, ways, now)
            elif not self._tell_directly(book, name, after, ways, now):
                due = min(due, now + AGAIN)
        if isinstance(book, LedgerBook):
            send_left(book.ledger, now=lambda: now)
        return due

    def granted(self, book: Book, by: Sequence[str], now: datetime) -> None:
        """It was approved: those who were called need not come."""
        if not isinstance(book, LedgerBook) or self.run is None:
            return
        try:
            if not book.ledger.event_known(self.run.plan_id, "needs_approval", self._subject()):
                return  # nobody was asked: a rule approved
            audience = audience_of(book.ledger, self.run.key.plan)
            event = run_event(
                book.ledger, self.run, audience, "approved", self._subject(), now=now,
                reason=f"Approved by {', '.join(by)}.", summary=self.line,
            )  # fmt: skip
            tell(book.ledger, event, (*self.rule.ways, *audience.ways(self.run)), now=lambda: now)
        except PlannerError as error:
            log.error("That it was approved could not be told: %s", error)

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

    def _note(
        self,
        ledger: Ledger,
        run: PlanRun,
        after: timedelta,
        ways: tuple[ContactRoute, ...],
        now: datetime,
    ) -> None:
        """Write down that the people of one round are to be told; the plan's owner hears first."""
        first = not after
        try:
            audience = audience_of(ledger, run.key.plan)
            event = run_event(
                ledger, run, audience, "needs_approval" if first else "approval_escalated",
                self._subject(after), now=now,
            ).model_copy(update=self._said(after))  # fmt: skip
            routes = (*ways, *audience.ways(run)) if first else ways
            write(ledger, event, routes, audience.contacts if first else ())
        except PlannerError as error:
            log.error("Those who may approve could not be told: %s", error)

    def _subject(self, after: timedelta = timedelta(0)) -> str:
        asked = subject_of(self.name, self.asked_at.isoformat())
        return subject_of(f"after {after.total_seconds():g} s", asked) if after else asked

    def _said(self, after: timedelta) -> dict[str, Any]:
        return {
            "summary": self.line,
            "reason": who_text(self.rule, self.requester, self.answers_until),
            "answer_url": question_link(self.context) if self.in_airflow else None,
            "requester": self.requester,
            "task": self.name,
            "waited": format_duration(after) if after else None,
        }

    def _tell_directly(
        self,
        book: Book,
        name: str,
        after: timedelta,
        ways: tuple[ContactRoute, ...],
        now: datetime,
    ) -> bool:
        """In a DAG written by hand, which has no outbox. ``False`` if somebody was not reached."""
        ti = self.context["ti"]
        event = Event.model_validate(
            {
                "kind": "approval_escalated" if after else "needs_approval",
                "severity": "warning" if after else "info",
                "plan_id": f"{ti.dag_id} {ti.run_id}",
                "plan": ti.dag_id,
                "subject": self._subject(after),
                "at": now,
                "step": ti.task_id,
                "run_url": run_url(self.context),
                **self._said(after),
            }
        )
        reached = True
        for way in ways:
            what = f"{name}, {way.name}, {self.asked_at.isoformat()}"
            if book.told(what) or not wanted(way, event):
                continue
            key = event_key(event, way.name)
            parcel = Parcel(event, way.connection, way.channel, key, words=way.words)
            try:
                deliver(parcel)
            except PlannerError as error:
                log.error("%s could not be told, and is told again later: %s", way.name, error)
                reached = False
                continue
            log.info("%s was told (%s).", way.name, what)
            book.remember_told(what, now)
        return reached


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
