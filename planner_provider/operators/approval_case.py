"""One look at a question: all that is known of it now, and what is newly heard."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from planner_provider.decide.approval import RULE_USER, Answer, ApprovalInputs
from planner_provider.decide.model import VerdictKind
from planner_provider.errors import NoAuthorityError, UnavailableError
from planner_provider.graph.approvals import ApprovalRule, parameters_digest
from planner_provider.hooks.settings import open_ledger
from planner_provider.hooks.tickets import TicketWatch, fingerprint, read_ticket
from planner_provider.ledger.authority import version_refusal
from planner_provider.ledger.rows import ApprovalRequest, ApprovalState, PlanRun
from planner_provider.operators.approval_book import Asked, Book, LedgerBook, StoreBook
from planner_provider.operators.approval_facts import Requester, RiskFound, requester_of
from planner_provider.operators.approval_question import answer_from_airflow
from planner_provider.operators.plan_ref import PlanRef

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ApprovalCase:
    """A question, the run that it is about, and the moment of this look."""

    context: Context
    now: datetime
    rule: ApprovalRule
    name: str
    """Task id of the approval on record."""
    run: PlanRun | None
    """``None`` in a DAG written by hand."""
    requester: Requester
    parameters: Mapping[str, Any]
    """The values that the task sees."""
    book: Book

    def request(self) -> ApprovalRequest:
        """What is asked for. In a plan it is bound to what the run is bound to."""
        run = self.run
        return ApprovalRequest(
            plan_id=run.plan_id if run else "",
            task=self.name,
            digest=run.key.digest if run else "",
            parameters_sha=run.parameters_sha if run else parameters_digest(self.parameters),
            requester=self.requester.name,
            asked_at=self.now,
            expires_at=run.expires_at if run else None,
            rule=self.rule.model_dump_json(exclude_defaults=True),
        )

    def inputs(self, asked: Asked) -> ApprovalInputs:
        """What is decided from."""
        run = self.run
        until = asked.asked_at + self.rule.timeout
        if run is not None and run.expires_at is not None:
            until = min(until, run.expires_at)
        unbound = run is not None and not run.parameters_sha
        own = asked.parameters_sha if unbound else parameters_digest(self.parameters)
        return ApprovalInputs(
            now=self.now,
            task=self.name,
            rule=self.rule,
            asked_at=asked.asked_at,
            answers_until=until,
            requester=self.requester.name,
            requester_unknown=self.requester.unknown,
            asked_digest=asked.digest,
            digest=run.key.digest if run else asked.digest,
            asked_parameters=asked.parameters_sha,
            parameters=own,
            answers=asked.answers,
            aborted=run is not None and run.abort_at is not None,
            failing=run.failing_steps if run is not None else (),
        )

    def hear(self, asked: Asked, response: Mapping[str, Any]) -> bool:
        """Write down an answer from Airflow. ``False`` if it is to an earlier question."""
        answer, who = answer_from_airflow(response, self.rule, self.requester.name)
        if answer.at < asked.asked_at:
            log.info("The answer of %s is to an earlier question.", answer.at.isoformat())
            return False
        ti = self.context["ti"]
        log.info("%s answered %s.", who, "yes" if answer.approve else "no")
        self.book.answer(answer, f"{ti.task_id} try {ti.try_number}: {who}", self.now)
        return True

    def hear_tickets(self, asked: Asked, watches: Sequence[TicketWatch]) -> str:
        """Write down what tickets say; give their fingerprint, empty if one is not known."""
        found = []
        for watch in watches:
            try:
                said = read_ticket(watch)
            except UnavailableError as error:
                log.warning("What %s says is not known for now: %s", watch.issue, error)
                return ""
            found.append(said)
            if said is None or said.at < asked.asked_at:
                continue
            answer = Answer(
                user=said.user,
                approve=said.approve,
                via=watch.via,
                at=said.at,
                verified=said.verified,
            )
            self.book.answer(answer, said.source, self.now)
        return fingerprint(tuple(found))

    def hear_rule(self, asked: Asked, risk: RiskFound) -> None:
        """Write down the risk, once; and the rule's answer, if the risk is low enough."""
        if self.book.told("risk"):
            return
        log.info("%s", risk.verdict.text)
        decision_id = self.book.decided(risk.decision, self.now)
        if self.rule.max_risk is not None and risk.verdict.kind is VerdictKind.PROCEED:
            answer = Answer(
                user=RULE_USER,
                approve=True,
                reason=risk.verdict.reasons[0].text,
                via="rule",
                at=max(self.now, asked.asked_at),
                verified=True,
            )
            self.book.answer(answer, f"decision {decision_id}", self.now)
        self.book.remember_told("risk", self.now)


def open_case(
    context: Context, now: datetime, rule: ApprovalRule, name: str, ref: PlanRef | None
) -> ApprovalCase:
    """Find out what the question is about.

    Raises ``NoAuthorityError`` if the run was never assessed, ``SupersededError`` if the plan was
    changed; what was asked for is then cancelled.
    """
    params = context["params"]
    values = params.dump() if hasattr(params, "dump") else dict(params)
    requester = requester_of(context)
    if ref is None:
        book: Book = StoreBook(context.get("task_state_store"))
        return ApprovalCase(context, now, rule, name, None, requester, values, book)
    ledger = open_ledger()
    ti = context["ti"]
    run = ledger.run_of(ti.dag_id, ti.run_id)
    if run is None or run.assessed_at is None:
        raise NoAuthorityError(
            f"Run {ti.run_id} of {ti.dag_id} was never assessed, so there is nothing to "
            "approve. Clear the task `assess` with everything downstream."
        )
    book = LedgerBook(ledger, run.plan_id, name, f"task:{ti.task_id}#{ti.try_number}")
    superseded = version_refusal(ref.digest, run)
    if superseded:
        book.close(ApprovalState.CANCELLED, None, now)
        raise superseded
    return ApprovalCase(context, now, rule, name, run, requester, values, book)
