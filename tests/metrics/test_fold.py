"""What single entries of the trail come to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from planner_provider.ledger.rows import WINDOW_ENDED, Outcome
from planner_provider.metrics.events import Event, plan_of
from planner_provider.metrics.fold import KEPT, Fold
from tests.cli.ledgers import NOW


def entry(what: str, minute: float = 0, plan_id: str = "p-d-1", **detail: object) -> Event:
    return Event(
        NOW + timedelta(minutes=minute), plan_id, what, dict(detail), plan_of(plan_id), "manual__1"
    )


def folded(*entries: Event) -> Fold:
    fold = Fold(lambda plan, step: f"{plan}:{step}")
    for item in entries:
        fold.take(item)
    return fold


def test_the_plan_of_a_plan_id() -> None:
    assert plan_of("orders-release-1234abcd-99ff00") == "orders-release"


def test_lock_wait_is_from_the_queue_to_the_lease() -> None:
    fold = folded(entry("lease.queued"), entry("lease.queued", 1), entry("lease.taken", 2))
    assert fold.times.found["lock_wait"][()].total == 120
    assert fold.conflicts == {"p": 1}, "one run is one conflict"


def test_locks_that_were_not_waited_for_are_no_conflict() -> None:
    fold = folded(entry("lease.taken"))
    assert not fold.conflicts
    assert "lock_wait" not in fold.times.found


def test_a_run_that_gives_up_waiting_is_a_conflict() -> None:
    fold = folded(entry("task.failed", error="LocksHeldError", message=""))
    assert fold.conflicts == {"p": 1}


def test_acts_are_timed_by_the_action_of_their_step() -> None:
    fold = folded(
        entry("act.began", act=7, step="shift/w25", role="step", **{"try": 1}),
        entry("act.began", 1, act=7, step="shift/w25", role="step", **{"try": 1}),
        entry("act.ended", 2, act=7, step="shift/w25", role="step", result="done"),
    )
    assert fold.times.found["act"]["p:shift", "step", "done"].total == 120
    assert not fold.retries


def test_another_try_is_a_retry() -> None:
    fold = folded(
        entry("act.began", act=1, step="s", role="step", **{"try": 1}),
        entry("act.silent", 1, acts=[1]),
        entry("act.began", 2, act=2, step="s", role="step", **{"try": 2}),
    )
    assert fold.retries == {("p", "p:s"): 1}
    assert fold.acts == {("p", "step", "unknown"): 1}


def test_checks_are_judged_by_their_last_word_before_the_first_act() -> None:
    fold = folded(
        entry("decision.made", decision=1, kind="slo_gate", verdict="hold", step=None),
        entry("decision.made", decision=2, kind="slo_gate", verdict="proceed", step=None),
        entry("decision.made", decision=3, kind="coverage", verdict="hold", step=None),
        entry("decision.made", decision=4, kind="risk", verdict="hold", step=None),
        entry("act.began", 1, act=1, step="s", role="step"),
        entry("decision.made", 2, decision=5, kind="window", verdict="refuse", step=None),
    )
    assert fold.checks == {("p", "passed"): 1, ("p", "not_passed"): 1}


def test_trouble_is_detected_once_and_only_while_executing() -> None:
    fold = folded(
        entry("decision.made", decision=1, kind="canary", verdict="roll_back", step="s"),
        entry("act.began", 1, act=1, step="s", role="step"),
        entry("decision.made", 3, decision=2, kind="canary", verdict="roll_back", step="s"),
        entry("run.failing", 5, step="s"),
        entry("run.decided", 6, course="undo"),
        entry("run.finished", 10, outcome="rolled_back", reason=""),
    )
    assert fold.ended["p-d-1"].rollback == timedelta(minutes=7)


def test_a_run_that_succeeds_was_not_rolled_back() -> None:
    fold = folded(
        entry("act.began", act=1, step="s", role="step"),
        entry("act.ended", 1, act=1, result="failed", role="step", step="s"),
        entry("run.finished", 2, outcome="succeeded", reason=""),
    )
    assert fold.ended["p-d-1"].rollback is None
    assert fold.ended["p-d-1"].outcome is Outcome.SUCCEEDED


def test_only_runs_of_the_schedule_are_scheduled_successes() -> None:
    fold = folded(entry("run.finished", outcome="succeeded"))
    assert fold.last_success == {"p": NOW}
    assert fold.last_scheduled_success == {}


def test_old_records_are_forgotten_and_counts_are_not() -> None:
    fold = folded(
        entry("approval.asked", task="a"),
        entry("approval.granted", 1, task="a"),
        entry("run.finished", 2, outcome="succeeded"),
    )
    fold.forget(NOW + KEPT)
    assert fold.ended
    fold.forget(NOW + KEPT + timedelta(minutes=3))
    assert not fold.ended
    assert not fold.answered
    assert fold.transitions["p", "succeeded"] == 1


def test_a_run_that_is_cleared_begins_anew() -> None:
    fold = folded(
        entry("act.began", act=1, step="s", role="step"),
        entry("run.finished", 1, outcome="rolled_back"),
        entry("run.assessed", 10),
        entry("act.began", 11, act=2, step="s", role="step"),
        entry("run.finished", 15, outcome="succeeded"),
    )
    assert fold.transitions["p", "executing"] == 2
    assert fold.ended["p-d-1"].took == timedelta(minutes=5)
    assert fold.times.found["run"]["succeeded",].total == 300


@pytest.mark.parametrize(
    ("reason", "by"), [("the queue grows", "person"), (None, "person"), (WINDOW_ENDED, "itself")]
)
def test_who_stopped_a_run_is_known_when_it_has_ended(reason: str | None, by: str) -> None:
    fold = folded(
        entry("run.finished", outcome="rolled_back"),
        entry("run.aborted", 1, reason=reason),
        entry("run.finished", 2, outcome="rolled_back"),
    )
    assert fold.last_end["p", "rolled_back", by] == NOW + timedelta(minutes=2)
    assert fold.last_end["p", "rolled_back", "itself"] == NOW + timedelta(
        minutes=2 if by == "itself" else 0
    )
