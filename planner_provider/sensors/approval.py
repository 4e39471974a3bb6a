"""Wait, without holding a worker, for an approval on record, wherever it was given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from planner_provider.errors import MisconfiguredError, NoAuthorityError
from planner_provider.hooks.settings import open_ledger
from planner_provider.ledger.authority import ExpiredError
from planner_provider.ledger.rows import Approval, ApprovalState
from planner_provider.operators.approval import GRACE, SETTLE, RequestApprovalOperator
from planner_provider.triggers.approval import ApprovalTrigger, fingerprint

if TYPE_CHECKING:
    from airflow.sdk import Context

STARTED = "planner_approval_wait_from"
"""Key in the task's state store: when the wait began, fixed by its first try."""


class ApprovalSensor(RequestApprovalOperator):
    """Wait for an approval; ask nobody in Airflow.

    In one of two ways:

    - ``of`` names an approval that another task asks for, in the ledger: of this run, or of the
      run ``of_plan_id``. Waits until it is granted; it need not have been asked for yet.
    - Without ``of`` it is an approval of its own, with the arguments of
      ``RequestApprovalOperator``: answered in ``tickets``, or by whatever records an answer in the
      ledger for this task, such as a signed link in chat.

    Args:
        of: name of the approval (task id) in the ledger (templated).
        of_plan_id: plan ID of its run (templated); by default this run's.

    Raises:
        RejectedError: it was rejected, and ``fail_on_reject`` says to fail.
        ExpiredError: nobody answered in time, or it was not granted within ``timeout``.
        AbortedError: a person stopped the run.
        FailingRunError: another step of the run failed for good.
        NoAuthorityError: the approval was cancelled.
        MisconfiguredError: neither ``of`` nor approvers, or no plan to look for it in.
    """

    template_fields: Sequence[str] = (*RequestApprovalOperator.template_fields, "of", "of_plan_id")
    asks = False

    def __init__(self, *, of: str | None = None, of_plan_id: str | None = None, **kwargs: Any):
        if of is not None:
            kwargs.setdefault("approvers", ("whoever is asked there",))
        super().__init__(**kwargs)
        self.of = of
        self.of_plan_id = of_plan_id

    def act(self, context: Context) -> Any:
        """Look, and wait if it is not there yet."""
        if self.of is not None:
            return self._look(context)
        if not self.rule.everybody:
            raise MisconfiguredError(f"{self.task_id} needs `of`, or `approvers` of its own.")
        return super().act(context)

    def resumed(self, context: Context, event: Any = None) -> Any:
        """Go on after a deferral."""
        return self._look(context) if self.of is not None else super().resumed(context, event)

    def _look(self, context: Context) -> Any:
        now = self.clock.now()
        ti = context["ti"]
        plan_id = self.of_plan_id or self.plan_id(context)
        if plan_id is None:
            raise MisconfiguredError(
                f"{self.task_id} is in no plan, so it needs `of_plan_id` besides `of`."
            )
        found = open_ledger().approval_of(plan_id, str(self.of))
        state = found.state if found else None
        if found is not None and state is ApprovalState.GRANTED:
            by = [answer.user for answer in found.answers if answer.approve]
            self.log.info("The approval %s of %s was granted by %s.", self.of, plan_id, by)
            return {"state": "granted", "by": by, "decision": found.decision_id}
        if found is not None and state is not ApprovalState.OPEN:
            return self._ended(context, found, plan_id)
        until = self._started(context, now) + self.rule.timeout
        if now >= until:
            raise ExpiredError(
                f"The approval {self.of} of {plan_id} was not granted by "
                f"{until:%Y-%m-%d %H:%M:%S} UTC. Nothing was touched."
            )
        self.log.info("%s: approval %s of %s.", state or "not asked yet", self.of, plan_id)
        return self._defer(plan_id, fingerprint(found), now, until, ti.task_id)

    def _ended(self, context: Context, found: Approval, plan_id: str) -> Any:
        assert found.state is not ApprovalState.OPEN
        against = [a for a in found.answers if not a.approve and a.verified]
        who = f" by {against[-1].user}" if against else ""
        why = f": {against[-1].reason}" if against and against[-1].reason else ""
        text = f"The approval {self.of} of {plan_id} was {found.state.value}{who}{why}."
        code = "expired" if found.state is ApprovalState.EXPIRED else found.state.value
        return self._end_refused(context, found.state, code, text, found.decision_id)

    def _defer(
        self, plan_id: str, known: str, now: datetime, until: datetime, task_id: str
    ) -> NoReturn:
        trigger = ApprovalTrigger(
            due_at=until.isoformat(),
            not_before=(now + SETTLE).isoformat(),
            plan_id=plan_id,
            approval=self.of,
            known=known,
        )
        self.defer(trigger=trigger, method_name="resumed", timeout=until - now + GRACE)
        raise NoAuthorityError(f"{task_id} did not wait")

    def _started(self, context: Context, now: datetime) -> datetime:
        store: Any = context.get("task_state_store")
        known = store.get(STARTED) if store is not None else None
        if isinstance(known, str):
            return datetime.fromisoformat(known)
        if store is not None:
            store.set(STARTED, now.isoformat())
        return now
