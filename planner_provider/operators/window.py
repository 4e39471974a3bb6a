"""The frame's task that waits for the plan's maintenance window, without holding a worker."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from planner_provider.errors import UnavailableError
from planner_provider.ledger.authority import ExpiredError, abort_refusal, version_refusal
from planner_provider.ledger.windows import WindowClosedError
from planner_provider.operators.frame_task import FrameOperator, FrameTask
from planner_provider.operators.stopped import stop_told, stopped_error
from planner_provider.operators.window_look import (
    GRACE,
    RESUME,
    SHORT,
    WindowLook,
    window_trigger,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.plan_window import WindowRule
    from planner_provider.ledger.rows import PlanRun


class WindowOperator(FrameOperator):
    """Wait until the plan's window is open and long enough. The XCom is the id of the decision.

    It waits as long as the decision to run is valid, through closed windows, and through freezes
    that people add meanwhile. The decision that lets it pass is on record, as is the first one
    that makes it wait. Each step asks again before it begins.

    :param window: the calendar, and the time that the work needs.
    """

    def __init__(self, *, window: WindowRule, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def run_task(self, task: FrameTask, context: Context) -> int:
        """Pass, or defer.

        Raises ``WindowClosedError`` if it never opens, ``ExpiredError`` when the decision to run
        is too old, ``SupersededError`` or ``AbortedError``.
        """
        run = task.ledger.run_of(task.dag_id, task.run_id)
        refused = run and (version_refusal(task.ref.digest, run) or abort_refusal(run))
        if refused:
            raise refused
        plan_id = run.plan_id if run else task.key.plan_id
        deadline = run.expires_at if run else None
        told = ""
        while True:
            now = self.clock.now()
            look = WindowLook.at(self.window.calendar, self.window.needs, task.ledger, now)
            if look.verdict.passes or look.verdict.text != told:
                told = look.verdict.text
                self.log.info("%s", told)
                decision_id = task.ledger.record_decision(
                    look.decision, plan_id=plan_id, step=None, actor=task.actor, now=now
                )
            if look.verdict.passes:
                return decision_id
            self._refuse(run, look, now)
            wait = (look.opens or now) - now
            if wait >= SHORT:
                self._defer(look, plan_id, deadline, now)
            self.clock.sleep(max(0.05, min(1.0, wait.total_seconds())))

    def looked(
        self,
        context: Context,
        event: dict[str, Any] | None = None,
        deadline: str | None = None,
    ) -> int:
        """Go on after the deferral: it looks open, time is over, or the run was stopped."""
        task = self.frame_task(context)
        if event is not None and stop_told(event):
            raise stopped_error(task.key.plan_id, event, "it does not wait for its window any more")
        try:
            return self.run_task(task, context)
        except UnavailableError as error:
            now = self.clock.now()
            end = datetime.fromisoformat(deadline) if deadline else None
            if end is not None and now >= end:
                raise
            self.log.warning("Whether the window is open is not known, so it waits on: %s", error)
            self._wait(task.key.plan_id, end, now)
            raise AssertionError("deferring does not return") from error

    def _refuse(self, run: PlanRun | None, look: WindowLook, now: datetime) -> None:
        if run is not None and run.expires_at is not None and now >= run.expires_at:
            raise ExpiredError(
                f"The decision to run was valid until {run.expires_at:%Y-%m-%d %H:%M:%S} UTC "
                f"(guards.ttl), and until then {look.waits_for}. Nothing was touched. Start a new "
                "run."
            )
        if look.opens is None:
            raise WindowClosedError(look.closed())

    def _defer(
        self, look: WindowLook, plan_id: str, deadline: datetime | None, now: datetime
    ) -> None:
        if deadline is not None and look.opens is not None and look.opens >= deadline:
            self.log.warning(
                "The decision to run is valid until %s UTC only, which is before that: as things "
                "stand, this run will expire.", f"{deadline:%Y-%m-%d %H:%M:%S}",
            )  # fmt: skip
        self.log.info("It waits without holding a worker.")
        self._wait(plan_id, deadline, now)

    def _wait(self, plan_id: str, deadline: datetime | None, now: datetime) -> None:
        self.defer(
            trigger=window_trigger(self.window.calendar, self.window.needs, now, deadline, plan_id),
            method_name=RESUME,
            kwargs={"deadline": deadline.isoformat() if deadline else None},
            timeout=deadline - now + GRACE if deadline else None,
        )
