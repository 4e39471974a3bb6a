from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped

from planner_provider.graph.contacts import Contact, ContactRoute
from planner_provider.ledger.notices import NoticeState
from planner_provider.ledger.rows import (
    ActResult,
    ActRole,
    ApprovalAnswer,
    ApprovalState,
    Claim,
    Course,
    Outcome,
)
from planner_provider.notifications.plans import Audience
from planner_provider.operators.frame import (
    AcquireOperator,
    AssessOperator,
    BeginOperator,
    DecideOperator,
    FinishOperator,
    ReleaseOperator,
)
from planner_provider.operators.not_available import NotAvailableOperator
from planner_provider.operators.plan_ref import Role
from tests.hooks.http_server import Reply, http_server
from tests.operators.plan_runs import DIGEST, NOW, PLAN, RUN_ID, STEPS, PlanRunCase, database


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanRunCase:
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", database(tmp_path))
    return PlanRunCase(database(tmp_path))


def act(
    case: PlanRunCase,
    step: str,
    result: ActResult | None = ActResult.DONE,
    role: ActRole = ActRole.STEP,
) -> int:
    begin = case.ledger.begin_act(Claim(PLAN, RUN_ID, DIGEST, role, step), now=case.time.now())
    assert begin.act is not None
    if result is not None:
        case.ledger.end_act(begin.act, result, "why", actor="t", now=case.time.now())
    return begin.act.id


def test_begin_costs_no_worker_start() -> None:
    assert BeginOperator(task_id="begin").inherits_from_empty_operator


class TestAssess:
    def assess(self, case: PlanRunCase, **more: Any) -> AssessOperator:
        ref = case.ref(Role.FRAME, digest=more.pop("digest", DIGEST))
        return AssessOperator(task_id="assess", plan_ref=ref, **more)

    def test_it_binds_the_run_to_its_version_and_starts_the_time_to_live(
        self, case: PlanRunCase
    ) -> None:
        case.run(self.assess(case, ttl=timedelta(hours=4)), params={"version": "1.2"})
        run = case.ledger.run_of(PLAN, RUN_ID)
        assert run is not None
        assert (run.plan_id, run.key.digest) == (case.plan_id, DIGEST)
        assert run.expires_at == NOW + timedelta(hours=4)
        assert run.parameters == {"version": "1.2"}

    def test_secrets_in_parameters_are_masked(self, case: PlanRunCase) -> None:
        case.run(self.assess(case), params={"api_password": "hunter2!"})
        run = case.ledger.run_of(PLAN, RUN_ID)
        assert run is not None
        assert "hunter2!" not in str(run.parameters)

    def test_what_is_not_available_is_refused_and_never_tried_again(
        self, case: PlanRunCase
    ) -> None:
        with pytest.raises(AirflowFailException, match="action canary of step s1; approvals"):
            case.run(self.assess(case, unavailable=("action canary of step s1", "approvals")))
        assert case.ledger.run_of(PLAN, RUN_ID) is None

    def test_another_version_of_the_plan_is_refused(self, case: PlanRunCase) -> None:
        case.run(self.assess(case))
        with pytest.raises(AirflowFailException, match="changed while this run was under way"):
            case.run(self.assess(case, digest="cd" * 32))


class TestAcquireAndRelease:
    def test_the_plan_itself_is_always_held(self, case: PlanRunCase) -> None:
        case.pinned()
        ref = case.ref(Role.FRAME)
        operator = AcquireOperator(task_id="acquire", plan_ref=ref, touches=(("db://x", "shared"),))
        generation = case.run(operator)
        assert case.run(operator, try_number=2) == generation
        lease = case.ledger.check_lease(case.plan_id)
        assert lease is not None
        assert {(h.resource, h.mode.value) for h in lease.holds} == {
            ("db://x", "shared"), (f"plan://{PLAN}", "exclusive"),
        }  # fmt: skip
        release = ReleaseOperator(task_id="release", plan_ref=ref)
        assert case.run(release) is True
        assert case.run(release) is False
        assert case.ledger.check_lease(case.plan_id) is None

    def test_another_version_gets_no_locks(self, case: PlanRunCase) -> None:
        case.pinned()
        operator = AcquireOperator(
            task_id="acquire", plan_ref=case.ref(Role.FRAME, digest="c" * 64)
        )
        with pytest.raises(AirflowFailException, match="changed while"):
            case.run(operator)

    def test_release_waits_until_nothing_acts(self, case: PlanRunCase) -> None:
        case.leased()
        act(case, "s1", None)
        case.run(ReleaseOperator(task_id="release", plan_ref=case.ref(Role.FRAME)))
        assert case.time.seconds >= 12
        assert case.acts()[0].result is ActResult.UNKNOWN

    def test_release_works_for_a_plan_that_was_changed_under_way(self, case: PlanRunCase) -> None:
        case.leased()
        ref = case.ref(Role.FRAME, digest="cd" * 32)
        assert case.run(ReleaseOperator(task_id="release", plan_ref=ref)) is True


class TestDecide:
    def decide(self, case: PlanRunCase, **more: Any) -> tuple[list[str], DecideOperator]:
        """Run `decide` in a DAG and give the task ids that it skips."""
        values = {"verify": "verify", "verify_rollback": "verify_rollback", **more}
        with DAG(PLAN, schedule=None):
            operator = DecideOperator(
                task_id="decide", plan_ref=case.ref(Role.FRAME), steps=STEPS, **values
            )
            for task_id in ("rollback.s2", "rollback.s1", "verify_rollback"):
                operator >> BaseOperator(task_id=task_id)
        try:
            case.run(operator)
        except DownstreamTasksSkipped as skip:
            skipped = list(skip.tasks)
        else:
            return [], operator
        assert case.last["ti"].pushed["skipmixin_key"] == {"skipped": skipped}
        return skipped, operator

    def course(self, case: PlanRunCase) -> Course | None:
        lease = case.ledger.last_lease(case.plan_id)
        assert lease is not None
        return lease.course

    def test_a_change_that_is_in_stays(self, case: PlanRunCase) -> None:
        case.leased()
        for step in ("s1", "s2", "s3"):
            act(case, step)
        act(case, "verify", role=ActRole.CHECK)
        assert self.decide(case)[0] == ["rollback.s2", "rollback.s1", "verify_rollback"]
        assert self.course(case) is Course.KEEP

    def test_a_verification_that_did_not_pass_undoes_everything(self, case: PlanRunCase) -> None:
        case.leased()
        for step in ("s1", "s2", "s3"):
            act(case, step)
        act(case, "verify", ActResult.FAILED, ActRole.CHECK)
        assert self.decide(case)[0] == []
        assert self.course(case) is Course.UNDO

    def test_only_what_never_acted_is_not_undone(self, case: PlanRunCase) -> None:
        case.leased()
        act(case, "s1", ActResult.FAILED)
        assert self.decide(case)[0] == ["rollback.s2"]
        assert self.course(case) is Course.UNDO

    def test_nothing_acted_nothing_to_undo(self, case: PlanRunCase) -> None:
        case.leased()
        assert self.decide(case)[0] == ["rollback.s2", "rollback.s1", "verify_rollback"]
        assert self.course(case) is Course.UNDO

    def test_a_person_who_stopped_the_run_has_the_last_word(self, case: PlanRunCase) -> None:
        case.leased()
        for step in ("s1", "s2", "s3"):
            act(case, step)
        case.ledger.record_abort(PLAN, RUN_ID, actor="t", now=case.time.now())
        self.decide(case, verify=None)
        assert self.course(case) is Course.UNDO

    def test_it_waits_for_a_process_that_still_acts(self, case: PlanRunCase) -> None:
        case.leased()
        act(case, "s1")
        act_id = act(case, "s2", None)

        def signs() -> None:
            if case.time.seconds < 60:
                told = case.ledger.life_sign(act_id, now=case.time.now())
                assert told is not None, "it is told to stop"

        case.time.on_sleep = signs
        self.decide(case)
        assert case.acts()[-1].result is ActResult.UNKNOWN
        assert case.time.seconds >= 12

    def test_a_deferred_step_does_not_hold_it_up(self, case: PlanRunCase) -> None:
        case.leased()
        case.ledger.park_act(act(case, "s1", None), now=case.time.now())
        assert self.decide(case)[0] == ["rollback.s2"]
        assert case.time.seconds == 0
        assert case.acts()[0].result is ActResult.UNKNOWN

    def test_without_locks_there_is_nothing_to_decide(self, case: PlanRunCase) -> None:
        case.pinned()
        with pytest.raises(AirflowFailException, match="Clear the task `acquire`"):
            self.decide(case)

    def test_a_plan_changed_under_way_is_not_decided(self, case: PlanRunCase) -> None:
        case.leased()
        act(case, "s1")
        operator = DecideOperator(
            task_id="decide", plan_ref=case.ref(Role.FRAME, digest="c" * 64), steps=STEPS
        )
        with pytest.raises(AirflowFailException, match="changed while"):
            case.run(operator)
        assert self.course(case) is None
        lease = case.ledger.check_lease(case.plan_id)
        assert lease is not None
        assert lease.closing_at is not None, "no step may begin all the same"


PAGED = Audience(owner="team-shop", contacts=(Contact(team="team-shop", connections=("pager",)),))


class TestFinish:
    def finish(self, case: PlanRunCase, **more: Any) -> tuple[Outcome, str]:
        values = {"front": ("assess", "approve", "acquire"), "approvals": ("approve",), **more}
        operator = FinishOperator(
            task_id="finish", plan_ref=case.ref(Role.FRAME), steps=STEPS, **values
        )
        case.states = {"assess": "success", "approve": "success", "acquire": "success"} | (
            case.states
        )
        failed = False
        try:
            case.run(operator)
        except AirflowFailException:
            failed = True
        run = case.ledger.run_of(PLAN, RUN_ID)
        assert run is not None
        assert run.outcome is not None
        assert failed is (run.outcome is not Outcome.SUCCEEDED)
        assert case.last["ti"].pushed == {"outcome": run.outcome.value, "plan_id": case.plan_id}
        return run.outcome, run.reason or ""

    def test_succeeded(self, case: PlanRunCase) -> None:
        case.leased()
        for step in ("s1", "s2", "s3"):
            act(case, step)
        case.winding_up(Course.KEEP)
        assert self.finish(case) == (Outcome.SUCCEEDED, "Every step is done.")

    def test_rolled_back_names_what_failed_first(self, case: PlanRunCase) -> None:
        case.leased()
        act(case, "s1")
        act(case, "s2", ActResult.FAILED)
        case.winding_up(Course.UNDO)
        for step in ("s2", "s1"):
            act(case, step, role=ActRole.UNDO)
        outcome, reason = self.finish(case)
        assert outcome is Outcome.ROLLED_BACK
        assert reason.startswith("Step s2 ended failed at try 1: why.")

    def test_rollback_failed_names_the_undoing_too(self, case: PlanRunCase) -> None:
        case.leased()
        act(case, "s1", ActResult.FAILED)
        case.winding_up(Course.UNDO)
        act(case, "s1", ActResult.FAILED, ActRole.UNDO)
        outcome, reason = self.finish(case)
        assert outcome is Outcome.ROLLBACK_FAILED
        assert "The undoing of s1 ended failed" in reason
        assert ".." not in reason

    @pytest.mark.parametrize("status", [200, 500])
    def test_a_rollback_that_failed_pages_and_the_outcome_stays(
        self, case: PlanRunCase, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        case.leased()
        act(case, "s1", ActResult.FAILED)
        case.winding_up(Course.UNDO)
        act(case, "s1", ActResult.FAILED, ActRole.UNDO)
        with http_server(lambda _: Reply(status)) as pager:
            given = f'{{"conn_type": "http", "host": "{pager.url}/page"}}'
            monkeypatch.setenv("AIRFLOW_CONN_PAGER", given)
            assert self.finish(case, audience=PAGED)[0] is Outcome.ROLLBACK_FAILED
            assert self.finish(case, audience=PAGED)[0] is Outcome.ROLLBACK_FAILED
        assert len(pager.asked) == 1, "told once, though the task was done again"
        asked = pager.asked[0]
        assert asked.json["severity"] == "critical"
        assert asked.json["text"].startswith(f"The rollback of {case.plan_id} failed.")
        (notice,) = case.ledger.notices_of(case.plan_id)
        assert notice.state is (NoticeState.SENT if status == 200 else NoticeState.DUE)

    def test_who_wants_to_hear_of_failed_rollbacks_only_hears_of_nothing_else(
        self, case: PlanRunCase
    ) -> None:
        case.leased()
        act(case, "s1")
        case.winding_up(Course.UNDO)
        act(case, "s1", role=ActRole.UNDO)
        route = ContactRoute(connection="nobody", min_severity="critical")
        contact = Contact(team="team-shop", connections=("nobody",), routes=(route,))
        audience = Audience(owner="team-shop", contacts=(contact,))
        assert self.finish(case, audience=audience)[0] is Outcome.ROLLED_BACK
        assert case.ledger.notices_of(case.plan_id) == ()

    def test_rejected(self, case: PlanRunCase) -> None:
        case.pinned()
        case.asked()
        no = ApprovalAnswer("alice", False, "not on a Friday", "airflow", NOW, True, "api")
        case.ledger.record_answer(case.plan_id, "approve", no, actor="t", now=NOW)
        case.closed(ApprovalState.REJECTED)
        case.states = {"acquire": "skipped"}
        assert self.finish(case) == (
            Outcome.REJECTED, "alice said no: not on a Friday. Nothing was changed.",
        )  # fmt: skip

    def test_an_approval_that_nobody_answered_expires(self, case: PlanRunCase) -> None:
        case.pinned()
        case.asked()
        case.closed(ApprovalState.EXPIRED)
        case.states = {"approve": "failed", "acquire": "upstream_failed"}
        assert self.finish(case)[0] is Outcome.EXPIRED

    def test_blocked_says_by_what_though_the_run_was_never_bound(self, case: PlanRunCase) -> None:
        with pytest.raises(AirflowFailException):
            case.run(
                AssessOperator(
                    task_id="assess", plan_ref=case.ref(Role.FRAME), unavailable=("gates",)
                )
            )
        case.states = {
            "assess": "failed", "approve": "upstream_failed", "acquire": "upstream_failed",
        }  # fmt: skip
        outcome, reason = self.finish(case, approvals=())
        assert outcome is Outcome.BLOCKED
        assert reason.startswith("assess: This release cannot do")

    def test_a_run_that_was_stopped_before_anything_acted_is_aborted(
        self, case: PlanRunCase
    ) -> None:
        case.pinned()
        case.ledger.record_abort(PLAN, RUN_ID, actor="t", now=NOW)
        case.states = {"approve": "failed", "acquire": "skipped"}
        assert self.finish(case)[0] is Outcome.ABORTED

    def test_locks_that_nobody_gave_back_are_given_back(self, case: PlanRunCase) -> None:
        case.leased()
        case.states = {"acquire": "failed"}
        assert self.finish(case)[0] is Outcome.BLOCKED
        assert case.ledger.check_lease(case.plan_id) is None

    def test_states_that_are_set_by_hand_make_no_success(self, case: PlanRunCase) -> None:
        case.leased()
        case.states = {step.task_id: "success" for step in STEPS}
        assert self.finish(case)[0] is not Outcome.SUCCEEDED

    def test_the_summary_says_what_to_do(
        self, case: PlanRunCase, capsys: pytest.CaptureFixture[str]
    ) -> None:
        case.leased()
        act(case, "s1")
        act(case, "s2", ActResult.FAILED)
        case.winding_up(Course.UNDO)
        act(case, "s1", ActResult.FAILED, ActRole.UNDO)
        act(case, "s2", role=ActRole.UNDO)
        case.time.seconds = 75
        self.finish(case, runbook="https://example.com/runbook")
        text = capsys.readouterr().out
        for line in (
            "ROLLBACK_FAILED", "Undone: s2", "Left changed: s1", "Never begun: s3", "Took: 1m15s",
            "Next: Look now.", "Runbook: https://example.com/runbook",
        ):  # fmt: skip
            assert line in text

    def test_the_summary_tells_failed_steps_from_those_that_never_began(
        self, case: PlanRunCase, capsys: pytest.CaptureFixture[str]
    ) -> None:
        case.leased()
        act(case, "s1")
        act(case, "s2", ActResult.FAILED)
        case.winding_up(Course.UNDO)
        act(case, "s1", role=ActRole.UNDO)
        self.finish(case)
        text = capsys.readouterr().out
        assert "Failed: s2" in text
        assert "Never begun: s3" in text


def test_what_is_not_available_fails_for_good() -> None:
    operator = NotAvailableOperator(task_id="x", what="Action canary of step s1")
    with pytest.raises(AirflowFailException, match="Action canary of step s1 is not available"):
        operator.execute({})
