"""Action ``wait``: wait for a time, or until a moment, without holding a worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import RefusedError
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.stopped import stop_told, stopped_error
from planner_provider.spec.actions import Wait
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact

DEADLINE = "planner_wait_until"
"""Key in the task's state store: when the wait ends, fixed by its first try."""
SHORT = timedelta(seconds=10)
"""Shorter waits stay on the worker: deferring costs more, and a trigger that fires within three
seconds of the deferral may be lost (apache/airflow issue 66374)."""
NOT_BEFORE = timedelta(seconds=4)
"""A trigger says nothing so soon after the deferral; see ``SHORT``."""
GRACE = timedelta(minutes=15)
"""A deferral that is not answered so long after its time ends with an error."""


class WaitSensor(PlanStepMixin, BaseOperator):
    """Wait. The XCom is the moment at which the wait was over, as ISO 8601.

    ``wait_for`` counts from the first start of the task: retries, a restart of the triggerer or of
    a worker do not begin it anew. Waits of ten seconds and more are deferred. It does not poke, so
    it has none of the arguments of Airflow's ``BaseSensorOperator``.

    Args:
        wait_for: how long; a number is in seconds.
        until: a moment with a time zone, as ISO 8601 (templated). One that has passed is no wait.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        AbortedError: a person stopped the run.
        FailingRunError: another step of the run failed for good.
        RefusedError: ``until`` rendered to something that is not a moment.
    """

    template_fields: Sequence[str] = ("until",)
    ui_color = "#f3f4f6"

    def __init__(
        self,
        *,
        wait_for: timedelta | float | None = None,
        until: datetime | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for = wait_for
        self.until = until.isoformat() if isinstance(until, datetime) else until

    @classmethod
    def from_action(
        cls,
        action: Wait,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The sensor for a ``wait`` action of a spec."""
        return cls(wait_for=action.for_, until=action.until, plan_ref=plan_ref, **base_kwargs)

    def act(self, context: Context) -> str:
        """Wait on the worker if it is short, else defer."""
        deadline = self._deadline(context)
        left = deadline - self.clock.now()
        if left <= timedelta(0):
            self.log.info("%s has passed; no need to wait.", _shown(deadline))
        elif left < SHORT:
            self.log.info("Waiting until %s.", _shown(deadline))
            while (left := deadline - self.clock.now()) > timedelta(0):
                self.pause(left.total_seconds())
        else:
            from planner_provider.triggers.moment import MomentTrigger

            self.log.info(
                "Waiting until %s, %s from now, without holding a worker.",
                _shown(deadline), format_duration(timedelta(seconds=round(left.total_seconds()))),
            )  # fmt: skip
            self.defer(
                trigger=MomentTrigger(
                    moment=deadline.isoformat(),
                    not_before=(self.clock.now() + NOT_BEFORE).isoformat(),
                    plan_id=self.plan_id(context),
                ),
                method_name="waited",
                timeout=left + GRACE,
            )
        return deadline.isoformat()

    def waited(self, context: Context, event: Any = None) -> str:
        """Go on after the deferral. Raises ``AbortedError`` or ``FailingRunError``."""
        if stop_told(event):
            raise stopped_error(self.plan_id(context), event, "nothing waits any more")
        return self.act(context)

    def _deadline(self, context: Context) -> datetime:
        if self.until is not None:
            return _moment(str(self.until))
        wait_for = self.wait_for
        if wait_for is None:
            raise RefusedError("A wait needs `wait_for` or `until`; this one has neither.")
        length = wait_for if isinstance(wait_for, timedelta) else timedelta(seconds=wait_for)
        store = context.get("task_state_store")
        known = store.get(DEADLINE) if store is not None else None
        if isinstance(known, str):
            return datetime.fromisoformat(known)
        deadline = self.clock.now() + length
        if store is not None:
            store.set(DEADLINE, deadline.isoformat())
        return deadline


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise RefusedError(
            f"`until` is '{text}', which is not a moment such as 2026-11-01T00:00Z"
        ) from None
    if moment.tzinfo is None:
        raise RefusedError(
            f"`until` is '{text}', which names no time zone; end it with Z or an offset such as "
            "+01:00"
        )
    return moment.astimezone(UTC)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
