from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.decide.approval import (
    RULE_USER,
    Answer,
    ApprovalInputs,
    decide_approval,
    identity,
    judge_answers,
)
from planner_provider.decide.model import Verdict, VerdictKind
from planner_provider.decide.replay import decide, replay
from planner_provider.graph.approvals import ApprovalRule, EscalationRule

ASKED = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
PEOPLE = ("alice", "bob", "chen")
LEADS = EscalationRule(after=timedelta(minutes=30), to=("group:leads",), users=("lena",))


def rule(**values: Any) -> ApprovalRule:
    base = {"approvers": ("group:sre",), "users": PEOPLE, "timeout": timedelta(hours=4)}
    return ApprovalRule.model_validate({**base, **values})


def says(user: str, approve: bool = True, minutes: float = 1, **values: Any) -> Answer:
    base = {"via": "airflow", "verified": True, "at": ASKED + timedelta(minutes=minutes)}
    return Answer.model_validate({"user": user, "approve": approve, **base, **values})


def inputs(*answers: Answer, minutes: float = 2, **values: Any) -> ApprovalInputs:
    found = values.get("rule") or rule()
    base: dict[str, Any] = {
        "now": ASKED + timedelta(minutes=minutes),
        "task": "approve",
        "rule": found,
        "asked_at": ASKED,
        "answers_until": ASKED + found.timeout,
        "requester": "rita",
        "asked_digest": "a" * 64,
        "digest": "a" * 64,
        "asked_parameters": "p",
        "parameters": "p",
        "answers": answers,
    }
    return ApprovalInputs.model_validate({**base, **values})


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def test_one_approval_that_counts_proceeds() -> None:
    verdict = decide_approval(inputs(says("alice", reason="fine")))
    assert verdict.kind is VerdictKind.PROCEED
    assert verdict.reasons[0].text == "Approved by alice (1 of 1 needed)."
    assert "alice approved via airflow at 2026-11-23 10:01:00 UTC: fine" in verdict.text


def test_nobody_has_answered() -> None:
    verdict = decide_approval(inputs())
    assert verdict.kind is VerdictKind.HOLD
    assert verdict.inconclusive
    assert verdict.reasons[0].text == "1 more must approve, out of alice, bob, chen."


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (says("carol"), "not_an_approver", "they are no approver"),
        (says("rita"), "requester", "they started the run themselves"),
        (says("alice", verified=False), "unverified", "nothing proves that it is theirs"),
        (says("alice", minutes=-1), "too_early", "it is older than the question"),
        (says("alice", minutes=240), "too_late", "the time for answers was over"),
        (says("lena"), "not_yet", "only from their escalation on"),
        (says(RULE_USER, via="rule"), "no_rule", "must be given by people"),
        (says(RULE_USER), "no_rule", "must be given by people"),
        (says("alice", via="rule"), "no_rule", "must be given by people"),
    ],
)
def test_an_answer_that_does_not_count(answer: Answer, code: str, said: str) -> None:
    found = inputs(answer, rule=rule(users=(*PEOPLE, "rita"), escalations=(LEADS,)))
    verdict = decide_approval(found)
    assert verdict.kind is VerdictKind.HOLD
    assert codes(verdict) == ["waiting", code]
    assert said in verdict.reasons[1].text
    rejected = answer.model_copy(update={"approve": False})
    assert decide_approval(found.model_copy(update={"answers": (rejected,)})).kind is (
        VerdictKind.HOLD
    )


def test_the_same_person_twice_is_one_person() -> None:
    answers = (says("alice"), says("alice", via="jira", minutes=1.5))
    verdict = decide_approval(inputs(*answers, rule=rule(count=2)))
    assert codes(verdict) == ["waiting", "approved", "duplicate"]
    assert verdict.reasons[0].text == "1 more must approve, out of bob, chen."


def test_one_rejection_refuses_whatever_others_said() -> None:
    answers = (says("alice"), says("bob"), says("chen", approve=False, reason="freeze"))
    verdict = decide_approval(inputs(*answers))
    assert verdict.kind is VerdictKind.REFUSE
    assert verdict.reasons[0].text == "chen rejected it at 2026-11-23 10:01:00 UTC, saying: freeze."


def test_who_approved_may_still_reject() -> None:
    answers = (says("alice"), says("alice", approve=False))
    assert codes(decide_approval(inputs(*answers, rule=rule(count=2))))[0] == "rejected"


def test_the_requester_may_where_the_plan_says_so() -> None:
    found = rule(users=("rita",), not_requester=False)
    assert decide_approval(inputs(says("rita"), rule=found)).kind is VerdictKind.PROCEED


def test_an_unknown_requester_needs_one_more() -> None:
    one = inputs(says("alice"), requester=None, requester_unknown=True)
    verdict = decide_approval(one)
    assert verdict.kind is VerdictKind.HOLD
    assert "It is not known who started the run" in verdict.reasons[0].text
    both = one.model_copy(update={"answers": (says("alice"), says("bob"))})
    assert decide_approval(both).kind is VerdictKind.PROCEED


def test_a_run_that_nobody_started_needs_no_more() -> None:
    assert decide_approval(inputs(says("alice"), requester=None)).kind is VerdictKind.PROCEED


def test_what_an_escalation_says_counts_from_its_time_on() -> None:
    found = rule(escalations=(LEADS,))
    early = inputs(says("lena", minutes=5), minutes=29.9, rule=found)
    assert codes(decide_approval(early)) == ["waiting", "not_yet"]
    later = inputs(says("lena", minutes=5), minutes=30, rule=found)
    assert decide_approval(later).kind is VerdictKind.PROCEED


@pytest.mark.parametrize(("on", "code"), [("expire", "expired"), ("reject", "rejected_by_timeout")])
def test_time_out(on: str, code: str) -> None:
    almost = inputs(minutes=239.99, rule=rule(on_timeout=on))
    assert decide_approval(almost).kind is VerdictKind.HOLD
    verdict = decide_approval(inputs(says("carol"), minutes=240, rule=rule(on_timeout=on)))
    assert verdict.kind is VerdictKind.REFUSE
    assert codes(verdict) == [code, "not_an_approver"]
    assert "10:00" not in verdict.reasons[0].text
    assert "The time for answers was over at 2026-11-23 14:00:00 UTC." in verdict.reasons[0].text


def test_an_answer_in_time_counts_also_when_it_is_looked_at_late() -> None:
    assert decide_approval(inputs(says("alice"), minutes=300)).kind is VerdictKind.PROCEED


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"digest": "b" * 64}, "version_changed"),
        ({"parameters": "q"}, "parameters_changed"),
        ({"aborted": True}, "aborted"),
    ],
)
def test_void(change: dict[str, Any], code: str) -> None:
    verdict = decide_approval(inputs(says("alice"), **change))
    assert verdict.kind is VerdictKind.REFUSE
    assert codes(verdict)[0] == code
    assert not verdict.inconclusive


def test_a_rule_answers_only_where_it_may() -> None:
    answer = says(RULE_USER, via="rule")
    allowed = rule(required="auto", max_risk="low", count=2)
    verdict = decide_approval(inputs(answer, rule=allowed))
    assert codes(verdict)[0] == "approved_by_rule"
    rejected = inputs(answer, says("bob", approve=False), rule=allowed)
    assert codes(decide_approval(rejected))[0] == "rejected"


def test_nobody_left() -> None:
    verdict = decide_approval(inputs(rule=rule(users=("rita",))))
    assert verdict.reasons[0].text == "1 more must approve, and nobody is left who may."


def test_the_record_decides_again_the_same() -> None:
    _, record = decide(inputs(says("alice"), says("carol"), rule=rule(escalations=(LEADS,))))
    assert replay(record).equal


@pytest.mark.parametrize(
    ("ids", "who"),
    [
        (("7", "alice"), "alice"),
        (("alice", "Alice B."), "alice"),
        (("9", "rita"), "rita"),
        (("8", "carol"), "8"),
        ((None, "carol"), "carol"),
        ((), ""),
    ],
)
def test_identity(ids: tuple[str | None, ...], who: str) -> None:
    assert identity(ids, known=PEOPLE, requester="rita") == who


def test_the_requester_is_recognised_before_the_approver() -> None:
    assert identity(("alice", "rita"), known=PEOPLE, requester="rita") == "rita"


users = st.sampled_from([*PEOPLE, "rita", "carol", "lena", RULE_USER])
answers = st.lists(
    st.builds(
        Answer,
        user=users,
        approve=st.booleans(),
        via=st.sampled_from(["airflow", "link", "jira", "github", "rule"]),
        at=st.integers(-60, 300).map(lambda m: ASKED + timedelta(minutes=m)),
        verified=st.booleans(),
    ),
    max_size=8,
)


def counted(found: ApprovalInputs) -> set[str]:
    """Who approves, said in another way than the code says it."""
    entitled = set(found.rule.users) | (
        {"lena"} if found.now >= ASKED + timedelta(minutes=30) else set()
    )
    return {
        a.user
        for a in found.answers
        if a.approve
        and a.verified
        and a.via != "rule"
        and a.user in entitled - {"rita"}
        and ASKED <= a.at < found.answers_until
    }


@given(answers, st.integers(1, 3), st.integers(0, 300))
def test_never_without_enough_different_people(
    given_answers: Sequence[Answer], count: int, minutes: int
) -> None:
    found = inputs(*given_answers, rule=rule(count=count, escalations=(LEADS,)), minutes=minutes)
    verdict = decide_approval(found)
    rejections = [j for j in judge_answers(found) if j.counts and not j.answer.approve]
    enough = len(counted(found)) >= count
    assert (verdict.kind is VerdictKind.PROCEED) == (enough and not rejections)
    if rejections:
        assert verdict.kind is VerdictKind.REFUSE


@given(answers, st.permutations(range(8)), st.integers(0, 300))
def test_the_order_of_the_records_does_not_matter(
    given_answers: Sequence[Answer], order: Sequence[int], minutes: int
) -> None:
    shuffled = [given_answers[i] for i in order if i < len(given_answers)]
    kinds = {
        decide_approval(inputs(*some, rule=rule(count=2), minutes=minutes)).kind
        for some in (given_answers, shuffled)
    }
    assert len(kinds) == 1


@given(answers, users)
def test_one_more_rejection_never_helps(given_answers: Sequence[Answer], user: str) -> None:
    before = decide_approval(inputs(*given_answers, rule=rule(count=2)))
    after = decide_approval(inputs(*given_answers, says(user, approve=False), rule=rule(count=2)))
    if after.kind is VerdictKind.PROCEED:
        assert before.kind is VerdictKind.PROCEED
    if user in PEOPLE:
        assert after.kind is VerdictKind.REFUSE
