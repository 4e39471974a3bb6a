"""Who is told of an approval, and when a rule needs nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest

from planner_provider.graph.contacts import ContactRoute, OwnWords
from planner_provider.notifications import outbox
from planner_provider.notifications.services.parcel import Parcel
from planner_provider.notifications.wording import worded
from planner_provider.operators import approval_question
from tests.operators.approval_cases import LEADS, Case, case, rule, waits
from tests.operators.plan_runs import NOW

__all__ = ["case"]


def test_people_are_told_once_and_at_their_time(case: Case) -> None:
    operator = case.operator(rule=rule(connections=("sre",), escalations=(LEADS,)))
    arguments = waits(case.assessed().go(operator))
    assert arguments["due_at"] == (NOW + timedelta(minutes=30)).isoformat()
    assert [who for who, _ in case.posts] == ["sre"]
    case.later(minutes=30)
    case.unreachable.add("leads")
    arguments = waits(case.go(operator, {"due": "x"}))
    assert arguments["due_at"] == (NOW + timedelta(hours=4)).isoformat()
    case.unreachable.clear()
    case.later(minutes=1)
    outbox.send_left(case.ledger, now=case.time.clock.now)
    waits(case.go(operator, {"changed": True}))
    waits(case.go(case.operator(rule=operator.rule), try_number=2))
    assert case.posts == [("sre", "needs_approval"), ("leads", "approval_escalated")]
    assert len(case.asked) == 1, "the question stands; it is not asked again for this"
    assert case.go(operator, case.says("lena"))["state"] == "granted"
    assert sorted(case.posts[2:]) == [("leads", "approved"), ("sre", "approved")]


def test_outside_of_a_plan_people_are_told_by_the_task_itself(case: Case) -> None:
    operator = case.operator(rule=rule(connections=("sre", "leads")), plan_ref=None)
    case.unreachable.add("leads")
    arguments = waits(case.go(operator))
    assert arguments["due_at"] == (NOW + timedelta(minutes=1)).isoformat()
    case.unreachable.clear()
    case.later(minutes=1)
    waits(case.go(operator, {"due": "x"}))
    waits(case.go(operator, {"due": "x"}))
    assert case.posts == [("sre", "needs_approval"), ("leads", "needs_approval")]


def test_a_rule_approves_low_risk(case: Case) -> None:
    operator = case.operator(rule=rule(required="auto", max_risk="high"))
    assert case.assessed().go(operator)["state"] == "granted"
    [answer] = case.approval.answers
    assert (answer.user, answer.via) == ("rule:auto_approve", "rule")
    assert case.asked == []
    kinds = [d.decision.kind for d in case.ledger.decisions_of(case.plan_id)]
    assert kinds == ["risk", "approval"]
    assert answer.source == f"decision {case.ledger.decisions_of(case.plan_id)[0].id}"


def test_nobody_is_told_that_a_rule_approved_what_nobody_was_asked(case: Case) -> None:
    operator = case.operator(rule=rule(required="auto", max_risk="high", connections=("sre",)))
    assert case.assessed().go(operator)["state"] == "granted"
    assert case.posts == []


def test_a_rule_does_not_approve_what_is_riskier(case: Case) -> None:
    waits(case.assessed().go(case.operator(rule=rule(required="auto", max_risk="low"))))
    assert case.approval.answers == ()
    assert "a person must agree" in case.audit()


def test_who_may_approve_is_told_in_the_words_of_his_team(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcels: list[Parcel] = []
    monkeypatch.setattr(approval_question, "deliver", parcels.append)
    words = (OwnWords(event="needs_approval", title="{{ plan }} asks"),)
    given = rule(connections=("sre",), routes=(ContactRoute(connection="sre", words=words),))
    waits(case.go(case.operator(rule=given, plan_ref=None)))
    assert [worded(parcel).event.title for parcel in parcels] == ["checkout-release asks"]
