"""The task after each wave of a patch rollout: does the rollout go on?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from planner_provider.decide.replay import decide
from planner_provider.decide.waves import WaveInputs
from planner_provider.errors import RefusedError
from planner_provider.graph.patch_parts import WAVE
from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.ledger.journal import PART
from planner_provider.operators.guard import check_guards, log_look, record_of_step
from planner_provider.operators.patch_rollout import Rollout
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.quiet import wait_for_quiet
from planner_provider.operators.stopped import stop_told, stopped_error
from planner_provider.sensors.wait import GRACE, NOT_BEFORE, SHORT
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.slos import Slo

ENDED = "ended"
"""Name under which a gate remembers when its wave had ended."""


class GateOperator(PlanStepMixin, BaseOperator):
    """Judge how a wave ended, watch for a while, and give the targets of the next one.

    Whether it goes on is decided from the ledger, by `planner_provider.decide.waves`, and recorded
    as a decision. The XCom is the list of the targets of the next wave; empty after the last.

    Args:
        rollout: the patch step, with the number of the wave that has ended.
        bake: how long to wait before the next wave.
        slos: SLOs that must hold after that.
        plan_ref: the plan that this is a step of.

    Raises:
        RefusedError: too many targets failed, or were not begun.
        CheckFailedError: an SLO is breached.
        UnavailableError: whether the SLOs hold is not known.
        AbortedError, FailingRunError: the run was stopped.
    """

    again = True
    ui_color = "#c7d2fe"

    def __init__(
        self,
        *,
        rollout: Rollout,
        bake: timedelta = timedelta(0),
        slos: tuple[Slo, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout
        self.bake = bake
        self.slos = slos

    def act(self, context: Context) -> list[str]:
        """Judge the wave, then wait."""
        self._judge(context)
        following = self._next(context)
        plan_id, wave = self._plan_id(context), self.rollout.wave or 0
        if not following or not self.rollout.names(plan_id, wave):
            return following  # nothing comes, or nothing was done that could be watched
        ended = self.remember_once(context, ENDED, lambda: self.clock.now().isoformat())
        until = datetime.fromisoformat(ended) + self.bake
        left = until - self.clock.now()
        if left >= SHORT:
            self._defer(context, until)
        if left > timedelta(0):
            self.pause(left.total_seconds())
        return self._go_on(context)

    def baked(self, context: Context, event: Any) -> list[str]:
        """Go on after the deferral."""
        if stop_told(event):
            raise stopped_error(self.plan_id(context), event, "the next wave does not begin")
        return self._go_on(context)

    def _judge(self, context: Context) -> None:
        from planner_provider.hooks.slo_facts import Look

        plan_id, wave = self._plan_id(context), self.rollout.wave or 0
        names = PART.join((self.rollout.step, f"{WAVE}{wave}", ""))
        ti = context["ti"]
        actor = f"task:{ti.task_id}#{ti.try_number}"
        wait_for_quiet(
            open_ledger(),
            plan_id,
            lambda act: act.step.startswith(names),
            silence=load_settings().silence,
            actor=actor,
            clock=self.clock,
            tell=self.log.info,
        )
        targets = open_ledger().target_states(plan_id, self.rollout.step)
        inputs = WaveInputs(
            now=self.clock.now(),
            wave=wave,
            waves=len(self.rollout.waves),
            max_errors=self.rollout.limits(len(targets)).max_errors,
            targets=targets,
        )
        look = Look(*decide(inputs))
        log_look(look)
        record_of_step(self, look, context)
        if not look.verdict.passes:
            reason = " ".join(reason.text for reason in look.verdict.reasons)
            raise RefusedError(f"The rollout stops after wave {wave}: {reason}")

    def _go_on(self, context: Context) -> list[str]:
        following = self._next(context)
        if self.slos:
            ti = context["ti"]
            check_guards(
                self.slos,
                ledger=open_ledger(),
                plan_id=self._plan_id(context),
                step=self.plan_ref.step if self.plan_ref else None,
                actor=f"task:{ti.task_id}#{ti.try_number}",
                now=self.clock.now,
            )
        self.log.info("Next: %s", ", ".join(following))
        return following

    def _next(self, context: Context) -> list[str]:
        return self.rollout.names(self._plan_id(context), (self.rollout.wave or 0) + 1)

    def _defer(self, context: Context, until: datetime) -> None:
        from planner_provider.triggers.moment import MomentTrigger

        self.log.info(
            "Watching for %s, until %s UTC, without holding a worker.",
            format_duration(self.bake), f"{until:%H:%M:%S}",
        )  # fmt: skip
        self.defer(
            trigger=MomentTrigger(
                moment=until.isoformat(),
                not_before=(self.clock.now() + NOT_BEFORE).isoformat(),
                plan_id=self.plan_id(context),
            ),
            method_name="baked",
            timeout=until - self.clock.now() + GRACE,
        )

    def _plan_id(self, context: Context) -> str:
        plan_id = self.plan_id(context)
        assert plan_id is not None, "a rollout is a step of a plan"
        return plan_id
