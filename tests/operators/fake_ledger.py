"""A ledger that grants everything and remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from planner_provider.ledger.acts import Begin, Permit
from planner_provider.ledger.rows import ActResult, Claim


@dataclass
class FakeLedger:
    permit: Permit = Permit.GRANTED
    refusal: Exception | None = None
    told: list[tuple[Any, ...]] = field(default_factory=list)

    def begin_act(self, claim: Claim, *, now: datetime) -> Begin:
        self.told.append(("begin", claim.step, claim.resumes))
        if self.refusal is not None:
            raise self.refusal
        act: Any = SimpleNamespace(id=1, generation=7)
        return Begin(self.permit, "plan", act if self.permit is Permit.GRANTED else None)

    def life_sign(self, act_id: int, *, now: datetime) -> str | None:
        return None

    def park_act(self, act_id: int, *, now: datetime) -> None:
        self.told.append(("park",))

    def end_act(
        self, act: Any, result: ActResult, detail: str | None, *, actor: str, now: datetime
    ) -> bool:
        self.told.append(("end", result))
        return True

    def run_of(self, dag_id: str, run_id: str) -> None:
        return None

    def record(self, what: str, **values: Any) -> None:
        self.told.append((what,))
