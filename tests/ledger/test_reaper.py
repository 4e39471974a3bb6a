from __future__ import annotations

from datetime import timedelta

import pytest

from planner_provider.ledger import Ledger
from planner_provider.ledger.reaper import Reaped
from planner_provider.ledger.rows import ActResult, ActRole, Outcome
from tests.ledger.cases import NOW, Run, later

SILENCE = timedelta(seconds=12)


def reap(run: Run, at: float) -> Reaped:
    return run.ledger.reap(now=later(at), silence=SILENCE)


def finish(run: Run) -> None:
    run.ledger.finish_run(run.key, Outcome.FAILED, "", actor="t", now=later(1))


@pytest.fixture
def run(ledger: Ledger) -> Run:
    run = Run(ledger).pin()
    run.lease("x")
    return run


def test_a_run_under_way_keeps_its_locks(run: Run) -> None:
    assert reap(run, 3600) == Reaped()
    assert run.ledger.check_lease(run.key.plan_id) is not None


def test_a_run_that_ended_loses_them_at_once_if_nothing_acts(run: Run) -> None:
    run.do("s1")
    finish(run)
    assert reap(run, 2) == Reaped(released=(run.key.plan_id,))
    assert run.ledger.check_lease(run.key.plan_id) is None
    entry = run.ledger.audit_of()[-1]
    assert (entry.what, entry.detail["why"]) == ("lease.reaped", "the run ended as failed")
    assert reap(run, 3) == Reaped()


def test_where_something_may_act_it_is_told_to_stop_and_watched(run: Run) -> None:
    begin = run.begin("s1")
    assert begin.act is not None
    finish(run)
    assert reap(run, 2) == Reaped(closing=(run.key.plan_id,))
    assert "wound up" in (run.ledger.life_sign(begin.act.id, now=later(3)) or "")
    assert reap(run, 13.9) == Reaped(closing=(run.key.plan_id,))
    assert reap(run, 14) == Reaped(released=(run.key.plan_id,))
    (act,) = run.ledger.acts_of(run.key.plan_id)
    assert act.result is ActResult.UNKNOWN


def test_a_sign_of_life_begins_the_watch_anew_whatever_the_clocks_say(run: Run) -> None:
    begin = run.begin("s1", ActRole.STEP)
    assert begin.act is not None
    finish(run)
    reap(run, 2)
    # an undo goes on while the run is wound up, on a machine whose clock is an hour behind
    with_clock_behind = later(-3600)
    connection_write(run, begin.act.id, with_clock_behind)
    assert reap(run, 14) == Reaped(closing=(run.key.plan_id,))
    assert reap(run, 25) == Reaped(closing=(run.key.plan_id,))
    assert reap(run, 26) == Reaped(released=(run.key.plan_id,))


def connection_write(run: Run, act_id: int, at: object) -> None:
    from sqlalchemy import update

    from planner_provider.ledger.engine import make_engine, writing
    from planner_provider.ledger.schema import ACTS

    with writing(make_engine(run.ledger.url)) as connection:
        connection.execute(update(ACTS).where(ACTS.c.id == act_id).values(alive_at=at))


def test_a_deferred_act_is_no_process_and_is_ended(run: Run) -> None:
    begin = run.begin("s1")
    assert begin.act is not None
    run.ledger.park_act(begin.act.id, now=NOW)
    finish(run)
    assert reap(run, 2) == Reaped(released=(run.key.plan_id,))
    assert run.ledger.acts_of(run.key.plan_id)[0].result is ActResult.UNKNOWN


def test_a_run_that_vanished_loses_them_after_a_day_without_any_sign(run: Run) -> None:
    run.do("s1")
    day = 24 * 3600
    assert reap(run, day - 1) == Reaped()
    assert reap(run, day + 1) == Reaped(released=(run.key.plan_id,))
    assert "nothing happened" in run.ledger.audit_of()[-1].detail["why"]


def test_a_deferred_run_is_waited_for_longer(run: Run) -> None:
    begin = run.begin("s1")
    assert begin.act is not None
    run.ledger.park_act(begin.act.id, now=NOW)
    assert reap(run, 6 * 24 * 3600) == Reaped()
    assert reap(run, 8 * 24 * 3600) == Reaped(released=(run.key.plan_id,))


def test_a_run_that_was_begun_again_keeps_its_new_locks(run: Run) -> None:
    finish(run)
    run.lease("x", at=later(2))
    assert reap(run, 3) == Reaped()


def test_a_run_that_is_held_has_a_week_and_what_was_resumed_a_day(run: Run) -> None:
    plan_id = run.key.plan_id
    run.ledger.hold_run(plan_id, actor="ada", reason="why", now=later(0))
    assert reap(run, 2 * 86_400) == Reaped()
    run.ledger.resume_run(plan_id, actor="ada", reason=None, now=later(2 * 86_400))
    assert reap(run, 2 * 86_400 + 5) == Reaped(), "its task is about to ask again"
    assert reap(run, 3 * 86_400 + 5) == Reaped(released=(plan_id,))


def test_a_run_that_is_held_for_ever_loses_its_locks(run: Run) -> None:
    run.ledger.hold_run(run.key.plan_id, actor="ada", reason="why", now=later(0))
    assert reap(run, 7 * 86_400 + 1) == Reaped(released=(run.key.plan_id,))
