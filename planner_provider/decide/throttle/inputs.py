"""A tick of a throttle as a decision: recorded with its inputs, and made again from them."""

from __future__ import annotations

from typing import ClassVar

from planner_provider.decide.model import Fact, Inputs, Measure, Verdict, VerdictKind
from planner_provider.decide.throttle.law import advance, hold
from planner_provider.decide.throttle.model import (
    Act,
    Limits,
    Move,
    Observation,
    Settings,
    ThrottleState,
)
from planner_provider.decide.throttle.words import reason_of


class ThrottleInputs(Inputs):
    """What a tick is made from."""

    kind: ClassVar[str] = "throttle"

    name: str = ""
    """Name of the throttle: the step that it is of."""
    state: ThrottleState
    observation: Observation
    limits: Limits
    settings: Settings
    signal: Fact | None = None
    """What the ratio was worked out from."""
    blocked: str | None = None
    """Why nothing new may begin at all: somebody paused it, or a guard refuses. A sentence."""


def step(
    state: ThrottleState,
    observation: Observation,
    limits: Limits,
    settings: Settings,
    blocked: str | None = None,
) -> tuple[ThrottleState, Verdict]:
    """One tick: the state after it, and what is to be done. See ``decide_throttle``."""
    move = move_of(state, observation, limits, settings, blocked)
    return move.state, verdict_of(move, observation, limits, settings, blocked)


def decide_throttle(inputs: ThrottleInputs) -> Verdict:
    """``proceed`` if work may begin, ``hold`` if none may. The measure ``limit`` says how much."""
    return step(inputs.state, inputs.observation, inputs.limits, inputs.settings, inputs.blocked)[1]


def move_of(
    state: ThrottleState,
    observation: Observation,
    limits: Limits,
    settings: Settings,
    blocked: str | None = None,
) -> Move:
    """One tick, without words."""
    if blocked is not None:
        return Move(hold(state, observation, settings), Act.BLOCKED, state.limit)
    return advance(state, observation, limits, settings)


def verdict_of(
    move: Move,
    observation: Observation,
    limits: Limits,
    settings: Settings,
    blocked: str | None = None,
) -> Verdict:
    """What a tick came to, in words and numbers."""
    allowed = 0 if blocked is not None else move.state.allowed
    state = move.state
    return Verdict(
        kind=VerdictKind.PROCEED if allowed else VerdictKind.HOLD,
        reasons=(reason_of(move, observation, settings, blocked),),
        measures=(
            Measure(name="limit", value=float(allowed), unit="jobs", limit=limits.maximum),
            Measure(
                name="signal",
                value=_rounded(observation.ratio),
                unit="ratio",
                limit=settings.set_point,
                note=observation.problem or "share of the most that it may be",
            ),
            Measure(name="running", value=float(observation.running), unit="jobs"),
            Measure(
                name="wall",
                value=_rounded(state.wall),
                unit="jobs",
                note="how many ran when the signal was last too high",
            ),
        ),
        inconclusive=observation.ratio is None and blocked is None,
    )


def _rounded(value: float | None) -> float | None:
    """To 9 significant digits: the last ones differ from one processor to another."""
    return None if value is None else float(f"{value:.9g}")
