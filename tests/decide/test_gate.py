from __future__ import annotations

from datetime import UTC, datetime, timedelta

from planner_provider.decide.gate import Course, Ending
from planner_provider.decide.model import Reason, Verdict, VerdictKind

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def verdict(kind: VerdictKind) -> Verdict:
    why = (Reason(code="x", text="y."),)
    return Verdict(kind=kind, reasons=why, inconclusive=kind is VerdictKind.HOLD)


GOOD, UNKNOWN, BAD, WORSE = (
    verdict(kind)
    for kind in (VerdictKind.PROCEED, VerdictKind.HOLD, VerdictKind.REFUSE, VerdictKind.ROLL_BACK)
)


def ends(course: Course, *looks: tuple[float, Verdict]) -> tuple[float, Ending] | None:
    for minute, seen in looks:
        course, ending = course.look(seen, START + timedelta(minutes=minute))
        if ending is not None:
            return minute, ending
    return None


def course(hold_minutes: float | None = None, until_minutes: float = 60) -> Course:
    hold = None if hold_minutes is None else timedelta(minutes=hold_minutes)
    return Course(until=START + timedelta(minutes=until_minutes), hold_for=hold)


def test_wait_ends_at_the_first_health() -> None:
    assert ends(course(), (0, UNKNOWN), (1, BAD), (2, GOOD)) == (2, Ending.PASSED)


def test_wait_in_vain() -> None:
    assert ends(course(), (0, BAD), (59, UNKNOWN)) is None
    assert ends(course(), (0, BAD), (60, UNKNOWN)) == (60, Ending.TIMED_OUT)


def test_health_at_the_last_moment_is_health() -> None:
    assert ends(course(), (0, BAD), (60, GOOD)) == (60, Ending.PASSED)


def test_hold_needs_all_of_its_time() -> None:
    assert ends(course(10), (0, GOOD), (4, GOOD), (8, GOOD), (9.9, GOOD)) is None
    assert ends(course(10), (0, GOOD), (4, GOOD), (8, GOOD), (10, GOOD)) == (10, Ending.PASSED)


def test_hold_ends_at_the_first_breach() -> None:
    for breach in (BAD, WORSE):
        assert ends(course(10), (0, GOOD), (1, breach), (2, GOOD)) == (1, Ending.BREACHED)


def test_a_short_gap_in_knowledge_is_bridged_by_the_windows() -> None:
    looks = ((0, GOOD), (3, UNKNOWN), (5, GOOD), (10, GOOD))
    assert ends(course(10), *looks) == (10, Ending.PASSED)


def test_a_long_gap_begins_anew() -> None:
    looks = ((0, GOOD), (3, UNKNOWN), (5.1, GOOD), (10, GOOD), (15, GOOD))
    assert ends(course(10), *looks) is None
    assert ends(course(10), *looks, (15.1, GOOD)) == (15.1, Ending.PASSED)


def test_not_knowing_never_passes_a_hold() -> None:
    looks = tuple((float(minute), UNKNOWN) for minute in range(60))
    assert ends(course(10), (0, GOOD), *looks, (60, UNKNOWN)) == (60, Ending.TIMED_OUT)
