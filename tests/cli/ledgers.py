"""A ledger with a few runs in it, for the commands that read one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from planner_provider.decide.model import Decision
from planner_provider.ledger import Ledger
from planner_provider.ledger.acts import Begin
from planner_provider.ledger.rows import (
    ActResult,
    ActRole,
    ApprovalAnswer,
    ApprovalRequest,
    ApprovalState,
    Claim,
    Course,
    Hold,
    Mode,
    Outcome,
    RunKey,
)

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
DIGEST = "d" * 64


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


class LedgerCase:
    """Writes what tasks would have written."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self.ledger = Ledger(self.url)

    def pin(
        self,
        plan_id: str,
        at: datetime,
        *,
        run_id: str | None = None,
        by: str | None = None,
        **parameters: object,
    ) -> RunKey:
        plan = plan_id.rpartition("-")[0].rpartition("-")[0]
        key = RunKey(plan_id, plan, plan, run_id or f"manual__{plan_id}", DIGEST)
        self.ledger.pin_run(
            key, expires_at=at + timedelta(days=3), parameters=parameters, actor="task:assess#1",
            requester=by,
            now=at,
        )  # fmt: skip
        return key

    def lock(self, key: RunKey, at: datetime, *resources: str, mode: Mode = Mode.EXCLUSIVE) -> None:
        holds = [Hold(f"plan://{key.plan}"), *(Hold(name, mode) for name in resources)]
        self.ledger.take_lease(key.plan_id, holds, actor="task:acquire#1", now=at)

    def wait_for(self, key: RunKey, at: datetime, *resources: str) -> None:
        self.ledger.ask_for_lease(
            key.plan_id, [Hold(name) for name in resources], actor="task:acquire#1", now=at
        )

    def begin(self, key: RunKey, step: str, at: datetime, role: ActRole = ActRole.STEP) -> Begin:
        claim = Claim(key.dag_id, key.run_id, key.digest, role, step)
        return self.ledger.begin_act(claim, now=at)

    def act(
        self,
        key: RunKey,
        step: str,
        at: datetime,
        result: ActResult = ActResult.DONE,
        role: ActRole = ActRole.STEP,
        detail: str | None = None,
    ) -> None:
        begun = self.begin(key, step, at, role)
        assert begun.act is not None
        self.ledger.end_act(
            begun.act, result, detail, actor="task:x#1", now=at + timedelta(seconds=30)
        )

    def finish(self, key: RunKey, outcome: Outcome, reason: str, at: datetime) -> None:
        self.ledger.finish_run(key, outcome, reason, actor="task:finish#1", now=at)

    def roll_back(self, key: RunKey, steps: Iterable[str], at: datetime) -> None:
        lease = self.ledger.close_lease(key.plan_id, now=at)
        assert lease is not None
        self.ledger.record_course(
            key.plan_id, lease.generation, Course.UNDO, detail={}, actor="task:decide#1", now=at
        )
        for step in steps:
            self.act(key, step, at, role=ActRole.UNDO)

    def decide(self, key: RunKey, text: str, at: datetime, kind: str = "slo_gate") -> int:
        verdict = (
            '{"inconclusive":true,"kind":"hold","reasons":[{"code":"few","text":"' + text + '"}]}'
        )
        decision = Decision(kind=kind, version=1, decided_at=at, inputs="{}", verdict=verdict)
        return self.ledger.record_decision(
            decision, plan_id=key.plan_id, step="gate", actor="task:gate#1", now=at
        )

    def approve(self, key: RunKey, at: datetime, rule: str = "{}") -> None:
        request = ApprovalRequest(key.plan_id, "approve", DIGEST, "", "dana", at, None, rule)
        self.ledger.open_approval(request, "task:approve#1", at)
        answer = ApprovalAnswer("kim", True, "looks good", "airflow", at, True, "Airflow")
        self.ledger.record_answer(key.plan_id, "approve", answer, "task:approve#1", at)

    def reject(self, key: RunKey, at: datetime) -> None:
        self.ledger.close_approval(
            key.plan_id, "approve", ApprovalState.REJECTED, None, actor="task:approve#1", now=at
        )
