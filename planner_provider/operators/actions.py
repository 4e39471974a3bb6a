"""Which operator carries out which action. Each is imported when a plan needs it, not before."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from planner_provider.operators.plan_ref import PlanRef
from planner_provider.spec.base import Model

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from planner_provider.graph.model import Contact

PLACES: dict[str, tuple[str, str]] = {
    "http": ("planner_provider.operators.http", "HttpActionOperator"),
    "sql": ("planner_provider.operators.sql", "SqlActionOperator"),
    "shell": ("planner_provider.operators.shell", "ShellActionOperator"),
    "pod": ("planner_provider.operators.pod", "PodActionOperator"),
    "operator": ("planner_provider.operators.foreign", "ForeignOperator"),
    "wait": ("planner_provider.sensors.wait", "WaitSensor"),
    "notify": ("planner_provider.operators.notify", "NotifyOperator"),
    "verify": ("planner_provider.operators.verify", "VerifyOperator"),
}
"""Name of the action -> module and class. Actions that are not here are not available."""


@cache
def _factory(name: str) -> Callable[..., BaseOperator]:
    module, attribute = PLACES[name]
    factory: Callable[..., BaseOperator] = getattr(import_module(module), attribute).from_action
    return factory


def _builder(name: str) -> Callable[..., BaseOperator]:
    def build(
        action: Model,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> BaseOperator:
        return _factory(name)(action, plan_ref=plan_ref, contacts=contacts, **base_kwargs)

    build.__doc__ = f"The operator for a ``{name}`` action of a spec."
    return build


ACTION_OPERATORS: dict[str, Callable[..., BaseOperator]] = {name: _builder(name) for name in PLACES}
"""Name of the action -> ``build(action, *, plan_ref, contacts, **base_kwargs)``.

``base_kwargs`` are arguments of Airflow's ``BaseOperator``. Raises ``SpecError`` for an
``operator`` action that cannot be built.
"""
