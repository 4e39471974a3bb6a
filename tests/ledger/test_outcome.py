from __future__ import annotations

from dataclasses import replace

import pytest

from planner_provider.ledger.journal import StepState, StepStatus
from planner_provider.ledger.outcome import RunFacts, StepFact, conclude
from planner_provider.ledger.rows import Course, Outcome

S = StepStatus


def facts(*statuses: StepStatus, no_undo: str = "", reading: str = "", **more: object) -> RunFacts:
    """Steps ``a``, ``b``, ... with these statuses; all can be undone but ``no_undo``."""
    steps = tuple(
        StepFact(name, StepState(status), changes=name not in reading, has_undo=name not in no_undo)
        for name, status in zip("abcdef", statuses, strict=False)
    )
    return RunFacts(steps, **more)  # type: ignore[arg-type]


KEEP = {"course": Course.KEEP}
UNDO = {"course": Course.UNDO}


@pytest.mark.parametrize(
    ("run", "outcome", "says"),
    [
        (facts(S.DONE, S.DONE, **KEEP), Outcome.SUCCEEDED, "Every step is done"),
        (facts(S.DONE, S.DONE, verified=True, **KEEP), Outcome.SUCCEEDED, ""),
        (facts(S.UNDONE, S.UNDONE, verified=False, **UNDO), Outcome.ROLLED_BACK, "Undone: a, b"),
        (facts(S.UNDONE, S.UNTOUCHED, **UNDO), Outcome.ROLLED_BACK, "Nothing else was done"),
        (
            facts(S.UNDONE, S.FAILED, no_undo="b", **UNDO),
            Outcome.ROLLED_BACK,
            "Failed without a declared rollback: b",
        ),
        (
            facts(S.UNDONE, rollback_verified=False, **UNDO),
            Outcome.ROLLBACK_FAILED,
            "check afterwards did not pass",
        ),
        (facts(S.UNDONE, rollback_verified=True, **UNDO), Outcome.ROLLED_BACK, ""),
        (facts(S.UNDONE, S.UNDO_FAILED, **UNDO), Outcome.ROLLBACK_FAILED, "Left changed: b"),
        (facts(S.DONE, S.FAILED), Outcome.ROLLBACK_FAILED, "Left changed: a, b"),
        (
            facts(S.UNDO_FAILED, S.DONE, no_undo="b", **UNDO),
            Outcome.ROLLBACK_FAILED,
            "No rollback is declared for b",
        ),
        (facts(S.DONE, S.FAILED, no_undo="ab", **UNDO), Outcome.FAILED, "Left changed: a;"),
        (facts(S.DONE, S.UNDONE, no_undo="a", **UNDO), Outcome.FAILED, "Left changed: a;"),
        (facts(S.UNDONE, S.UNKNOWN, no_undo="b", **UNDO), Outcome.FAILED, "Left changed: b;"),
        (facts(S.FAILED, no_undo="a", **UNDO), Outcome.FAILED, "declared rollback: a"),
        (facts(S.FAILED, no_undo="a", reading="a", **UNDO), Outcome.FAILED, "Nothing was changed"),
        (
            facts(S.DONE, S.UNDONE, no_undo="a", reading="a", **UNDO),
            Outcome.ROLLED_BACK,
            "Undone: b",
        ),
        (facts(S.DONE, S.DONE, verified=False, **KEEP), Outcome.ROLLBACK_FAILED, "a, b"),
        (facts(S.DONE, S.DONE), Outcome.ROLLBACK_FAILED, "a, b"),
    ],
)
def test_the_world_decides(run: RunFacts, outcome: Outcome, says: str) -> None:
    conclusion = conclude(run)
    assert conclusion.outcome is outcome
    assert says in conclusion.reason


@pytest.mark.parametrize(
    ("flags", "outcome"),
    [
        ({"rejected": True, "blocked": True}, Outcome.REJECTED),
        ({"aborted": True, "blocked": True}, Outcome.ABORTED),
        ({"expired": True, "blocked": True}, Outcome.EXPIRED),
        ({"blocked": True}, Outcome.BLOCKED),
        ({}, Outcome.FAILED),
    ],
)
def test_if_nothing_was_changed_the_cause_decides(flags: dict[str, bool], outcome: Outcome) -> None:
    run = facts(S.UNTOUCHED, S.UNTOUCHED, why="Because.", **flags)
    conclusion = conclude(run)
    assert conclusion.outcome is outcome
    assert conclusion.reason == "Because. Nothing was changed."


def test_what_is_left_is_said_first_where_somebody_must_look() -> None:
    left = conclude(facts(S.UNDONE, S.UNDO_FAILED, why="Step b broke.", **UNDO))
    assert left.reason == "The rollback is not complete. Left changed: b. Step b broke."
    undone = conclude(facts(S.UNDONE, S.UNDONE, why="Step b broke.", **UNDO))
    assert undone.reason.startswith("Step b broke. Undone: ")


def test_no_cause_hides_a_changed_world() -> None:
    run = replace(facts(S.DONE, **UNDO), rejected=True, aborted=True, expired=True, blocked=True)
    assert conclude(run).outcome is Outcome.ROLLBACK_FAILED
