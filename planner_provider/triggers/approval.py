"""Wait for whatever can end or change an approval, without holding a worker."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from planner_provider.errors import PlannerError
from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.triggers.aborts import AbortWatch
from planner_provider.triggers.looking import LookingTrigger, pause_until
from planner_provider.triggers.sharing import asked_once

log = logging.getLogger(__name__)

EVERY = 3.0
"""Seconds between two looks at the ledger and at Airflow's own record of the answer."""


class ApprovalTrigger(LookingTrigger):
    """End when there is something to do for a task that waits for approval.

    The event says what: ``{"abort": moment}`` a person stopped the run; ``{"due": moment}`` the
    time for an escalation, or for answers, has come; ``{"changed": True}`` the ledger or a ticket
    holds something new; ``{"response": {...}}`` Airflow holds an answer that did not resume the
    task by itself; ``{"ask": True}`` Airflow holds no question (only with ``recovers``). An answer
    that is given while the task is deferred resumes it without this trigger.

    What the event says is only a hint: the task looks again, and decides by the records.

    Args:
        due_at: ISO 8601; when to end at the latest. Absolute: a restart begins nothing anew.
        not_before: ISO 8601; no event earlier. A trigger that fires within three seconds of the
            deferral may be lost (apache/airflow issue 66374).
        plan_id: the run whose abort ends this, and whose approval is looked at.
        approval: task id of the approval in the ledger.
        known: what the task knows of the ledger's record; see ``fingerprint``.
        ti_id: the task instance whose question in Airflow is looked at.
        recovers: whether to look first if there is an old answer to that question.
        tickets: JSON of the tickets that are watched; see ``hooks.tickets``.
        tickets_known: what the task knows of the tickets.
        tickets_every: seconds between two looks at the tickets.
    """

    def __init__(
        self,
        *,
        due_at: str,
        not_before: str,
        plan_id: str | None = None,
        approval: str | None = None,
        known: str | None = None,
        ti_id: str | None = None,
        recovers: bool = False,
        tickets: list[str] | None = None,
        tickets_known: str = "",
        tickets_every: float = 30.0,
    ) -> None:
        super().__init__()
        self.due_at = due_at
        self.not_before = not_before
        self.plan_id = plan_id
        self.approval = approval
        self.known = known
        self.ti_id = ti_id
        self.recovers = recovers
        self.tickets = tickets or []
        self.tickets_known = tickets_known
        self.tickets_every = tickets_every
        self.aborts = AbortWatch(plan_id, self.log.warning)

    def pause(self, now: datetime) -> float:
        """Seconds until the next look."""
        return pause_until(self.due_at, now, EVERY)

    async def look(self, now: datetime) -> dict[str, Any] | None:
        """What there is to do now; ``None`` if nothing. A source that fails is asked again."""
        for source in (self._abort, self._response, self._record, self._tickets):
            try:
                event = await source()
            except PlannerError as error:
                log.warning("Not known for now, asked again in %g s: %s", EVERY, error)
                continue
            if event is not None:
                return event
        return {"due": self.due_at} if now >= datetime.fromisoformat(self.due_at) else None

    async def _abort(self) -> dict[str, Any] | None:
        moment = await self.aborts.look()
        return {"abort": moment.isoformat()} if moment else None

    async def _record(self) -> dict[str, Any] | None:
        if self.plan_id is None or self.approval is None or self.known is None:
            return None
        plan_id, task = self.plan_id, self.approval
        found = await asked_once(
            ("approval", load_settings().sql_alchemy_conn, plan_id, task),
            EVERY - 0.5,
            lambda: fingerprint(open_ledger().approval_of(plan_id, task)),
        )
        return {"changed": True} if found != self.known else None

    async def _tickets(self) -> dict[str, Any] | None:
        if not self.tickets:
            return None
        from planner_provider.hooks.tickets import fingerprint_of_all

        texts = tuple(self.tickets)
        found = await asked_once(
            ("tickets", texts), self.tickets_every, lambda: fingerprint_of_all(texts)
        )
        return {"changed": True} if found != self.tickets_known else None

    async def _response(self) -> dict[str, Any] | None:
        if self.ti_id is None:
            return None
        found = await asyncio.to_thread(read_response, self.ti_id)
        if found is None:
            return {"ask": True} if self.recovers else None
        if found.get("responded_at") is not None:
            return {"response": found}
        return {"ask": True} if self.recovers else None


def fingerprint(approval: Any) -> str:
    """What tells one state of an approval in the ledger from another."""
    if approval is None:
        return "none"
    return f"{approval.state.value} {len(approval.answers)}"


def read_response(ti_id: str) -> dict[str, Any] | None:
    """Airflow's record of the question of a task instance; ``None`` if there is none.

    Runs in the triggerer only. Keys: ``chosen_options``, ``params_input``, ``responded_at`` (ISO
    8601, or ``None`` while nobody has answered), ``responded_by_user`` (``id`` and ``name``).
    """
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail

    try:
        detail = get_hitl_detail_content_detail(ti_id=UUID(ti_id))
    except AirflowRuntimeError as error:
        log.warning("Airflow did not give its record of the question: %s", error)
        return None
    if not detail.response_received or detail.responded_at is None:
        return {"responded_at": None}
    user = detail.responded_by_user
    return {
        "chosen_options": list(detail.chosen_options or []),
        "params_input": dict(detail.params_input or {}),
        "responded_at": detail.responded_at.isoformat(),
        "responded_by_user": {"id": user.id, "name": user.name} if user else None,
    }
