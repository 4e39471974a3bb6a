"""The canary judge: a sequential test of a canary against its baseline.

It may look as often as it likes: false alarms are controlled over the whole bake and all metrics.
``docs/canary-judge.md`` says in words and formulas what it does, and what was measured.
"""

from planner_provider.decide.canary.inputs import (
    CanaryInputs,
    CanaryMetric,
    Cut,
    JudgeSettings,
    LearnedNoise,
    Row,
)
from planner_provider.decide.canary.judge import judge
from planner_provider.decide.canary.metric import learn_noise
from planner_provider.decide.replay import Decider

DECIDER = Decider(CanaryInputs, judge, version=1)

__all__ = [
    "DECIDER",
    "CanaryInputs",
    "CanaryMetric",
    "Cut",
    "JudgeSettings",
    "LearnedNoise",
    "Row",
    "judge",
    "learn_noise",
]
