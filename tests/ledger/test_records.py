from __future__ import annotations

import json
import threading

import pytest

from planner_provider.decide.model import Decision, Reason, Verdict, VerdictKind
from planner_provider.decide.replay import canonical_json
from planner_provider.ledger import Ledger
from planner_provider.ledger.acts import Permit
from planner_provider.ledger.authority import ApprovalError
from planner_provider.ledger.rows import (
    ActResult,
    ActRole,
    Approval,
    ApprovalAnswer,
    ApprovalRequest,
    ApprovalState,
    Course,
)
from tests.ledger.cases import DIGEST, NOW, Run, later

TASK = "approve.release"
SHA = "5" * 64


def decision(
    kind: VerdictKind = VerdictKind.PROCEED, text: str = "2 of 2 said yes — ✓"
) -> Decision:
    verdict = Verdict(kind=kind, reasons=(Reason(code="quorum", text=text),))
    inputs = json.dumps({"now": NOW.isoformat(), "weird": "\u0000 ü \ud83d\ude00"})
    return Decision(
        kind="approval", version=1, decided_at=NOW, inputs=inputs, verdict=canonical_json(verdict)
    )


def request(**more: object) -> ApprovalRequest:
    values: dict[str, object] = {
        "plan_id": Run.plan_id_of(), "task": TASK, "digest": DIGEST, "parameters_sha": SHA,
        "requester": "ada", "asked_at": NOW, "expires_at": later(3600), "rule": "{}",
    }  # fmt: skip
    return ApprovalRequest(**{**values, **more})  # type: ignore[arg-type]


def answer(user: str = "bob", approve: bool = True, via: str = "airflow") -> ApprovalAnswer:
    return ApprovalAnswer(user, approve, "why", via, later(5), True, "task instance 1")


class TestDecisions:
    def test_they_come_back_to_the_byte(self, ledger: Ledger) -> None:
        made = decision()
        first = ledger.record_decision(made, plan_id="p", step="gate", actor="t", now=later(1))
        second = ledger.record_decision(made, plan_id="p", step=None, actor="t", now=later(2))
        ledger.record_decision(made, plan_id="q", step=None, actor="t", now=later(2))
        found = ledger.decisions_of("p")
        assert [(d.id, d.step, d.decision) for d in found] == [
            (first, "gate", made), (second, None, made),
        ]  # fmt: skip
        assert ledger.decision(first) == found[0]
        assert ledger.decision(999) is None
        entry = ledger.audit_of("p")[0]
        assert (entry.what, entry.detail["verdict"]) == ("decision.made", "proceed")
        assert entry.detail["decision"] == first


class TestMemos:
    def test_the_first_value_stays(self, ledger: Ledger) -> None:
        assert ledger.remembered("p", "s", "before") is None
        assert ledger.remember_once("p", "s", "before", {"n": [1, None, "ü"]}) == {
            "n": [1, None, "ü"]
        }
        assert ledger.remember_once("p", "s", "before", "later") == {"n": [1, None, "ü"]}
        assert ledger.remembered("p", "s", "before") == {"n": [1, None, "ü"]}
        assert ledger.remember_once("p", "s/part", "before", 0) == 0
        assert ledger.remember_once("p2", "s", "before", False) is False

    @pytest.mark.parametrize("value", [float("nan"), object()])
    def test_what_json_cannot_hold_is_refused(self, ledger: Ledger, value: object) -> None:
        with pytest.raises((TypeError, ValueError)):
            ledger.remember_once("p", "s", "x", value)

    def test_of_many_at_once_all_get_the_first(self, ledger: Ledger) -> None:
        ledger.upgrade()
        barrier = threading.Barrier(8)
        got: list[int] = []

        def remember(number: int) -> None:
            barrier.wait()
            got.append(ledger.remember_once("p", "s", "x", number))

        threads = [threading.Thread(target=remember, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 8
        assert len(set(got)) == 1


class TestApprovals:
    def test_asking_again_is_harmless_while_it_is_open_or_granted(self, ledger: Ledger) -> None:
        first = ledger.open_approval(request(), "t", NOW)
        assert first == Approval(request(), ApprovalState.OPEN)
        again = ledger.open_approval(request(asked_at=later(9)), "t", later(9))
        assert again.request.asked_at == NOW
        grant(ledger)
        assert ledger.open_approval(request(), "t", later(9)).state is ApprovalState.GRANTED
        assert [e.what for e in ledger.audit_of()].count("approval.asked") == 1

    @pytest.mark.parametrize(
        ("change", "at"),
        [({"digest": "e" * 64}, 1), ({"parameters_sha": "6" * 64}, 1), ({}, 3600)],
    )
    def test_a_grant_for_something_else_or_past_its_time_is_no_grant(
        self, ledger: Ledger, change: dict[str, object], at: float
    ) -> None:
        ledger.open_approval(request(), "t", NOW)
        grant(ledger)
        anew = ledger.open_approval(request(**change, expires_at=later(9999)), "t", later(at))
        assert anew.state is ApprovalState.OPEN
        assert ledger.approval_of(Run.plan_id_of(), TASK) == anew

    def test_an_open_one_for_something_else_is_cancelled(self, ledger: Ledger) -> None:
        ledger.open_approval(request(), "t", NOW)
        ledger.open_approval(request(digest="e" * 64), "t", NOW)
        assert ledger.record_answer(Run.plan_id_of(), TASK, answer(), "t", later(1))
        found = ledger.approval_of(Run.plan_id_of(), TASK)
        assert found is not None
        assert (found.request.digest, len(found.answers)) == ("e" * 64, 1)

    def test_the_same_answer_counts_once_and_a_changed_mind_is_kept(self, ledger: Ledger) -> None:
        plan_id = Run.plan_id_of()
        ledger.open_approval(request(), "t", NOW)
        assert ledger.record_answer(plan_id, TASK, answer(), "t", later(5))
        assert not ledger.record_answer(plan_id, TASK, answer(), "t", later(6))
        assert ledger.record_answer(plan_id, TASK, answer(via="link"), "t", later(7))
        assert ledger.record_answer(plan_id, TASK, answer(approve=False), "t", later(8))
        found = ledger.approval_of(plan_id, TASK)
        assert found is not None
        assert [(a.user, a.via, a.approve) for a in found.answers] == [
            ("bob", "airflow", True), ("bob", "link", True), ("bob", "airflow", False),
        ]  # fmt: skip
        assert found.answers[0] == answer()

    def test_an_answer_that_comes_late_is_audited_and_counts_for_nothing(
        self, ledger: Ledger
    ) -> None:
        plan_id = Run.plan_id_of()
        assert not ledger.record_answer(plan_id, TASK, answer(), "t", NOW)
        ledger.open_approval(request(), "t", NOW)
        assert ledger.close_approval(
            plan_id, TASK, ApprovalState.EXPIRED, None, actor="t", now=later(1)
        )
        assert not ledger.record_answer(plan_id, TASK, answer(), "t", later(2))
        found = ledger.approval_of(plan_id, TASK)
        assert found is not None
        assert (found.state, found.answers, found.closed_at) == (
            ApprovalState.EXPIRED, (), later(1),
        )  # fmt: skip
        assert [e.what for e in ledger.audit_of()].count("approval.answered_late") == 2

    def test_it_is_closed_once(self, ledger: Ledger) -> None:
        def close(state: ApprovalState) -> bool:
            return ledger.close_approval(
                Run.plan_id_of(), TASK, state, None, actor="t", now=later(1)
            )

        assert not close(ApprovalState.REJECTED), "nothing is open"
        ledger.open_approval(request(), "t", NOW)
        assert close(ApprovalState.REJECTED)
        assert not close(ApprovalState.CANCELLED)
        assert ledger.open_approval(request(), "t", later(2)).state is ApprovalState.OPEN

    @pytest.mark.parametrize("other", ["none", "refusal", "run"])
    def test_it_is_granted_by_a_decision_of_this_run_only(self, ledger: Ledger, other: str) -> None:
        ledger.open_approval(request(), "t", NOW)
        made = decision(VerdictKind.REFUSE if other == "refusal" else VerdictKind.PROCEED)
        plan_id = "another" if other == "run" else Run.plan_id_of()
        decided = ledger.record_decision(made, plan_id=plan_id, step=None, actor="t", now=NOW)
        with pytest.raises(ValueError, match="only by a recorded decision"):
            ledger.close_approval(
                Run.plan_id_of(), TASK, ApprovalState.GRANTED,
                None if other == "none" else decided, actor="t", now=NOW,
            )  # fmt: skip
        found = ledger.approval_of(Run.plan_id_of(), TASK)
        assert found is not None
        assert found.state is ApprovalState.OPEN


def grant(ledger: Ledger) -> None:
    plan_id = Run.plan_id_of()
    decided = ledger.record_decision(decision(), plan_id=plan_id, step=TASK, actor="t", now=NOW)
    assert ledger.close_approval(
        plan_id, TASK, ApprovalState.GRANTED, decided, actor="t", now=later(1)
    )


class TestAuthority:
    """Nobody acts without the approvals that the run was bound to."""

    @pytest.fixture
    def run(self, ledger: Ledger) -> Run:
        run = Run(ledger)
        ledger.pin_run(
            run.key, expires_at=None, parameters={}, actor="t", now=NOW, approvals=(TASK,),
            parameters_sha=SHA,
        )  # fmt: skip
        run.lease()
        return run

    def refused(self, run: Run, says: str, at: float = 10) -> None:
        with pytest.raises(ApprovalError, match=says) as caught:
            run.begin("s1", at=later(at))
        assert "Nothing was touched" in str(caught.value)
        assert "Clear the task approve.release" in str(caught.value)
        assert run.ledger.acts_of(run.key.plan_id) == ()

    def test_a_granted_one_lets_steps_act(self, run: Run) -> None:
        run.ledger.open_approval(request(), "t", NOW)
        grant(run.ledger)
        assert run.begin("s1", at=later(10)).permit is Permit.GRANTED
        found = run.ledger.run(run.key.plan_id)
        assert found is not None
        assert (found.approvals, found.parameters_sha) == ((TASK,), SHA)

    def test_one_that_was_never_asked_for(self, run: Run) -> None:
        self.refused(run, "never asked for")

    def test_one_that_is_open(self, run: Run) -> None:
        run.ledger.open_approval(request(), "t", NOW)
        run.ledger.record_answer(run.key.plan_id, TASK, answer(), "t", NOW)
        self.refused(run, "still open")

    @pytest.mark.parametrize(
        ("state", "says"),
        [
            (ApprovalState.REJECTED, r"rejected at 2026-03-29 01:00:00 UTC by bob: why"),
            (ApprovalState.EXPIRED, "nobody answered in time"),
            (ApprovalState.CANCELLED, "cancelled"),
        ],
    )
    def test_one_that_was_closed_otherwise(self, run: Run, state: ApprovalState, says: str) -> None:
        run.ledger.open_approval(request(), "t", NOW)
        run.ledger.record_answer(run.key.plan_id, TASK, answer(approve=False), "t", NOW)
        run.ledger.close_approval(run.key.plan_id, TASK, state, None, actor="t", now=later(1))
        self.refused(run, says)

    def test_one_for_another_version(self, run: Run) -> None:
        run.ledger.open_approval(request(digest="e" * 64), "t", NOW)
        grant(run.ledger)
        self.refused(run, "version eeeeeeee of the plan; the run is bound to dddddddd")

    def test_one_for_other_parameters(self, run: Run) -> None:
        run.ledger.open_approval(request(parameters_sha="6" * 64), "t", NOW)
        grant(run.ledger)
        self.refused(run, "other parameters")

    def test_one_that_ran_out(self, run: Run) -> None:
        run.ledger.open_approval(request(), "t", NOW)
        grant(run.ledger)
        self.refused(run, "valid until", at=3600)
        assert run.begin("s1", at=later(3599)).permit is Permit.GRANTED

    def test_one_of_two_is_missing(self, run: Run, ledger: Ledger) -> None:
        ledger.pin_run(
            run.key, expires_at=None, parameters={}, actor="t", now=NOW,
            approvals=("approve.other", TASK), parameters_sha=SHA,
        )  # fmt: skip
        ledger.open_approval(request(), "t", NOW)
        grant(ledger)
        with pytest.raises(ApprovalError, match=r"approve\.other"):
            run.begin("s1", at=later(10))

    def test_undoing_and_checks_need_none(self, run: Run) -> None:
        run.ledger.open_approval(request(), "t", NOW)
        grant(run.ledger)
        run.do("s1", ActResult.FAILED, at=later(10))
        assert run.begin("verify", ActRole.CHECK, at=later(4000)).permit is Permit.GRANTED
        run.wind_up(Course.UNDO)
        assert run.begin("s1", ActRole.UNDO, at=later(4000)).permit is Permit.GRANTED
