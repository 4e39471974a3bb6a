"""What the law of a throttle remembers, is told, and says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import Field

from planner_provider.decide.model import Frozen
from planner_provider.spec.values import PositiveDuration


class Settings(Frozen):
    """What does not change while a throttle works."""

    period: PositiveDuration
    """Time between two ticks, ``Tc``."""
    set_point: float = Field(gt=0, lt=1)
    """What is aimed below: a share of the most that the signal may be."""
    lag: int = Field(default=0, ge=0, le=60)
    """Whole periods by which the signal tells of the past."""
    queue: bool = False
    """Whether the signal goes on growing while the load is too high, as the length of a queue or
    the lag of a replica does, and falls only while it is low enough."""
    back_off: bool = True
    """Whether the limit shrinks while the signal stays missing; it never rises then."""

    @property
    def wait(self) -> int:
        """Ticks until what was done can be seen in the signal, ``D``: one in which it is done, one
        over which it is measured, and those by which the signal is late."""
        return 2 + self.lag

    @property
    def period_s(self) -> float:
        """Seconds between two ticks."""
        return self.period.total_seconds()


class Limits(Frozen):
    """Between what the limit may move. They may change from one tick to the next."""

    minimum: float = Field(ge=0)
    maximum: float = Field(ge=0)


class Observation(Frozen):
    """What was seen since the last tick."""

    ratio: float | None
    """The signal divided by the most that it may be; ``None``: it is not known."""
    problem: str = ""
    """Why it is not known."""
    running: int = Field(ge=0)
    """How many run now."""
    running_mean: float = Field(ge=0)
    """How many ran since the last tick, on the mean."""
    completed: int = Field(default=0, ge=0)
    """How many ended since the last tick."""
    elapsed_s: float = Field(gt=0)
    """Seconds since the last tick."""


class ThrottleState(Frozen):
    """What the law remembers from one tick to the next. All times are counted in ticks."""

    limit: float
    """How many may run; what is behind the point does not count yet."""
    wall: float | None = None
    """How many ran when the signal last went too high; ``None``: not known, or not true any more.
    """
    patience_s: float = 300.0
    """Quiet seconds before something above the wall is tried; less in a quick loop."""
    tick: int = 0
    draining: bool = False
    """Whether less is allowed than ran, because the signal was too high."""
    base: float = 0.0
    """While draining: how many ran when it began, or at the last cut."""
    before: float = 0.0
    """While draining: the limit before."""
    near_wall: bool = False
    """While draining: whether it began near the wall, so that the wall is still believed."""
    not_ours: bool = False
    """While draining: whether the signal stayed too high at the minimum, so that something else
    is the cause."""
    fits_since: int | None = None
    """While draining: since when no more run than the limit allows."""
    tripped_at: int = -1000
    moved_at: int = 0
    """Last rise, end of draining, or missing signal: nothing rises within ``Settings.wait``."""
    rose_from: float | None = None
    """``level`` at the last rise, if that was a small one; ``None`` too if the limit was last moved
    by something else."""
    abrupt: bool = False
    """Whether the last rise that was too much began where the signal was far below what is allowed:
    such a signal gives no warning, and nothing is read from its being low."""
    quiet: int = 0
    """Ticks since the signal last gave reason for doubt."""
    missing: int = 0
    """Ticks in a row without a signal."""
    spread: float = 0.0
    """Standard deviation of the logarithm of the signal's noise, estimated."""
    level: float | None = None
    """Logarithm of the signal's ratio, smoothed."""
    raw: float | None = None
    """Logarithm of the last ratio."""
    change: float | None = None
    """By how much that differed from the one before."""
    ratio: float | None = None
    """The last ratio."""
    slope: float = 0.0
    """Of a queue: by how much the ratio grows in a tick, smoothed."""
    excess: float = 0.0
    """How far the logarithms were above the set point, added up; never below 0."""
    cruise: float | None = None
    """Mean of ``level`` while not draining, over about 20 ticks."""
    fallen: int = 0
    """Ticks in a row in which ``level`` was far below ``cruise``."""
    busy_s: float = 0.0
    """Seconds of running of about the last 60 that ended."""
    done: float = 0.0
    """How many ended, of about the last 60."""
    means: tuple[float, ...] = ()
    """How many ran in each of the last periods, so that the signal can be put beside what ran in
    its own time."""

    @property
    def allowed(self) -> int:
        """How many may run, a whole number."""
        return int(self.limit + 1e-9)


class Act(StrEnum):
    """What a tick did. The words never change their meaning."""

    HELD = "held"
    """Nothing: there is no reason to move."""
    RAISED = "raised"
    PROBED = "probed"
    """One more, above what the wall allows."""
    FORGOT = "forgot"
    """The wall is not believed any more."""
    TRIPPED = "tripped"
    """Cut, as the signal is too high."""
    DRAINING = "draining"
    """What was cut has yet to show."""
    CUT_AGAIN = "cut_again"
    NOT_OURS = "not_ours"
    """At the minimum, and the signal is still too high."""
    RECOVERED = "recovered"
    MISSING = "missing"
    """The signal is not known: nothing rises."""
    BACKED_OFF = "backed_off"
    """The signal is not known for long: less is allowed."""
    RESUMED = "resumed"
    """Nobody looked for a while: held until the present can be seen."""
    BLOCKED = "blocked"
    """Paused, or a guard refuses: nothing new begins."""


Cause = Literal["", "severe", "near_wall", "far_from_wall", "unhealthy", "waiting"]


@dataclass(frozen=True, slots=True)
class Move:
    """What a tick did, and the state after it."""

    state: ThrottleState
    act: Act
    before: float
    """The limit before."""
    cause: Cause = ""
    """More about why, where an act has several causes."""
    bounded: bool = False
    """Whether the minimum or the maximum decided what the limit is."""

    @property
    def after(self) -> float:
        """The limit from now on."""
        return self.state.limit
