"""Which operator carries out which action. Each is imported when a plan needs it, not before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from planner_provider.operators.plan_ref import PlanRef
from planner_provider.spec.base import Model
from planner_provider.spec.plan import AUTO_ROLLBACK

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from planner_provider.graph.calendars import PlanCalendar
    from planner_provider.graph.fleets import ResolvedFleet
    from planner_provider.graph.model import Contact
    from planner_provider.graph.slos import Slo


@dataclass(frozen=True, slots=True)
class Place:
    """Where the operator for an action is, and what of the plan it needs besides the action."""

    module: str
    attribute: str
    slos: bool = False
    """Whether it is given the plan's SLOs."""
    fleets: bool = False
    """Whether it is given the plan's fleets."""
    calendars: bool = False
    """Whether it is given the calendars that steps keep to."""


Makers = dict[str, Callable[..., "BaseOperator"]]

ACTIONS: dict[str, Place] = {
    "http": Place("http", "HttpActionOperator"),
    "sql": Place("sql", "SqlActionOperator"),
    "shell": Place("shell", "ShellActionOperator"),
    "pod": Place("pod", "PodActionOperator"),
    "operator": Place("foreign", "ForeignOperator"),
    "wait": Place("sensors.wait", "WaitSensor"),
    "notify": Place("notify", "NotifyOperator"),
    "verify": Place("verify", "VerifyOperator", slos=True),
    "gate": Place("sensors.slo_gate", "SLOGateSensor", slos=True),
    "approval": Place("approval", "RequestApprovalOperator", slos=True),
    "deploy": Place("deploy", "DeployOperator"),
    "flag": Place("flag", "FlagOperator"),
    "scale": Place("scale", "ScaleOperator"),
    "backfill": Place("backfill", "BackfillOperator", slos=True, calendars=True),
}
"""Name of the action -> its operator. Actions that are not here are not available."""
PARTS: dict[str, Place] = {
    "canary": Place("canary", "CanaryPart", slos=True),
    "blue_green": Place("canary", "BlueGreenPart", slos=True),
    "patch": Place("patch", "PatchPart", slos=True, fleets=True),
    "backfill": Place("chunks", "ChunkPart", slos=True),
}
"""As ``ACTIONS``, for steps that are done in parts."""
UNDO: dict[str, Place] = {
    **dict.fromkeys(sorted(AUTO_ROLLBACK), Place("rollback", "RollbackOperator")),
    "patch": Place("patch_undo", "PatchUndoOperator", slos=True, fleets=True),
}
"""Name of the action -> the operator that undoes it (``rollback: auto``)."""


@cache
def _factory(place: Place) -> Callable[..., BaseOperator]:
    factory: Callable[..., BaseOperator] = operator_class(place).from_action
    return factory


def operator_class(place: Place) -> Any:
    """The class at a place: an operator, or what builds one."""
    inner = place.module if "." in place.module else f"operators.{place.module}"
    return getattr(import_module(f"planner_provider.{inner}"), place.attribute)


def _builder(place: Place) -> Callable[..., BaseOperator]:
    def build(
        action: Model,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        slos: tuple[Slo, ...] = (),
        fleets: tuple[ResolvedFleet, ...] = (),
        calendars: tuple[PlanCalendar, ...] = (),
        **base_kwargs: Any,
    ) -> BaseOperator:
        if place.slos:
            base_kwargs["slos"] = slos
        if place.fleets:
            base_kwargs["fleets"] = fleets
        if place.calendars:
            base_kwargs["calendars"] = calendars
        return _factory(place)(action, plan_ref=plan_ref, contacts=contacts, **base_kwargs)

    return build


ACTION_OPERATORS: Makers = {name: _builder(place) for name, place in ACTIONS.items()}
"""Name of the action -> ``build(action, *, plan_ref, contacts, slos, fleets, calendars, **base)``.

``base`` are arguments of Airflow's ``BaseOperator``. Raises ``SpecError`` for an
``operator`` action that cannot be built.
"""
PART_OPERATORS: Makers = {name: _builder(place) for name, place in PARTS.items()}
"""As ``ACTION_OPERATORS``; takes ``part`` besides, of ``graph.model.Part``."""
AUTO_UNDO: Makers = {name: _builder(place) for name, place in UNDO.items()}
"""As ``ACTION_OPERATORS``, by the action of the step that is undone."""
