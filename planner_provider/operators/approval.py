"""Ask people to approve, in Airflow's own form for required actions, and keep what they said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Self

from airflow.sdk import BaseOperator
from airflow.sdk.bases.skipmixin import SkipMixin
from airflow.sdk.exceptions import AirflowFailException

from planner_provider.decide.approval import (
    ApprovalInputs,
    judge_answers,
    needed_people,
)
from planner_provider.decide.model import Verdict, VerdictKind
from planner_provider.decide.replay import decide
from planner_provider.errors import (
    AbortedError,
    AttentionError,
    FailingRunError,
    MisconfiguredError,
    NoAuthorityError,
    PlannerError,
    RefusedError,
)
from planner_provider.graph.approvals import (
    ApprovalRule,
    EscalationRule,
    approval_rule,
)
from planner_provider.graph.change_summary import ChangeSummary
from planner_provider.hooks.settings import open_ledger
from planner_provider.hooks.tickets import TicketWatch
from planner_provider.ledger.authority import ExpiredError
from planner_provider.ledger.rows import ApprovalState
from planner_provider.operators.acting import Acting
from planner_provider.operators.approval_book import Asked
from planner_provider.operators.approval_case import ApprovalCase, open_case
from planner_provider.operators.approval_facts import (
    RiskFound,
    find_risk,
)
from planner_provider.operators.approval_question import Question
from planner_provider.operators.failures import record_failure
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.operators.plan_step import PlanStepMixin

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact
    from planner_provider.graph.slos import Slo
    from planner_provider.spec.actions import Approval

GRACE = timedelta(minutes=15)
"""A deferral that is not answered so long after its time ends with an error."""
SETTLE = timedelta(seconds=4)
"""A trigger fires no earlier after the deferral (apache/airflow issue 66374)."""


class RejectedError(RefusedError):
    """Somebody who may said no, or nobody answered and that means no."""


class RequestApprovalOperator(PlanStepMixin, BaseOperator, SkipMixin):
    """Ask until enough people have approved, one has rejected, or the time is over.

    The question stands among Airflow's required actions; it is answered there, over the REST API,
    in a ticket, or by anything that records an answer in the ledger. An answer that does not count
    (see ``decide.approval``) is written down with the reason, and the question is asked again.
    While it waits it is deferred. An abort of the run ends it within ten seconds.

    In a plan, answers and result are kept in the ledger, bound to the version and the parameters
    of the run, and the steps that act look there: marking this task as success, or editing its
    XCom, approves nothing. Clearing it asks again unless the approval still holds. In a DAG written
    by hand they are kept in the task's own state, and what follows the task trusts its colour.

    Rejected, it skips what follows (``fail_on_reject``, and as a step of a plan, it fails). Out of
    time, it fails. The XCom is ``{state, by, decision}``, for people to read.

    Args:
        approvers: users of Airflow who may answer: their names or ids, as the auth manager gives
            them.
        count: how many different people must approve.
        not_requester: whether the one who started the run may not approve it. If it is not known
            who did, one more person must.
        timeout: how long answers are waited for, from the first start of the task.
        on_timeout: ``expire`` or ``reject``.
        escalations: who may answer as well after some time, and how they are told.
        message: what is said to the approvers, above all else (templated).
        rule: all of the above in one, with ``connections`` that are told when it is asked.
        subject: the question (templated); by default made from ``change``.
        body: what is below it, in Markdown (templated); by default made from ``change``.
        change: what will be done, in words.
        approval: name of the approval in the ledger; by default the task id.
        slot: number of this task if ``slots`` tasks ask for the same ``approval``, so that Airflow
            keeps the answer of each approver: such a task ends with the first answer that counts
            and that the others can make up the number after.
        slots: how many tasks ask for it.
        assign: whether to name the approvers to Airflow as assigned users. It then refuses others
            itself (403), and their attempt stands in Airflow's audit log only, not in the ledger;
            and approvers must be named by id.
        tickets: issues in which it may be approved as well.
        tickets_every: how often they are looked at.
        slos: SLOs whose error budget left counts for the risk.
        fail_on_reject: whether to fail, not skip, when it is rejected.
        plan_ref: the plan that this belongs to, if any.

    Raises:
        RejectedError: it was rejected (see above).
        ExpiredError: too few have answered in time.
        AbortedError: a person stopped the run.
        FailingRunError: another step of the run failed for good.
        NoAuthorityError: the run was never assessed, or its parameters were changed.
        SupersededError: the plan was changed.
    """

    template_fields: Sequence[str] = ("subject", "body", "message", "ticket_issues")
    ui_color = "#ede9fe"
    inherits_from_skipmixin = True
    asks = True
    """Whether it stands among Airflow's required actions."""

    def __init__(
        self,
        *,
        approvers: Sequence[str] = (),
        count: int = 1,
        not_requester: bool = True,
        timeout: timedelta = timedelta(hours=4),
        on_timeout: str = "expire",
        escalations: Sequence[EscalationRule] = (),
        message: str | None = None,
        rule: ApprovalRule | None = None,
        subject: str | None = None,
        body: str | None = None,
        change: ChangeSummary | None = None,
        approval: str | None = None,
        slot: int | None = None,
        slots: int = 1,
        assign: bool = False,
        tickets: Sequence[TicketWatch] = (),
        tickets_every: timedelta = timedelta(seconds=30),
        slos: Sequence[Slo] = (),
        fail_on_reject: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rule = rule or ApprovalRule.model_validate(
            {
                "approvers": tuple(approvers),
                "users": tuple(sorted(name.removeprefix("user:") for name in approvers)),
                "count": count,
                "not_requester": not_requester,
                "timeout": timeout,
                "on_timeout": on_timeout,
                "escalations": tuple(sorted(escalations, key=lambda item: item.after)),
            }
        )
        self.message = message or self.rule.message
        self.subject = subject
        self.body = body
        self.change = change
        self.approval = approval
        self.slot = slot
        self.slots = slots
        self.assign = assign
        self.tickets = tuple(tickets)
        self.ticket_issues = [watch.issue for watch in tickets]
        self.tickets_every = tickets_every
        self.slos = tuple(slos)
        self.fail_on_reject = fail_on_reject

    @classmethod
    def from_action(
        cls,
        action: Approval,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        rule: ApprovalRule | None = None,
        change: ChangeSummary | None = None,
        **base_kwargs: Any,
    ) -> Self:
        """The operator for an ``approval`` action; ``rule`` is the action with teams resolved."""
        found = rule or approval_rule(action, {})
        if found is None:
            raise ValueError("an approval that is never required needs no task")
        return cls(rule=found, change=change, plan_ref=plan_ref, **base_kwargs)

    @contextmanager
    def acting(self, context: Context, *, resumes: bool = False) -> Iterator[Acting]:
        """As a step, with authority and journal; in the frame, with the run's version checked."""
        ref = self.plan_ref
        if ref is None or ref.role is Role.STEP:
            with super().acting(context, resumes=resumes) as acting:
                yield acting
            return
        self._acting = Acting(needed=True)
        try:
            yield self._acting
        except PlannerError as error:
            claim = self._claim(ref, context, resumes=resumes)
            record_failure(open_ledger(), ref, claim, error, self.clock.now())
            if isinstance(error, RefusedError | MisconfiguredError | AttentionError):
                raise AirflowFailException(str(error)) from error
            raise

    def act(self, context: Context) -> Any:
        """Ask, or go on with what was asked before."""
        return self._go_on(context, {"ask": True} if context["ti"].try_number <= 1 else {})

    def resumed(self, context: Context, event: Any = None) -> Any:
        """Go on after a deferral: with an answer from Airflow, or with what the trigger says."""
        return self._go_on(context, dict(event) if isinstance(event, Mapping) else {})

    # ---- one look

    def _go_on(self, context: Context, event: dict[str, Any]) -> Any:
        name = self.approval or str(context["ti"].task_id)
        case = open_case(context, self.clock.now(), self.rule, name, self.plan_ref)
        asked = case.book.ask(case.request(), case.now)
        if asked.state is ApprovalState.GRANTED:
            self.log.info("Approved before, and that still holds.")
            return {"state": "granted", "by": _by(asked), "decision": asked.decision_id}
        response = event.get("response", event if "chosen_options" in event else None)
        heard = response is not None and case.hear(asked, response)
        tickets = case.hear_tickets(asked, self._watches())
        risk = self._risk(case, asked)
        if risk is not None:
            case.hear_rule(asked, risk)
        asked = case.book.find() or asked
        inputs = case.inputs(asked)
        verdict, decision = decide(inputs)
        self.log.info("%s", verdict.text)
        decision_id = None
        if verdict.kind is not VerdictKind.HOLD or heard:
            decision_id = case.book.decided(decision, case.now)
        if verdict.kind is VerdictKind.PROCEED:
            case.book.close(ApprovalState.GRANTED, decision_id, case.now)
            self._question(case, inputs).granted(case.book, _by(asked), case.now)
            return {"state": "granted", "by": _by(asked), "decision": decision_id}
        if verdict.kind is not VerdictKind.HOLD:
            return self._refuse(case, verdict, decision_id)
        if self._may_end_early(context, asked, inputs):
            self.log.info("This task has its answer; the others wait for the rest.")
            return {"state": "open", "by": _by(asked), "decision": None}
        question = self._question(case, inputs)
        if self.asks and ("ask" in event or response is not None):
            question.ask_airflow(risk.risk if risk else None, assign=self.assign)
        due = question.tell(case.book, case.now)
        return self._wait(case, asked, due, tickets, recovers=self.asks and not event)

    def _watches(self) -> list[TicketWatch]:
        pairs = zip(self.tickets, self.ticket_issues, strict=True)
        return [watch.model_copy(update={"issue": issue}) for watch, issue in pairs]

    def _risk(self, case: ApprovalCase, asked: Asked) -> RiskFound | None:
        """The risk, while nobody has answered."""
        if self.change is None or asked.answers:
            return None
        return find_risk(
            self.change.profile,
            plan=self.plan_ref.plan if self.plan_ref else None,
            own_plan_id=case.run.plan_id if case.run else None,
            slos=self.slos,
            max_risk=self.rule.max_risk,
            now=case.now,
        )

    def _may_end_early(self, context: Context, asked: Asked, inputs: ApprovalInputs) -> bool:
        if self.slot is None:
            return False
        counting = [
            source.partition(" ")[0] if item.answer.via == "airflow" else None
            for item, source in zip(judge_answers(inputs), asked.sources, strict=True)
            if item.counts
        ]
        used = {task_id for task_id in counting if task_id is not None}
        missing = needed_people(inputs) - len(counting)
        return context["ti"].task_id in used and missing <= self.slots - len(used)

    # ---- the ways to end

    def _refuse(self, case: ApprovalCase, verdict: Verdict, decision_id: int | None) -> Any:
        reason = verdict.reasons[0]
        states = {
            "rejected": ApprovalState.REJECTED,
            "rejected_by_timeout": ApprovalState.REJECTED,
            "expired": ApprovalState.EXPIRED,
        }
        state = states.get(reason.code, ApprovalState.CANCELLED)
        case.book.close(state, decision_id, case.now)
        return self._end_refused(case.context, state, reason.code, reason.text, decision_id)

    def _end_refused(
        self, context: Context, state: ApprovalState, code: str, text: str, decision_id: int | None
    ) -> Any:
        text = f"{text} Nothing was touched."
        if state is not ApprovalState.REJECTED:
            self._raise(code, text)
        in_plan = self.plan_ref is not None and self.plan_ref.role is Role.STEP
        if self.fail_on_reject or in_plan:
            raise RejectedError(text)
        self.log.warning("Rejected: %s", text)
        follow = [t for t in self.get_direct_relatives(upstream=False) if not t.is_teardown]
        if follow:
            context["ti"].xcom_push(key="approval", value={"state": "rejected", "why": text})
            self.skip(context["ti"], follow)
        return {"state": "rejected", "by": [], "decision": decision_id}

    @staticmethod
    def _raise(code: str, text: str) -> NoReturn:
        if code == "expired":
            raise ExpiredError(text)
        if code == "aborted":
            raise AbortedError(text)
        if code == "failing":
            raise FailingRunError(text)
        raise NoAuthorityError(text)

    # ---- asking and waiting

    def _question(self, case: ApprovalCase, inputs: ApprovalInputs) -> Question:
        return Question(
            context=case.context,
            rule=self.rule,
            name=inputs.task,
            plan_ref=self.plan_ref,
            asked_at=inputs.asked_at,
            answers_until=inputs.answers_until,
            requester=case.requester.name,
            parameters=case.parameters,
            change=self.change,
            subject=self.subject,
            body=self.body,
            message=self.message,
            in_airflow=self.asks,
            run=case.run,
        )

    def _wait(
        self,
        case: ApprovalCase,
        asked: Asked,
        due: datetime,
        tickets: str,
        *,
        recovers: bool,
    ) -> NoReturn:
        from planner_provider.triggers.approval import ApprovalTrigger

        not_before = case.now + SETTLE
        if self.tickets and not tickets:
            not_before = case.now + self.tickets_every
        in_ledger = case.run is not None
        trigger = ApprovalTrigger(
            due_at=due.isoformat(),
            not_before=not_before.isoformat(),
            plan_id=case.run.plan_id if case.run else None,
            approval=case.name if in_ledger else None,
            known=f"{asked.state.value} {len(asked.answers)}" if in_ledger else None,
            ti_id=str(case.context["ti"].id) if self.asks else None,
            recovers=recovers,
            tickets=[watch.model_dump_json() for watch in self._watches()],
            tickets_known=tickets,
            tickets_every=self.tickets_every.total_seconds(),
        )
        self.log.info("Waiting, without holding a worker, until %s.", due.isoformat())
        left = max(timedelta(0), due - case.now)
        self.defer(trigger=trigger, method_name="resumed", timeout=left + GRACE)
        raise AssertionError("deferring raises")


def _by(asked: Asked) -> list[str]:
    return [answer.user for answer in asked.answers if answer.approve]
