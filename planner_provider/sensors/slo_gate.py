"""Action ``gate``: ask SLOs whether the plan may go on; now, for a time, or until they are well."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

from airflow.sdk import BaseOperator

from planner_provider.decide.gate import Course, Ending
from planner_provider.decide.model import Decision
from planner_provider.errors import (
    CheckFailedError,
    MisconfiguredError,
    UnavailableError,
)
from planner_provider.operators.guard import log_look, record_of_step, told
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.stopped import stop_told, stopped_error
from planner_provider.sensors.wait import GRACE, SHORT
from planner_provider.spec.actions import Budget, Gate
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.decide.slo import SloRules
    from planner_provider.graph.model import Contact
    from planner_provider.graph.slos import Slo
    from planner_provider.hooks.slo_facts import Look

SPARE = timedelta(minutes=15)
"""How much longer than `hold_for` a gate waits for health to last, if no `timeout` is given."""


class SLOGateSensor(PlanStepMixin, BaseOperator):
    """Ask SLOs. The XCom is ``{"decision": id, "verdict": text}``.

    An SLO is breached if its burn rates in a long and a short window are both too high, or if too
    little of its error budget is left (see `planner_provider.decide.slo`). A number that is
    missing, stale or impossible leaves the gate closed. Longer waits are deferred. It does not
    poke, so it has none of the arguments of Airflow's ``BaseSensorOperator``.

    Args:
        slos: names of SLOs in ``documents`` (templated), or resolved ``graph.slos.Slo``.
        documents: YAML file or folder with the OpenSLO documents (templated).
        mode: ``once``: they hold now. ``hold``: they hold for all of ``hold_for``; the first
            breach ends it. ``wait``: as soon as they hold, within ``timeout``.
        hold_for: how long they must hold; a number is in seconds.
        timeout: when the gate ends in vain; a number is in seconds.
        every: time between two looks; a number is in seconds.
        budget: what must be left of the error budgets, and how fast they may burn.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        CheckFailedError: an SLO is breached.
        UnavailableError: whether they hold is not known (inconclusive).
        AbortedError: a person stopped the run.
        FailingRunError: another step of the run failed for good.
        SpecError: an SLO is not there, or cannot be measured.
        MisconfiguredError: the arguments do not fit together.
    """

    template_fields: Sequence[str] = ("slos", "documents")
    ui_color = "#fef3c7"

    def __init__(
        self,
        *,
        slos: Sequence[str | Slo],
        documents: str | None = None,
        mode: Literal["once", "hold", "wait"] = "once",
        hold_for: timedelta | float | None = None,
        timeout: timedelta | float | None = None,
        every: timedelta | float = 30.0,
        budget: Budget | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.slos = [item if isinstance(item, str) else item.name for item in slos]
        self.documents = documents
        self.mode = mode
        self.hold_for = hold_for
        self.timeout = timeout
        self.every = every
        self.budget = budget
        self.resolved = tuple(item for item in slos if not isinstance(item, str))

    @classmethod
    def from_action(
        cls,
        action: Gate,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        slos: tuple[Slo, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The sensor for a ``gate`` action of a spec. ``slos`` are those that the plan names."""
        known = {slo.name: slo for slo in slos}
        return cls(
            slos=[known.get(name, name) for name in action.slos],
            mode=action.mode,
            hold_for=action.for_,
            timeout=action.timeout,
            every=action.every,
            budget=action.budget,
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> dict[str, Any]:
        """Look once, and go on looking here if it is short, else deferred."""
        slos, rules, course = self._slos(), self._rules(), self._course()
        while True:
            look = self._look(slos, rules)
            course, ending = course.look(look.verdict, self.clock.now())
            if ending is not None or self.mode == "once":
                return self._conclude(look, ending or Ending.TIMED_OUT, context)
            left = course.until - self.clock.now()
            if self.mode == "hold" and course.healthy_since is not None:
                left = course.healthy_since + _duration(self.hold_for) - self.clock.now()
            if left >= SHORT:
                self._defer(slos, rules, course, context)
            self.pause(max(0.1, min(left, _duration(self.every)).total_seconds()))

    def looked(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the deferral: the end of the gate is certain."""
        from planner_provider.hooks.slo_facts import Look

        if stop_told(event):
            raise stopped_error(self.plan_id(context), event, "the gate stays closed")
        decision = Decision.model_validate_json(event["decision"])
        look = Look(decision.outcome, decision)
        return self._conclude(look, Ending(event["ending"]), context)

    def _conclude(self, look: Look, ending: Ending, context: Context) -> dict[str, Any]:
        log_look(look)
        decision_id = record_of_step(self, look, context)
        verdict = look.verdict
        if ending is Ending.PASSED and verdict.passes:
            return {"decision": decision_id, "verdict": verdict.text}
        if verdict.inconclusive:
            raise UnavailableError(
                f"The gate stays closed, as it is inconclusive{self._waited()}: {told(look)}"
            )
        if verdict.passes:
            raise UnavailableError(
                "The gate stays closed, as it is inconclusive whether the SLOs held for "
                f"{format_duration(_duration(self.hold_for))}{self._waited()}: they hold now, but "
                "not at all looks of that time."
            )
        raise CheckFailedError(f"The gate stays closed{self._waited()}: {told(look)}")

    def _waited(self) -> str:
        if self.mode == "once":
            return ""
        waited = _duration(self.timeout) if self.timeout is not None else None
        return f" (waited for {format_duration(waited)} at most)" if waited else ""

    def _slos(self) -> tuple[Slo, ...]:
        known = {slo.name: slo for slo in self.resolved}
        missing = [name for name in self.slos if name not in known]
        if missing and self.documents is None:
            raise MisconfiguredError(
                f"SLO {', '.join(missing)} is given by its name, and no `documents` to find it in."
            )
        if missing:
            from planner_provider.hooks.slo_documents import load_slos

            known.update({slo.name: slo for slo in load_slos(missing, str(self.documents))})
        return tuple(known[name] for name in dict.fromkeys(self.slos))

    def _rules(self) -> SloRules:
        from planner_provider.decide.slo import SloRules

        return SloRules.of(self.budget, in_progress=self.plan_ref is not None)

    def _course(self) -> Course:
        now = self.clock.now()
        if self.mode == "hold":
            if self.hold_for is None:
                raise MisconfiguredError("A gate of mode `hold` needs `hold_for`.")
            length = _duration(self.hold_for)
            limit = length + SPARE if self.timeout is None else _duration(self.timeout)
            return Course(until=now + max(limit, length), hold_for=length)
        if self.mode == "wait" and self.timeout is None:
            raise MisconfiguredError("A gate of mode `wait` needs `timeout`.")
        return Course(until=now + _duration(self.timeout if self.mode == "wait" else 0))

    def _look(self, slos: tuple[Slo, ...], rules: SloRules) -> Look:
        from planner_provider.hooks.slo_facts import look_at

        return look_at(slos, rules, clock=self.clock.now)

    def _defer(
        self, slos: tuple[Slo, ...], rules: SloRules, course: Course, context: Context
    ) -> None:
        from planner_provider.triggers.slo_gate import SloGateTrigger, rules_json, slos_json

        every, since = _duration(self.every), course.healthy_since
        self.log.info(
            "Looking every %s until %s, without holding a worker.",
            format_duration(every), _shown(course.until),
        )  # fmt: skip
        self.defer(
            trigger=SloGateTrigger(
                slos=slos_json(slos),
                rules=rules_json(rules),
                every=every.total_seconds(),
                until=course.until.timestamp(),
                hold_for=None if course.hold_for is None else course.hold_for.total_seconds(),
                healthy_since=None if since is None else since.timestamp(),
                plan_id=self.plan_id(context),
            ),
            method_name="looked",
            timeout=course.until - self.clock.now() + GRACE,
        )


def _duration(value: timedelta | float | None) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=value or 0)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
