"""How risky is this run? A first score: five contributions of 0 to 3 points, and three floors.

============== ======================================================== ========================
contribution   measured by                                              0, 1, 2, 3 points for
============== ======================================================== ========================
tier           most critical service that is changed                    4-5, 3, 2, 0-1
blast radius   resources that are changed exclusively, plus services    up to 1, 3, 9, more
               that depend on what is changed
reversibility  steps that change something and are not undone           none, -, some, all
budget left    smallest share of error budget left of the guards' SLOs  from 50%, 20%, above 0,
                                                                        none left
recent runs    share of failures among the plan's last runs, and how    0 of 3 or more, fewer
               often it has run at all                                  than 3 runs or up to 20%,
                                                                        50%, more
============== ======================================================== ========================

``low`` up to 4 points, ``medium`` up to 9, ``high`` above. Floors: changing a service of tier 0 or
1 is at least ``medium``; doing so without a way back, or with no budget left, is ``high``.

What is not known gets the points of the worst that it could be, sets off the same floors, and is a
floor of its own: with anything not known the risk is at least ``medium``.
"""

from __future__ import annotations

from typing import ClassVar

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
from planner_provider.graph.approvals import ChangeProfile, RiskLevel

VERSION = 1
LEVELS: tuple[RiskLevel, ...] = ("low", "medium", "high")
LOW_UP_TO = 4
MEDIUM_UP_TO = 9
WORST = 3
PROVEN_RUNS = 3
"""So many runs, and the plan is no stranger any more."""


class RiskInputs(Inputs):
    """What the score is made from."""

    kind: ClassVar[str] = "risk"
    profile: ChangeProfile
    budgets: tuple[Fact, ...] = ()
    """Share of the error budget left (1: all, 0 or less: none), one fact an SLO."""
    recent_runs: int | None = None
    """How many of the plan's last runs are looked at; ``None``: not known."""
    recent_failures: int | None = None
    """How many of these did not succeed."""
    max_risk: RiskLevel | None = None
    """Highest level at which no person is needed."""


class Contribution(Frozen):
    """What one thing adds to the score."""

    name: str
    points: int
    value: float | None
    """As measured; ``None``: not known."""
    unit: str = ""
    words: str
    """The value in words."""


class Risk(Frozen):
    """How risky a run is, and why."""

    level: RiskLevel
    score: int
    contributions: tuple[Contribution, ...]
    floors: tuple[str, ...] = ()
    """What lifted the level above that of the score."""


def assess_risk(inputs: RiskInputs) -> Risk:
    """Score a run. Pure."""
    parts = (
        _tier(inputs),
        _blast(inputs),
        _reversibility(inputs),
        _budget(inputs),
        _recent(inputs),
    )
    score = sum(part.points for part in parts)
    by_score = 0 if score <= LOW_UP_TO else 1 if score <= MEDIUM_UP_TO else 2
    floors = _floors(*parts)
    level = max([by_score, *(rank for rank, _ in floors)])
    lifted = tuple(words for rank, words in floors if rank > by_score)
    return Risk(level=LEVELS[level], score=score, contributions=parts, floors=lifted)


def decide_risk(inputs: RiskInputs) -> Verdict:
    """``proceed`` without a person if the risk allows it, else ``hold`` for one."""
    risk = assess_risk(inputs)
    limit = inputs.max_risk
    enough = limit is not None and LEVELS.index(risk.level) <= LEVELS.index(limit)
    unknown = [part.name for part in risk.contributions if part.value is None]
    reasons = [Reason(code=f"risk_{risk.level}", text=_sentence(risk, limit))]
    reasons += [Reason(code="floor", text=f"{words}.") for words in risk.floors]
    if unknown:
        text = f"Not known, and so taken to be as bad as can be: {', '.join(unknown)}."
        reasons.append(Reason(code="unknown", text=text))
    measures = [
        Measure(
            name=part.name,
            value=None if part.value is None else float(f"{part.value:.9g}"),
            unit=part.unit,
            note=f"{part.words}: {_points(part.points)}",
        )
        for part in risk.contributions
    ]
    ceiling = {None: None, "low": LOW_UP_TO, "medium": MEDIUM_UP_TO, "high": 5 * WORST}[limit]
    score = Measure(
        name="score",
        value=float(risk.score),
        unit="points",
        limit=None if ceiling is None else float(ceiling),
    )
    return Verdict(
        kind=VerdictKind.PROCEED if enough else VerdictKind.HOLD,
        reasons=tuple(reasons),
        measures=(score, *measures),
        inconclusive=not enough and bool(unknown),
    )


def _sentence(risk: Risk, limit: RiskLevel | None) -> str:
    text = f"The risk is {risk.level} ({_points(risk.score)} of {5 * WORST})"
    if limit is None:
        return f"{text}."
    if LEVELS.index(risk.level) <= LEVELS.index(limit):
        return f"{text}, and up to {limit} no person is needed."
    return f"{text}, and above {limit} a person must agree."


def _tier(inputs: RiskInputs) -> Contribution:
    tier = inputs.profile.tier
    if tier is None:
        words, points = "not known which tier the changed services have", WORST
    else:
        words, points = f"tier {tier}", {0: 3, 1: 3, 2: 2, 3: 1}.get(tier, 0)
    value = None if tier is None else float(tier)
    return Contribution(name="tier", points=points, value=value, words=words)


def _blast(inputs: RiskInputs) -> Contribution:
    changed, dependents = inputs.profile.exclusive_resources, inputs.profile.dependents
    if dependents is None:
        words = f"{changed} resources changed, not known what depends on them"
        return Contribution(name="blast radius", points=WORST, value=None, words=words)
    size = changed + dependents
    return Contribution(
        name="blast radius",
        points=0 if size <= 1 else 1 if size <= 3 else 2 if size <= 9 else 3,
        value=float(size),
        words=f"{changed} resources changed, {dependents} services depend on them",
    )


def _reversibility(inputs: RiskInputs) -> Contribution:
    changing = inputs.profile.changing_steps
    lost = inputs.profile.irreversible_steps
    return Contribution(
        name="reversibility",
        points=0 if lost <= 0 else WORST if lost >= changing else 2,
        value=float(lost),
        unit="steps",
        words=f"{lost} of {changing} changing steps are not undone",
    )


def _budget(inputs: RiskInputs) -> Contribution:
    troubles = [fact for fact in inputs.budgets if fact.trouble(inputs.now) is not None]
    known = [f.value for f in inputs.budgets if f.value is not None and f not in troubles]
    if troubles or not known:
        words = (
            f"not known: {troubles[0].name}: {troubles[0].trouble(inputs.now)}"
            if troubles
            else "not known: no SLO guards this plan"
        )
        return Contribution(name="budget left", points=WORST, value=None, words=words)
    least = min(known)
    return Contribution(
        name="budget left",
        points=0 if least >= 0.5 else 1 if least >= 0.2 else 2 if least > 0 else 3,
        value=least,
        unit="ratio",
        words=f"{least:.1%} of the error budget left",
    )


def _recent(inputs: RiskInputs) -> Contribution:
    runs, failures = inputs.recent_runs, inputs.recent_failures
    if runs is None or failures is None:
        words = "not known how earlier runs ended"
        return Contribution(name="recent failures", points=WORST, value=None, words=words)
    if failures <= 0:
        points = 0 if runs >= PROVEN_RUNS else 1
    else:
        share = failures / max(runs, 1)
        points = 1 if share <= 0.2 else 2 if share <= 0.5 else 3
    return Contribution(
        name="recent failures",
        points=points,
        value=float(failures),
        unit="runs",
        words=f"{failures} of the last {runs} runs did not succeed",
    )


def _floors(
    tier: Contribution,
    blast: Contribution,
    reversibility: Contribution,
    budget: Contribution,
    recent: Contribution,
) -> list[tuple[int, str]]:
    """Levels below which the risk must not be, with why."""
    floors: list[tuple[int, str]] = []
    if any(part.value is None for part in (tier, blast, reversibility, budget, recent)):
        floors.append((1, "Not all is known"))
    if tier.points < WORST:
        return floors
    critical = "a service of tier 0 or 1" if tier.value is not None else "what may be of tier 0"
    floors.append((1, f"It changes {critical}"))
    if reversibility.points > 0:
        floors.append((2, f"It changes {critical}, and not all of it can be undone"))
    if budget.points == WORST:
        left = "nothing is" if budget.value is not None else "it is not known how much is"
        floors.append((2, f"It changes {critical}, and {left} left of the error budget"))
    return floors


def _points(points: int) -> str:
    return "1 point" if points == 1 else f"{points} points"


DECIDER = Decider(RiskInputs, decide_risk, VERSION)
