"""What an hour costs, read before the first change of a run and at its end. It forbids nothing."""

from __future__ import annotations

from typing import ClassVar, Literal

from planner_provider.decide.model import Fact, Inputs, Measure, Reason, Verdict, VerdictKind
from planner_provider.decide.replay import Decider

NOW = "cost an hour"
"""Name of the measure of what was read."""
BEFORE = "cost an hour before the first change"
INCREASE = "cost an hour more than before"
"""Names of the measures at the end of a run. Below 0: it costs less."""


class CostInputs(Inputs):
    """A reading of what the plan costs."""

    kind: ClassVar[str] = "cost"

    moment: Literal["start", "end"]
    """Before the first change, or at the end of the run."""
    currency: str
    cost: Fact
    before: float | None = None
    """At the end: what was read at the start; ``None``: that is not known."""


def decide_cost(inputs: CostInputs) -> Verdict:
    """Always ``proceed``: what is not known is said, and holds up nothing."""
    trouble = inputs.cost.trouble(inputs.now)
    value = None if trouble is not None else inputs.cost.value
    measures = [Measure(name=NOW, value=value, unit=inputs.currency)]
    when = "before the first change" if inputs.moment == "start" else "at the end"
    code = "cost"
    if value is None:
        code, text = "unknown", f"What an hour costs {when} is not known: {trouble}."
    elif inputs.moment == "start":
        text = f"An hour costs {amount(value, inputs.currency)} {when}."
    elif inputs.before is None:
        text = f"An hour costs {amount(value, inputs.currency)} {when}; before is not known."
    else:
        text = (
            f"An hour costs {amount(value, inputs.currency)} {when}, "
            f"{increase_words(value - inputs.before, inputs.currency)}."
        )
    if inputs.moment == "end":
        known = value is not None and inputs.before is not None
        increase = rounded(value - inputs.before) if known else None  # type: ignore[operator]
        measures += [
            Measure(name=BEFORE, value=inputs.before, unit=inputs.currency),
            Measure(name=INCREASE, value=increase, unit=inputs.currency),
        ]
    return Verdict(
        kind=VerdictKind.PROCEED,
        reasons=(Reason(code=code, text=text),),
        measures=tuple(measures),
        inconclusive=value is None,
    )


def increase_words(increase: float, currency: str) -> str:
    """An increase of cost, such as ``1.7 EUR more than before``."""
    increase = rounded(increase)
    if increase == 0:
        return "as much as before"
    how = "more" if increase > 0 else "less"
    return f"{amount(abs(increase), currency)} {how} than before"


def amount(value: float, currency: str) -> str:
    """An amount of money, such as ``12.4 EUR``."""
    return f"{value:.6g} {currency}"


def rounded(value: float) -> float:
    """Nine significant digits, so that differences are equal on every machine."""
    return float(f"{value:.9g}")


DECIDER = Decider(CostInputs, decide_cost, version=1)
