"""The arithmetic of budgets and burn rates, and what is done with numbers that cannot be used."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.decide.model import Fact, Verdict, VerdictKind
from planner_provider.decide.replay import decide, replay
from planner_provider.decide.slo import (
    BurnWindows,
    Count,
    SloFacts,
    SloGateInputs,
    SloRules,
    decide_slo_gate,
)
from planner_provider.graph.slos import SloTarget
from planner_provider.spec.actions import Budget

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAYS_30 = timedelta(days=30)
SPANS = SloRules().spans(DAYS_30)


def fact(value: float, *, age: float = 10, max_age: float = 180) -> Fact:
    return Fact.measured(
        "events",
        value,
        source="prometheus",
        observed_at=NOW - timedelta(seconds=age),
        max_age=timedelta(seconds=max_age),
    )


def count(window: timedelta, part: Fact, total: Fact, part_is: str = "bad") -> Count:
    return Count.model_validate(
        {"window": window, "part": part, "part_is": part_is, "total": total}
    )


def slo(
    by_window: dict[timedelta, Count] | None = None,
    *,
    bad: float = 0,
    total: float = 10_000,
    target: float = 0.99,
    **more: Any,
) -> SloFacts:
    counts = {span: count(span, fact(bad), fact(total)) for span in SPANS} | (by_window or {})
    values: dict[str, Any] = {
        "slo": "checkout",
        "targets": (SloTarget(target=target),),
        "window": DAYS_30,
        "counts": tuple(counts.values()),
    }
    return SloFacts(**(values | more))


def judge(*slos: SloFacts, **rules: Any) -> Verdict:
    return decide_slo_gate(SloGateInputs(now=NOW, slos=slos, rules=SloRules(**rules)))


def measure(verdict: Verdict, name: str) -> float | None:
    return next(item.value for item in verdict.measures if item.name == f"checkout: {name}")


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def test_all_is_well() -> None:
    verdict = judge(slo(bad=10))
    assert verdict.kind is VerdictKind.PROCEED
    assert not verdict.inconclusive
    assert measure(verdict, "budget left") == pytest.approx(0.9)
    assert measure(verdict, "burn rate in 1h") == pytest.approx(0.1)
    assert "90.0% of the error budget of 30d is left" in verdict.text


def test_a_budget_that_is_overspent_is_told_as_that() -> None:
    verdict = judge(slo(bad=250))
    assert measure(verdict, "budget left") == pytest.approx(-1.5)
    assert "the error budget of 30d is overspent by 150.0%" in verdict.text


def test_numerator_and_denominator_are_told_whatever_the_verdict() -> None:
    for facts in (slo(bad=10), slo(bad=5000), slo(bad=0, total=3)):
        verdict = judge(facts)
        for span in ("5m", "30m", "1h", "6h", "3d", "30d"):
            assert measure(verdict, f"all in {span}") is not None
            assert any(item.name == f"checkout: bad in {span}" for item in verdict.measures)


@pytest.mark.parametrize(
    ("long", "short", "limit"),
    [(hours(1), hours(1 / 12), 14.4), (hours(6), hours(0.5), 6.0), (hours(72), hours(6), 1.0)],
)
def test_a_pair_is_breached_only_above_its_limit_in_both_windows(
    long: timedelta, short: timedelta, limit: float
) -> None:
    def verdict(in_long: float, in_short: float) -> Verdict:
        rates = {long: in_long, short: in_short}
        return judge(
            slo(
                {w: count(w, fact(r * 0.001 * 1e6), fact(1e6)) for w, r in rates.items()},
                target=0.999,
            ),
            windows=(BurnWindows(long=long, short=short, limit=limit),),
        )

    assert verdict(limit * 1.01, limit * 1.01).kind is VerdictKind.REFUSE
    assert verdict(limit * 1.01, limit * 1.01).reasons[0].code == "burn_rate"
    assert verdict(limit * 1.01, limit * 0.99).passes
    assert verdict(limit * 0.99, limit * 1.01).passes
    assert verdict(limit, limit).passes


def test_a_breach_while_in_progress_is_undone() -> None:
    assert judge(slo(bad=5000)).kind is VerdictKind.REFUSE
    assert judge(slo(bad=5000), in_progress=True).kind is VerdictKind.ROLL_BACK


def test_the_budget() -> None:
    spent = {DAYS_30: count(DAYS_30, fact(85), fact(10_000))}
    assert judge(slo(spent)).passes
    assert judge(slo(spent), min_remaining=0.1).passes
    verdict = judge(slo(spent), min_remaining=0.2)
    assert verdict.kind is VerdictKind.REFUSE
    assert verdict.reasons[0].code == "budget_spent"
    assert "85 bad of 10000 events" in verdict.reasons[0].text
    overspent = {DAYS_30: count(DAYS_30, fact(101), fact(10_000))}
    assert not judge(slo(overspent)).passes
    assert judge(slo(overspent), min_remaining=None).passes


def test_the_budget_weighs_events_and_not_minutes() -> None:
    """1000/s by day and 50/s by night, 99.9 %, an hour of 5 % errors by day.

    A mean of ratios would see 5 % for one of 720 hours, and say that 0.93 is left.
    """
    total = 30 * (12 * 3600 * 1000 + 12 * 3600 * 50)
    facts = slo({DAYS_30: count(DAYS_30, fact(3600 * 1000 * 0.05), fact(total))}, target=0.999)
    assert measure(judge(facts), "budget left") == pytest.approx(0.868, abs=0.001)


@pytest.mark.parametrize("part_is", ["bad", "good", "bad_ratio"])
def test_the_three_forms_of_a_numerator_agree(part_is: str) -> None:
    part = {"bad": 150.0, "good": 9_850.0, "bad_ratio": 0.015}[part_is]
    facts = slo({s: count(s, fact(part), fact(10_000), part_is) for s in SPANS})
    verdict = judge(facts)
    assert measure(verdict, "burn rate in 1h") == pytest.approx(1.5)
    assert measure(verdict, "bad in 1h") == pytest.approx(150)


UNKNOWN = Fact.unknown("events", "the query found no series", source="s", observed_at=NOW)
BAD_DATA: dict[str, tuple[Fact, Fact, str]] = {
    "no numerator": (UNKNOWN, fact(1000), "unknown"),
    "no denominator": (fact(0), UNKNOWN, "unknown"),
    "numerator NaN": (fact(math.nan), fact(1000), "unknown"),
    "denominator NaN": (fact(0), fact(math.nan), "unknown"),
    "numerator infinite": (fact(math.inf), fact(1000), "unknown"),
    "denominator infinite": (fact(0), fact(math.inf), "unknown"),
    "numerator negative": (fact(-1), fact(1000), "impossible"),
    "denominator negative": (fact(0), fact(-1000), "impossible"),
    "numerator above denominator": (fact(1001), fact(1000), "impossible"),
    "no events": (fact(0), fact(0), "too_few_events"),
    "few events": (fact(0), fact(9.9), "too_few_events"),
    "numerator stale": (fact(0, age=181), fact(1000), "stale"),
    "denominator stale": (fact(0), fact(1000, age=181), "stale"),
    "from the future": (fact(0), fact(1000, age=-31), "stale"),
}


@pytest.mark.parametrize("span", SPANS, ids=str)
@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_in_any_window_never_proceeds(case: str, span: timedelta) -> None:
    part, total, code = BAD_DATA[case]
    for in_progress in (False, True):
        verdict = judge(slo({span: count(span, part, total)}), in_progress=in_progress)
        assert verdict.kind is VerdictKind.HOLD
        assert verdict.inconclusive
        assert verdict.reasons[0].code == code


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_a_window_that_was_not_measured_or_twice(span: timedelta) -> None:
    facts = slo()
    without = facts.model_copy(
        update={"counts": tuple(item for item in facts.counts if item.window != span)}
    )
    assert judge(without).inconclusive
    twice = facts.model_copy(update={"counts": (*facts.counts, count(span, fact(0), fact(1e4)))})
    assert judge(twice).inconclusive
    assert judge(twice).reasons[0].code == "ambiguous"


def test_a_ratio_above_one_is_impossible() -> None:
    facts = slo({SPANS[0]: count(SPANS[0], fact(1.01), fact(1000), "bad_ratio")})
    assert judge(facts).reasons[0].code == "impossible"


def test_a_breach_counts_though_something_else_is_not_known() -> None:
    broken = slo({SPANS[0]: count(SPANS[0], UNKNOWN, fact(1))}, slo="payments")
    verdict = judge(broken, slo(bad=5000))
    assert verdict.kind is VerdictKind.REFUSE
    assert not verdict.inconclusive
    assert {reason.code for reason in verdict.reasons} >= {"burn_rate", "unknown"}


def test_no_slo_at_all_is_not_known() -> None:
    assert judge().inconclusive


def test_the_slos_own_window_is_needed_only_if_the_budget_is_judged() -> None:
    facts = slo({DAYS_30: count(DAYS_30, UNKNOWN, fact(1000))})
    assert judge(facts).inconclusive
    assert judge(facts, min_remaining=None).passes


def test_every_objective_must_hold() -> None:
    both = (SloTarget(target=0.9), SloTarget(target=0.9999))
    verdict = judge(slo(bad=10, targets=both))
    assert verdict.kind is VerdictKind.REFUSE
    assert all("(99.99%)" in reason.text for reason in verdict.reasons)


def test_pairs_longer_than_the_slos_window_are_left_out() -> None:
    day = timedelta(days=1)
    facts = slo({day: count(day, fact(0), fact(1000))}, window=day)
    verdict = judge(facts)
    assert verdict.passes
    assert not any("3d" in item.name for item in verdict.measures)
    only_long = (BurnWindows(long=timedelta(days=3), short=hours(6), limit=1),)
    assert judge(facts, windows=only_long).inconclusive


def test_the_plans_own_rules() -> None:
    rules = SloRules.of(Budget(min_remaining="25%", max_burn_rate=2), in_progress=True)
    assert rules.min_remaining == 0.25
    assert {pair.limit for pair in rules.windows} == {2.0}
    assert rules.in_progress
    assert SloRules.of(None, in_progress=False) == SloRules()
    assert SloRules.of(Budget(max_burn_rate=3), in_progress=False).min_remaining == 0


RAW = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 10**12).map(float)


@given(
    parts=st.lists(st.tuples(RAW, RAW), min_size=6, max_size=6),
    target=st.floats(0, 0.99999),
    part_is=st.sampled_from(["bad", "good", "bad_ratio"]),
    least=st.none() | st.floats(-10, 1),
)
def test_whatever_is_measured_it_proceeds_only_on_sound_numbers(
    parts: list[tuple[float, float]], target: float, part_is: str, least: float | None
) -> None:
    counts = {
        span: count(span, fact(part), fact(total), part_is)
        for span, (part, total) in zip(SPANS, parts, strict=True)
    }
    inputs = SloGateInputs(
        now=NOW, slos=(slo(counts, target=target),), rules=SloRules(min_remaining=least)
    )
    verdict, record = decide(inputs)
    assert replay(record).equal
    assert verdict.inconclusive == (verdict.kind is VerdictKind.HOLD)
    if not verdict.passes:
        return
    needed = SPANS if least is not None else SPANS[:-1]
    for span, (part, total) in zip(SPANS, parts, strict=True):
        if span in needed:
            assert math.isfinite(part)
            assert math.isfinite(total)
            assert total >= 10
            assert 0 <= part <= (1 if part_is == "bad_ratio" else total) * (1 + 1e-6)


@given(
    total=st.integers(10, 10**9),
    share=st.floats(0, 1),
    target=st.floats(0, 0.9999),
)
def test_burn_rate_and_budget_follow_their_formulas(
    total: int, share: float, target: float
) -> None:
    bad = math.floor(total * share)
    verdict = judge(slo(bad=bad, total=total, target=target))
    budget = total * (1 - target)
    assert measure(verdict, "budget left") == pytest.approx(1 - bad / budget, rel=1e-6, abs=1e-6)
    assert measure(verdict, "burn rate in 5m") == pytest.approx(bad / budget, rel=1e-6, abs=1e-9)


@given(bad=st.integers(0, 10**5), more=st.integers(0, 10**5), target=st.floats(0.5, 0.9999))
def test_more_bad_events_never_help(bad: int, more: int, target: float) -> None:
    worse = judge(slo(bad=bad + more, total=10**6, target=target))
    better = judge(slo(bad=bad, total=10**6, target=target))
    assert better.passes or not worse.passes
