"""May this task act now? Pure: what the ledger holds goes in, a refusal or nothing comes out.

The one who acts asks this in the same transaction in which it writes its intent, so nothing can
change in between. The colour of an upstream task is no authority.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from planner_provider.errors import (
    AbortedError,
    AttentionError,
    NoAuthorityError,
    PlannerError,
    SupersededError,
)
from planner_provider.ledger.journal import Journal, StepStatus
from planner_provider.ledger.rows import (
    ActRole,
    Approval,
    ApprovalState,
    Claim,
    Course,
    Lease,
    PlanRun,
)

NEW_RUN = "Start a new run"
CLEAR_ACQUIRE = (
    "Clear the task `acquire` with everything downstream: it takes the locks again, and what is "
    "already done, or undone, stays so"
)


class ExpiredError(NoAuthorityError):
    """The decision to run is too old."""


class ApprovalError(NoAuthorityError):
    """An approval that the run needs is not on record, or is void."""


def refusal(
    claim: Claim,
    run: PlanRun | None,
    lease: Lease | None,
    journal: Journal,
    now: datetime,
    approvals: Mapping[str, Approval | None] | None = None,
    *,
    goes_on: bool = False,
) -> PlannerError | None:
    """Say why the task must not act, or ``None`` if it may.

    ``approvals`` has the approval on record of each task that the run is bound to; one that is
    not there is missing. With ``goes_on`` the act began in time and was deferred: that a time ran
    out since does not stop it half way.
    """
    if run is None:
        return NoAuthorityError(
            f"Run {claim.run_id} of {claim.dag_id} was never assessed, so nothing in it may act. "
            "Nothing was touched. Clear the task `assess` with everything downstream."
        )
    superseded = version_refusal(claim.digest, run)
    if superseded or claim.role is ActRole.CHECK:
        return superseded
    other = _parameters_refusal(claim, run)
    if other is not None:
        return other
    if lease is None:
        return NoAuthorityError(
            f"The run holds no locks (any more), so {_what(claim)} must not act. Nothing was "
            f"touched. {CLEAR_ACQUIRE}."
        )
    if claim.role is ActRole.UNDO:
        return _undo_refusal(claim, lease)
    return (
        _stop_refusal(claim, run, lease)
        or (None if goes_on else _failing_refusal(claim, run))
        or (None if goes_on else _time_refusal(claim, run, now))
        or _approval_refusal(claim, run, approvals or {}, None if goes_on else now)
        or _order_refusal(claim, journal)
        or _own_refusal(claim, journal)
    )


def acquire_refusal(plan_id: str, run: PlanRun | None) -> PlannerError | None:
    """Say why a run must not take locks, or ``None`` if it may."""
    if run is None:
        return NoAuthorityError(
            f"Run {plan_id} was never assessed, so it gets no locks. Nothing was touched. Clear "
            "the task `assess` with everything downstream."
        )
    return abort_refusal(run)


def abort_refusal(run: PlanRun) -> AbortedError | None:
    """Refuse to go on with a run that a person stopped and that has not ended since."""
    if run.abort_at is None or run.outcome is not None:
        return None
    why = f" ({run.abort_reason})" if run.abort_reason else ""
    return AbortedError(
        f"The run was stopped by {run.stopped_by} at {run.abort_at:%H:%M:%S} UTC{why}, so it must "
        f"not go on. Nothing was touched. {NEW_RUN}."
    )


def version_refusal(digest: str, run: PlanRun) -> SupersededError | None:
    """Refuse a task that was compiled from another version than the run is bound to."""
    if digest == run.key.digest:
        return None
    return SupersededError(
        f"The plan was changed while this run was under way: the run is bound to version "
        f"{run.key.digest[:8]}, this task was compiled from {digest[:8]}. Nothing was touched. "
        f"{NEW_RUN}, or put the spec back to version {run.key.digest[:8]} and clear this task "
        "with everything downstream."
    )


def _stop_refusal(claim: Claim, run: PlanRun, lease: Lease) -> PlannerError | None:
    if lease.closing_at is not None:
        return NoAuthorityError(
            f"The run is being wound up since {lease.closing_at:%H:%M:%S} UTC, so "
            f"{_what(claim)} must not begin any more. Nothing was touched."
        )
    if run.abort_at is not None:
        return NoAuthorityError(
            f"The run was stopped by {run.stopped_by} at {run.abort_at:%H:%M:%S} UTC, so "
            f"{_what(claim)} must not begin any more. Nothing was touched."
        )
    return None


def _failing_refusal(claim: Claim, run: PlanRun) -> NoAuthorityError | None:
    """What has failed is undone; there is no use in doing more before that."""
    if run.failing_at is None or claim.step in run.failing_steps:
        return None
    failed = ", ".join(run.failing_steps)
    return NoAuthorityError(
        f"Step {failed} failed for good at {run.failing_at:%H:%M:%S} UTC and the run is about to "
        f"be rolled back, so {_what(claim)} must not begin any more. Nothing was touched. Look why "
        f"{failed} failed; then start a new run."
    )


def _parameters_refusal(claim: Claim, run: PlanRun) -> NoAuthorityError | None:
    """What was assessed and approved is what is done."""
    if claim.parameters_sha == run.parameters_sha or not (
        claim.parameters_sha and run.parameters_sha
    ):
        return None
    return NoAuthorityError(
        f"The parameters of the run were changed since it was assessed, so {_what(claim)} must not "
        f"act with them. Nothing was touched. {NEW_RUN} with the parameters that are meant."
    )


def _time_refusal(claim: Claim, run: PlanRun, now: datetime) -> PlannerError | None:
    if run.expires_at is not None and now >= run.expires_at:
        return ExpiredError(
            f"The decision to run was valid until {run.expires_at:%Y-%m-%d %H:%M:%S} UTC "
            f"(guards.ttl), so {_what(claim)} must not begin any more. Nothing was touched. "
            f"{NEW_RUN}."
        )
    return None


def _approval_refusal(
    claim: Claim, run: PlanRun, approvals: Mapping[str, Approval | None], now: datetime | None
) -> ApprovalError | None:
    for task in run.approvals:
        trouble = _approval_trouble(run, approvals.get(task), now)
        if trouble is not None:
            return ApprovalError(
                f"{_what(claim).capitalize()} needs the approval of task {task}, and {trouble}. "
                "Only the record in the ledger counts, not the colour of the task or its XCom. "
                f"Nothing was touched. Clear the task {task} with everything downstream: it asks "
                "again."
            )
    return None


def _approval_trouble(run: PlanRun, approval: Approval | None, now: datetime | None) -> str | None:
    if approval is None:
        return "the ledger has none: it was never asked for"
    closed = f" at {approval.closed_at:%Y-%m-%d %H:%M:%S} UTC" if approval.closed_at else ""
    said = {
        ApprovalState.OPEN: "it is still open: too few have answered",
        ApprovalState.REJECTED: f"it was rejected{closed}{_who(approval)}",
        ApprovalState.EXPIRED: f"nobody answered in time{closed and f'; it was closed{closed}'}",
        ApprovalState.CANCELLED: f"it was cancelled{closed}",
    }
    if approval.state is not ApprovalState.GRANTED:
        return said[approval.state]
    asked = approval.request
    if asked.digest != run.key.digest:
        return (
            f"it was given for version {asked.digest[:8]} of the plan; the run is bound to "
            f"{run.key.digest[:8]}"
        )
    if asked.parameters_sha != run.parameters_sha:
        return "it was given for other parameters than those that the run is bound to"
    if now is not None and asked.expires_at is not None and now >= asked.expires_at:
        return f"it was valid until {asked.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    return None


def _who(approval: Approval) -> str:
    against = [answer for answer in approval.answers if not answer.approve]
    if not against:
        return ""
    reason = f": {against[-1].reason}" if against[-1].reason else ""
    return f" by {against[-1].user}{reason}"


def _order_refusal(claim: Claim, journal: Journal) -> PlannerError | None:
    befores = [(before, journal[before].status) for before in claim.after]
    befores += [(name, journal.of(name, claim.map_index).status) for name in claim.after_same]
    for before, status in befores:
        if status is StepStatus.DONE:
            continue
        if status in {StepStatus.UNDONE, StepStatus.PARTLY_UNDONE}:
            return NoAuthorityError(
                f"{_what(claim).capitalize()} comes after step {before}, and that was undone in "
                f"this run. Nothing was touched. {NEW_RUN}: it does all steps."
            )
        return NoAuthorityError(
            f"{_what(claim).capitalize()} comes after step {before}, and by the journal that is "
            f"{status.value}, not done, whatever colour its task has. Nothing was touched. Clear "
            f"step {before} with everything downstream so that it is done in truth."
        )
    return None


def _own_refusal(claim: Claim, journal: Journal) -> PlannerError | None:
    status = journal.of(claim.step, claim.map_index).status
    if status in {StepStatus.UNDONE, StepStatus.UNDOING, StepStatus.UNDO_FAILED}:
        return NoAuthorityError(
            f"Step {claim.step} is {status.value} in this run and must not be done again in it. "
            f"Nothing was touched. {NEW_RUN}."
        )
    if status is StepStatus.UNKNOWN and not claim.repeatable:
        return AttentionError(
            f"An earlier try of step {claim.step} was cut off, its result is not known, and doing "
            "it twice may do harm. Look whether it took effect; then start a new run, or undo by "
            "hand what it did."
        )
    return None


def _undo_refusal(claim: Claim, lease: Lease) -> PlannerError | None:
    if lease.course is Course.UNDO:
        return None
    said = "keeps the change" if lease.course is Course.KEEP else "has not decided yet"
    return NoAuthorityError(
        f"`decide` {said}, so {_what(claim)} must not act. Nothing was touched. {CLEAR_ACQUIRE}."
    )


def _what(claim: Claim) -> str:
    return f"the undoing of {claim.step}" if claim.role is ActRole.UNDO else f"step {claim.step}"
