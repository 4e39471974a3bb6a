from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

import pytest

from planner_provider.errors import (
    AttentionError,
    MisconfiguredError,
    NoAuthorityError,
    SupersededError,
    UnavailableError,
)
from planner_provider.ledger import Ledger
from planner_provider.ledger.acts import Permit
from planner_provider.ledger.authority import ExpiredError
from planner_provider.ledger.rows import (
    ActResult,
    ActRole,
    CompiledPlan,
    Course,
    Hold,
    Mode,
    Outcome,
)
from tests.ledger.cases import NOW, Run, key, later


@pytest.fixture
def run(ledger: Ledger) -> Run:
    run = Run(ledger).pin()
    run.lease()
    return run


class TestRuns:
    def test_times_come_back_in_utc_to_the_microsecond(self, ledger: Ledger) -> None:
        east = timezone(timedelta(hours=13))
        ledger.pin_run(
            key(), expires_at=later(60).astimezone(east), parameters={"v": [1, "ü"]}, actor="t",
            now=NOW.astimezone(east),
        )  # fmt: skip
        found = ledger.run_of("release", "run-1")
        assert found is not None
        assert found.assessed_at == NOW
        assert found.assessed_at.utcoffset() == timedelta(0)
        assert found.expires_at == later(60)
        assert found.parameters == {"v": [1, "ü"]}

    def test_a_time_without_zone_is_refused(self, ledger: Ledger) -> None:
        with pytest.raises(Exception, match="no time zone"):
            ledger.pin_run(
                key(), expires_at=None, parameters={}, actor="t", now=datetime(2026, 1, 1)
            )

    def test_pinning_again_is_harmless_and_another_version_is_refused(self, run: Run) -> None:
        run.pin()
        other = key(digest="e" * 64)
        with pytest.raises(SupersededError, match=r"dddddddd.*eeeeeeee"):
            run.ledger.pin_run(other, expires_at=None, parameters={}, actor="t", now=NOW)

    def test_a_run_that_was_never_assessed_can_be_finished(self, ledger: Ledger) -> None:
        ledger.finish_run(key(), Outcome.BLOCKED, "no", actor="t", now=NOW)
        found = ledger.run_of("release", "run-1")
        assert found is not None
        assert (found.outcome, found.reason, found.assessed_at) == (Outcome.BLOCKED, "no", None)

    def test_finishing_keeps_the_version_that_the_run_began_with(self, run: Run) -> None:
        plan_id = run.ledger.finish_run(
            key(digest="e" * 64), Outcome.FAILED, "changed", actor="t", now=NOW
        )
        assert plan_id == run.key.plan_id

    def test_an_unknown_run_cannot_be_aborted(self, ledger: Ledger) -> None:
        assert not ledger.record_abort("nothing", "run", actor="t", now=NOW)


class TestLeases:
    def test_taking_again_gives_the_same_lease(self, run: Run) -> None:
        first = run.lease("db://a")
        assert run.lease("db://a", at=later(5)) == first

    def test_a_lease_that_is_wound_up_is_replaced(self, run: Run) -> None:
        first = run.lease()
        run.wind_up(Course.UNDO)
        second = run.lease(at=later(5))
        assert second.generation > first.generation
        assert second.course is None
        assert run.ledger.check_lease(run.key.plan_id) == second

    def test_generations_rise_over_all_plans_even_after_release(self, ledger: Ledger) -> None:
        seen = []
        for number in range(3):
            other = Run(ledger, run_id=f"r{number}", plan=f"p{number}").pin()
            seen.append(other.lease().generation)
            ledger.release_lease(other.key.plan_id, actor="t", now=NOW)
        assert seen == sorted(set(seen))

    @pytest.mark.parametrize(
        ("mine", "theirs", "conflict"),
        [
            (Mode.SHARED, Mode.SHARED, False),
            (Mode.SHARED, Mode.EXCLUSIVE, True),
            (Mode.EXCLUSIVE, Mode.SHARED, True),
            (Mode.EXCLUSIVE, Mode.EXCLUSIVE, True),
        ],
    )
    def test_only_shared_goes_with_shared(
        self, ledger: Ledger, mine: Mode, theirs: Mode, conflict: bool
    ) -> None:
        holder = Run(ledger, plan="a", run_id="ra").pin()
        holder.lease("db://x", mode=theirs)
        other = Run(ledger, plan="b", run_id="rb").pin()
        if not conflict:
            assert other.lease("db://free", "db://x", mode=mine).holds
            return
        with pytest.raises(UnavailableError) as caught:
            other.lease("db://free", "db://x", mode=mine, at=later(90))
        text = str(caught.value)
        assert "db://x" in text
        assert holder.key.plan_id in text
        assert "run ra" in text
        assert "0:01:30" in text
        assert "db://free" not in text
        assert ledger.check_lease(other.key.plan_id) is None, "all or nothing"
        ledger.release_lease(holder.key.plan_id, actor="t", now=NOW)
        assert other.lease("db://free", "db://x", mode=mine).holds

    def test_the_stronger_mode_counts_when_a_resource_is_named_twice(self, ledger: Ledger) -> None:
        run = Run(ledger).pin()
        holds = [Hold("x", Mode.SHARED), Hold("x"), Hold("x", Mode.SHARED), Hold("a", Mode.SHARED)]
        lease = ledger.take_lease(run.key.plan_id, holds, actor="t", now=NOW)
        assert lease.holds == (Hold("a", Mode.SHARED), Hold("x", Mode.EXCLUSIVE))

    def test_releasing_twice_is_harmless(self, run: Run) -> None:
        assert run.ledger.release_lease(run.key.plan_id, actor="t", now=NOW)
        assert not run.ledger.release_lease(run.key.plan_id, actor="t", now=NOW)
        assert run.ledger.check_lease(run.key.plan_id) is None

    def test_of_many_at_once_exactly_one_gets_the_lease(self, ledger: Ledger) -> None:
        runs = [Run(ledger, plan=f"p{n}", run_id=f"r{n}").pin() for n in range(8)]
        barrier = threading.Barrier(len(runs))
        got: list[str] = []

        def take(run: Run) -> None:
            barrier.wait()
            try:
                run.lease("db://x", "db://y")
            except UnavailableError:
                return
            got.append(run.key.plan)

        threads = [threading.Thread(target=take, args=(run,)) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1


class TestActs:
    def test_an_act_is_begun_lives_and_ends(self, run: Run) -> None:
        begin = run.begin()
        assert begin.permit is Permit.GRANTED
        assert begin.act is not None
        assert run.ledger.life_sign(begin.act.id, now=later(5)) is None
        assert run.ledger.acts_of(run.key.plan_id)[0].alive_at == later(5)
        assert run.end(begin)
        assert not run.end(begin), "the first end stays"
        (act,) = run.ledger.acts_of(run.key.plan_id)
        assert (act.result, act.is_open) == (ActResult.DONE, False)

    def test_a_step_that_is_done_is_not_done_again(self, run: Run) -> None:
        run.do("s1")
        assert run.begin(try_number=2).permit is Permit.ALREADY_DONE
        run.ledger.release_lease(run.key.plan_id, actor="t", now=NOW)
        assert run.begin(try_number=3).permit is Permit.ALREADY_DONE

    def test_a_step_that_failed_may_act_again(self, run: Run) -> None:
        run.do("s1", ActResult.FAILED)
        assert run.begin(try_number=2).permit is Permit.GRANTED

    def test_a_second_process_waits_for_the_first(self, run: Run) -> None:
        first = run.begin()
        second = run.begin(try_number=2)
        assert second.permit is Permit.BUSY
        assert second.open_acts == (first.act,)
        assert first.act is not None
        seen = {first.act.id: first.act.alive_at}
        run.ledger.life_sign(first.act.id, now=later(1))
        end_silent = run.ledger.end_silent_acts
        assert end_silent(run.key.plan_id, seen, actor="t", now=later(9)) == ()
        seen = {first.act.id: later(1)}
        assert end_silent(run.key.plan_id, seen, actor="t", now=later(9)) == (first.act.id,)
        assert run.begin(try_number=2).permit is Permit.GRANTED
        assert "taken to be over" in (run.ledger.life_sign(first.act.id, now=later(10)) or "")

    def test_an_unknown_result_stops_what_must_not_be_repeated(self, run: Run) -> None:
        run.do("s1", ActResult.UNKNOWN)
        with pytest.raises(AttentionError, match="cut off"):
            run.begin(try_number=2, repeatable=False)
        assert run.begin(try_number=2).permit is Permit.GRANTED

    def test_a_deferred_act_goes_on_when_the_task_resumes(self, run: Run) -> None:
        begin = run.begin()
        assert begin.act is not None
        run.ledger.park_act(begin.act.id, now=later(1))
        resumed = run.begin(resumes=True, at=later(60))
        assert resumed.act is not None
        assert resumed.act.id == begin.act.id
        assert resumed.act.may_act

    def test_a_deferred_act_that_was_cleared_is_given_up(self, run: Run) -> None:
        begin = run.begin()
        assert begin.act is not None
        run.ledger.park_act(begin.act.id, now=later(1))
        again = run.begin(try_number=2)
        assert again.permit is Permit.GRANTED
        results = [act.result for act in run.ledger.acts_of(run.key.plan_id)]
        assert results == [ActResult.UNKNOWN, None]

    def test_mapped_parts_do_not_stand_in_for_each_other(self, run: Run) -> None:
        run.do("s1", map_index=0)
        assert run.begin(map_index=0).permit is Permit.ALREADY_DONE
        assert run.begin(map_index=1).permit is Permit.GRANTED


class TestAuthority:
    def test_nothing_acts_in_a_run_that_was_not_assessed(self, ledger: Ledger) -> None:
        with pytest.raises(NoAuthorityError, match="never assessed"):
            Run(ledger).begin()

    def test_nothing_acts_without_locks(self, ledger: Ledger) -> None:
        with pytest.raises(NoAuthorityError, match="holds no locks"):
            Run(ledger).pin().begin()

    @pytest.mark.parametrize("role", list(ActRole))
    def test_nothing_acts_for_another_version(self, run: Run, role: ActRole) -> None:
        run.do("s1")
        with pytest.raises(SupersededError, match="put the spec back"):
            run.begin("s1", role, digest="e" * 64)

    def test_a_step_waits_for_its_predecessors_in_truth(self, run: Run) -> None:
        with pytest.raises(NoAuthorityError, match=r"step s1.*untouched, not done"):
            run.begin("s2", after=("s1",))
        run.do("s1", ActResult.FAILED)
        with pytest.raises(NoAuthorityError, match=r"failed, not done"):
            run.begin("s2", after=("s1",))
        run.do("s1", try_number=2)
        assert run.begin("s2", after=("s1",)).permit is Permit.GRANTED

    def test_time_runs_out_for_steps_and_not_for_undoing(self, ledger: Ledger) -> None:
        run = Run(ledger).pin(ttl=60)
        run.lease()
        run.do("s1", at=later(59.999))
        with pytest.raises(ExpiredError, match=r"guards\.ttl"):
            run.begin("s2", at=later(60))
        run.wind_up(Course.UNDO)
        assert run.begin("s1", ActRole.UNDO, at=later(60)).permit is Permit.GRANTED

    def test_no_step_begins_while_the_run_is_wound_up(self, run: Run) -> None:
        begin = run.begin("s1")
        assert begin.act is not None
        run.ledger.close_lease(run.key.plan_id, now=later(1))
        with pytest.raises(NoAuthorityError, match="wound up"):
            run.begin("s2")
        assert "wound up" in (run.ledger.life_sign(begin.act.id, now=later(2)) or "")

    def test_no_step_begins_after_a_person_stopped_the_run(self, run: Run) -> None:
        begin = run.begin("s1")
        assert begin.act is not None
        run.ledger.record_abort("release", "run-1", actor="t", now=later(1))
        with pytest.raises(NoAuthorityError, match="a person"):
            run.begin("s2", at=later(2))
        assert "a person" in (run.ledger.life_sign(begin.act.id, now=later(2)) or "")

    def test_undoing_needs_the_decision(self, run: Run) -> None:
        run.do("s1")
        with pytest.raises(NoAuthorityError, match="not decided"):
            run.begin("s1", ActRole.UNDO)
        run.wind_up(Course.KEEP)
        with pytest.raises(NoAuthorityError, match="keeps the change"):
            run.begin("s1", ActRole.UNDO)

    def test_only_what_acted_is_undone_and_only_once(self, run: Run) -> None:
        run.do("s1")
        run.do("s2", ActResult.FAILED)
        run.do("s3", ActResult.UNKNOWN)
        run.wind_up(Course.UNDO)
        for step in ("s1", "s2", "s3"):
            run.do(step, role=ActRole.UNDO)
            assert run.begin(step, ActRole.UNDO).permit is Permit.ALREADY_DONE
        assert run.begin("s4", ActRole.UNDO).permit is Permit.NOTHING_TO_UNDO

    def test_what_was_undone_is_not_done_again_in_this_run(self, run: Run) -> None:
        run.do("s1")
        run.do("s2", ActResult.FAILED)
        run.wind_up(Course.UNDO)
        run.do("s1", role=ActRole.UNDO)
        run.lease(at=later(9))
        with pytest.raises(NoAuthorityError, match="undone in this run"):
            run.begin("s1", try_number=2)
        with pytest.raises(NoAuthorityError, match="s1, and that was undone"):
            run.begin("s2", try_number=2, after=("s1",))

    def test_a_check_needs_no_lock(self, ledger: Ledger) -> None:
        run = Run(ledger).pin()
        assert run.begin("verify", ActRole.CHECK).permit is Permit.GRANTED
        assert run.begin("verify", ActRole.CHECK, try_number=2).permit is Permit.GRANTED


class TestCompiledPlans:
    def test_the_last_good_one_is_kept_and_replaced(self, ledger: Ledger) -> None:
        first = CompiledPlan("a", "d1", "{}", "a.yaml", "s1", NOW)
        second = CompiledPlan("a", "d2", '{"x": 1}', "a.yaml", "s2", later(1))
        ledger.remember_compiled([first])
        assert ledger.last_compiled("a") == first
        ledger.remember_compiled([second])
        assert ledger.last_compiled("a") == second
        assert ledger.compiled_digests() == {"a": ("d2", "s2")}
        assert ledger.last_compiled("b") is None

    def test_the_same_is_not_written_again(self, ledger: Ledger) -> None:
        first = CompiledPlan("a", "d1", "{}", "a.yaml", "s1", NOW)
        ledger.remember_compiled([first])
        ledger.remember_compiled([CompiledPlan("a", "d1", "{}", "a.yaml", "s1", later(9))])
        kept = ledger.last_compiled("a")
        assert kept is not None
        assert kept.compiled_at == NOW


class TestBadAddresses:
    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("no url", "not a SQLAlchemy URL"),
            ("mysql://user@host/db", "SQLite or PostgreSQL"),
            ("sqlite://", "cannot live in memory"),
            ("sqlite:////proc/nowhere/planner.db", "cannot be made"),
        ],
    )
    def test_they_are_named(self, url: str, says: str) -> None:
        with pytest.raises(MisconfiguredError, match=says):
            Ledger(url).acts_of("x")

    def test_a_server_that_does_not_answer_can_be_tried_later_and_shows_no_password(self) -> None:
        ledger = Ledger("postgresql://user:hidden@127.0.0.1:1/db")
        with pytest.raises(UnavailableError, match="did not answer") as caught:
            ledger.acts_of("x")
        assert "hidden" not in str(caught.value)
        assert "hidden" not in repr(ledger)
