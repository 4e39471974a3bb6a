"""Facts, verdicts and recorded decisions: what all decisions have in common."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from planner_provider.spec.values import Duration

CLOCK_SKEW = timedelta(seconds=30)
"""How far ahead the clock of a source may be."""


class Frozen(BaseModel):
    """A value that does not change, and any key that it does not define is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Fact(Frozen):
    """Something that was measured, or the reason why it is not known.

    Exactly one of ``value`` and ``problem`` is there: not known is never a number.
    """

    name: str
    """What was measured, such as ``checkout-availability: bad events in 1h``."""
    value: float | None = None
    unit: str = ""
    """Such as ``events``, ``ratio``, ``s``; empty for a bare number."""
    source: str
    """Where it comes from, such as ``prometheus (connection prom): sum(increase(...))``."""
    observed_at: AwareDatetime
    """The moment that the value is about, by the source's own time where it gives one."""
    max_age: Duration | None = None
    """Older than this, it counts as not known."""
    problem: str | None = None
    """Why it is not known, in words."""

    @classmethod
    def measured(
        cls,
        name: str,
        value: float,
        *,
        source: str,
        observed_at: datetime,
        unit: str = "",
        max_age: timedelta | None = None,
    ) -> Self:
        """A fact from a raw number; NaN and infinity become a problem."""
        problem = None
        if not math.isfinite(value):
            problem = f"the source answered {value!s}, which is no number to decide by"
        return cls(
            name=name,
            value=None if problem else value,
            unit=unit,
            source=source,
            observed_at=observed_at,
            max_age=max_age,
            problem=problem,
        )

    @classmethod
    def unknown(
        cls, name: str, problem: str, *, source: str, observed_at: datetime, unit: str = ""
    ) -> Self:
        """A fact that could not be had."""
        return cls(name=name, unit=unit, source=source, observed_at=observed_at, problem=problem)

    def trouble(self, now: datetime) -> str | None:
        """Why this fact cannot be decided by at ``now``; ``None`` if it can."""
        if self.problem is not None or self.value is None:
            return self.problem or "no value"
        age = now - self.observed_at
        if self.max_age is not None and age > self.max_age:
            return (
                f"it is {age.total_seconds():.0f} s old, and may be at most "
                f"{self.max_age.total_seconds():.0f} s old"
            )
        if age < -CLOCK_SKEW:
            return f"it is dated {-age.total_seconds():.0f} s in the future"
        return None


class VerdictKind(StrEnum):
    """What a decision says is to be done."""

    PROCEED = "proceed"
    HOLD = "hold"
    """Not now: not known enough, or not good enough yet. Nothing is made worse by waiting."""
    REFUSE = "refuse"
    """No: what is asked for must not be begun."""
    ROLL_BACK = "roll_back"
    """What is under way must be undone."""


class Reason(Frozen):
    """Why, for a program and for a person."""

    code: str
    """A short word in snake_case that never changes its meaning."""
    text: str
    """One sentence with the numbers in it."""


class Measure(Frozen):
    """A number that the decision rests on, as a person would want to see it."""

    name: str
    value: float | None
    """``None``: not known."""
    unit: str = ""
    limit: float | None = None
    """What it was compared with."""
    note: str = ""


class Verdict(Frozen):
    """What a decision came to."""

    kind: VerdictKind
    reasons: tuple[Reason, ...] = Field(min_length=1)
    """The one that mattered most comes first."""
    measures: tuple[Measure, ...] = ()
    inconclusive: bool = False
    """Whether the verdict comes from not knowing, rather than from a bad number."""

    @property
    def passes(self) -> bool:
        """Whether the work may go on. Nothing but ``proceed`` passes."""
        return self.kind is VerdictKind.PROCEED

    @property
    def text(self) -> str:
        """The verdict and its reasons on one line."""
        return f"{self.kind.value}: {' '.join(reason.text for reason in self.reasons)}"


class Inputs(Frozen):
    """What a decision is made from, with the moment at which it is made.

    A subclass names its ``kind`` and is registered with its function in ``decide.replay``.
    """

    kind: ClassVar[str]
    """Name of the kind of decision, such as ``slo_gate``."""
    now: AwareDatetime


class Decision(Frozen):
    """A decision as it is recorded: enough to make it again."""

    kind: str
    """Kind of decision, the ``kind`` of its inputs."""
    version: int
    """Version of the function that decided; see ``decide.replay``."""
    decided_at: AwareDatetime
    inputs: str
    """JSON of the inputs, canonical."""
    verdict: str
    """JSON of the ``Verdict``, canonical."""

    @property
    def outcome(self) -> Verdict:
        """The verdict, read."""
        return Verdict.model_validate_json(self.verdict)
