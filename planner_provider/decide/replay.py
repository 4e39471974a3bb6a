"""Make a decision so that it can be recorded, and make a recorded one again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from planner_provider.decide.model import Decision, Inputs, Verdict
from planner_provider.graph.digest import canonical_text


@dataclass(frozen=True, slots=True)
class Decider:
    """A pure function, the inputs that it takes, and the version of its behaviour."""

    inputs: type[Inputs]
    function: Callable[[Any], Verdict]
    version: int
    """Rises with every change after which equal inputs can give another verdict."""


PLACES: dict[str, str] = {
    "slo_gate": "planner_provider.decide.slo",
    "canary": "planner_provider.decide.canary",
    "approval": "planner_provider.decide.approval",
    "risk": "planner_provider.decide.risk",
    "coverage": "planner_provider.decide.coverage",
    "wave": "planner_provider.decide.waves",
    "cost": "planner_provider.decide.cost",
    "cost_cap": "planner_provider.decide.cost_cap",
    "throttle": "planner_provider.decide.throttle",
    "window": "planner_provider.decide.windows",
}
"""Kind of decision -> module with a ``DECIDER``."""


def decider(kind: str) -> Decider:
    """The function that makes a kind of decision. Raises ``KeyError`` for an unknown kind."""
    found: Decider = import_module(PLACES[kind]).DECIDER
    return found


def decide(inputs: Inputs) -> tuple[Verdict, Decision]:
    """Make a decision, and the record of it.

    It is made from the inputs as they are recorded, so that what JSON does not keep, such as the
    sign of a zero, cannot make it differ from its replay.
    """
    maker = decider(inputs.kind)
    recorded = canonical_json(inputs)
    verdict = maker.function(maker.inputs.model_validate_json(recorded))
    record = Decision(
        kind=inputs.kind,
        version=maker.version,
        decided_at=inputs.now,
        inputs=recorded,
        verdict=canonical_json(verdict),
    )
    return verdict, record


@dataclass(frozen=True, slots=True)
class Replay:
    """A recorded decision, made again."""

    recorded: str
    """JSON of the verdict in the record."""
    again: str
    """JSON of the verdict that the same inputs give now."""
    recorded_version: int
    current_version: int

    @property
    def equal(self) -> bool:
        """Whether both are the same to the byte."""
        return self.recorded == self.again


def replay(record: Decision) -> Replay:
    """Decide again from the recorded inputs.

    Raises ``KeyError`` for an unknown kind and ``pydantic.ValidationError`` if the inputs are not
    those of this version.
    """
    maker = decider(record.kind)
    inputs = maker.inputs.model_validate_json(record.inputs)
    return Replay(
        recorded=record.verdict,
        again=canonical_json(maker.function(inputs)),
        recorded_version=record.version,
        current_version=maker.version,
    )


def canonical_json(value: Inputs | Verdict) -> str:
    """JSON in the one form that equal values share."""
    return canonical_text(value.model_dump(mode="json", exclude_defaults=True))
