from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from planner_provider.errors import (
    AttentionError,
    CheckFailedError,
    NoAuthorityError,
    SupersededError,
    UnavailableError,
)
from planner_provider.ledger.rows import ActResult, Course
from planner_provider.operators.acting import Stopped
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.operators.plan_step import PlanStepMixin
from tests.operators.airflow_context import Store
from tests.operators.plan_runs import DIGEST, PLAN, RUN_ID, PlanRunCase, database


class Work(PlanStepMixin, BaseOperator):
    """Do what the test says."""

    def __init__(self, *, does: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.does = does
        self.times = 0

    def act(self, context: Any) -> Any:
        self.times += 1
        return self.does(self) if self.does else "result"

    def resumed(self, context: Any) -> Any:
        return self.act(context)


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    return PlanRunCase(database(tmp_path))


def raising(error: BaseException) -> Any:
    def does(_: Work) -> None:
        raise error

    return does


def work(case: PlanRunCase, role: Role = Role.STEP, step: str = "s1", **more: Any) -> Work:
    does = more.pop("does", None)
    return Work(task_id=f"execute.{step}", plan_ref=case.ref(role, step, **more), does=does)


def test_by_hand_it_acts_without_a_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", "sqlite:////proc/nowhere/x.db")
    case = PlanRunCase("sqlite:////proc/nowhere/x.db")
    assert case.run(Work(task_id="t")) == "result"
    assert case.run(Work(task_id="t", plan_ref=None)) == "result"


def test_an_act_is_journalled_from_intent_to_end(case: PlanRunCase) -> None:
    case.leased()
    seen = []
    operator = work(case, does=lambda _: seen.extend(case.acts()))
    case.run(operator, try_number=3)
    (during,) = seen
    assert during.is_open
    (act,) = case.acts()
    assert (act.step, act.try_number, act.result) == ("s1", 3, ActResult.DONE)


def test_without_act_the_operators_own_execute_acts(case: PlanRunCase) -> None:
    class Other(BaseOperator):
        def execute(self, context: Any) -> str:
            return "other"

    class Wrapped(PlanStepMixin, Other):
        pass

    case.leased()
    assert case.run(Wrapped(task_id="x", plan_ref=case.ref(Role.STEP, "s1"))) == "other"
    assert case.acts()[0].result is ActResult.DONE


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (CheckFailedError("no"), ActResult.FAILED),
        (ValueError("no"), ActResult.FAILED),
        (AttentionError("no"), ActResult.UNKNOWN),
        (Stopped("no"), ActResult.UNKNOWN),
        (SystemExit(3), ActResult.UNKNOWN),
    ],
)
def test_an_error_is_journalled_and_goes_on(
    case: PlanRunCase, error: BaseException, result: ActResult
) -> None:
    case.leased()
    with pytest.raises(type(error)):
        case.run(work(case, does=raising(error)))
    (act,) = case.acts()
    assert act.result is result
    assert type(error).__name__ in (act.detail or "")


@pytest.mark.parametrize("prepare", ["nothing", "pinned", "other version", "no predecessor"])
def test_without_authority_nothing_is_touched(case: PlanRunCase, prepare: str) -> None:
    more: dict[str, Any] = {}
    if prepare == "pinned":
        case.pinned()
    elif prepare == "other version":
        case.leased()
        more = {"digest": "cd" * 32}
    elif prepare == "no predecessor":
        case.leased()
        more = {"after": ("s0",)}
    operator = work(case, **more)
    expected = SupersededError if prepare == "other version" else NoAuthorityError
    with pytest.raises(expected, match="Nothing was touched"):
        case.run(operator)
    assert operator.times == 0
    assert [e.what for e in case.ledger.audit_of()][-1] == "task.failed"


def test_what_is_done_is_not_done_again(case: PlanRunCase) -> None:
    case.leased()
    operator = work(case)
    case.run(operator)
    assert case.run(operator, try_number=2) is None
    assert operator.times == 1


def test_an_undo_runs_for_what_acted_only(case: PlanRunCase) -> None:
    case.leased()
    case.run(work(case))
    case.winding_up(Course.UNDO)
    first, never = work(case, Role.UNDO), work(case, Role.UNDO, "s2")
    case.run(first)
    case.run(never)
    assert (first.times, never.times) == (1, 0)


def test_a_skip_counts_as_done(case: PlanRunCase) -> None:
    case.leased()
    case.run(work(case, does=raising(AirflowSkipException("nothing to do"))))
    (act,) = case.acts()
    assert act.result is ActResult.DONE
    assert "nothing to do" in (act.detail or "")


def test_the_next_try_waits_until_a_lost_one_was_silent_long_enough(case: PlanRunCase) -> None:
    case.leased()
    claim = work(case)._claim(case.ref(Role.STEP, "s1"), case.context("execute.s1"), resumes=False)
    lost = case.ledger.begin_act(claim, now=case.time.now()).act
    assert lost is not None

    def alive_for_a_while() -> None:
        if case.time.seconds < 20:
            case.ledger.life_sign(lost.id, now=case.time.now())

    case.time.on_sleep = alive_for_a_while
    operator = work(case)
    case.run(operator, try_number=2)
    assert operator.times == 1
    assert case.time.seconds >= 19.5 + 12, "12 s after the last sign of life"
    assert [act.result for act in case.acts()] == [ActResult.UNKNOWN, ActResult.DONE]


def test_what_must_not_be_repeated_asks_for_attention(case: PlanRunCase) -> None:
    case.leased()
    with pytest.raises(Stopped):
        case.run(work(case, does=raising(Stopped("killed"))))
    operator = work(case)
    object.__setattr__(operator, "repeatable", False)
    with pytest.raises(AttentionError):
        case.run(operator, try_number=2)
    assert operator.times == 0


def test_a_deferred_step_goes_on_under_the_same_act(case: PlanRunCase) -> None:
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

    case.leased()
    trigger = TimeDeltaTrigger(timedelta(seconds=60))
    deferral = TaskDeferred(trigger=trigger, method_name="resumed")
    operator = work(case, does=raising(deferral))
    with pytest.raises(TaskDeferred):
        case.run(operator)
    (act,) = case.acts()
    assert act.parked_at is not None
    operator.does = None
    context = case.context(operator.task_id)
    assert operator.resume_execution("resumed", {}, context) == "result"
    (act,) = case.acts()
    assert act.result is ActResult.DONE


def test_being_told_to_stop_ends_a_pause_at_once(case: PlanRunCase) -> None:
    case.leased()

    def does(operator: Work) -> None:
        case.time.on_sleep = lambda: operator._acting.tell_to_stop("enough")  # type: ignore[union-attr]
        operator.pause(3600)

    with pytest.raises(Stopped, match="enough"):
        case.run(work(case, does=does))
    assert case.time.seconds <= 1
    assert case.acts()[0].result is ActResult.UNKNOWN


def test_on_kill_interrupts_the_action_and_not_what_comes_after(case: PlanRunCase) -> None:
    case.leased()
    with pytest.raises(Stopped):
        case.run(work(case, does=lambda operator: operator.on_kill()))
    assert case.acts()[0].result is ActResult.UNKNOWN
    operator = work(case, step="s2")
    case.run(operator)
    operator.on_kill()  # as Airflow does after a timeout


def test_a_second_signal_does_not_cut_off_the_cleaning_up(case: PlanRunCase) -> None:
    case.leased()
    cleaned = []

    def does(operator: Work) -> None:
        try:
            operator.on_kill()
        finally:
            operator.on_kill()
            cleaned.append(True)

    with pytest.raises(Stopped):
        case.run(work(case, does=does))
    assert cleaned


def test_closing_the_lease_stops_what_acts(
    case: PlanRunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__LIFE_SIGN_SECONDS", "0.05")
    case.leased()
    operator = work(case)
    before = signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    try:

        def does(_: Work) -> None:
            case.ledger.close_lease(case.plan_id, now=case.time.now())
            threading.Event().wait(30)

        operator.does = does
        with pytest.raises(Stopped, match="wound up"):
            case.run(operator)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert operator.stopping


def test_an_end_that_cannot_be_written_is_tried_again(
    case: PlanRunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner_provider.ledger import Ledger

    case.leased()
    real, failing = Ledger.end_act, [UnavailableError("away"), UnavailableError("away")]

    def end_act(self: Ledger, *args: Any, **kwargs: Any) -> bool:
        if failing:
            raise failing.pop()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Ledger, "end_act", end_act)
    case.run(work(case))
    assert case.acts()[0].result is ActResult.DONE


def test_whoever_was_taken_to_be_dead_does_not_end_as_done(case: PlanRunCase) -> None:
    case.leased()

    def does(_: Work) -> None:
        (act,) = case.acts()
        case.ledger.end_silent_acts(
            case.plan_id, {act.id: act.alive_at}, actor="t", now=case.time.now()
        )

    with pytest.raises(NoAuthorityError, match="taken to be over"):
        case.run(work(case, does=does))
    assert case.acts()[0].result is ActResult.UNKNOWN


def test_the_plan_id_is_bound_to_the_log(case: PlanRunCase) -> None:
    structlog.contextvars.clear_contextvars()
    try:
        work(case).pre_execute(case.context("execute.s1"))
        bound = structlog.contextvars.get_contextvars()
    finally:
        structlog.contextvars.clear_contextvars()
    assert bound == {"plan_id": case.plan_id, "step": "s1"}


def test_what_is_printed_is_logged_by_the_task_itself(
    case: PlanRunCase, caplog: pytest.LogCaptureFixture
) -> None:
    def does(_: Work) -> None:
        print("one\ntwo")
        print("no end of line", end="")
        print("oh", file=sys.stderr)

    case.leased()
    caplog.set_level("INFO")
    case.run(work(case, does=does))
    printed = [(r.name, r.message) for r in caplog.records if r.name.startswith("task.std")]
    assert printed == [
        ("task.stdout", "one"), ("task.stdout", "two"), ("task.stderr", "oh"),
        ("task.stdout", "no end of line"),
    ]  # fmt: skip


def test_the_loader_binds_the_plan_id_inside_the_tasks_of_that_plan_only() -> None:
    from planner_provider.operators.plan_log import bind_while_parsing

    expected = PlanRef(PLAN, DIGEST, Role.FRAME).plan_id(RUN_ID)
    for dag_id, plan_id in ((PLAN, expected), ("other", None), (None, None)):
        structlog.contextvars.clear_contextvars()
        try:
            if dag_id:
                structlog.contextvars.bind_contextvars(dag_id=dag_id, run_id=RUN_ID)
            bind_while_parsing(PLAN, DIGEST)
            assert structlog.contextvars.get_contextvars().get("plan_id") == plan_id
        finally:
            structlog.contextvars.clear_contextvars()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PDEATHSIG is Linux only")
def test_a_process_dies_with_its_parent(tmp_path: Path) -> None:
    child = (
        "import time; from planner_provider.hooks.parent_death import die_with_parent; "
        "die_with_parent(); print('ready', flush=True); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys; "
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE); "
        "p.stdout.readline(); print(p.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        threading.Event().wait(0.1)
    pytest.fail("the child outlived its parent")


class TestMemos:
    """What is settled once for all tries of a step."""

    def numbers(self, seen: list[Any]) -> Any:
        made = iter(range(10))

        def does(step: Work) -> None:
            context = step.now
            seen.append(step.remember_once(context, "n", lambda: next(made)))
            seen.append(step.fencing_token(context))
            raise CheckFailedError("again")

        return does

    def test_the_first_value_stays_for_later_tries_of_the_run(self, case: PlanRunCase) -> None:
        case.leased()
        seen: list[Any] = []
        does = self.numbers(seen)
        for try_number in (1, 2):
            step = Remembering(task_id="s1", plan_ref=case.ref(Role.STEP, "s1"), does=does)
            with pytest.raises(CheckFailedError):
                case.run(step, try_number=try_number)
        assert seen == [0, 1, 0, 1], "the second number is the generation of the lease"
        context = case.context("s1")
        assert step.remembered(context, "n") == 0
        assert step.remembered(context, "m") is None
        assert step.remembered(context, "n", step="s2") is None
        other = Remembering(task_id="s2", plan_ref=case.ref(Role.STEP, "s2"))
        assert other.remembered(context, "n") is None
        assert other.remembered(context, "n", step="s1") == 0

    def test_by_hand_the_state_of_the_task_keeps_it(self, case: PlanRunCase) -> None:
        seen: list[Any] = []
        step = Remembering(task_id="s1", does=self.numbers(seen))
        store = Store()
        for _ in range(2):
            with pytest.raises(CheckFailedError):
                case.run(step, task_state_store=store)
        assert seen == [0, None, 0, None]
        with pytest.raises(CheckFailedError):
            case.run(step)
        assert seen[4] == 1, "without a store it is made anew"


class Remembering(Work):
    """Give what it does the context."""

    now: Any = None

    def act(self, context: Any) -> Any:
        object.__setattr__(self, "now", context)
        return super().act(context)
