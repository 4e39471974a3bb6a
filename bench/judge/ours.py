"""The shipped judge on simulated canaries, through the shipped code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.judge.rivals import NEVER
from bench.judge.scenarios import BAKE, Cell, cuts
from planner_provider.decide.canary.counts import Arms
from planner_provider.decide.canary.inputs import CanaryMetric
from planner_provider.decide.canary.judge import family_weights
from planner_provider.decide.canary.past import no_past, summarise
from planner_provider.decide.canary.scores import Rule, score, trace

Floats = npt.NDArray[np.float64]
RULES = {
    "ours": Rule(),
    "ours, strict": Rule(strict=True),
    "ours, history trusted": Rule(trust_history=True),
}


def first_alarms(arms: Arms, history: Arms | None, cell: Cell) -> dict[str, Floats]:
    """Minute of the first roll back of each run, by rule."""
    past = no_past(len(arms.canary)) if history is None else summarise(history)
    followed = trace(arms, past, BAKE, "increase")
    metrics = [CanaryMetric(name=str(number)) for number in range(cell.world.metrics)]
    weights = np.array(family_weights(metrics))
    result = {}
    for name, rule in RULES.items():
        scores = score(followed, BAKE, rule)
        by_metric = scores.reshape(-1, cell.world.metrics, cuts(cell.world), BAKE).mean(axis=2)
        over = np.einsum("rmt,m->rt", by_metric, weights) >= 1
        result[name] = np.where(over.any(axis=1), over.argmax(axis=1) + 1.0, float(NEVER))
    return result
