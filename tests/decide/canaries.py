"""Simulated canaries for the tests of the judge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from planner_provider.decide.canary import CanaryInputs, CanaryMetric, Cut, JudgeSettings, Row

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HORIZON = 60


def rows(
    seed: int,
    minutes: int = HORIZON,
    *,
    times: float = 1.0,
    events: int = 3000,
    base: float = 0.005,
    onset: int = 0,
) -> tuple[Row, ...]:
    """Independent counts of both arms; the canary has ``times`` the bad events from ``onset``."""
    rng = np.random.default_rng(seed)
    factor = np.where(np.arange(minutes) >= onset, times, 1.0)
    bad = rng.binomial(events, base * factor), rng.binomial(events, base, minutes)
    total = float(events)
    return tuple((total, float(c), total, float(b)) for c, b in zip(*bad, strict=True))


def metric(minutes: Sequence[Row], name: str = "errors", **fields: Any) -> CanaryMetric:
    history = fields.pop("history", ())
    return CanaryMetric(name=name, cuts=(Cut(minutes=tuple(minutes), history=history),), **fields)


def inputs(*metrics: CanaryMetric, minute: int = HORIZON, **settings: Any) -> CanaryInputs:
    return CanaryInputs(
        now=NOW,
        look=minute,
        minute=minute,
        horizon=HORIZON,
        metrics=metrics,
        settings=JudgeSettings(**settings),
    )
