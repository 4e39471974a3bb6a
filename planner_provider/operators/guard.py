"""SLOs as guards: asked before anything is changed, and before each step that has its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from planner_provider.errors import CheckFailedError, RefusedError, UnavailableError
from planner_provider.hooks.settings import open_ledger
from planner_provider.operators.frame_task import FrameOperator, FrameTask

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.decide.slo import SloRules
    from planner_provider.graph.slos import Slo
    from planner_provider.hooks.slo_facts import Look
    from planner_provider.ledger import Ledger
    from planner_provider.operators.plan_step import PlanStepMixin
    from planner_provider.spec.actions import Budget
    from planner_provider.spec.cost import Cost
    from planner_provider.spec.plan import Signal

log = logging.getLogger(__name__)


class GuardOperator(FrameOperator):
    """Ask the plan's SLOs before it takes its locks. The XCom is the id of the decision.

    A breach fails it at once. What is not known fails it too, after its retries: nothing is
    changed while the SLOs cannot be seen to hold.

    :param slos: the SLOs that must hold.
    :param budget: what must be left of their error budgets, and how fast these may burn.
    :param signals: what must be measured at all.
    :param min_coverage: least share of the signals that must be present and fresh.
    """

    def __init__(
        self,
        *,
        slos: tuple[Slo, ...] = (),
        budget: Budget | None = None,
        signals: tuple[Signal, ...] = (),
        min_coverage: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.slos = slos
        self.budget = budget
        self.signals = signals
        self.min_coverage = min_coverage

    def run_task(self, task: FrameTask, context: Context) -> int | None:
        """Ask. Raises ``RefusedError`` for a breach, ``CheckFailedError`` for what is not known."""
        from planner_provider.decide.slo import SloRules

        rules = SloRules.of(self.budget, in_progress=False)
        run = task.ledger.run_of(task.dag_id, task.run_id)
        plan_id = run.plan_id if run else task.key.plan_id
        if self.signals:
            self._ask_signals(task, plan_id)
        if not self.slos:
            return None
        look, decision_id = look_and_record(
            self.slos,
            rules,
            ledger=task.ledger,
            plan_id=plan_id,
            step=None,
            actor=task.actor,
            now=self.clock.now,
        )
        if look.verdict.inconclusive:
            raise CheckFailedError(f"The guards are inconclusive, so nothing begins: {told(look)}")
        if not look.verdict.passes:
            raise RefusedError(f"The guards forbid to begin: {told(look)}")
        return decision_id

    def _ask_signals(self, task: FrameTask, plan_id: str) -> None:
        """Raises ``CheckFailedError`` if too little is measured to see what goes wrong."""
        from planner_provider.decide.coverage import CoverageInputs
        from planner_provider.decide.replay import decide
        from planner_provider.hooks.signals import read_signals
        from planner_provider.hooks.slo_facts import Look

        facts = read_signals(self.signals, now=self.clock.now())
        inputs = CoverageInputs(
            now=self.clock.now(),
            needed=tuple(signal.name for signal in self.signals),
            facts=facts,
            required=self.min_coverage,
        )
        look = Look(*decide(inputs))
        log_look(look)
        task.ledger.record_decision(
            look.decision, plan_id=plan_id, step=None, actor=task.actor, now=self.clock.now()
        )
        if not look.verdict.passes:
            raise CheckFailedError(f"Too little is measured, so nothing begins: {told(look)}")


def check_guards(
    slos: tuple[Slo, ...],
    budget: Budget | None = None,
    *,
    ledger: Ledger,
    plan_id: str,
    step: str | None,
    actor: str,
    now: Callable[[], datetime],
    in_progress: bool = True,
    cost: Cost | None = None,
) -> int | None:
    """Ask SLOs, and what the plan costs, before a step begins; give the id of the decision on SLOs.

    Raises:
        CheckFailedError: an SLO is breached, or the plan costs more than it may.
        UnavailableError: whether they hold is not known; trying again may tell.
    """
    from planner_provider.decide.slo import SloRules

    decision_id: int | None = None
    if slos or cost is None:
        decision_id = _check_slos(
            slos,
            SloRules.of(budget, in_progress=in_progress),
            ledger=ledger,
            plan_id=plan_id,
            step=step,
            actor=actor,
            now=now,
        )
    if cost is not None:
        from planner_provider.operators.cost import RunCost

        RunCost(cost, ledger, plan_id, actor, now).check(step)
    return decision_id


def _check_slos(
    slos: tuple[Slo, ...],
    rules: SloRules,
    *,
    ledger: Ledger,
    plan_id: str,
    step: str | None,
    actor: str,
    now: Callable[[], datetime],
) -> int | None:
    look, decision_id = look_and_record(
        slos, rules, ledger=ledger, plan_id=plan_id, step=step, actor=actor, now=now
    )
    if look.verdict.inconclusive:
        raise UnavailableError(
            f"The guards of this step are inconclusive, so it does not begin: {told(look)}"
        )
    if not look.verdict.passes:
        raise CheckFailedError(f"The guards of this step forbid it to begin: {told(look)}")
    return decision_id


def look_and_record(
    slos: tuple[Slo, ...],
    rules: SloRules,
    *,
    ledger: Ledger | None,
    plan_id: str | None,
    step: str | None,
    actor: str,
    now: Callable[[], datetime],
) -> tuple[Look, int | None]:
    """Measure, decide, log in words, and write the decision down if there is a run."""
    from planner_provider.hooks.slo_facts import look_at

    look = look_at(slos, rules, clock=now)
    log_look(look)
    return look, record(look, ledger=ledger, plan_id=plan_id, step=step, actor=actor, now=now)


def record(
    look: Look,
    *,
    ledger: Ledger | None,
    plan_id: str | None,
    step: str | None,
    actor: str,
    now: Callable[[], datetime],
) -> int | None:
    """Write the decision down; ``None`` outside of plans."""
    if ledger is None or plan_id is None:
        return None
    return ledger.record_decision(look.decision, plan_id=plan_id, step=step, actor=actor, now=now())


def record_of_step(operator: PlanStepMixin, look: Look, context: Context) -> int | None:
    """Write down what a step decided; ``None`` outside of plans."""
    ref = operator.plan_ref
    if ref is None:
        return None
    ti = context["ti"]
    return record(
        look,
        ledger=open_ledger(),
        plan_id=ref.plan_id(ti.run_id),
        step=ref.step,
        actor=f"task:{ti.task_id}#{ti.try_number}",
        now=operator.clock.now,
    )


def log_look(look: Look) -> None:
    """Tell the decision, its reasons and its numbers."""
    for line in look.told():
        log.info("%s", line)


def told(look: Look) -> str:
    """The reasons, for a message."""
    return " ".join(reason.text for reason in look.verdict.reasons)
