"""Is enough known to decide at all? The share of the needed signals that is present and fresh."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from planner_provider.decide.model import Fact, Inputs, Measure, Reason, Verdict, VerdictKind
from planner_provider.decide.replay import Decider


class CoverageInputs(Inputs):
    """The signals that a plan needs, and what is known of them."""

    kind: ClassVar[str] = "coverage"

    needed: tuple[str, ...] = Field(min_length=1)
    """Names of facts."""
    facts: tuple[Fact, ...]
    """Those that are not needed do not count."""
    required: float = Field(default=1.0, gt=0, le=1)
    """Least share of the needed signals that must be present and fresh."""


def decide_coverage(inputs: CoverageInputs) -> Verdict:
    """``proceed`` if enough signals are there, else ``hold``: less than required blocks."""
    needed = tuple(dict.fromkeys(inputs.needed))
    troubles = {
        name: trouble
        for name in needed
        if (trouble := _trouble(name, inputs.facts, inputs.now)) is not None
    }
    present = len(needed) - len(troubles)
    share = float(f"{present / len(needed):.9g}")
    measures = (
        Measure(name="signals present", value=present, unit="signals"),
        Measure(name="signals needed", value=len(needed), unit="signals"),
        Measure(name="telemetry coverage", value=share, unit="ratio", limit=inputs.required),
    )
    missing = [Reason(code="signal", text=f"{name}: {why}.") for name, why in troubles.items()]
    told = f"{present} of {len(needed)} needed signals are present and fresh"
    if present < inputs.required * len(needed) - 1e-9:
        reason = Reason(
            code="coverage", text=f"{told}, {inputs.required * 100:.6g}% of them must be."
        )
        return Verdict(
            kind=VerdictKind.HOLD,
            reasons=(reason, *missing),
            measures=measures,
            inconclusive=True,
        )
    reason = Reason(code="covered", text=f"{told}.")
    return Verdict(kind=VerdictKind.PROCEED, reasons=(reason, *missing), measures=measures)


def _trouble(name: str, facts: tuple[Fact, ...], now: datetime) -> str | None:
    found = [fact for fact in facts if fact.name == name]
    if not found:
        return "it was not measured"
    if len(found) > 1:
        return "it was measured more than once"
    return found[0].trouble(now)


DECIDER = Decider(CoverageInputs, decide_coverage, version=1)
