"""Is a run approved? N different people who may, on what is run, in time.

The rule, for requests and answers as the ledger holds them:

- The request is bound to a version (digest) and to parameters. If the run is bound to others, the
  approval is void: ``refuse``.
- An answer counts if it is verified, was given after the question and before the time for answers
  was over, by somebody who may answer and who did not start the run (where the rule says so).
  Approving twice counts once. What people of an escalation say counts from its time on.
- One rejection that counts refuses, also by somebody who approved before.
- ``count`` approvals of different people that count proceed.
- It is not known who started a run that somebody started: one more person must agree, so that
  even if the requester is among them, enough others are.
- A rule (``auto_approve``) may answer in place of people, if the approval allows it at all.
- Otherwise it holds, until the time for answers is over; then it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import AwareDatetime

from planner_provider.decide.model import Frozen, Inputs, Measure, Reason, Verdict, VerdictKind
from planner_provider.decide.replay import Decider
from planner_provider.graph.approvals import ApprovalRule

VERSION = 1
RULE_USER = "rule:auto_approve"
"""Whom the answer of a rule is recorded under."""
Via = Literal["airflow", "link", "jira", "github", "rule"]


class Answer(Frozen):
    """An answer as it is on record."""

    user: str
    """The person; see `identity`."""
    approve: bool
    reason: str | None = None
    via: Via
    at: AwareDatetime
    """When it was given."""
    verified: bool
    """Whether the place where it was given vouches for the person."""


class ApprovalInputs(Inputs):
    """A request, the answers so far, and what the run is bound to."""

    kind: ClassVar[str] = "approval"
    task: str
    """Task id of the approval."""
    rule: ApprovalRule
    asked_at: AwareDatetime
    answers_until: AwareDatetime
    """From then on no answer counts."""
    requester: str | None
    """Who started the run; ``None`` if nobody did, or it is not known."""
    requester_unknown: bool = False
    """Whether somebody started the run, and it is not known who."""
    asked_digest: str
    """Digest of the version that was asked about."""
    digest: str
    """Digest of the version that the run is bound to."""
    asked_parameters: str
    """Hash of the parameters that were asked about."""
    parameters: str
    """Hash of the parameters that the run has."""
    answers: tuple[Answer, ...] = ()
    """In the order in which they came on record."""
    aborted: bool = False
    """Whether a person stopped the run."""
    failing: tuple[str, ...] = ()
    """Steps of the run that have failed for good."""


class Judged(Frozen):
    """An answer, and why it does not count, if it does not."""

    answer: Answer
    problem: Reason | None = None

    @property
    def counts(self) -> bool:
        """Whether it counts."""
        return self.problem is None


def identity(ids: Iterable[str | None], *, known: Iterable[str], requester: str | None) -> str:
    """The one name under which a person answers, out of those that Airflow gives.

    Airflow knows who started a run by name only, and who answered by id and name; some auth
    managers have numbers for ids. The requester is recognised by either; so is an approver whom
    the plan names by id or by name. Strangers go by their id.
    """
    names = [name for name in ids if name]
    if requester is not None and requester in names:
        return requester
    approvers = set(known)
    for name in names:
        if name in approvers:
            return name
    return names[0] if names else ""


def judge_answers(inputs: ApprovalInputs) -> tuple[Judged, ...]:
    """Say of each answer whether it counts."""
    judged: list[Judged] = []
    heard: set[str] = set()
    for answer in inputs.answers:
        problem = _problem(inputs, answer, heard)
        if problem is None:
            heard.add(answer.user)
        judged.append(Judged(answer=answer, problem=problem))
    return tuple(judged)


def decide_approval(inputs: ApprovalInputs) -> Verdict:
    """Decide. Pure."""
    judged = judge_answers(inputs)
    yes = [j.answer for j in judged if j.counts and j.answer.approve]
    people = [a for a in yes if a.via != "rule"]
    needed = needed_people(inputs)
    kind, main = _main_reason(inputs, judged, people, needed)
    notes = [j.problem for j in judged if j.problem is not None]
    measures = (
        Measure(name="approvals that count", value=float(len(people)), limit=float(needed)),
        Measure(name="answers on record", value=float(len(judged))),
        Measure(
            name="time left for answers",
            value=round(max(0.0, (inputs.answers_until - inputs.now).total_seconds()), 3),
            unit="s",
        ),
    )
    return Verdict(
        kind=kind,
        reasons=(main, *_who_answered(judged), *notes),
        measures=measures,
        inconclusive=kind is not VerdictKind.PROCEED and main.code in {"waiting", "expired"},
    )


def needed_people(inputs: ApprovalInputs) -> int:
    """How many different people must agree."""
    more = inputs.rule.not_requester and inputs.requester_unknown
    return inputs.rule.count + (1 if more else 0)


def may_answer(inputs: ApprovalInputs, at: datetime) -> tuple[str, ...]:
    """The users who may answer at a moment, sorted."""
    found = set(inputs.rule.users)
    for escalation in inputs.rule.escalations:
        if at >= inputs.asked_at + escalation.after:
            found.update(escalation.users)
    if inputs.rule.not_requester:
        found.discard(inputs.requester or "")
    return tuple(sorted(found))


def _main_reason(
    inputs: ApprovalInputs, judged: tuple[Judged, ...], people: list[Answer], needed: int
) -> tuple[VerdictKind, Reason]:
    void = _void(inputs)
    if void is not None:
        return VerdictKind.REFUSE, void
    for item in judged:
        if item.counts and not item.answer.approve:
            said = f", saying: {item.answer.reason}" if item.answer.reason else ", without a reason"
            text = f"{item.answer.user} rejected it at {_when(item.answer.at)}{said}."
            return VerdictKind.REFUSE, Reason(code="rejected", text=text)
    if any(item.counts and item.answer.via == "rule" for item in judged):
        text = f"Approved by rule: the risk is at most {inputs.rule.max_risk}."
        return VerdictKind.PROCEED, Reason(code="approved_by_rule", text=text)
    if len(people) >= needed:
        who = " and ".join(answer.user for answer in people)
        text = f"Approved by {who} ({len(people)} of {needed} needed)."
        return VerdictKind.PROCEED, Reason(code="approved", text=text)
    missing = _missing(inputs, people, needed)
    if inputs.now >= inputs.answers_until:
        code = "expired" if inputs.rule.on_timeout == "expire" else "rejected_by_timeout"
        text = f"The time for answers was over at {_when(inputs.answers_until)}. {missing}"
        return VerdictKind.REFUSE, Reason(code=code, text=text)
    return VerdictKind.HOLD, Reason(code="waiting", text=missing)


def _void(inputs: ApprovalInputs) -> Reason | None:
    if inputs.aborted:
        return Reason(code="aborted", text="The run was stopped by a person.")
    if inputs.failing:
        failed = ", ".join(inputs.failing)
        text = f"Step {failed} of the run failed for good and the run is rolled back."
        return Reason(code="failing", text=f"{text} Nobody need answer any more.")
    if inputs.digest != inputs.asked_digest:
        return Reason(
            code="version_changed",
            text=(
                f"Version {inputs.asked_digest[:8]} was asked about, and the run is bound to "
                f"version {inputs.digest[:8]}: this approval is void."
            ),
        )
    if inputs.parameters != inputs.asked_parameters:
        return Reason(
            code="parameters_changed",
            text="The parameters of the run are not those that were asked about: "
            "this approval is void.",
        )
    return None


def _missing(inputs: ApprovalInputs, people: list[Answer], needed: int) -> str:
    answered = {answer.user for answer in people}
    left = [user for user in may_answer(inputs, inputs.now) if user not in answered]
    more = needed - len(people)
    if not left:
        return f"{more} more must approve, and nobody is left who may."
    text = f"{more} more must approve, out of {', '.join(left)}."
    if needed > inputs.rule.count:
        text += " It is not known who started the run, so one more than usual must agree."
    return text


def _problem(inputs: ApprovalInputs, answer: Answer, heard: set[str]) -> Reason | None:
    who = f"The answer of {answer.user} ({answer.via}, {_when(answer.at)}) does not count: "
    if not answer.verified:
        return Reason(code="unverified", text=f"{who}nothing proves that it is theirs.")
    if answer.at < inputs.asked_at:
        return Reason(code="too_early", text=f"{who}it is older than the question.")
    if answer.at >= inputs.answers_until:
        text = f"{who}the time for answers was over at {_when(inputs.answers_until)}."
        return Reason(code="too_late", text=text)
    if answer.via == "rule" or answer.user == RULE_USER:
        if inputs.rule.max_risk is None or answer.via != "rule" or not answer.approve:
            return Reason(code="no_rule", text=f"{who}this approval must be given by people.")
        return None
    if inputs.rule.not_requester and answer.user == inputs.requester:
        return Reason(code="requester", text=f"{who}they started the run themselves.")
    if answer.user not in may_answer(inputs, inputs.now):
        later = answer.user in inputs.rule.everybody
        why = "it does so only from their escalation on." if later else "they are no approver."
        return Reason(code="not_yet" if later else "not_an_approver", text=f"{who}{why}")
    if answer.approve and answer.user in heard:
        return Reason(code="duplicate", text=f"{who}they have answered before.")
    return None


def _who_answered(judged: tuple[Judged, ...]) -> tuple[Reason, ...]:
    found = []
    for item in judged:
        if item.counts:
            answer = item.answer
            said = f": {answer.reason}" if answer.reason else "."
            verb = "approved" if answer.approve else "rejected"
            text = f"{answer.user} {verb} via {answer.via} at {_when(answer.at)}{said}"
            found.append(Reason(code=verb, text=text))
    return tuple(found)


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


DECIDER = Decider(ApprovalInputs, decide_approval, VERSION)
