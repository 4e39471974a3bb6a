"""How many jobs may run at once, so that what they load stays healthy. Pure; docs/throttle.md.

Kind of decision: ``throttle``.
"""

from planner_provider.decide.replay import Decider
from planner_provider.decide.throttle.inputs import (
    ThrottleInputs,
    decide_throttle,
    move_of,
    step,
    verdict_of,
)
from planner_provider.decide.throttle.kept import Kept, Pause
from planner_provider.decide.throttle.law import advance, set_limit
from planner_provider.decide.throttle.model import (
    Act,
    Limits,
    Move,
    Observation,
    Settings,
    ThrottleState,
)
from planner_provider.decide.throttle.signal import burn_of, late_ticks

DECIDER = Decider(ThrottleInputs, decide_throttle, version=1)

__all__ = [
    "DECIDER",
    "Act",
    "Kept",
    "Limits",
    "Move",
    "Observation",
    "Pause",
    "Settings",
    "ThrottleInputs",
    "ThrottleState",
    "advance",
    "burn_of",
    "decide_throttle",
    "late_ticks",
    "move_of",
    "set_limit",
    "step",
    "verdict_of",
]
