"""Action ``blue_green``: the new version beside the old one, then all traffic at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from planner_provider.errors import NotAvailableError
from planner_provider.operators.delivery import remember_before, told
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.release_task import ReleaseTask
from planner_provider.operators.stopped import stop_told, stopped_error
from planner_provider.spec.delivery import BlueGreen
from planner_provider.spec.values import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact, Part
    from planner_provider.hooks.traffic import Done, Release

DEPLOY, SWITCH, PROMOTE = "deploy", "switch", "promote"
PARTS = (DEPLOY, SWITCH, PROMOTE)
SWITCHED = "baked_until"
"""Name under which the end of the watch is remembered, fixed when the traffic was switched."""
SHORT = timedelta(seconds=10)
"""Shorter watches stay on the worker; see ``sensors.wait``."""
GRACE = timedelta(minutes=15)
"""A deferral that is not answered so long after its time ends with an error."""


class BlueGreenOperator(ReleaseTask):
    """Start the new version beside the old one, switch all traffic, watch, make it the stable one.

    Without ``part`` it does all of it in one task; in plans, each part is a task. The watch is
    deferred. Every part may be tried again: what is done already is not done again.

    Args:
        target: what is changed: ``{"kubernetes": {...}}`` or ``{"http": {...}}`` (templated).
        change: ``image``, ``version``, ``env``, ``patch`` (templated).
        traffic: how all traffic is switched; its templates may use ``weight``.
        bake: how long the new version is watched after the switch, with the old one kept ready.
        part: ``deploy``, ``switch`` or ``promote``; ``None`` for all three.
        progress_deadline: longest wait for each roll-out.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        CheckFailedError, RefusedError, UnavailableError, MisconfiguredError: as `DeployOperator`.
        AbortedError: a person stopped the run during the watch.
    """

    def __init__(
        self, *, bake: timedelta = timedelta(minutes=10), part: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.bake = bake
        if part is not None and part not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}, not '{part}'")
        self.part = part

    @classmethod
    def from_action(
        cls,
        action: BlueGreen,
        *,
        plan_ref: PlanRef | None,
        part: Part | None = None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for a ``blue_green`` action of a spec, or for one part of it.

        Raises ``NotAvailableError`` for an ``analysis``, which this operator does not carry out.
        """
        if action.analysis is not None and (part is None or part.id == SWITCH):
            raise NotAvailableError("`analysis` is not carried out by BlueGreenOperator")
        return cls(
            target=action.target,
            change=action.change,
            traffic=action.traffic,
            bake=action.bake,
            part=part.id if part else None,
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> dict[str, Any]:
        """Do what is missing of the part, or of all parts."""
        from planner_provider.hooks.traffic.release import already_so

        release = self.release(context)
        if self.part in (None, DEPLOY):
            remember_before(self, context, release.memo)
        if self.part is None and release.is_promoted():
            done = already_so(f"{release.name} has this change already")
        else:
            for part in PARTS if self.part is None else (self.part,):
                done = self._do(part, release, context)
                self.log.info("%s", done.text)
        return told(done)

    def baked(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the watch, or because a person stopped the run."""
        if event and stop_told(event):
            then = "the new version is not watched on"
            raise stopped_error(self.plan_id(context), event, then)
        return self.act(context)

    def _do(self, part: str, release: Release, context: Context) -> Done:
        if part == DEPLOY:
            return release.deploy_canary()
        if part == PROMOTE:
            return release.promote()
        done = release.set_weight(100)
        until = self.remember_once(
            context, SWITCHED, lambda: (self.clock.now() + self.bake).isoformat()
        )
        self._watch(context, datetime.fromisoformat(until))
        return done

    def _watch(self, context: Context, until: datetime) -> None:
        left = until - self.clock.now()
        if left <= timedelta(0):
            return
        if left < SHORT:
            while (left := until - self.clock.now()) > timedelta(0):
                self.pause(left.total_seconds())
            return
        from planner_provider.triggers.moment import MomentTrigger

        self.log.info(
            "All traffic is switched. Watching for %s, without holding a worker.",
            format_duration(timedelta(seconds=round(left.total_seconds()))),
        )
        self.defer(
            trigger=MomentTrigger(
                moment=until.isoformat(),
                not_before=(self.clock.now() + timedelta(seconds=4)).isoformat(),
                plan_id=self.plan_id(context),
            ),
            method_name="baked",
            timeout=left + GRACE,
        )
