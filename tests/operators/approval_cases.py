"""A run that waits for approval, for the tests about approvals."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import TaskDeferred

from planner_provider.errors import UnavailableError
from planner_provider.graph.approvals import (
    ApprovalRule,
    ChangeProfile,
    EscalationRule,
    parameters_digest,
)
from planner_provider.graph.change_summary import ChangeSummary
from planner_provider.ledger.rows import (
    Approval,
    RunKey,
)
from planner_provider.notifications import outbox
from planner_provider.notifications.services.parcel import Parcel
from planner_provider.operators import approval as module
from planner_provider.operators import approval_case, approval_question, plan_step
from planner_provider.operators.approval import RequestApprovalOperator
from planner_provider.operators.plan_ref import Role
from planner_provider.sensors import approval as sensor_module
from tests.operators.airflow_context import Store
from tests.operators.plan_runs import DIGEST, NOW, PLAN, RUN_ID, PlanRunCase, database

PARAMETERS = {"version": "1.2.3"}
LEADS = EscalationRule(
    after=timedelta(minutes=30), to=("group:leads",), users=("lena",), connections=("leads",)
)
CHANGE = ChangeSummary(
    plan=PLAN,
    summary="Release checkout",
    owner="team-shop",
    digest=DIGEST,
    steps=("shift: PUT /weight on sandbox",),
    touches=("service://checkout (exclusive)",),
    rollback=("shift: PUT /weight back",),
    runbook="https://example.com/runbook",
    profile=ChangeProfile(tier=4, exclusive_resources=1, dependents=0, changing_steps=1),
)


def rule(**values: Any) -> ApprovalRule:
    base = {
        "approvers": ("group:sre",), "users": ("alice", "bob"), "timeout": timedelta(hours=4),
    }  # fmt: skip
    return ApprovalRule.model_validate({**base, **values})


class Case(PlanRunCase):
    """A run that waits for approval, with what was asked in Airflow and told in chat."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(url)
        self.asked: list[dict[str, Any]] = []
        self.posts: list[tuple[str, str]] = []
        self.unreachable: set[str] = set()
        self.requester: str | None = "rita"
        self.kind = "manual"
        self.store = Store()
        self.parameters: dict[str, Any] = dict(PARAMETERS)
        for place in (module, approval_case, plan_step, sensor_module):
            monkeypatch.setattr(place, "open_ledger", lambda: self.ledger)
        monkeypatch.setattr(
            "airflow.sdk.execution_time.hitl.upsert_hitl_detail",
            lambda **values: self.asked.append(values),
        )
        monkeypatch.setattr(outbox, "deliver", self._deliver)
        monkeypatch.setattr(approval_question, "deliver", self._deliver)
        monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)

    def _deliver(self, parcel: Parcel, *, closes: bool = False) -> str | None:
        if parcel.connection in self.unreachable:
            raise UnavailableError(f"{parcel.connection} does not answer")
        self.posts.append((parcel.connection, parcel.event.kind))
        return None

    def assessed(
        self, expires: timedelta | None = None, approvals: tuple[str, ...] = ("approve",)
    ) -> Case:
        key = RunKey(self.plan_id, PLAN, PLAN, RUN_ID, DIGEST)
        self.ledger.pin_run(
            key, expires_at=NOW + expires if expires else None, parameters=PARAMETERS,
            approvals=approvals, parameters_sha=parameters_digest(PARAMETERS),
            actor="t", now=NOW,
        )  # fmt: skip
        return self

    def operator(self, kind: type = RequestApprovalOperator, **values: Any) -> Any:
        base: dict[str, Any] = {
            "task_id": "approve", "rule": rule(), "change": CHANGE,
            "plan_ref": self.ref(Role.FRAME),
        }  # fmt: skip
        with DAG(PLAN, schedule=None):
            made = kind(**{**base, **values})
            follows = RequestApprovalOperator(task_id="follows", approvers=["x"])
            made >> follows
        return made

    def go(self, operator: Any, event: Any = None, try_number: int = 1) -> Any:
        """Start the task, or resume it with an event. Gives its result, or its deferral."""
        object.__setattr__(operator, "clock", self.time.clock)
        ExecutorSafeguard.tracker.set(operator)
        run = SimpleNamespace(triggering_user_name=self.requester, run_type=self.kind)
        context = self.context(
            operator.task_id, try_number, params=self.parameters, dag_run=run,
            task_state_store=self.store,
        )  # fmt: skip
        context["ti"].id = "01a2089c-a1e0-742d-88f9-c7fd476dac76"
        self.last = context
        operator.render_template_fields(context)
        try:
            if event is None:
                return operator.execute(context)
            return operator.resume_execution("resumed", {"event": event}, context)
        except TaskDeferred as deferred:
            return deferred

    def says(self, user: str, approve: bool = True, name: str | None = None, **more: Any) -> Any:
        """What Airflow resumes a task with."""
        return {
            "chosen_options": ["Approve" if approve else "Reject"],
            "params_input": {"reason": more.pop("reason", "")},
            "responded_at": more.pop("at", self.time.now()),
            "responded_by_user": {"id": user, "name": name or user} if user else None,
            "timedout": False,
        }

    def later(self, **time: float) -> None:
        self.time.seconds += timedelta(**time).total_seconds()

    @property
    def approval(self) -> Approval:
        found = self.ledger.approval_of(self.plan_id, "approve")
        assert found is not None
        return found

    def audit(self) -> str:
        return "\n".join(f"{e.what} {e.detail}" for e in self.ledger.audit_of(self.plan_id))


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(database(tmp_path), monkeypatch)


def waits(result: Any) -> dict[str, Any]:
    assert isinstance(result, TaskDeferred), result
    _, arguments = result.trigger.serialize()
    return arguments
