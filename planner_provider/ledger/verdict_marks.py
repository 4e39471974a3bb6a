"""What lists show of decisions: read from the JSON of their verdicts, each once. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from planner_provider.ledger.overview_rows import VerdictRow

_LEFT = ": budget left"
_RATE = ": burn rate in "
_BREACHES = frozenset({"budget_spent", "burn_rate"})
_BAD = frozenset({"refuse", "roll_back"})


@dataclass(frozen=True, slots=True)
class BudgetMark:
    """What a decision said about one SLO."""

    slo: str
    remaining: float | None
    """Share of the error budget that is left; ``None``: not known."""
    burn_rate: float | None
    """Largest of the windows looked at."""
    breached: bool
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class VerdictMark:
    """A decision, as far as lists show it."""

    id: int
    plan_id: str
    step: str | None
    actor: str
    kind: str
    decided_at: datetime
    verdict: str
    """``unreadable`` if another release wrote it."""
    inconclusive: bool
    reasons: tuple[tuple[str, str], ...]
    """Code and text; the one that mattered most first."""
    budgets: tuple[BudgetMark, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether it says no, from a number rather than from not knowing."""
        return self.verdict in _BAD and not self.inconclusive

    @property
    def text(self) -> str:
        """The first reason."""
        return self.reasons[0][1] if self.reasons else ""


def mark(row: VerdictRow) -> VerdictMark:
    """Read a verdict. One that cannot be read is told as such."""
    try:
        said = json.loads(row.verdict)
        verdict = str(said["kind"])
        reasons = tuple((str(item["code"]), str(item["text"])) for item in said["reasons"])
        budgets = _budgets(said, reasons, row.decided_at) if row.kind == "slo_gate" else ()
    except (ValueError, KeyError, TypeError):
        said, verdict, budgets = {}, "unreadable", ()
        reasons = (("unreadable", "The record is not what this release writes."),)
    return VerdictMark(
        id=row.id,
        plan_id=row.plan_id,
        step=row.step,
        actor=row.actor,
        kind=row.kind,
        decided_at=row.decided_at,
        verdict=verdict,
        inconclusive=bool(said.get("inconclusive", False)),
        reasons=reasons,
        budgets=budgets,
    )


def _budgets(
    said: Mapping[str, Any], reasons: Iterable[tuple[str, str]], at: datetime
) -> tuple[BudgetMark, ...]:
    left: dict[str, float | None] = {}
    rates: dict[str, float] = {}
    for measure in said.get("measures", ()):
        name, value = str(measure["name"]), measure.get("value")
        if name.endswith(_LEFT):
            left[name.removesuffix(_LEFT)] = value
        elif _RATE in name:
            slo = name.partition(_RATE)[0]
            left.setdefault(slo, None)
            if value is not None:
                rates[slo] = max(rates.get(slo, value), value)
    broken = {text.partition(": ")[0] for code, text in reasons if code in _BREACHES}
    return tuple(
        BudgetMark(slo, remaining, rates.get(slo), slo in broken, at)
        for slo, remaining in left.items()
    )
