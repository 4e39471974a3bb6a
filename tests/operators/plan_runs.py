"""A run of a plan for tests of operators: a ledger in a file, a clock that only tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Act, ApprovalRequest, ApprovalState, Course, Hold
from planner_provider.operators.clock import Clock
from planner_provider.operators.outline import StepOutline
from planner_provider.operators.plan_ref import PlanRef, Role

NOW = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
DIGEST = "ab" * 32
PLAN = "checkout-release"
RUN_ID = "manual__1"
STEPS = (
    StepOutline("s1", "execute.s1", "rollback.s1"),
    StepOutline("s2", "execute.s2", "rollback.s2"),
    StepOutline("s3", "execute.s3"),
)


class FakeTime:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.clock = Clock(self.now, lambda: self.seconds, self.sleep)
        self.on_sleep = lambda: None

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.on_sleep()


class PlanRunCase:
    """One run, its ledger, and tasks of it."""

    def __init__(self, url: str) -> None:
        self.ledger = Ledger(url)
        self.time = FakeTime()
        self.states: dict[str, str | None] = {}

    def ref(self, role: Role, step: str | None = None, **more: Any) -> PlanRef:
        return PlanRef(more.pop("plan", PLAN), more.pop("digest", DIGEST), role, step, **more)

    @property
    def plan_id(self) -> str:
        return self.ref(Role.FRAME).plan_id(RUN_ID)

    def context(self, task_id: str, try_number: int = 1, **more: Any) -> dict[str, Any]:
        ti = FakeTaskInstance(self, task_id, try_number)
        return {"ti": ti, "run_id": RUN_ID, "params": more.pop("params", {}), **more}

    def run(self, operator: BaseOperator, try_number: int = 1, **more: Any) -> Any:
        """Execute a task as the task runner does, on this case's clock."""
        object.__setattr__(operator, "clock", self.time.clock)
        ExecutorSafeguard.tracker.set(operator)
        self.last = self.context(operator.task_id, try_number, **more)
        return operator.execute(self.last)

    def pinned(self) -> PlanRunCase:
        from planner_provider.ledger.rows import RunKey

        key = RunKey(self.plan_id, PLAN, PLAN, RUN_ID, DIGEST)
        self.ledger.pin_run(key, expires_at=None, parameters={}, actor="t", now=NOW)
        return self

    def leased(self) -> PlanRunCase:
        self.pinned().ledger.take_lease(self.plan_id, [Hold(f"plan://{PLAN}")], actor="t", now=NOW)
        return self

    def asked(self, task: str = "approve") -> PlanRunCase:
        request = ApprovalRequest(self.plan_id, task, DIGEST, "", None, NOW, None, "{}")
        self.ledger.open_approval(request, "t", NOW)
        return self

    def closed(self, state: ApprovalState, task: str = "approve") -> PlanRunCase:
        self.ledger.close_approval(self.plan_id, task, state, None, actor="t", now=NOW)
        return self

    def winding_up(self, course: Course) -> PlanRunCase:
        lease = self.ledger.close_lease(self.plan_id, now=NOW)
        assert lease is not None
        self.ledger.record_course(
            self.plan_id, lease.generation, course, detail={}, actor="t", now=NOW
        )
        return self

    def acts(self) -> tuple[Act, ...]:
        return self.ledger.acts_of(self.plan_id)


class FakeTaskInstance:
    """What operators use of a task instance."""

    def __init__(self, case: PlanRunCase, task_id: str, try_number: int) -> None:
        self.task_id = task_id
        self.dag_id = PLAN
        self.run_id = RUN_ID
        self.map_index = -1
        self.try_number = try_number
        self.pushed: dict[str, Any] = {}
        self._case = case

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, Any]:
        assert (dag_id, run_ids) == (PLAN, [RUN_ID])
        return {RUN_ID: self._case.states}


def database(folder: Path) -> str:
    return f"sqlite:///{folder / 'planner.db'}"
