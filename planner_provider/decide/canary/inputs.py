"""What the canary judge decides from, and how it is set."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from planner_provider.decide.canary.noise import GRID
from planner_provider.decide.model import Frozen, Inputs

Direction = Literal["increase", "decrease", "either"]
Importance = Literal["critical", "normal", "informational"]


def _not_a_number(value: Any) -> Any:
    """Keep what a source really answered, in a form that JSON has."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


Reading = Annotated[
    float | Literal["NaN", "Infinity", "-Infinity"] | None, BeforeValidator(_not_a_number)
]
"""A number as the source gave it; ``None`` if it gave none."""
Row = tuple[Reading, Reading, Reading, Reading] | None
"""One minute: events of the canary, bad ones of them, events of the baseline, bad ones of them.
``None``, or ``None`` in any place: the scrape was missed."""


class LearnedNoise(Frozen):
    """What history says of the noise, so that the history itself need not be kept with each look.

    Made by ``learn_noise``.
    """

    minutes: int = Field(ge=0)
    """Minutes with both arms that the difference was learned from."""
    level_minutes: int = Field(ge=0)
    """Minutes with a baseline that the level was learned from."""
    log_likelihoods: tuple[float, ...] = Field(min_length=len(GRID.tau), max_length=len(GRID.tau))
    """How well each candidate of the grid explains the difference of the arms."""
    level_log_likelihoods: tuple[float, ...] = Field(
        min_length=len(GRID.tau), max_length=len(GRID.tau)
    )
    """How well each explains the baseline's wandering about its level."""
    level: float = Field(ge=0, le=1)
    """Share of bad events."""
    bad: float = Field(ge=0)
    """Bad events that the level was learned from."""


class Cut(Frozen):
    """One count of bad events: errors, or requests slower than a threshold."""

    name: str = ""
    """Such as ``slower than 250 ms``; may be empty if the metric has only this one."""
    minutes: tuple[Row, ...]
    """The bake so far, oldest first, one row a minute."""
    history: tuple[Row, ...] = ()
    """Minutes in which both arms ran the same version (A/A), or the baseline split in two; with
    ``None`` for the canary, the baseline alone, which still gives the level of the service."""
    noise: LearnedNoise | None = None
    """Instead of ``history``."""

    @model_validator(mode="after")
    def _one_history(self) -> Cut:
        if self.history and self.noise is not None:
            raise ValueError("give `history` or `noise`, not both")
        return self


class CanaryMetric(Frozen):
    """A metric by which canary and baseline are compared."""

    name: str
    direction: Direction = "increase"
    """Which change of the share of bad events is a fault."""
    importance: Importance = "normal"
    """``critical`` has three times the weight of ``normal`` and must be known more surely before
    the canary may go on; ``informational`` is shown and decides nothing."""
    cuts: tuple[Cut, ...] = ()
    """A latency metric has several. Empty: nothing could be read."""
    tolerable: float | None = Field(default=None, gt=0, lt=1)
    """A share of bad events that the service may have anyway, such as its SLO leaves. A canary
    that surely has less may go on, also if too few bad events were seen to compare the arms."""
    problem: str | None = None
    """Why nothing could be read, in words."""


class JudgeSettings(Frozen):
    """How sure the judge has to be."""

    alpha: float = Field(default=0.01, gt=0, le=0.05)
    """Highest rate of false roll backs, over the whole bake and all metrics."""
    max_ratio: float = Field(default=1.5, gt=1)
    """Worse than this may not go on."""
    strict: bool = False
    """Guard against noise of up to 0.45 in the log odds ratio instead of 0.3."""
    trust_history: bool = False
    """Believe that the noise is that of the history (six hours or more): much quicker, with false
    alarms when it is not."""
    min_events: float = Field(default=100, ge=1)
    """Events of each arm below which nothing goes on."""
    max_visible: float = Field(default=3.0, gt=1)
    """If only a fault larger than this could have been seen, nothing goes on."""
    min_coverage: float = Field(default=0.5, gt=0, le=1)
    """Share of the minutes that must be there."""
    max_gap: int = Field(default=5, ge=0)
    """Minutes without data at the end after which nothing goes on."""


class CanaryInputs(Inputs):
    """Everything that one look at a canary is decided from."""

    kind: ClassVar[str] = "canary"
    look: int = Field(ge=1)
    """Which look at this bake this is, from 1."""
    minute: int = Field(ge=1)
    """Whole minutes since the bake began; a series that is shorter lacks the last ones."""
    horizon: int = Field(ge=1, le=1440)
    """Minutes that the bake is planned to last; only then may the canary go on."""
    metrics: tuple[CanaryMetric, ...] = Field(min_length=1)
    settings: JudgeSettings = JudgeSettings()
