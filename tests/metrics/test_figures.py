"""The figures of a period."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from planner_provider.ledger.rows import Outcome
from planner_provider.metrics.evidence import CostChange
from planner_provider.metrics.figures import Figures, Period, automated, figures, ratio
from planner_provider.metrics.fold import Answered, Ended
from planner_provider.metrics.plans import PlanFacts
from tests.cli.ledgers import NOW, ago

WEEK = Period.last(timedelta(days=7), NOW)
RUN = Ended(
    plan_id="p-d-1", plan="p", run_id="manual__1", requester=None, outcome=Outcome.SUCCEEDED,
    reason="", began_at=ago(hours=2), ended_at=ago(hours=1), approval=None, rollback=None,
    acted=True, waited_for_locks=False, checks=0, checks_failed=0, retries=0, first_slo=None,
    last_slo=None, error=None,
)  # fmt: skip
ANSWER = Answered("p-d-1", "p", "approve", "granted", ago(hours=2), ago(hours=1))


def of(
    *runs: Ended,
    answers: tuple[Answered, ...] = (),
    period: Period = WEEK,
    urgent: bool = False,
    costs: dict[str, CostChange] | None = None,
) -> Figures:
    plans = {"p": PlanFacts("p", "d", NOW, urgent=urgent)}
    return figures(runs, answers, period, plans=plans, burnt={"p-d-1": 0.5}, costs=costs or {})


def ended(outcome: Outcome, **more: object) -> Ended:
    return replace(RUN, outcome=outcome, **more)  # type: ignore[arg-type]


def test_a_period_has_its_end_and_not_what_is_before() -> None:
    assert NOW in WEEK
    assert ago(days=7) not in WEEK
    assert ago(days=7) in WEEK.before
    assert ago(days=14) not in WEEK.before


def test_of_nothing_nothing_is_known() -> None:
    found = of()
    assert found.runs == 0
    assert {found.success, found.completion, found.rollback, found.approval, found.conflicts,
            found.burnt, found.checks, found.rollbacks} == {None}  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "success"),
    [
        (Outcome.SUCCEEDED, 1), (Outcome.FAILED, 0.5), (Outcome.ROLLED_BACK, 0.5),
        (Outcome.ROLLBACK_FAILED, 0.5), (Outcome.REJECTED, 1), (Outcome.EXPIRED, 1),
        (Outcome.BLOCKED, 1), (Outcome.ABORTED, 1),
    ],
)  # fmt: skip
def test_success_is_of_the_runs_that_were_judged(outcome: Outcome, success: float) -> None:
    assert of(RUN, ended(outcome)).success == success


def test_what_is_not_of_the_period_does_not_count() -> None:
    before = replace(RUN, ended_at=ago(days=8))
    asked = replace(ANSWER, closed_at=ago(days=8))
    assert of(before, answers=(asked,)).runs == 0
    assert of(before, answers=(asked,)).approval is None
    assert of(before, answers=(asked,), period=WEEK.before).runs == 1
    assert of(before, answers=(asked,), period=WEEK.before).approval is not None


def test_medians() -> None:
    runs = [
        ended(Outcome.SUCCEEDED, approval=timedelta(minutes=m), rollback=timedelta(minutes=2 * m))
        for m in (1, 2, 30)
    ]
    found = of(*runs, ended(Outcome.FAILED, approval=timedelta(hours=9)))
    assert (found.completion, found.rollback) == (timedelta(minutes=2), timedelta(minutes=4))


def test_approvals_that_nobody_answered_are_not_latency() -> None:
    lapsed = replace(ANSWER, state="expired", asked_at=ago(days=2))
    assert of(answers=(ANSWER, lapsed)).approval == timedelta(hours=1)


def test_urgent_approvals_are_those_of_urgent_plans() -> None:
    assert of(answers=(ANSWER,)).urgent_approval is None
    assert of(answers=(ANSWER,), urgent=True).urgent_approval == timedelta(hours=1)
    assert of(answers=(ANSWER,)).slow_approvals == 1


def test_shares_are_of_the_runs_that_acted() -> None:
    runs = (
        ended(Outcome.ROLLED_BACK, checks=2, checks_failed=1),
        ended(Outcome.SUCCEEDED, checks=2, waited_for_locks=True),
        ended(Outcome.BLOCKED, acted=False, checks=9, checks_failed=9),
    )
    found = of(*runs)
    assert (found.checks, found.rollbacks) == (0.75, 0.5)
    assert found.conflicts == pytest.approx(100 / 3)
    assert found.burnt == 0.5


def test_the_baseline_is_the_period_before() -> None:
    assert ratio(timedelta(minutes=3), timedelta(minutes=6)) == 0.5
    assert ratio(None, timedelta(minutes=6)) is None
    assert ratio(timedelta(minutes=3), None) is None


def test_automated_is_what_needs_nobody() -> None:
    facts = PlanFacts("p", "d", NOW, starts="cron", approval="auto")
    others = (replace(facts, approval="always"), replace(facts, starts="by_hand"))
    assert automated((facts, *others)) == pytest.approx(1 / 3)
    assert automated(()) is None


def test_costs_are_summed_by_currency_and_never_across() -> None:
    runs = [replace(RUN, plan_id=name, last_cost=1) for name in ("a", "b", "c", "d")]
    idle = replace(RUN, plan_id="idle", acted=False, last_cost=1)
    earlier = replace(RUN, plan_id="a-week-ago", ended_at=ago(days=8), last_cost=1)
    costs = {
        "a": CostChange("EUR", 10, 12.5),
        "b": CostChange("EUR", 10, 9),
        "c": CostChange("USD", 1, 2),
        "a-week-ago": CostChange("EUR", 0, 100),
    }
    found = of(*runs, idle, earlier, costs=costs)
    assert [(item.currency, item.runs, item.total, item.mean) for item in found.costs] == [
        ("EUR", 2, 1.5, 0.75), ("USD", 1, 1, 1),
    ]  # fmt: skip
    assert found.costs_unknown == 1


def test_a_share_of_nothing_is_not_known() -> None:
    assert CostChange("EUR", 10, 12.5).share == 0.25
    assert CostChange("EUR", 0, 12.5).share is None
