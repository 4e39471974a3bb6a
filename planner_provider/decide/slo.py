"""May the plan go on, by its SLOs? Error budget that is left, and burn rates over pairs of windows.

For an objective of which a share ``target`` must be good, with ``bad`` of ``total`` events in a
window::

    burn rate of a window = (bad / total) / (1 - target)
    budget left           = 1 - bad / (total * (1 - target)),  over the SLO's own window

Both weigh every event alike. An SLO is breached if the burn rates of the long *and* the short
window of a pair are above the pair's limit (Site Reliability Workbook, chapter 5, table 5-8), or
if less of the budget is left than must be. A number that is missing, stale, impossible, or made of
too few events leaves the question open: ``hold``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import Field

from planner_provider.decide.model import (
    Fact,
    Frozen,
    Inputs,
    Measure,
    Reason,
    Verdict,
    VerdictKind,
)
from planner_provider.decide.replay import Decider
from planner_provider.graph.slos import SloTarget
from planner_provider.spec.actions import Budget
from planner_provider.spec.values import Duration, format_duration

SLACK = 1e-9
"""Relative; more good events than events in all within it are an error of floating point."""


class BurnWindows(Frozen):
    """A pair of windows, and the burn rate that is too high in both."""

    long: Duration
    short: Duration
    limit: float = Field(gt=0)


DEFAULT_WINDOWS = (
    BurnWindows(long=timedelta(hours=1), short=timedelta(minutes=5), limit=14.4),
    BurnWindows(long=timedelta(hours=6), short=timedelta(minutes=30), limit=6.0),
    BurnWindows(long=timedelta(days=3), short=timedelta(hours=6), limit=1.0),
)


class SloRules(Frozen):
    """What SLOs are held to."""

    windows: tuple[BurnWindows, ...] = DEFAULT_WINDOWS
    """Pairs of which the long window is longer than the SLO's own are left out."""
    min_remaining: float | None = 0.0
    """Least share of the error budget that must be left; ``None``: it is not judged."""
    in_progress: bool = False
    """Whether something was changed already, so that a breach is undone and not just refused."""

    @classmethod
    def of(cls, budget: Budget | None, *, in_progress: bool) -> SloRules:
        """The rules of a plan. Its own burn rate holds for all pairs of windows."""
        rules = cls(in_progress=in_progress)
        if budget is None:
            return rules
        changes: dict[str, object] = {}
        if budget.min_remaining is not None:
            changes["min_remaining"] = budget.min_remaining
        if budget.max_burn_rate is not None:
            limit = {"limit": float(budget.max_burn_rate)}
            changes["windows"] = tuple(pair.model_copy(update=limit) for pair in rules.windows)
        return rules.model_copy(update=changes)

    def pairs(self, window: timedelta) -> tuple[BurnWindows, ...]:
        """The pairs of windows that an SLO with this window is judged by."""
        return tuple(pair for pair in self.windows if pair.long <= window)

    def spans(self, window: timedelta) -> tuple[timedelta, ...]:
        """All windows in which events are counted for an SLO with this window, shortest first."""
        pairs = self.pairs(window)
        return tuple(
            sorted({window, *(span for pair in pairs for span in (pair.long, pair.short))})
        )


class Count(Frozen):
    """What was counted in one window."""

    window: Duration
    part: Fact
    part_is: Literal["bad", "good", "bad_ratio"]
    """What ``part`` is: bad events, good ones, or bad ones as a share of all."""
    total: Fact
    """All events."""


class SloFacts(Frozen):
    """An SLO and what is known about it."""

    slo: str
    targets: tuple[SloTarget, ...] = Field(min_length=1)
    window: Duration
    """The window that the error budget is for."""
    unit: str = "events"
    """What is counted."""
    min_events: float = Field(default=10, gt=0)
    counts: tuple[Count, ...]
    path: str = "raw"
    """Where the numbers come from, such as ``raw`` or ``sloth``."""


class SloGateInputs(Inputs):
    """What a gate, a guard or a verification decides from."""

    kind: ClassVar[str] = "slo_gate"

    slos: tuple[SloFacts, ...]
    rules: SloRules


@dataclass(slots=True)
class _Findings:
    breaches: list[Reason] = field(default_factory=list)
    open: list[Reason] = field(default_factory=list)
    healthy: list[Reason] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Counted:
    """Numerator and denominator of a window, checked."""

    bad: float
    total: float


def decide_slo_gate(inputs: SloGateInputs) -> Verdict:
    """``proceed``, ``hold`` if it is not known, or ``refuse`` (``roll_back`` while in progress)."""
    found = _Findings()
    for slo in inputs.slos:
        _judge(slo, inputs, found)
    if not inputs.slos:
        found.open.append(Reason(code="no_slos", text="No SLO was asked, so nothing is known."))
    if found.breaches:
        kind = VerdictKind.ROLL_BACK if inputs.rules.in_progress else VerdictKind.REFUSE
        reasons = found.breaches + found.open
    elif found.open:
        kind, reasons = VerdictKind.HOLD, found.open
    else:
        kind, reasons = VerdictKind.PROCEED, found.healthy
    return Verdict(
        kind=kind,
        reasons=tuple(reasons),
        measures=tuple(found.measures),
        inconclusive=kind is VerdictKind.HOLD,
    )


def _judge(slo: SloFacts, inputs: SloGateInputs, found: _Findings) -> None:
    pairs, least = inputs.rules.pairs(slo.window), inputs.rules.min_remaining
    needed = {window for pair in pairs for window in (pair.long, pair.short)}
    if least is not None:
        needed.add(slo.window)
    known: dict[timedelta, _Counted] = {}
    troubles: dict[Reason, list[str]] = {}
    for window in inputs.rules.spans(slo.window):
        result = _count(slo, window, inputs.now)
        found.measures += _counted_measures(slo, window, result)
        if isinstance(result, _Counted):
            known[window] = result
        elif window in needed:
            troubles.setdefault(result, []).append(format_duration(window))
    if not pairs:
        troubles[Reason(code="no_windows", text="no pair of windows fits into its own")] = []
    for trouble, windows in troubles.items():
        where = f" (in {', '.join(windows)})" if windows else ""
        found.open.append(Reason(code=trouble.code, text=f"{slo.slo}: {trouble.text}{where}."))
    for target in slo.targets:
        told = [_judge_budget(slo, target, known.get(slo.window), least, found)]
        told += [_judge_pair(slo, target, pair, known, found) for pair in pairs]
        text = f"{_name(slo, target)}: {'; '.join(filter(None, told))}."
        found.healthy.append(Reason(code="healthy", text=text))


def _judge_budget(
    slo: SloFacts,
    target: SloTarget,
    counted: _Counted | None,
    least: float | None,
    found: _Findings,
) -> str:
    """Judge what is left of the budget, and say it in words."""
    left = None if counted is None else _budget_left(counted, target.target)
    found.measures.append(
        Measure(
            name=f"{_name(slo, target)}: budget left",
            value=left,
            unit="ratio",
            limit=least,
            note=f"error budget of {format_duration(slo.window)}, every event weighs alike",
        )
    )
    if left is None:
        return ""
    span = format_duration(slo.window)
    if least is not None and left < least:
        found.breaches.append(
            Reason(
                code="budget_spent",
                text=f"{_name(slo, target)}: {_left_words(left, span)}, and {least:.1%} must be "
                f"left ({_words(slo, counted)}).",
            )
        )
    return f"{_left_words(left, span)} ({_words(slo, counted)})"


def _left_words(left: float, span: str) -> str:
    if left < 0:
        return f"the error budget of {span} is overspent by {-left:.1%}"
    return f"{left:.1%} of the error budget of {span} is left"


def _judge_pair(
    slo: SloFacts,
    target: SloTarget,
    pair: BurnWindows,
    known: dict[timedelta, _Counted],
    found: _Findings,
) -> str:
    """Judge the burn rates of a pair of windows, and say them in words."""
    rates: list[float | None] = []
    for window in (pair.long, pair.short):
        counted = known.get(window)
        rate = None if counted is None else _burn_rate(counted, target.target)
        rates.append(rate)
        found.measures.append(
            Measure(
                name=f"{_name(slo, target)}: burn rate in {format_duration(window)}",
                value=rate,
                limit=pair.limit,
                note=f"breached if above in {format_duration(pair.long)} and in "
                f"{format_duration(pair.short)}",
            )
        )
    long, short = rates
    if long is None or short is None:
        return ""
    where = (
        f"burn rate {long:.3g} in {format_duration(pair.long)} and {short:.3g} in "
        f"{format_duration(pair.short)}"
    )
    if long > pair.limit and short > pair.limit:
        counted = known[pair.long]
        found.breaches.append(
            Reason(
                code="burn_rate",
                text=f"{_name(slo, target)}: {where}, both above {pair.limit:g} "
                f"({_words(slo, counted)} in {format_duration(pair.long)}).",
            )
        )
    return f"{where} (limit {pair.limit:g} in both)"


def _count(slo: SloFacts, window: timedelta, now: datetime) -> _Counted | Reason:
    """Numerator and denominator of a window, or why they cannot be used."""
    counts = [count for count in slo.counts if count.window == window]
    if len(counts) != 1:
        return Reason(
            code="unknown" if not counts else "ambiguous",
            text="nothing was measured" if not counts else "it was measured more than once",
        )
    count = counts[0]
    for fact in (count.total, count.part):
        trouble = fact.trouble(now)
        if trouble is not None:
            code = "unknown" if fact.value is None else "stale"
            return Reason(code=code, text=f"{_what(fact, count)} not known: {trouble}")
    part, total = count.part.value or 0.0, count.total.value or 0.0
    if part < 0 or total < 0:
        return Reason(code="impossible", text="it counted fewer than no events")
    ceiling = 1.0 if count.part_is == "bad_ratio" else total
    if part > ceiling * (1 + SLACK):
        return Reason(
            code="impossible",
            text=f"the numerator {part:.6g} is above the denominator {ceiling:.6g}",
        )
    if total < slo.min_events:
        return Reason(
            code="too_few_events",
            text=f"{total:.3g} {slo.unit} are too few to judge by, {slo.min_events:g} are needed",
        )
    bad = {"bad": part, "good": total - part, "bad_ratio": part * total}[count.part_is]
    return _Counted(bad=min(max(bad, 0.0), total), total=total)


def _counted_measures(
    slo: SloFacts, window: timedelta, counted: _Counted | Reason
) -> Iterator[Measure]:
    span = format_duration(window)
    bad: float | None = None
    if isinstance(counted, _Counted):
        bad, note = _rounded(counted.bad), f"from {slo.path}"
    else:
        note = f"not usable: {counted.text}"
    count = next((count for count in slo.counts if count.window == window), None)
    total = _rounded(count.total.value) if count and count.total.value is not None else None
    yield Measure(name=f"{slo.slo}: bad in {span}", value=bad, unit=slo.unit, note=note)
    if count is not None and count.part_is != "bad":
        raw = count.part.value
        name = "good" if count.part_is == "good" else "bad as a share"
        yield Measure(
            name=f"{slo.slo}: {name} in {span}",
            value=None if raw is None else _rounded(raw),
            unit=slo.unit if count.part_is == "good" else "ratio",
            note="as measured",
        )
    yield Measure(name=f"{slo.slo}: all in {span}", value=total, unit=slo.unit, note=note)


def _budget_left(counted: _Counted, target: float) -> float:
    return _rounded(1 - counted.bad / (counted.total * (1 - target)))


def _burn_rate(counted: _Counted, target: float) -> float:
    return _rounded(counted.bad / counted.total / (1 - target))


def _rounded(value: float) -> float:
    """Nine significant digits, so that verdicts are equal on every machine."""
    return float(f"{value:.9g}")


def _name(slo: SloFacts, target: SloTarget) -> str:
    return slo.slo if len(slo.targets) == 1 else f"{slo.slo} ({target.target * 100:.6g}%)"


def _what(fact: Fact, count: Count) -> str:
    if fact is count.total:
        return "the number of all events is"
    names = {"bad": "the number of bad events", "good": "the number of good events"}
    return f"{names.get(count.part_is, 'the share of bad events')} is"


def _words(slo: SloFacts, counted: _Counted | None) -> str:
    if counted is None:
        return "not counted"
    return f"{counted.bad:.6g} bad of {counted.total:.6g} {slo.unit}"


DECIDER = Decider(SloGateInputs, decide_slo_gate, version=1)
