"""What the ledger tests are about: a run at a fixed time, and tasks of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from planner_provider.ledger import Ledger
from planner_provider.ledger.acts import Begin
from planner_provider.ledger.rows import (
    Act,
    ActResult,
    ActRole,
    Claim,
    Course,
    Hold,
    Lease,
    Mode,
    RunKey,
)

NOW = datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)
DIGEST = "d" * 64


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def key(run_id: str = "run-1", plan: str = "release", digest: str = DIGEST) -> RunKey:
    return RunKey(f"{plan}-{digest[:8]}-{run_id}", plan, plan, run_id, digest)


def claim(step: str = "s1", role: ActRole = ActRole.STEP, **more: object) -> Claim:
    values = {"dag_id": "release", "run_id": "run-1", "digest": DIGEST, "role": role, "step": step}
    return Claim(**{**values, **more})  # type: ignore[arg-type]


def act(id_: int, step: str = "s1", role: ActRole = ActRole.STEP, **more: object) -> Act:
    """A finished act unless ``result=None`` is given."""
    result = more.pop("result", ActResult.DONE)
    values: dict[str, object] = {
        "plan_id": "p", "generation": 1, "try_number": 1, "map_index": -1, "intent_at": NOW,
        "alive_at": NOW, "parked_at": None, "ended_at": NOW if result else None, "result": result,
        "detail": None,
    }  # fmt: skip
    return Act(id=id_, step=step, role=role, **{**values, **more})  # type: ignore[arg-type]


class Run:
    """A run in a ledger."""

    def __init__(self, ledger: Ledger, **named: str) -> None:
        self.ledger = ledger
        self.key = key(**named)

    @staticmethod
    def plan_id_of() -> str:
        """Plan ID of the run that is meant when none is named."""
        return key().plan_id

    def pin(self, *, ttl: float | None = None) -> Run:
        expires = None if ttl is None else later(ttl)
        self.ledger.pin_run(self.key, expires_at=expires, parameters={}, actor="t", now=NOW)
        return self

    def lease(self, *resources: str, mode: Mode = Mode.EXCLUSIVE, at: datetime = NOW) -> Lease:
        holds = [Hold(f"plan://{self.key.plan}"), *(Hold(name, mode) for name in resources)]
        return self.ledger.take_lease(self.key.plan_id, holds, actor="t", now=at)

    def begin(self, step: str = "s1", role: ActRole = ActRole.STEP, **more: object) -> Begin:
        at = more.pop("at", NOW)
        more.setdefault("dag_id", self.key.dag_id)
        more.setdefault("run_id", self.key.run_id)
        return self.ledger.begin_act(claim(step, role, **more), now=at)  # type: ignore[arg-type]

    def end(self, begin: Begin, result: ActResult = ActResult.DONE) -> bool:
        assert begin.act is not None
        return self.ledger.end_act(begin.act, result, None, actor="t", now=NOW)

    def do(self, step: str, result: ActResult = ActResult.DONE, **more: object) -> None:
        self.end(self.begin(step, **more), result)  # type: ignore[arg-type]

    def wind_up(self, course: Course) -> None:
        lease = self.ledger.close_lease(self.key.plan_id, now=NOW)
        assert lease is not None
        self.ledger.record_course(
            self.key.plan_id, lease.generation, course, detail={}, actor="t", now=NOW
        )
