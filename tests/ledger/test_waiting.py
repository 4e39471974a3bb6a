from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from planner_provider.errors import AbortedError, NoAuthorityError, UnavailableError
from planner_provider.ledger import Ledger, waiting
from planner_provider.ledger import runs as plan_runs
from planner_provider.ledger.acts import Permit
from planner_provider.ledger.engine import make_engine, writing
from planner_provider.ledger.rows import ActResult, Course, Hold, Lease, Mode, Outcome, Waiting
from tests.ledger.cases import NOW, Run, key, later


def ask(run: Run, *resources: str, at: datetime = NOW, mode: Mode = Mode.EXCLUSIVE) -> object:
    holds = [Hold(resource, mode) for resource in resources]
    return run.ledger.ask_for_lease(run.key.plan_id, holds, actor="t", now=at)


def release(run: Run) -> None:
    run.ledger.release_lease(run.key.plan_id, actor="t", now=NOW)


@pytest.fixture
def runs(ledger: Ledger) -> list[Run]:
    return [Run(ledger, plan=f"p{n}", run_id=f"r{n}").pin() for n in range(4)]


def blockers(answer: object) -> list[tuple[str, bool]]:
    assert isinstance(answer, Waiting)
    return [(b.plan_id, b.holds) for b in answer.blockers]


def test_those_who_wait_are_served_in_order_of_arrival(runs: list[Run]) -> None:
    holder, first, second, _ = runs
    assert isinstance(ask(holder, "x"), Lease)
    assert blockers(ask(first, "x", at=later(1))) == [(holder.key.plan_id, True)]
    assert blockers(ask(second, "x", at=later(2))) == [
        (holder.key.plan_id, True), (first.key.plan_id, False),
    ]  # fmt: skip
    release(holder)
    assert blockers(ask(second, "x", at=later(3))) == [(first.key.plan_id, False)]
    assert isinstance(ask(first, "x", at=later(3)), Lease)
    release(first)
    assert isinstance(ask(second, "x", at=later(4)), Lease)
    assert second.ledger.lease_queue(now=later(4)) == ()


def test_a_later_one_that_conflicts_does_not_overtake_and_another_does(runs: list[Run]) -> None:
    holder, waiter, greedy, modest = runs
    ask(holder, "x")
    ask(waiter, "x", "y", at=later(1))
    assert blockers(ask(greedy, "y", at=later(2))) == [(waiter.key.plan_id, False)]
    assert isinstance(ask(modest, "z", at=later(3)), Lease)


def test_sharers_do_not_overtake_one_who_wants_it_alone(runs: list[Run]) -> None:
    sharer, alone, late, early = runs
    ask(sharer, "x", mode=Mode.SHARED)
    assert isinstance(ask(early, "x", mode=Mode.SHARED), Lease)
    ask(alone, "x", at=later(1))
    assert blockers(ask(late, "x", mode=Mode.SHARED, at=later(2))) == [(alone.key.plan_id, False)]


def test_without_a_place_in_the_queue_nobody_is_overtaken_either(runs: list[Run]) -> None:
    holder, waiter, third, _ = runs
    ask(holder, "x")
    ask(waiter, "x", at=later(1))
    release(holder)
    with pytest.raises(UnavailableError, match=r"wanted .* by plan p1.* it came first"):
        third.lease("x", at=later(2))
    assert len(third.ledger.lease_queue(now=later(2))) == 1


def test_one_who_gives_no_sign_is_overtaken_and_keeps_its_place(runs: list[Run]) -> None:
    holder, silent, second, third = runs
    ledger = holder.ledger
    ask(holder, "x")
    ask(silent, "x", at=later(1))
    ask(second, "x", at=later(2))
    ledger.keep_places([second.key.plan_id], now=later(50))
    release(holder)
    assert blockers(ask(second, "x", at=later(60))) == [(silent.key.plan_id, False)]
    assert isinstance(ask(second, "x", at=later(61)), Lease)
    ask(third, "x", at=later(62))
    assert [w.waiter.plan_id for w in ledger.lease_queue(now=later(63))] == [third.key.plan_id]
    assert blockers(ask(silent, "x", at=later(64))) == [(second.key.plan_id, True)]
    release(second)
    assert blockers(ask(third, "x", at=later(65))) == [(silent.key.plan_id, False)]


def test_who_asks_again_soon_writes_nothing(runs: list[Run]) -> None:
    holder, waiter, *_ = runs

    def sign() -> datetime:
        (line,) = holder.ledger.lease_queue(now=later(20))
        return line.waiter.alive_at

    ask(holder, "x")
    ask(waiter, "x", at=later(1))
    assert blockers(ask(waiter, "x", at=later(15))) == [(holder.key.plan_id, True)]
    assert sign() == later(1)
    ask(waiter, "x", at=later(16))  # a quarter of the patience is over
    assert sign() == later(16)
    ask(waiter, "x", "y", at=later(17))  # it wants something else
    assert sign() == later(17)


def test_who_was_stopped_while_it_waits_is_refused_at_once(runs: list[Run]) -> None:
    holder, waiter, *_ = runs
    ask(holder, "x")
    ask(waiter, "x", at=later(1))
    with writing(make_engine(waiter.ledger.url)) as connection:  # and it keeps its place, for once
        plan_runs.set_abort(connection, waiter.key.plan_id, "no", later(2))
    with pytest.raises(AbortedError):
        ask(waiter, "x", at=later(3))


def test_the_queue_says_who_is_next(runs: list[Run]) -> None:
    holder, first, second, third = runs
    ask(holder, "x")
    ask(first, "x", at=later(1))
    ask(second, "x", at=later(2))
    ask(third, "x", "y", at=later(3))
    release(holder)
    queue = holder.ledger.lease_queue(now=later(4))
    assert [(w.waiter.plan_id, w.waiter.since, w.ahead) for w in queue] == [
        (run.key.plan_id, later(n + 1), n) for n, run in enumerate([first, second, third])
    ]
    assert [bool(w.blockers) for w in queue] == [False, True, True]
    assert queue[1].blockers[0].dag_id == "p1"


def test_who_ends_or_is_stopped_or_leaves_waits_no_longer(runs: list[Run]) -> None:
    holder, ended, stopped, left = runs
    ledger = holder.ledger
    ask(holder, "x")
    for run in (ended, stopped, left):
        ask(run, "x", at=later(1))
    ledger.finish_run(ended.key, Outcome.FAILED, "", actor="t", now=later(2))
    ledger.request_abort(stopped.key.plan_id, actor="t", reason="no", now=later(2))
    assert ledger.leave_queue(left.key.plan_id)
    assert not ledger.leave_queue(left.key.plan_id)
    assert ledger.lease_queue(now=later(3)) == ()


def test_a_run_that_takes_its_locks_anew_does_not_wait_for_those_who_wait_for_it(
    runs: list[Run],
) -> None:
    holder, waiter, *_ = runs
    first = ask(holder, "x")
    assert isinstance(first, Lease)
    ask(waiter, "x", at=later(1))
    holder.ledger.close_lease(holder.key.plan_id, now=later(2))
    again = ask(holder, "x", at=later(3))
    assert isinstance(again, Lease)
    assert again.generation > first.generation


def test_who_waits_holds_nothing(runs: list[Run]) -> None:
    """A run whose wishes grew must not sit on what others wait for, while it waits for them."""
    holder, other, *_ = runs
    ask(holder, "x")
    ask(other, "y")
    holder.ledger.close_lease(holder.key.plan_id, now=later(2))
    assert isinstance(ask(holder, "x", "y", at=later(3)), Waiting)
    assert holder.ledger.check_lease(holder.key.plan_id) is None


def test_a_run_that_was_never_assessed_gets_nothing(ledger: Ledger) -> None:
    with pytest.raises(NoAuthorityError, match="never assessed"):
        ledger.ask_for_lease("nobody", [Hold("x")], actor="t", now=NOW)


class TestAborts:
    def test_a_run_that_was_stopped_gets_no_locks(self, runs: list[Run]) -> None:
        run = runs[0]
        stopped = run.ledger.request_abort(
            run.key.plan_id, actor="cli:ada", reason="wrong version", now=later(1)
        )
        assert stopped is not None
        assert (stopped.abort_at, stopped.abort_reason) == (later(1), "wrong version")
        with pytest.raises(AbortedError, match="wrong version"):
            ask(run, "x", at=NOW - timedelta(hours=1))  # also by a clock that is behind
        with pytest.raises(AbortedError):
            run.pin()
        assert run.ledger.open_stops() == {run.key.plan_id: later(1)}

    def test_stopping_again_changes_nothing(self, runs: list[Run]) -> None:
        run = runs[0]
        run.ledger.request_abort(run.key.plan_id, actor="t", reason="one", now=later(1))
        again = run.ledger.request_abort(run.key.plan_id, actor="t", reason="two", now=later(2))
        assert again is not None
        assert (again.abort_at, again.abort_reason) == (later(1), "one")
        assert [e.what for e in run.ledger.audit_of()].count("run.aborted") == 1

    def test_a_run_that_has_ended_is_left_alone(self, runs: list[Run]) -> None:
        run = runs[0]
        run.ledger.finish_run(run.key, Outcome.SUCCEEDED, "", actor="t", now=later(1))
        left = run.ledger.request_abort(run.key.plan_id, actor="t", reason=None, now=later(2))
        assert left is not None
        assert left.abort_at is None
        assert run.ledger.record_abort(run.key.dag_id, run.key.run_id, actor="t", now=later(2))
        assert run.ledger.open_stops() == {}
        assert run.ledger.request_abort("nobody", actor="t", reason=None, now=NOW) is None

    def test_steps_are_refused_whatever_the_clocks_say(self, runs: list[Run]) -> None:
        run = runs[0]
        run.lease(at=later(60))
        run.ledger.request_abort(run.key.plan_id, actor="t", reason=None, now=later(1))
        with pytest.raises(NoAuthorityError, match="stopped by a person"):
            run.begin("s1", at=later(61))

    def test_after_its_end_a_run_can_be_begun_again(self, runs: list[Run]) -> None:
        run = runs[0]
        run.lease()
        run.do("s1", ActResult.FAILED)
        run.ledger.request_abort(run.key.plan_id, actor="t", reason="no", now=later(1))
        run.wind_up(Course.UNDO)
        release(run)
        run.ledger.finish_run(run.key, Outcome.ABORTED, "", actor="t", now=later(2))
        assert run.ledger.open_stops() == {}
        assert isinstance(ask(run, "x", at=later(9)), Lease)
        found = run.ledger.run(run.key.plan_id)
        assert found is not None
        assert (found.outcome, found.abort_at, found.abort_reason) == (None, None, None)
        assert run.begin("s2", at=later(10)).permit is Permit.GRANTED


def test_a_forecast_names_holders_and_those_who_wait_and_takes_nothing(runs: list[Run]) -> None:
    holder, waiter, *_ = runs
    ask(holder, "x")
    ask(waiter, "x", "y", at=later(1))
    found = holder.ledger.blockers([Hold("y", Mode.SHARED), Hold("z")], now=later(2))
    assert [(b.resource, b.plan_id, b.dag_id, b.holds) for b in found] == [
        ("y", waiter.key.plan_id, "p1", False)
    ]
    assert {b.resource for b in holder.ledger.held_resources()} == {"x"}


def test_a_deferred_step_goes_on_although_the_time_ran_out(ledger: Ledger) -> None:
    run = Run(ledger).pin(ttl=60)
    run.lease()
    begin = run.begin("s1", at=later(1))
    assert begin.act is not None
    ledger.park_act(begin.act.id, now=later(2))
    assert run.begin("s1", resumes=True, at=later(90)).permit is Permit.GRANTED
    assert key().plan_id == run.key.plan_id


def test_who_asks_waits_until_another_has_been_answered(runs: list[Run]) -> None:
    """Else two could find a resource free at the same moment."""
    first, second, *_ = runs
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(ask(second, "x", at=later(1))))
    with writing(make_engine(first.ledger.url)) as connection:
        answer, _ = waiting.ask(connection, first.key.plan_id, [Hold("x")], NOW)
        assert isinstance(answer, Lease)
        asking.start()
        asking.join(0.7)
        assert answers == [], "it was answered before the first one was written"
    asking.join(30)
    assert blockers(answers[0]) == [(first.key.plan_id, True)]


def test_the_locks_are_not_given_back_while_somebody_begins_to_act(runs: list[Run]) -> None:
    run = runs[0]
    run.lease("x")
    releasing = threading.Thread(target=release, args=(run,))
    with writing(make_engine(run.ledger.url)) as connection:
        plan_runs.get(connection, run.key.plan_id, lock=True)  # as who begins to act does
        releasing.start()
        releasing.join(0.7)
        assert run.ledger.check_lease(run.key.plan_id) is not None
    releasing.join(30)
    assert run.ledger.check_lease(run.key.plan_id) is None
