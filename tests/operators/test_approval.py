from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped, TaskDeferred

from planner_provider.errors import UnavailableError
from planner_provider.graph.approvals import (
    ApprovalRule,
    ChangeProfile,
    EscalationRule,
    parameters_digest,
)
from planner_provider.graph.change_summary import ChangeSummary
from planner_provider.hooks.tickets import TicketAnswer, TicketWatch
from planner_provider.ledger.rows import (
    ActResult,
    Approval,
    ApprovalAnswer,
    ApprovalState,
    Hold,
    RunKey,
)
from planner_provider.operators import approval as module
from planner_provider.operators import approval_case, approval_question, plan_step
from planner_provider.operators.approval import RejectedError, RequestApprovalOperator
from planner_provider.operators.plan_ref import Role
from planner_provider.sensors import approval as sensor_module
from planner_provider.sensors.approval import ApprovalSensor
from planner_provider.triggers.approval import fingerprint
from tests.operators.airflow_context import Store
from tests.operators.plan_runs import DIGEST, NOW, PLAN, RUN_ID, PlanRunCase, database

PARAMETERS = {"version": "1.2.3"}
LEADS = EscalationRule(
    after=timedelta(minutes=30), to=("group:leads",), users=("lena",), connections=("leads",)
)
CHANGE = ChangeSummary(
    plan=PLAN,
    summary="Release checkout",
    owner="team-shop",
    digest=DIGEST,
    steps=("shift: PUT /weight on sandbox",),
    touches=("service://checkout (exclusive)",),
    rollback=("shift: PUT /weight back",),
    runbook="https://example.com/runbook",
    profile=ChangeProfile(tier=4, exclusive_resources=1, dependents=0, changing_steps=1),
)


def rule(**values: Any) -> ApprovalRule:
    base = {
        "approvers": ("group:sre",), "users": ("alice", "bob"), "timeout": timedelta(hours=4),
    }  # fmt: skip
    return ApprovalRule.model_validate({**base, **values})


class Case(PlanRunCase):
    """A run that waits for approval, with what was asked in Airflow and told in chat."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(url)
        self.asked: list[dict[str, Any]] = []
        self.posts: list[tuple[str, str]] = []
        self.unreachable: set[str] = set()
        self.requester: str | None = "rita"
        self.kind = "manual"
        self.store = Store()
        self.parameters: dict[str, Any] = dict(PARAMETERS)
        for place in (module, approval_case, plan_step, sensor_module):
            monkeypatch.setattr(place, "open_ledger", lambda: self.ledger)
        monkeypatch.setattr(
            "airflow.sdk.execution_time.hitl.upsert_hitl_detail",
            lambda **values: self.asked.append(values),
        )
        monkeypatch.setattr(approval_question, "post", self._post)
        monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)

    def _post(self, connection: str, message: Any, key: str) -> None:
        if connection in self.unreachable:
            raise UnavailableError(f"{connection} does not answer")
        self.posts.append((connection, key))

    def assessed(
        self, expires: timedelta | None = None, approvals: tuple[str, ...] = ("approve",)
    ) -> Case:
        key = RunKey(self.plan_id, PLAN, PLAN, RUN_ID, DIGEST)
        self.ledger.pin_run(
            key, expires_at=NOW + expires if expires else None, parameters=PARAMETERS,
            approvals=approvals, parameters_sha=parameters_digest(PARAMETERS),
            actor="t", now=NOW,
        )  # fmt: skip
        return self

    def operator(self, kind: type = RequestApprovalOperator, **values: Any) -> Any:
        base: dict[str, Any] = {
            "task_id": "approve", "rule": rule(), "change": CHANGE,
            "plan_ref": self.ref(Role.FRAME),
        }  # fmt: skip
        with DAG(PLAN, schedule=None):
            made = kind(**{**base, **values})
            follows = RequestApprovalOperator(task_id="follows", approvers=["x"])
            made >> follows
        return made

    def go(self, operator: Any, event: Any = None, try_number: int = 1) -> Any:
        """Start the task, or resume it with an event. Gives its result, or its deferral."""
        object.__setattr__(operator, "clock", self.time.clock)
        ExecutorSafeguard.tracker.set(operator)
        run = SimpleNamespace(triggering_user_name=self.requester, run_type=self.kind)
        context = self.context(
            operator.task_id, try_number, params=self.parameters, dag_run=run,
            task_state_store=self.store,
        )  # fmt: skip
        context["ti"].id = "01a2089c-a1e0-742d-88f9-c7fd476dac76"
        self.last = context
        operator.render_template_fields(context)
        try:
            if event is None:
                return operator.execute(context)
            return operator.resume_execution("resumed", {"event": event}, context)
        except TaskDeferred as deferred:
            return deferred

    def says(self, user: str, approve: bool = True, name: str | None = None, **more: Any) -> Any:
        """What Airflow resumes a task with."""
        return {
            "chosen_options": ["Approve" if approve else "Reject"],
            "params_input": {"reason": more.pop("reason", "")},
            "responded_at": more.pop("at", self.time.now()),
            "responded_by_user": {"id": user, "name": name or user} if user else None,
            "timedout": False,
        }

    def later(self, **time: float) -> None:
        self.time.seconds += timedelta(**time).total_seconds()

    @property
    def approval(self) -> Approval:
        found = self.ledger.approval_of(self.plan_id, "approve")
        assert found is not None
        return found

    def audit(self) -> str:
        return "\n".join(f"{e.what} {e.detail}" for e in self.ledger.audit_of(self.plan_id))


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(database(tmp_path), monkeypatch)


def waits(result: Any) -> dict[str, Any]:
    assert isinstance(result, TaskDeferred), result
    _, arguments = result.trigger.serialize()
    return arguments


def test_it_asks_and_waits(case: Case) -> None:
    arguments = waits(case.assessed().go(case.operator()))
    [asked] = case.asked
    assert asked["options"] == ["Approve", "Reject"]
    assert asked["subject"] == "Approve checkout-release: Release checkout?"
    for part in (
        "version `abababab`", case.plan_id, "`version` = `1.2.3`",
        "1. shift: PUT /weight on sandbox", "- service://checkout (exclusive)",
        "1. shift: PUT /weight back", "Risk: ", "budget left: not known",
        "group:sre must approve (alice, bob), not rita, who started it", "14:00" , "runbook",
    ):  # fmt: skip
        assert part in asked["body"].replace("02:00:00", "14:00"), part
    assert asked["params"]["reason"]["schema"]["type"] == "string"
    assert asked["assigned_users"] is None
    assert arguments["due_at"] == (NOW + timedelta(hours=4)).isoformat()
    assert arguments["known"] == "open 0"
    assert arguments["not_before"] == (NOW + timedelta(seconds=4)).isoformat()
    assert not arguments["recovers"]
    assert case.approval.state is ApprovalState.OPEN


def test_assigned_users_leave_out_the_requester(case: Case) -> None:
    case.assessed().go(case.operator(rule=rule(users=("alice", "rita")), assign=True))
    assert case.asked[0]["assigned_users"] == [{"id": "alice", "name": "alice"}]


def test_approved(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    case.later(minutes=5)
    result = case.go(operator, case.says("alice", reason="fine"))
    assert result["state"] == "granted"
    assert result["by"] == ["alice"]
    assert case.approval.state is ApprovalState.GRANTED
    [answer] = case.approval.answers
    assert (answer.user, answer.reason, answer.verified) == ("alice", "fine", True)
    assert answer.source == "approve try 1: alice"
    assert len(case.asked) == 1
    again = case.go(case.operator(), try_number=2)
    assert again["state"] == "granted"
    assert len(case.asked) == 1, "cleared, it still holds"


def test_an_answer_that_does_not_count_is_kept_and_asked_again(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    waits(case.go(operator, case.says("carol")))
    waits(case.go(operator, case.says("7", name="rita")))
    waits(case.go(operator, case.says("")))
    assert [a.user for a in case.approval.answers] == ["carol", "rita", "nobody"]
    assert len(case.asked) == 4
    for said in ("they are no approver", "they started the run", "nothing proves that"):
        assert said in case.audit()
    assert case.approval.state is ApprovalState.OPEN


def test_an_answer_that_came_while_the_task_ran(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    said = case.says("bob", at=case.time.now().isoformat())
    assert case.go(operator, {"response": said})["state"] == "granted"


def test_rejected_skips_what_follows(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        case.go(operator, case.says("bob", approve=False, reason="freeze"))
    assert list(skipped.value.tasks) == ["follows"]
    assert case.approval.state is ApprovalState.REJECTED
    assert "saying: freeze" in case.audit()
    assert case.last["ti"].pushed["approval"]["state"] == "rejected"


def test_rejected_fails_where_it_should(case: Case) -> None:
    operator = case.operator(fail_on_reject=True)
    case.assessed().go(operator)
    with pytest.raises(AirflowFailException, match="Nothing was touched"):
        case.go(operator, case.says("bob", approve=False))


def test_the_time_is_over(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    case.later(hours=4)
    with pytest.raises(AirflowFailException, match="The time for answers was over"):
        case.go(operator, {"due": "x"})
    assert case.approval.state is ApprovalState.EXPIRED
    assert "ExpiredError" in case.audit()


def test_the_time_of_the_run_bounds_it(case: Case) -> None:
    arguments = waits(case.assessed(expires=timedelta(hours=1)).go(case.operator()))
    assert arguments["due_at"] == (NOW + timedelta(hours=1)).isoformat()
    assert case.approval.request.expires_at == NOW + timedelta(hours=1)


def test_time_counts_from_the_first_start(case: Case) -> None:
    case.assessed().go(case.operator())
    case.later(hours=3)
    arguments = waits(case.go(case.operator(), try_number=2))
    assert arguments["due_at"] == (NOW + timedelta(hours=4)).isoformat()
    assert arguments["recovers"], "an answer to the earlier try is looked for first"
    assert len(case.asked) == 1
    waits(case.go(case.operator(), {"ask": True}, try_number=2))
    assert len(case.asked) == 2


def test_an_answer_to_an_earlier_question_is_none(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    with pytest.raises(DownstreamTasksSkipped):
        case.go(operator, case.says("bob", approve=False))
    old = case.says("alice")
    case.later(minutes=10)
    waits(case.go(case.operator(), try_number=2))
    waits(case.go(case.operator(), {"response": old}, try_number=2))
    assert case.approval.answers == ()
    assert case.approval.state is ApprovalState.OPEN


def test_an_abort_cancels(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    case.ledger.request_abort(case.plan_id, actor="cli", reason=None, now=NOW)
    with pytest.raises(AirflowFailException, match="stopped by a person"):
        case.go(operator, {"abort": "x"})
    assert case.approval.state is ApprovalState.CANCELLED
    assert "AbortedError" in case.audit()


def test_another_version(case: Case) -> None:
    case.assessed().go(case.operator())
    changed = case.operator(plan_ref=case.ref(Role.FRAME, digest="cd" * 32))
    with pytest.raises(AirflowFailException, match="The plan was changed"):
        case.go(changed, case.says("alice"))
    assert case.approval.state is ApprovalState.CANCELLED


def test_other_parameters(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    case.parameters["version"] = "6.6.6"
    with pytest.raises(AirflowFailException, match="not those that were asked about"):
        case.go(operator, case.says("alice"))
    assert case.approval.state is ApprovalState.CANCELLED


def test_a_run_that_was_never_assessed(case: Case) -> None:
    with pytest.raises(AirflowFailException, match="was never assessed"):
        case.go(case.operator())


def test_an_unknown_requester_needs_one_more(case: Case) -> None:
    case.requester = None
    operator = case.operator()
    case.assessed().go(operator)
    waits(case.go(operator, case.says("alice")))
    assert case.go(operator, case.says("bob"))["by"] == ["alice", "bob"]


def test_the_schedule_is_no_requester(case: Case) -> None:
    case.requester, case.kind = None, "scheduled"
    operator = case.operator()
    case.assessed().go(operator)
    assert case.go(operator, case.says("alice"))["state"] == "granted"


def test_slots_keep_the_answer_of_each(case: Case) -> None:
    two = rule(count=2, users=("alice", "bob"))
    first, second = (
        case.operator(task_id=f"approve_{n}", approval="approve", slot=n, slots=2, rule=two)
        for n in (1, 2)
    )
    case.assessed()
    waits(case.go(first))
    waits(case.go(second))
    assert case.go(second, case.says("alice"))["state"] == "open"
    waits(case.go(first, case.says("alice")))
    assert case.go(first, case.says("bob"))["state"] == "granted"


def test_the_last_slot_goes_on_asking_while_more_are_needed(case: Case) -> None:
    case.requester = None
    two = rule(count=2, users=("alice", "bob", "chen"))
    first, second = (
        case.operator(task_id=f"approve_{n}", approval="approve", slot=n, slots=2, rule=two)
        for n in (1, 2)
    )
    case.assessed()
    case.go(first)
    case.go(second)
    waits(case.go(first, case.says("alice")))
    waits(case.go(second, case.says("bob")))
    assert case.go(first, case.says("chen"))["state"] == "granted"
    assert case.go(second, {"changed": True})["state"] == "granted"


def test_people_are_told_once_and_at_their_time(case: Case) -> None:
    operator = case.operator(rule=rule(connections=("sre",), escalations=(LEADS,)))
    arguments = waits(case.assessed().go(operator))
    assert arguments["due_at"] == (NOW + timedelta(minutes=30)).isoformat()
    assert [who for who, _ in case.posts] == ["sre"]
    case.later(minutes=30)
    case.unreachable.add("leads")
    arguments = waits(case.go(operator, {"due": "x"}))
    assert arguments["due_at"] == (NOW + timedelta(minutes=31)).isoformat()
    case.unreachable.clear()
    case.later(minutes=1)
    arguments = waits(case.go(operator, {"due": "x"}))
    assert arguments["due_at"] == (NOW + timedelta(hours=4)).isoformat()
    waits(case.go(operator, {"changed": True}))
    waits(case.go(case.operator(rule=operator.rule), try_number=2))
    assert [who for who, _ in case.posts] == ["sre", "leads"]
    assert len(case.asked) == 1, "the question stands; it is not asked again for this"
    assert case.go(operator, case.says("lena"))["state"] == "granted"


def test_a_rule_approves_low_risk(case: Case) -> None:
    operator = case.operator(rule=rule(required="auto", max_risk="high"))
    assert case.assessed().go(operator)["state"] == "granted"
    [answer] = case.approval.answers
    assert (answer.user, answer.via) == ("rule:auto_approve", "rule")
    assert case.asked == []
    kinds = [d.decision.kind for d in case.ledger.decisions_of(case.plan_id)]
    assert kinds == ["risk", "approval"]
    assert answer.source == f"decision {case.ledger.decisions_of(case.plan_id)[0].id}"


def test_a_rule_does_not_approve_what_is_riskier(case: Case) -> None:
    waits(case.assessed().go(case.operator(rule=rule(required="auto", max_risk="low"))))
    assert case.approval.answers == ()
    assert "a person must agree" in case.audit()


def link(user: str, **values: Any) -> ApprovalAnswer:
    base = {"approve": True, "reason": None, "via": "link", "at": NOW, "verified": True,
            "source": "chat"}  # fmt: skip
    return ApprovalAnswer(user=user, **{**base, **values})


def test_an_answer_that_others_wrote_into_the_ledger(case: Case) -> None:
    operator = case.operator()
    arguments = waits(case.assessed().go(operator))
    case.ledger.record_answer(case.plan_id, "approve", link("bob"), "chat", NOW)
    assert fingerprint(case.approval) != arguments["known"]
    assert case.go(operator, {"changed": True})["by"] == ["bob"]


def test_unverified_it_approves_nothing(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    case.ledger.record_answer(case.plan_id, "approve", link("bob", verified=False), "chat", NOW)
    case.ledger.record_answer(case.plan_id, "approve", link("alice", via="fax"), "chat", NOW)
    arguments = waits(case.go(operator, {"changed": True}))
    assert arguments["known"] == "open 2"
    assert len(case.asked) == 1


WATCH = TicketWatch(via="jira", connection="jira", issue="{{ params.version }}", approve="label:go")


def ticket(user: str, **values: Any) -> TicketAnswer:
    base = {"account": "a", "approve": True, "at": NOW, "verified": True, "source": "jira SHOP-1"}
    return TicketAnswer(user=user, **{**base, **values})


def test_a_ticket_approves(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = [None]
    seen: list[str] = []

    def read(watch: TicketWatch) -> Any:
        seen.append(watch.issue)
        if isinstance(said[0], Exception):
            raise said[0]
        return said[0]

    monkeypatch.setattr(approval_case, "read_ticket", read)
    sensor = case.operator(ApprovalSensor, tickets=[WATCH])
    arguments = waits(case.assessed().go(sensor))
    assert seen == ["1.2.3"]
    assert arguments["ti_id"] is None
    assert '"issue":"1.2.3"' in arguments["tickets"][0]
    assert case.asked == [], "a sensor asks nobody"
    said[0] = UnavailableError("no answer")
    arguments = waits(case.go(sensor, {"changed": True}))
    assert arguments["tickets_known"] == ""
    assert arguments["not_before"] == (NOW + timedelta(seconds=30)).isoformat()
    said[0] = ticket("alice", at=NOW - timedelta(days=1))
    waits(case.go(sensor, {"changed": True}))
    said[0] = ticket("jira:5b10")
    waits(case.go(sensor, {"changed": True}))
    assert case.approval.answers[-1].user == "jira:5b10"
    said[0] = ticket("alice")
    assert case.go(sensor, {"changed": True})["by"][-1] == "alice"
    assert case.approval.answers[-1].via == "jira"


def test_a_sensor_waits_for_what_another_task_asks(case: Case) -> None:
    sensor = case.operator(ApprovalSensor, task_id="watch", rule=None, of="approve",
                           timeout=timedelta(hours=1))  # fmt: skip
    case.assessed()
    assert waits(case.go(sensor))["known"] == "none"
    operator = case.operator()
    case.go(operator)
    assert waits(case.go(sensor, {"changed": True}))["known"] == "open 0"
    case.go(operator, case.says("alice"))
    assert case.go(sensor, {"changed": True})["by"] == ["alice"]


def test_a_sensor_ends_with_the_rejection_that_it_finds(case: Case) -> None:
    operator = case.operator()
    case.assessed().go(operator)
    with pytest.raises(DownstreamTasksSkipped):
        case.go(operator, case.says("bob", approve=False, reason="no"))
    sensor = case.operator(
        ApprovalSensor, task_id="watch", rule=None, of="approve", fail_on_reject=True
    )
    with pytest.raises(AirflowFailException, match="was rejected by bob: no"):
        case.go(sensor)


def test_a_sensor_does_not_wait_for_ever(case: Case) -> None:
    sensor = case.operator(ApprovalSensor, task_id="watch", rule=None, of="approve",
                           timeout=timedelta(hours=1))  # fmt: skip
    case.assessed().go(sensor)
    case.later(minutes=59)
    assert waits(case.go(sensor, try_number=2))["due_at"] == (NOW + timedelta(hours=1)).isoformat()
    case.later(minutes=1)
    with pytest.raises(AirflowFailException, match="was not granted by"):
        case.go(sensor, {"due": "x"})


def test_as_a_step_it_is_done_only_when_granted(case: Case) -> None:
    case.assessed(approvals=())
    case.ledger.take_lease(case.plan_id, [Hold("x")], actor="t", now=NOW)
    operator = case.operator(plan_ref=case.ref(Role.STEP, "ask"))
    waits(case.go(operator))
    [act] = case.acts()
    assert act.is_open
    assert act.parked_at is not None
    with pytest.raises(RejectedError):
        case.go(operator, case.says("bob", approve=False))
    assert case.acts()[-1].result is ActResult.FAILED


def test_by_hand_it_needs_no_ledger(case: Case) -> None:
    made = {"plan_ref": None, "rule": None, "change": None}
    operator = case.operator(**made, approvers=["alice", "user:bob"], count=2, body="Go on?")
    arguments = waits(case.go(operator))
    assert (arguments["plan_id"], arguments["known"]) == (None, None)
    assert case.asked[0]["subject"] == "Approve approve?"
    assert case.asked[0]["body"] == "Go on?"
    waits(case.go(operator, case.says("alice")))
    waits(case.go(operator, case.says("alice")))
    assert case.go(operator, case.says("bob"))["state"] == "granted"
    assert case.go(case.operator(**made, approvers=["bob"]), try_number=2)["state"] == "granted"
