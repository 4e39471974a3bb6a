"""The laws that are compared, by name, and ours as it is shipped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bench.throttle_rivals import (
    START,
    Aimd,
    Fixed,
    Gradient2,
    GradientToTarget,
    OnOff,
    Pi,
    Published,
)
from bench.throttle_world import PERIOD, SLOTS, Cell, Kind, Maker, Tick
from planner_provider.decide.throttle import (
    Limits,
    Observation,
    Settings,
    ThrottleState,
    advance,
)
from planner_provider.spec.workloads import Throttle

DEFAULT = Throttle().target
"""The set point that a spec has that names none."""
BY_KIND: dict[Kind, float] = {"p99": 0.85, "errors": 0.8, "lag": 0.9, "cpu": 0.95}
"""Set points for who knows what the signal is."""
FIXED = (2, 4, 6, 8, 10, 13, 18, 26)
"""Limits of which the best in hindsight is taken for each run."""
TYPICAL = 8
HINDSIGHT_S_H = 300.0
"""The best fixed limit is the one with most work among those with less avoidable breach."""
BOUNDS = Limits(minimum=1, maximum=SLOTS)


@dataclass(slots=True)
class Ours:
    """What is shipped."""

    settings: Settings
    state: ThrottleState

    @classmethod
    def of(cls, cell: Cell, set_point: float, *, back_off: bool = True) -> Ours:
        """As the spec would set it up."""
        settings = Settings(
            period=timedelta(seconds=PERIOD),
            set_point=set_point,
            lag=cell.lag,
            queue=cell.kind == "lag",
            back_off=back_off,
        )
        return cls(settings, ThrottleState(limit=START))

    def tick(self, seen: Tick) -> float:
        """The limit from now on."""
        observation = Observation.model_construct(
            ratio=seen.y,
            problem="",
            running=seen.running,
            running_mean=seen.running_mean,
            completed=seen.completed,
            elapsed_s=PERIOD,
        )
        move = advance(self.state, observation, BOUNDS, self.settings)
        self.state = move.state
        return move.after


def _published(cell: Cell, set_point: float) -> Published:
    return Published(lag=cell.lag, set_point=set_point, queue=cell.kind == "lag")


OURS = "ours"
PUBLISHED = "published law, target 0.9"
QUICK: dict[str, Maker] = {
    OURS: lambda cell: Ours.of(cell, DEFAULT),
    PUBLISHED: lambda cell: _published(cell, 0.9),
    f"fixed {TYPICAL}": lambda _: Fixed(TYPICAL),
    "AIMD +1, x0.5": lambda _: Aimd(0.5),
}
LAWS: dict[str, Maker] = {
    **QUICK,
    "ours, target 0.8": lambda cell: Ours.of(cell, 0.8),
    "ours, target 0.9": lambda cell: Ours.of(cell, 0.9),
    "ours, target by kind": lambda cell: Ours.of(cell, BY_KIND[cell.kind]),
    "published law, target by kind": lambda cell: _published(cell, BY_KIND[cell.kind]),
    "AIMD +1, x0.75": lambda _: Aimd(0.75),
    "AIMD +1, x0.75, waits a job": lambda cell: Aimd(0.75, cool_down_s=cell.job_s),
    "gradient2": lambda _: Gradient2(),
    "gradient to the target": lambda _: GradientToTarget(),
    "PI 0.2/0.1": lambda _: Pi(),
    "PI 0.4/0.2": lambda _: Pi(0.4, 0.2),
    "on and off": lambda _: OnOff(),
}
