"""The canary judge: what it makes of good, bad, scarce and broken numbers."""

from __future__ import annotations

import math
from unittest.mock import patch

import pytest
from pydantic import ValidationError

from planner_provider.decide.canary import (
    CanaryInputs,
    CanaryMetric,
    Cut,
    JudgeSettings,
    Row,
    judge,
    learn_noise,
)
from planner_provider.decide.model import Verdict, VerdictKind
from planner_provider.decide.replay import decide, replay
from tests.decide.canaries import HORIZON, NOW, inputs, metric, rows

GOOD, BAD = rows(1), rows(2, times=3.0)
HISTORY = rows(3, 600)


def value(verdict: Verdict, name: str) -> float | None:
    return next(measure.value for measure in verdict.measures if measure.name == name)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def test_a_good_canary_proceeds_only_when_the_bake_is_over() -> None:
    early = judge(inputs(metric(GOOD[:30]), minute=30))
    assert early.kind is VerdictKind.HOLD
    assert codes(early) == ["baking"]
    assert not early.inconclusive
    assert judge(inputs(metric(GOOD))).kind is VerdictKind.PROCEED


def test_a_bad_canary_is_rolled_back_early_with_the_numbers() -> None:
    verdict = judge(inputs(metric(BAD[:15], importance="critical"), minute=15))
    assert verdict.kind is VerdictKind.ROLL_BACK
    assert not verdict.inconclusive
    text = verdict.reasons[0].text
    assert "errors" in text
    assert "95% interval" in text
    assert value(verdict, "errors: canary events") == 45_000
    ratio = value(verdict, "errors: times as bad")
    assert ratio is not None
    assert 2.4 < ratio < 3.6
    evidence = next(measure for measure in verdict.measures if measure.name == "evidence")
    assert evidence.value is not None
    assert evidence.value > (evidence.limit or 0) == 100
    assert value(verdict, "looks") == 15


def test_history_shortens_the_time_to_a_roll_back() -> None:
    bad = rows(4, times=2.0)

    def first(history: tuple[Row, ...]) -> int:
        return next(
            minute
            for minute in range(1, HORIZON + 1)
            if judge(inputs(metric(bad[:minute], history=history), minute=minute)).kind
            is VerdictKind.ROLL_BACK
        )

    assert first(HISTORY) <= 10 < first(())


def test_what_was_learned_stands_for_the_history() -> None:
    known = Cut(minutes=BAD, noise=learn_noise(HISTORY))
    kept = judge(inputs(CanaryMetric(name="errors", cuts=(known,))))
    whole = judge(inputs(metric(BAD, history=HISTORY)))
    assert kept == whole
    with pytest.raises(ValidationError, match="not both"):
        Cut(minutes=BAD, history=HISTORY, noise=learn_noise(HISTORY))


def test_a_fault_that_begins_late_is_found() -> None:
    verdict = judge(inputs(metric(rows(5, times=3.0, onset=40), history=HISTORY)))
    assert verdict.kind is VerdictKind.ROLL_BACK


@pytest.mark.parametrize(
    ("direction", "times", "kind"),
    [
        ("increase", 0.3, VerdictKind.PROCEED),
        ("decrease", 0.3, VerdictKind.ROLL_BACK),
        ("decrease", 3.0, VerdictKind.PROCEED),
        ("either", 0.3, VerdictKind.ROLL_BACK),
        ("either", 3.0, VerdictKind.ROLL_BACK),
    ],
)
@pytest.mark.parametrize("history", [(), HISTORY])
def test_direction(
    direction: str, times: float, kind: VerdictKind, history: tuple[Row, ...]
) -> None:
    data = rows(6, times=times)
    assert judge(inputs(metric(data, direction=direction, history=history))).kind is kind


NAN = math.nan


def with_row(minute: int, row: Row, data: tuple[Row, ...] = GOOD) -> tuple[Row, ...]:
    return (*data[:minute], row, *data[minute + 1 :])


BROKEN: dict[str, tuple[tuple[Row, ...], str]] = {
    "no minutes": ((), "both arms"),
    "all missed": ((None,) * HORIZON, "both arms"),
    "canary missing": (tuple((None, None, 3000.0, 15.0) for _ in GOOD), "both arms"),
    "baseline missing": (tuple((3000.0, 15.0, None, None) for _ in GOOD), "both arms"),
    "canary without events": (tuple((0.0, 0.0, 3000.0, 15.0) for _ in GOOD), "both arms"),
    "all NaN": (tuple((NAN, NAN, NAN, NAN) for _ in GOOD), "NaN"),
    "one NaN": (with_row(30, (3000.0, NAN, 3000.0, 15.0)), "minute 31 has NaN"),
    "infinite": (with_row(30, (math.inf, 15.0, 3000.0, 15.0)), "minute 31 has Infinity"),
    "negative": (with_row(30, (3000.0, -1.0, 3000.0, 15.0)), "minute 31 has a negative count"),
    "more bad than all": (with_row(30, (3000.0, 15.0, 10.0, 15.0)), "more bad events than events"),
    "one sample": (GOOD[:1], "1 of 60 minutes"),
    "half missed": (GOOD[:24] + (None,) * 31 + GOOD[55:], "29 of 60"),
    "silent at the end": (GOOD[:50], "nothing has come for 10 minutes"),
    "too many minutes": (GOOD + GOOD, "120 minutes"),
    "few events": (tuple((1.0, 0.0, 1.0, 0.0) for _ in GOOD), "fewer than"),
    "huge": (tuple((1e300, 1e299, 1e300, 1e299) for _ in GOOD), "1e+300 for a count"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("importance", ["critical", "normal"])
def test_broken_numbers_never_proceed(case: str, importance: str) -> None:
    data, why = BROKEN[case]
    given = inputs(metric(data, "broken", importance=importance), metric(GOOD, "good"))
    verdict = judge(given)
    assert verdict.kind is VerdictKind.HOLD, verdict.text
    assert verdict.inconclusive
    assert why in verdict.text
    # What was seen is kept in the record, and can be decided again.
    assert replay(decide(given)[1]).equal


@pytest.mark.parametrize("case", BROKEN)
def test_other_metrics_are_still_judged(case: str) -> None:
    verdict = judge(inputs(metric(BROKEN[case][0], "broken"), metric(BAD, "bad")))
    assert verdict.kind is VerdictKind.ROLL_BACK


def test_a_metric_that_could_not_be_read_holds() -> None:
    unread = CanaryMetric(name="latency", problem="prometheus answered 503")
    verdict = judge(inputs(unread, metric(GOOD)))
    assert (verdict.kind, verdict.inconclusive) == (VerdictKind.HOLD, True)
    assert "prometheus answered 503" in verdict.text


def test_a_judge_that_raises_knows_nothing() -> None:
    with patch("planner_provider.decide.canary.metric.trace", side_effect=RuntimeError("boom")):
        verdict = judge(inputs(metric(BAD)))
    assert (verdict.kind, verdict.inconclusive) == (VerdictKind.HOLD, True)
    assert "RuntimeError: boom" in verdict.text


def test_a_missed_scrape_here_and_there_is_no_obstacle() -> None:
    data = tuple(None if minute % 5 == 2 else row for minute, row in enumerate(GOOD))
    assert judge(inputs(metric(data))).kind is VerdictKind.PROCEED


def test_too_little_traffic_holds_rather_than_passes() -> None:
    verdict = judge(inputs(metric(rows(7, events=30))))
    assert (verdict.kind, verdict.inconclusive) == (VerdictKind.HOLD, True)
    assert codes(verdict) == ["too_little_seen"]


def test_no_bad_events_at_all_are_too_few_to_see_anything() -> None:
    verdict = judge(inputs(metric(tuple((3000.0, 0.0, 3000.0, 0.0) for _ in GOOD))))
    assert verdict.kind is VerdictKind.HOLD


def test_one_bad_ratio_without_any_spread_is_rolled_back() -> None:
    constant = tuple((3000.0, 120.0, 3000.0, 15.0) for _ in GOOD)
    assert judge(inputs(metric(constant))).kind is VerdictKind.ROLL_BACK


def test_a_canary_that_may_be_too_bad_does_not_proceed() -> None:
    verdict = judge(inputs(metric(GOOD), max_ratio=1.01))
    assert verdict.kind is VerdictKind.HOLD
    assert codes(verdict) == ["may_be_worse"]


def test_informational_metrics_decide_nothing() -> None:
    shown = metric(BAD, "shown", importance="informational")
    gone = CanaryMetric(name="gone", importance="informational", problem="no such series")
    verdict = judge(inputs(metric(GOOD), shown, gone))
    assert verdict.kind is VerdictKind.PROCEED
    assert "no such series" in verdict.text
    only = judge(inputs(shown))
    assert (only.kind, only.inconclusive) == (VerdictKind.HOLD, True)


def test_critical_metrics_have_the_larger_share_of_the_evidence() -> None:
    others = [metric(GOOD, f"other {number}") for number in range(3)]

    def evidence(importance: str) -> float:
        verdict = judge(inputs(metric(BAD, importance=importance), *others))
        found = value(verdict, "evidence")
        assert found is not None
        return found

    assert evidence("critical") == pytest.approx(2 * evidence("normal"), rel=1e-3)


def test_strict_asks_for_more() -> None:
    usual, strict = (
        value(judge(inputs(metric(rows(8, times=3.0), history=HISTORY), strict=strict)), "evidence")
        for strict in (False, True)
    )
    assert usual is not None
    assert strict is not None
    assert strict < usual


def test_a_latency_metric_is_judged_by_all_its_cuts() -> None:
    fine, slow = Cut(name="over 100 ms", minutes=GOOD), Cut(name="over 1 s", minutes=BAD)
    verdict = judge(inputs(CanaryMetric(name="latency", cuts=(fine, slow))))
    assert verdict.kind is VerdictKind.ROLL_BACK
    assert "latency over 1 s" in verdict.text


def test_replay_is_equal_to_the_byte() -> None:
    given = inputs(metric(BAD, history=HISTORY[:100]), metric(GOOD, "other", direction="either"))
    verdict, record = decide(given)
    again = replay(record)
    assert again.equal
    assert CanaryInputs.model_validate_json(record.inputs) == given
    assert record.outcome == verdict


def test_measures_have_at_most_nine_digits() -> None:
    for measure in judge(inputs(metric(BAD, history=HISTORY))).measures:
        for number in (measure.value, measure.limit):
            assert number is None or number == float(f"{number:.9g}")


def test_settings_are_checked() -> None:
    for wrong in ({"alpha": 0}, {"alpha": 0.5}, {"max_ratio": 1.0}, {"min_coverage": 0}):
        with pytest.raises(ValidationError):
            JudgeSettings.model_validate(wrong)
    with pytest.raises(ValidationError):
        CanaryInputs(now=NOW, look=1, minute=1, horizon=60, metrics=())
