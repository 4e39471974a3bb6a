"""May the run go on, by what an hour costs more than before its first change?"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from planner_provider.decide.cost import BEFORE, INCREASE, NOW, amount, increase_words, rounded
from planner_provider.decide.model import Fact, Inputs, Measure, Reason, Verdict, VerdictKind
from planner_provider.decide.replay import Decider


class CostCapInputs(Inputs):
    """What it costs now, what it cost before, and how much more it may be."""

    kind: ClassVar[str] = "cost_cap"

    currency: str
    max_increase: float = Field(ge=0)
    before: float | None
    """What was read before the first change; ``None``: that is not known."""
    cost: Fact


def decide_cost_cap(inputs: CostCapInputs) -> Verdict:
    """``proceed``, ``roll_back`` above the limit, or ``hold`` if one of the two is not known."""
    trouble = inputs.cost.trouble(inputs.now)
    now = None if trouble is not None else inputs.cost.value
    limit, currency = inputs.max_increase, inputs.currency
    increase: float | None = None
    if inputs.before is None:
        kind, code = VerdictKind.HOLD, "unknown"
        text = "What an hour cost before the first change is not known, so no increase is."
    elif now is None:
        kind, code = VerdictKind.HOLD, "unknown"
        text = f"What an hour costs is not known: {trouble}."
    else:
        increase = rounded(now - inputs.before)
        above = increase > limit
        kind = VerdictKind.ROLL_BACK if above else VerdictKind.PROCEED
        code = "cost_increase" if above else "within_limit"
        text = (
            f"An hour costs {amount(now, currency)}, {increase_words(increase, currency)}; it may "
            f"cost {amount(limit, currency)} more at most."
        )
    return Verdict(
        kind=kind,
        reasons=(Reason(code=code, text=text),),
        measures=(
            Measure(name=NOW, value=now, unit=currency),
            Measure(name=BEFORE, value=inputs.before, unit=currency),
            Measure(name=INCREASE, value=increase, unit=currency, limit=limit),
        ),
        inconclusive=kind is VerdictKind.HOLD,
    )


DECIDER = Decider(CostCapInputs, decide_cost_cap, version=1)
