"""What can happen to a run of a plan in YAML, in a real Airflow: it never ends half done unsaid.

Every test asserts what must hold whatever happens: no step acts without locks and approvals, no
run ends green without its change, no compensation begins while something acts, nothing stays
locked.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from planner_provider.ledger.rows import ActResult, ActRole, Outcome
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.localstack.settings import StackSettings
from planner_provider.sandbox import Sandbox
from tests.e2e.kill_matrix import connection
from tests.e2e.local_bundle import QUICK, make_bundle, wait_until
from tests.e2e.situation_plans import PLANS, SLO, THEIRS
from tests.e2e.situation_stage import QUIET, Stage
from tests.hooks.http_server import Asked, Reply, http_server
from tests.hooks.played_prometheus import answer, played

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HAND_WIRED = Path(__file__).parent / "hand_wired"
USERS = {"admin": "admin", "alice": "op", "bob": "op"}
SEEN_SECONDS = 10.0
"""Within this time everything that waits has seen an abort."""


def good(asked: Asked) -> Reply:
    return played(answer())(asked)


def bad(asked: Asked) -> Reply:
    return played(answer(good=1000))(asked)


def unreachable(asked: Asked) -> Reply:
    return Reply(503, b"try later")


def seen_within(seconds: float, what: Callable[[], object]) -> None:
    begun = time.monotonic()
    wait_until(what, seconds * 3)
    assert time.monotonic() - begun < seconds


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("situations")
    home = root / "home"
    specs = make_bundle(root / "bundle")
    (specs / "010-slos.yaml").write_text(SLO)
    for name, text in PLANS.items():
        (specs / f"{name}.yaml").write_text(text)
    with Sandbox() as sandbox, http_server(good) as server:
        env = QUICK | {
            "AIRFLOW_CONN_SANDBOX": connection(sandbox.port),
            "AIRFLOW_CONN_PROMETHEUS": connection(server.port),
            "AIRFLOW__PLANNER__ALLOWED_OPERATORS": THEIRS,
        }
        dags = root / "bundle" / "dags"
        shutil.copy(HAND_WIRED / "mapped_plan.py", dags)
        settings = StackSettings(home=home, dags=dags, env=env, users=USERS, parallelism=4)
        cache = tmp_path_factory.getbasetemp() / "airflow-template"
        with LocalAirflow(settings, template_cache=cache) as airflow:
            airflow.wait_ready()
            for name in (*PLANS, "mapped"):
                airflow.wait_dag(name)
            yield Stage(airflow, sandbox, server, home)


@pytest.fixture(autouse=True)
def healthy(stage: Stage) -> None:
    stage.server.answer = good


def test_a_deferred_step_ends_when_one_beside_it_fails_and_then_all_is_undone(
    stage: Stage,
) -> None:
    run = stage.start("parallel")
    outcome, reason = run.end()  # long before the ten minutes of `rest` are over
    assert outcome is Outcome.ROLLED_BACK
    assert "bad" in reason.split(".")[0], reason
    assert run.world() == ["one", "-one"]
    acts = {(a.step, a.role): a for a in stage.ledger.acts_of(run.plan_id)}
    rest, undo = acts["rest", ActRole.STEP], acts["one", ActRole.UNDO]
    assert rest.ended_at is not None
    assert "Step bad of this run failed for good" in (rest.detail or "")
    assert rest.ended_at <= undo.intent_at


def test_when_one_part_of_a_mapped_step_fails_all_parts_are_undone(stage: Stage) -> None:
    run = stage.start("mapped")
    assert run.end()[0] is Outcome.ROLLED_BACK
    world = run.world()
    assert sorted(world[:5]) == ["0", "1", "2", "3", "5"]
    assert world[5:] == ["-5", "-3", "-2", "-1", "-0"]
    acts = [act for act in stage.ledger.acts_of(run.plan_id) if act.role is ActRole.STEP]
    assert sorted(act.map_index for act in acts if act.result is ActResult.DONE) == [0, 1, 2, 3, 5]
    assert {act.map_index for act in acts if act.result is ActResult.FAILED} == {4}


def test_who_says_no_keeps_everything_as_it_is(stage: Stage) -> None:
    run = stage.start("asked")
    run.wait_for("approve", "deferred")
    run.answer("bob", yes=False)
    outcome, reason = run.end()
    assert outcome is Outcome.REJECTED
    assert "bob said no" in reason
    assert run.world() == []
    assert stage.ledger.acts_of(run.plan_id) == ()

    # the question counts as answered for Airflow; what follows is cleared: still nothing
    assert run.states()["approve"] == "success"
    stage.api.clear("asked", run.run_id, ["acquire"])
    assert run.end()[0] is not Outcome.SUCCEEDED
    assert run.world() == []


@pytest.mark.soak
def test_nobody_answers(stage: Stage) -> None:
    run = stage.start("hurried")
    outcome, reason = run.end()
    assert outcome is Outcome.EXPIRED, reason
    assert run.world() == []


def test_of_two_who_must_agree_one_says_no(stage: Stage) -> None:
    run = stage.start("both")
    waiting = ("approve_1", "approve_2", "approve")
    wait_until(lambda: any(run.states().get(name) == "deferred" for name in waiting))
    task_id = next(name for name in waiting if run.states().get(name) == "deferred")
    run.answer("alice", yes=False, task_id=task_id)
    assert run.end()[0] is Outcome.REJECTED, "without waiting for the other one"
    assert run.world() == []


def test_guards_that_refuse_block_at_the_first_try(stage: Stage) -> None:
    stage.server.answer = bad
    run = stage.start("guarded")
    outcome, reason = run.end()
    assert outcome is Outcome.BLOCKED
    assert "The guards forbid to begin" in reason
    assert stage.api.task_instance("guarded", run.run_id, "guard").try_number == 1
    assert run.world() == []


@pytest.mark.soak
def test_guards_that_cannot_be_asked_are_tried_again(stage: Stage) -> None:
    stage.server.answer = unreachable
    run = stage.start("guarded")
    run.wait_for("guard", "up_for_retry")
    assert run.world() == []
    stage.server.answer = good
    assert run.end()[0] is Outcome.SUCCEEDED
    assert run.world() == ["one"]


def test_a_change_that_is_not_verified_is_undone_and_a_clear_does_not_make_it_green(
    stage: Stage,
) -> None:
    run = stage.start("unverified")
    assert run.end()[0] is Outcome.ROLLED_BACK
    assert run.world() == ["one", "two", "-two", "-one"]
    stage.api.clear("unverified", run.run_id, only_failed=True, downstream=False)
    assert run.end()[0] is not Outcome.SUCCEEDED
    assert run.world() == ["one", "two", "-two", "-one"]


def test_a_compensation_that_fails_is_said_and_the_others_run(stage: Stage) -> None:
    run = stage.start("stuck")
    outcome, reason = run.end()
    assert outcome is Outcome.ROLLBACK_FAILED
    assert "Left changed: two" in reason
    assert run.world() == ["one", "two", "three", "-three", "-one"]


@pytest.mark.parametrize("state", ["failed", pytest.param("success", marks=pytest.mark.soak)])
def test_a_run_marked_by_hand_while_it_is_rolled_back_is_rolled_back(
    stage: Stage, state: str
) -> None:
    run = stage.start("undoing")
    run.wait_for("decide", "running", "success")
    with stage.slowed(4):
        run.wait_until_acting("two", ActRole.UNDO)
        stage.api.set_run_state("undoing", run.run_id, state)
    outcome, _ = run.end()
    assert outcome is Outcome.ROLLED_BACK
    assert run.world() == ["one", "two", "-two", "-one"]


def test_an_approval_half_way_that_is_refused_undoes_what_was_done(stage: Stage) -> None:
    run = stage.start("midway")
    run.wait_for("execute.ask", "deferred")
    run.answer("alice", yes=False, task_id="execute.ask")
    assert run.end()[0] in {Outcome.ROLLED_BACK, Outcome.REJECTED}
    assert run.world() == ["one", "-one"]


@pytest.mark.parametrize(
    ("plan", "task_id"),
    [
        ("asked", "approve"),
        pytest.param("midway", "execute.ask", marks=pytest.mark.soak),
        pytest.param("gated", "execute.gate", marks=pytest.mark.soak),
        ("shifted", "execute.shift.w20"),
    ],
)
def test_an_abort_is_seen_by_what_waits_and_leads_to_rollback(
    stage: Stage, plan: str, task_id: str
) -> None:
    if plan == "gated":
        stage.server.answer = unreachable
    run = stage.start(plan)
    run.wait_for(task_id, "deferred")
    stage.server.answer = unreachable
    time.sleep(QUIET)
    run.abort()
    seen_within(SEEN_SECONDS, lambda: run.states()[task_id] == "failed")
    outcome, reason = run.end()
    assert outcome in {Outcome.ABORTED, Outcome.ROLLED_BACK}
    assert "A person stopped the run" in reason
    assert run.world() == ([] if plan == "asked" else ["one", "-one"])
    assert stage.sandbox.service("checkout").canary is None


def test_a_breach_takes_a_canary_back_and_does_not_hold_up_its_rollback(stage: Stage) -> None:
    run = stage.start("shifted")
    run.wait_for("execute.shift.w20", "deferred")
    time.sleep(QUIET)
    stage.server.answer = bad
    outcome, reason = run.end()
    assert outcome is Outcome.ROLLED_BACK
    assert "The canary is taken back at 20%" in reason
    assert run.world() == ["one", "-one"]
    assert stage.sandbox.service("checkout").canary is None


@pytest.mark.soak
def test_a_step_marked_failed_while_it_acts_is_undone(stage: Stage) -> None:
    with stage.slowed(15):
        run = stage.start("slow")
        run.wait_until_acting("one")
        time.sleep(1)
        stage.api.set_task_state("slow", run.run_id, "execute.one", "failed")
    assert run.end()[0] is Outcome.ROLLED_BACK
    assert run.world() == ["one", "-one"]


@pytest.mark.soak
def test_a_step_marked_skipped_while_it_acts_does_not_count_as_done(stage: Stage) -> None:
    with stage.slowed(15):
        run = stage.start("slow")
        run.wait_until_acting("one")
        time.sleep(1)
        stage.api.set_task_state("slow", run.run_id, "execute.one", "skipped")
    assert run.end()[0] is not Outcome.SUCCEEDED
    assert run.world() == ["one", "-one"]


def test_a_step_cleared_with_what_follows_while_it_acts_goes_on_where_it_was(
    stage: Stage,
) -> None:
    with stage.slowed(15):
        run = stage.start("slow")
        run.wait_until_acting("one")
        time.sleep(1)
        stage.api.clear("slow", run.run_id, ["execute.one"])
    assert run.end()[0] is Outcome.SUCCEEDED
    assert run.world() == ["one", "two", "three"]


@pytest.mark.soak
def test_a_whole_run_that_is_cleared_is_done_again_only_where_it_was_not(stage: Stage) -> None:
    run = stage.start("slow")
    assert run.end()[0] is Outcome.SUCCEEDED
    stage.api.clear("slow", run.run_id)
    assert run.end()[0] is Outcome.SUCCEEDED
    assert run.world() == ["one", "two", "three"]


def test_a_hold_lets_no_step_begin_until_it_is_resumed_and_an_abort_ends_it(stage: Stage) -> None:
    """Two runs at once: the one goes on, with an operator of others; the other is stopped."""
    with stage.slowed(3):
        goes_on, stopped = stage.start("held"), stage.start("slow")
        for run in (goes_on, stopped):
            run.wait_until_acting("one")
            run.hold()
    goes_on.wait_for("execute.theirs", "deferred")
    stopped.wait_for("execute.two", "deferred")
    assert {act.step for act in stage.ledger.acts_of(goes_on.plan_id)} == {"one"}
    time.sleep(QUIET)
    stopped.abort()
    goes_on.resume()
    seen_within(SEEN_SECONDS, lambda: stopped.states()["execute.two"] == "failed")
    assert goes_on.end()[0] is Outcome.SUCCEEDED
    outcome, reason = stopped.end()
    assert outcome is Outcome.ROLLED_BACK
    assert "A person stopped the run" in reason
    assert goes_on.world() == ["one", "two"]
    assert stopped.world() == ["one", "-one"]
    theirs = stage.api.task_instance("held", goes_on.run_id, "execute.theirs")
    assert (theirs.state, theirs.try_number) == ("success", 1), "a hold is no failure"
    two = stage.api.task_instance("slow", stopped.run_id, "execute.two")
    assert two.try_number == 1
