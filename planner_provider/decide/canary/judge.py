"""The verdict on a canary at one look."""

from __future__ import annotations

import math
from collections.abc import Sequence

from planner_provider.decide.canary.inputs import CanaryInputs, CanaryMetric
from planner_provider.decide.canary.metric import (
    CRITICAL_Z,
    NORMAL_Z,
    CutFindings,
    MetricFindings,
    bounded_exp,
    examine,
)
from planner_provider.decide.canary.scores import SUSPECT, UNSUSPECTED
from planner_provider.decide.model import Measure, Reason, Verdict, VerdictKind

INTOLERABLE_CHANCE = 0.001
"""Of taking a canary for tolerable that is not, if its events are independent. Ten times smaller
than the rate of false alarms, as bad events tend to come together."""
WEIGHTS = {"critical": 3.0, "normal": 1.0, "informational": 0.0}


def judge(inputs: CanaryInputs) -> Verdict:
    """Decide whether a canary goes on, waits, or is taken back.

    ``proceed`` needs the whole bake, sound and sufficient numbers of every metric that counts, and
    no suspicion. Everything that is not known gives ``hold``.
    """
    found = tuple(examine(metric, inputs) for metric in inputs.metrics)
    weights = family_weights(inputs.metrics)
    evidence = _together(weights, [item.scores for item in found])
    suspicion = _together(weights, [item.suspicions for item in found])
    strongest = max(evidence, default=0.0)
    measures = _measures(inputs, found, strongest)
    if strongest >= 1:
        return Verdict(
            kind=VerdictKind.ROLL_BACK,
            reasons=(_rolled_back(inputs, found, weights, evidence), *_notes(found)),
            measures=measures,
        )
    unknown, bad = _obstacles(inputs, found)
    if max(suspicion[-1:], default=0.0) >= (
        UNSUSPECTED if inputs.minute >= inputs.horizon else SUSPECT
    ):
        bad.append(_suspect(found, weights))
    if bad or unknown:
        return Verdict(
            kind=VerdictKind.HOLD,
            reasons=(*bad, *unknown, *_notes(found)),
            measures=measures,
            inconclusive=not bad,
        )
    if inputs.minute < inputs.horizon:
        text = (
            f"Interval {inputs.minute} of {inputs.horizon}: nothing speaks against the canary yet."
        )
        kind, reason = VerdictKind.HOLD, Reason(code="baking", text=text)
    else:
        text = (
            f"After {inputs.minute} intervals the canary is surely less than "
            f"{inputs.settings.max_ratio:g} times as bad as the baseline, or within what its SLO "
            "leaves, in every metric."
        )
        kind, reason = VerdictKind.PROCEED, Reason(code="no_worse", text=text)
    return Verdict(kind=kind, reasons=(reason, *_notes(found)), measures=measures)


def family_weights(metrics: Sequence[CanaryMetric]) -> tuple[float, ...]:
    """The share of the false alarms that each metric may use; they add up to 1."""
    weights = [WEIGHTS[metric.importance] for metric in metrics]
    total = math.fsum(weights)
    return tuple(weight / total if total else 0.0 for weight in weights)


def _together(weights: Sequence[float], series: Sequence[Sequence[float]]) -> list[float]:
    """Weighted mean by minute. A metric without numbers adds nothing, and its share is lost."""
    minutes = max((len(values) for values in series), default=0)
    return [
        math.fsum(
            weight * values[minute]
            for weight, values in zip(weights, series, strict=True)
            if values
        )
        for minute in range(minutes)
    ]


def _counts(item: MetricFindings) -> bool:
    return item.metric.importance != "informational"


def _obstacles(
    inputs: CanaryInputs, found: Sequence[MetricFindings]
) -> tuple[list[Reason], list[Reason]]:
    """What is not known, and what is known to be bad."""
    unknown: list[Reason] = []
    bad: list[Reason] = []
    if not any(_counts(item) for item in found):
        unknown.append(
            Reason(code="nothing_judged", text="Every metric is informational; none can decide.")
        )
    for item in sorted((item for item in found if _counts(item)), key=_by_importance):
        if item.problem is not None:
            text = f"Metric '{item.metric.name}' is inconclusive: {item.problem}."
            unknown.append(Reason(code="metric_inconclusive", text=text))
        elif inputs.minute >= inputs.horizon:
            for cut in item.cuts:
                reason, known = _not_good_enough(inputs, item.metric, cut)
                if reason is not None:
                    (bad if known else unknown).append(reason)
    return unknown, bad


def _by_importance(item: MetricFindings) -> tuple[bool, str]:
    return item.metric.importance != "critical", item.metric.name


def _not_good_enough(
    inputs: CanaryInputs, metric: CanaryMetric, cut: CutFindings
) -> tuple[Reason | None, bool]:
    """Why a count at the end of the bake does not let the canary go on; whether that is known."""
    settings = inputs.settings
    if _surely_tolerable(metric, cut):
        return None, True
    if not cut.visible <= settings.max_visible:
        seen = "nothing" if math.isinf(cut.deviation) else f"only {cut.visible:.3g} times"
        text = (
            f"Metric '{cut.name}' saw too few bad events: {seen} as bad could have been seen, "
            f"{settings.max_visible:g} times is asked for. Bake longer or give the canary more."
        )
        return Reason(code="too_little_seen", text=text), False
    z = CRITICAL_Z if metric.importance == "critical" else NORMAL_Z
    sides = {"increase": (cut.shift,), "decrease": (-cut.shift,)}
    worst = max(sides.get(metric.direction, (abs(cut.shift),))) + z * cut.deviation
    if not worst <= math.log(settings.max_ratio):
        text = (
            f"Metric '{cut.name}' may be {bounded_exp(worst):.3g} times as bad as the baseline "
            f"(estimate {cut.ratio:.3g}); {settings.max_ratio:g} times is allowed."
        )
        return Reason(code="may_be_worse", text=text), cut.ratio > settings.max_ratio
    return None, True


def _surely_tolerable(metric: CanaryMetric, cut: CutFindings) -> bool:
    """Whether the canary's share of bad events is below ``tolerable`` but for a small chance.

    By Chernoff's bound, of ``n`` events of which each is bad with probability ``p``, a share of
    ``a < p`` or less is bad with probability at most ``exp(-n KL(a, p))``, where ``KL`` is the
    relative entropy (Chernoff 1952).
    """
    limit = metric.tolerable
    if limit is None or metric.direction != "increase" or not cut.canary > 0:
        return False
    share = cut.canary_bad / cut.canary
    if share >= limit:
        return False
    entropy = (1 - share) * math.log((1 - share) / (1 - limit))
    entropy += share * math.log(share / limit) if share > 0 else 0.0
    return cut.canary * entropy >= -math.log(INTOLERABLE_CHANCE)


def _rolled_back(
    inputs: CanaryInputs,
    found: Sequence[MetricFindings],
    weights: Sequence[float],
    evidence: Sequence[float],
) -> Reason:
    minute = next(place for place, value in enumerate(evidence) if value >= 1)
    item = max(
        (
            (weight * found_item.scores[minute], found_item)
            for weight, found_item in zip(weights, found, strict=True)
            if found_item.scores
        ),
        key=lambda pair: pair[0],
    )[1]
    cut = max(item.cuts, key=lambda cut: abs(cut.shift) / cut.deviation)
    low, high = cut.interval
    text = (
        f"Metric '{cut.name}': {_share(cut.canary_bad, cut.canary)} of the canary's events are bad "
        f"and {_share(cut.baseline_bad, cut.baseline)} of the baseline's, {cut.ratio:.3g} times "
        f"the odds (95% interval {low:.3g} to {high:.3g}); the evidence passed its limit at "
        f"interval {minute + 1}."
    )
    return Reason(code="canary_differs", text=text)


def _suspect(found: Sequence[MetricFindings], weights: Sequence[float]) -> Reason:
    items = [
        (weight * item.suspicions[-1], item)
        for weight, item in zip(weights, found, strict=True)
        if item.suspicions
    ]
    item = max(items, key=lambda pair: pair[0])[1]
    cut = max(item.cuts, key=lambda cut: abs(cut.shift) / cut.deviation)
    text = (
        f"Metric '{cut.name}' is suspect: {cut.ratio:.3g} times the baseline's odds of a bad "
        "event, not yet enough to be told from noise."
    )
    return Reason(code="suspect", text=text)


def _notes(found: Sequence[MetricFindings]) -> tuple[Reason, ...]:
    """Informational metrics that could not be judged, which changes nothing."""
    return tuple(
        Reason(
            code="informational_unknown",
            text=f"Informational metric '{item.metric.name}' is not known: {item.problem}.",
        )
        for item in found
        if not _counts(item) and item.problem is not None
    )


def _measures(
    inputs: CanaryInputs, found: Sequence[MetricFindings], strongest: float
) -> tuple[Measure, ...]:
    limit = 1 / inputs.settings.alpha
    measures = [
        Measure(
            name="evidence",
            value=rounded(strongest * limit),
            limit=rounded(limit),
            note="highest so far, all metrics; over the limit is rolled back",
        ),
        Measure(name="looks", value=float(inputs.look)),
        Measure(name="intervals", value=float(inputs.minute), limit=float(inputs.horizon)),
    ]
    for item in found:
        for cut in item.cuts:
            measures.extend(_cut_measures(inputs, cut))
        measures.append(
            Measure(
                name=f"{item.metric.name}: evidence",
                value=rounded(max(item.scores) * limit) if item.scores else None,
                limit=rounded(limit),
                note=item.problem or "",
            )
        )
    return tuple(measures)


def _cut_measures(inputs: CanaryInputs, cut: CutFindings) -> list[Measure]:
    name, known = cut.name, math.isfinite(cut.deviation)
    low, high = cut.interval if known else (0.0, 0.0)
    return [
        Measure(name=f"{name}: canary events", value=rounded(cut.canary), unit="events",
                limit=rounded(inputs.settings.min_events)),
        Measure(name=f"{name}: canary bad ratio", value=_ratio(cut.canary_bad, cut.canary),
                unit="ratio"),
        Measure(name=f"{name}: baseline events", value=rounded(cut.baseline), unit="events",
                limit=rounded(inputs.settings.min_events)),
        Measure(name=f"{name}: baseline bad ratio", value=_ratio(cut.baseline_bad, cut.baseline),
                unit="ratio"),
        Measure(name=f"{name}: times as bad", value=rounded(cut.ratio) if known else None,
                limit=rounded(inputs.settings.max_ratio),
                note=f"95% interval {low:.4g} to {high:.4g}" if known else "not known"),
        Measure(name=f"{name}: smallest visible", value=rounded(cut.visible) if known else None,
                limit=rounded(inputs.settings.max_visible),
                note="a fault at least this many times as bad would have been seen"),
    ]  # fmt: skip


def _ratio(bad: float, total: float) -> float | None:
    return rounded(bad / total) if total > 0 else None


def _share(bad: float, total: float) -> str:
    return f"{100 * bad / total:.3g}%" if total > 0 else "none"


def rounded(value: float) -> float:
    """To 9 significant digits: the last ones differ from one processor to another."""
    return float(f"{value:.9g}")
