from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.decide.bake import Bake, BakeEnd
from planner_provider.decide.model import Reason, Verdict, VerdictKind

START = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)
UNTIL, PATIENCE = START + timedelta(minutes=10), START + timedelta(minutes=20)


def verdict(kind: str, *codes: str, inconclusive: bool = False) -> Verdict:
    reasons = tuple(Reason(code=code, text=code) for code in codes or ("x",))
    return Verdict(kind=VerdictKind(kind), reasons=reasons, inconclusive=inconclusive)


GOOD = verdict("proceed")
BREACH = verdict("roll_back")
BLIND = verdict("hold", "metric_inconclusive", inconclusive=True)
SUSPECT = verdict("hold", "suspect")
BAKING = verdict("hold", "baking")
SCARCE = verdict("hold", "too_little_seen", inconclusive=True)
BOTH = verdict("hold", "suspect", "too_little_seen")


def bake(*, last: bool = False) -> Bake:
    return Bake(until=UNTIL, patience_until=PATIENCE, last=last)


@pytest.mark.parametrize("slos", [None, GOOD, BLIND, BREACH])
@pytest.mark.parametrize("last", [True, False])
def test_a_bad_canary_ends_it_at_once_whatever_the_slos_say(
    slos: Verdict | None, last: bool
) -> None:
    end, why = bake(last=last).look(slos, BREACH, START)
    assert (end, why) == (BakeEnd.BAD, BREACH)


def test_a_breached_slo_ends_it_at_once_whatever_the_judge_says() -> None:
    assert bake().look(BREACH, GOOD, START)[0] is BakeEnd.BAD
    assert bake().look(verdict("refuse"), None, START)[0] is BakeEnd.BAD


@pytest.mark.parametrize("judge", [GOOD, BAKING, SCARCE, SUSPECT, BLIND])
def test_nothing_passes_before_the_bake_is_over(judge: Verdict) -> None:
    assert bake().look(GOOD, judge, UNTIL - timedelta(seconds=1)) == (None, None)


@pytest.mark.parametrize(
    ("judge", "between", "last"),
    [
        (GOOD, True, True),
        (BAKING, True, False),
        (SCARCE, True, False),
        (SUSPECT, False, False),
        (BLIND, False, False),
        (BOTH, False, False),
    ],
)
def test_what_lets_the_next_weight_begin_and_what_lets_it_be_promoted(
    judge: Verdict, between: bool, last: bool
) -> None:
    assert (bake().look(GOOD, judge, UNTIL)[0] is BakeEnd.PASSED) is between
    assert (bake(last=True).look(GOOD, judge, UNTIL)[0] is BakeEnd.PASSED) is last


def test_it_is_watched_on_until_patience_ends() -> None:
    assert bake().look(BLIND, GOOD, PATIENCE - timedelta(seconds=1)) == (None, None)
    assert bake().look(BLIND, GOOD, PATIENCE) == (BakeEnd.UNSURE, BLIND)


def test_nothing_asked_never_passes() -> None:
    assert bake().look(None, None, UNTIL) == (None, None)
    assert bake().look(None, None, PATIENCE) == (BakeEnd.UNSURE, None)


VERDICTS = st.sampled_from([None, GOOD, BREACH, BLIND, SUSPECT, BAKING, SCARCE, BOTH])


@given(VERDICTS, VERDICTS, st.integers(-5, 40), st.booleans())
def test_it_never_passes_unless_all_that_was_asked_lets_it(
    slos: Verdict | None, judge: Verdict | None, minutes: int, last: bool
) -> None:
    end, _ = bake(last=last).look(slos, judge, START + timedelta(minutes=minutes))
    if end is BakeEnd.PASSED:
        assert slos is None or slos.passes
        assert judge in ((None, GOOD) if last else (None, GOOD, BAKING, SCARCE))
        assert (slos, judge) != (None, None)
        assert minutes >= 10
