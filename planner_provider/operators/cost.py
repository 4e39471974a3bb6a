"""What a run costs: read before its first change, asked before each further one, read at its end.

The first reading that is known is kept for the whole run, also when it is cleared and goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from planner_provider.decide.model import Decision, Fact, Verdict, VerdictKind
from planner_provider.decide.replay import decide
from planner_provider.errors import CheckFailedError, PlannerError, UnavailableError
from planner_provider.ledger.rows import ActRole
from planner_provider.operators.clock import Clock

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger
    from planner_provider.spec.cost import Cost

log = logging.getLogger(__name__)

STEP = ""
"""The memo of the first reading belongs to no step."""
BEFORE = "cost before"
LOOKS = 3
"""So often it is asked at the end whether the limit holds, before it counts as not known."""
PAUSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run costs, on record in the ledger.

    :param cost: how it is measured.
    :param ledger: where it is written down.
    :param plan_id: the run.
    :param actor: who asks, for the record.
    :param now: the clock.
    """

    cost: Cost
    ledger: Ledger
    plan_id: str
    actor: str
    now: Callable[[], datetime]

    def read_start(self) -> None:
        """Read what it costs, unless that is known or something has begun. Raises nothing."""
        try:
            self._before(None)
        except PlannerError as error:
            log.warning("What it costs could not be written down: %s", error)

    def read_end(self) -> str | None:
        """Read what it costs now, once a step has begun; give it in words. Raises nothing."""
        try:
            if not self._has_begun():
                return None
            return self._reading("end", self._remembered(), None)[1].reasons[0].text
        except PlannerError as error:
            log.warning("What it costs could not be written down: %s", error)
            return None

    def check(self, step: str | None) -> None:
        """Ask before a step begins.

        Raises:
            CheckFailedError: it costs more than it may.
            UnavailableError: what it costs, or cost before, is not known; asking again may tell.
        """
        verdict = self._judge(step)
        if verdict.inconclusive:
            raise UnavailableError(
                "Whether the plan costs more than it may is not known, so this step does not "
                f"begin: {_told(verdict)}"
            )
        if not verdict.passes:
            raise CheckFailedError(f"The plan costs more than it may: {_told(verdict)}")

    def too_much(self, clock: Clock) -> str | None:
        """Ask after the last step; why the change cannot stay, if it cannot.

        What is not known is asked again, for a little while.
        """
        for look in range(1, LOOKS + 1):
            verdict = self._judge(None)
            if not verdict.inconclusive or look == LOOKS:
                break
            clock.sleep(PAUSE_SECONDS)
        if verdict.passes:
            return None
        if verdict.inconclusive:
            return f"Whether the plan costs more than it may is not known: {_told(verdict)}"
        return f"The plan costs more than it may: {_told(verdict)}"

    def pausing(self, step: str) -> Callable[[], str | None]:
        """A function that says why nothing more may begin, while it costs more than it may.

        Its answer is written down when it changes, not each time.
        """
        last: list[VerdictKind | None] = [None]

        def ask() -> str | None:
            verdict, decision = self._look(step)
            if verdict.kind is not last[0]:
                last[0] = verdict.kind
                self._record(decision, step)
                log.info("%s", verdict.text)
            return None if verdict.passes else f"The cost of the plan: {_told(verdict)}"

        return ask

    def _judge(self, step: str | None) -> Verdict:
        verdict, decision = self._look(step)
        self._record(decision, step)
        log.info("%s", verdict.text)
        return verdict

    def _record(self, decision: Decision, step: str | None) -> None:
        self.ledger.record_decision(
            decision, plan_id=self.plan_id, step=step, actor=self.actor, now=self.now()
        )

    def _look(self, step: str | None) -> tuple[Verdict, Decision]:
        from planner_provider.decide.cost_cap import CostCapInputs

        limit = self.cost.max_increase
        assert limit is not None, "only a plan with a limit is asked"
        before = self._before(step)
        fact = self._read()
        return decide(
            CostCapInputs(
                now=self.now(),
                currency=self.cost.currency,
                max_increase=float(limit),
                before=before,
                cost=fact,
            )
        )

    def _before(self, step: str | None) -> float | None:
        """What it cost before the first change; read now, if nothing has begun yet."""
        known = self._remembered()
        if known is not None or self._has_begun():
            return known
        value, _ = self._reading("start", None, step)
        if value is None:
            return None
        return float(self.ledger.remember_once(self.plan_id, STEP, BEFORE, value))

    def _remembered(self) -> float | None:
        found = self.ledger.remembered(self.plan_id, STEP, BEFORE)
        return None if found is None else float(found)

    def _has_begun(self) -> bool:
        return any(act.role is ActRole.STEP for act in self.ledger.acts_of(self.plan_id))

    def _reading(
        self, moment: Literal["start", "end"], before: float | None, step: str | None
    ) -> tuple[float | None, Verdict]:
        from planner_provider.decide.cost import CostInputs

        fact = self._read()
        inputs = CostInputs(
            now=self.now(), moment=moment, currency=self.cost.currency, cost=fact, before=before
        )
        verdict, decision = decide(inputs)
        self._record(decision, step)
        log.log(
            logging.WARNING if verdict.inconclusive else logging.INFO,
            "%s",
            verdict.reasons[0].text,
        )
        return None if verdict.inconclusive else fact.value, verdict

    def _read(self) -> Fact:
        """Nothing that goes wrong here may keep a run from its end."""
        from planner_provider.hooks import signals

        try:
            return signals.read_cost(self.cost, now=self.now())
        except Exception as error:  # noqa: BLE001
            why = f"{type(error).__name__}: {error}"
            return Fact.unknown(
                signals.COST, why, source="none", observed_at=self.now(), unit=self.cost.currency
            )


def _told(verdict: Verdict) -> str:
    return " ".join(reason.text for reason in verdict.reasons)
