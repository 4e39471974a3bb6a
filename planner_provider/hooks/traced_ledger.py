"""The ledger as tasks use it: each decision that is recorded is a span too, where it is traced."""

from __future__ import annotations

from datetime import datetime

from planner_provider.decide.model import Decision
from planner_provider.hooks.spans import event_span, is_on, new_trace
from planner_provider.ledger import Ledger


class TracedLedger(Ledger):
    """A ``Ledger`` that tells OpenTelemetry of decisions."""

    def record_decision(
        self, decision: Decision, *, plan_id: str, step: str | None, actor: str, now: datetime
    ) -> int:
        """Write a decision down with all that it was made from; give its id."""
        number = super().record_decision(decision, plan_id=plan_id, step=step, actor=actor, now=now)
        if is_on():
            event_span(
                f"decision {decision.kind}",
                {
                    "planner.plan_id": plan_id,
                    "planner.step": step,
                    "planner.decision.id": number,
                    "planner.decision.kind": decision.kind,
                    "planner.outcome": decision.outcome.kind.value,
                },
                parent=lambda: self.trace_parent(plan_id),
            )
        return number

    def trace_parent(self, plan_id: str) -> str | None:
        """The ``traceparent`` that a run keeps, or will."""
        run = self.run(plan_id)
        return (run.trace_parent if run else None) or new_trace(plan_id)
