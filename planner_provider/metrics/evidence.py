"""What recorded decisions tell about the world: ages of facts, error budgets, burn rates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from planner_provider.decide import cost
from planner_provider.decide.model import Fact

BUDGET = ": budget left"
BURN = ": burn rate in "


@dataclass(frozen=True, slots=True)
class Budget:
    """What a decision said about an SLO."""

    slo: str
    left: float | None
    """Share of the error budget that is left; ``None``: not known."""
    burn_rate: float | None
    """The burn rate that lasts: of each pair of windows the lower one, of these the highest."""


@dataclass(frozen=True, slots=True)
class CostChange:
    """What an hour cost before the first change of a run, and at its end."""

    currency: str
    before: float
    after: float

    @property
    def increase(self) -> float:
        """How much more an hour costs; below 0 if it costs less."""
        return cost.rounded(self.after - self.before)

    @property
    def share(self) -> float | None:
        """The increase as a share of what it cost before; ``None`` if that was nothing."""
        return self.increase / self.before if self.before > 0 else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a decision was made from."""

    id: int
    plan_id: str
    kind: str
    decided_at: datetime
    facts: int
    usable: int
    """How many of the facts were known, and fresh enough."""
    oldest: timedelta | None
    """Age of the oldest usable fact when it was decided; ``None``: there was none."""
    budgets: tuple[Budget, ...]

    @property
    def coverage(self) -> float | None:
        """Share of the facts that were usable; ``None`` for a decision without facts."""
        return self.usable / self.facts if self.facts else None


def evidence(
    number: int, plan_id: str, kind: str, decided_at: datetime, inputs: str, verdict: str
) -> Evidence:
    """Read a recorded decision."""
    facts = [fact for item in _facts(_json(inputs)) if (fact := _fact(item)) is not None]
    usable = [fact for fact in facts if fact.trouble(decided_at) is None]
    ages = [max(timedelta(0), decided_at - fact.observed_at) for fact in usable]
    return Evidence(
        id=number,
        plan_id=plan_id,
        kind=kind,
        decided_at=decided_at,
        facts=len(facts),
        usable=len(usable),
        oldest=max(ages, default=None),
        budgets=budgets(verdict),
    )


def budgets(verdict: str) -> tuple[Budget, ...]:
    """What a verdict says about SLOs, by name."""
    document = _json(verdict)
    left: dict[str, float | None] = {}
    rates: dict[str, dict[str, list[float | None]]] = {}
    for item in document.get("measures", ()) if isinstance(document, dict) else ():
        name, value = str(item.get("name")), item.get("value")
        if name.endswith(BUDGET):
            left[name.removesuffix(BUDGET)] = value
        elif BURN in name:
            slo = name.rpartition(BURN)[0]
            rates.setdefault(slo, {}).setdefault(str(item.get("note")), []).append(value)
    return tuple(
        Budget(slo, left.get(slo), _lasting(rates.get(slo, {})))
        for slo in sorted(left.keys() | rates.keys())
    )


def burnt(first: tuple[Budget, ...], last: tuple[Budget, ...]) -> float | None:
    """The largest share of an error budget that went between two decisions; ``None``: unknown."""
    before = {item.slo: item.left for item in first if item.left is not None}
    spent = [
        before[item.slo] - item.left
        for item in last
        if item.left is not None and item.slo in before
    ]
    return max(0.0, *spent) if spent else None


def cost_change(verdict: str) -> CostChange | None:
    """What the last reading of a run's cost says; ``None`` if one of the two is not known."""
    document = _json(verdict)
    measures = document.get("measures", ()) if isinstance(document, dict) else ()
    found = {str(item.get("name")): item for item in measures}
    before, after = (found.get(name, {}).get("value") for name in (cost.BEFORE, cost.NOW))
    if before is None or after is None:
        return None
    return CostChange(str(found[cost.NOW].get("unit", "")), float(before), float(after))


def _lasting(pairs: Mapping[str, list[float | None]]) -> float | None:
    known = [
        min(rates)  # type: ignore[type-var]
        for rates in pairs.values()
        if rates and all(rate is not None for rate in rates)
    ]
    return max(known, default=None)  # type: ignore[type-var]


def _facts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if "observed_at" in value and "source" in value:
            yield value
            return
        for item in value.values():
            yield from _facts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _facts(item)


def _fact(item: Mapping[str, Any]) -> Fact | None:
    try:
        return Fact.model_validate_json(json.dumps(item))
    except ValidationError:
        return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {}
