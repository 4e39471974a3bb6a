"""May this task act now? Pure: what the ledger holds goes in, a refusal or nothing comes out.

The one who acts asks this in the same transaction in which it writes its intent, so nothing can
change in between. The colour of an upstream task is no authority.
"""

from __future__ import annotations

from datetime import datetime

from planner_provider.errors import (
    AttentionError,
    NoAuthorityError,
    PlannerError,
    SupersededError,
)
from planner_provider.ledger.journal import Journal, StepStatus
from planner_provider.ledger.rows import ActRole, Claim, Lease, PlanRun, Verdict

NEW_RUN = "Start a new run"
CLEAR_ACQUIRE = (
    "Clear the task `acquire` with everything downstream: it takes the locks again, and what is "
    "already done, or undone, stays so"
)


class ExpiredError(NoAuthorityError):
    """The decision to run is too old."""


def refusal(
    claim: Claim, run: PlanRun | None, lease: Lease | None, journal: Journal, now: datetime
) -> PlannerError | None:
    """Say why the task must not act, or ``None`` if it may."""
    if run is None:
        return NoAuthorityError(
            f"Run {claim.run_id} of {claim.dag_id} was never assessed, so nothing in it may act. "
            "Nothing was touched. Clear the task `assess` with everything downstream."
        )
    superseded = version_refusal(claim.digest, run)
    if superseded or claim.role is ActRole.CHECK:
        return superseded
    if lease is None:
        return NoAuthorityError(
            f"The run holds no locks (any more), so {_what(claim)} must not act. Nothing was "
            f"touched. {CLEAR_ACQUIRE}."
        )
    if claim.role is ActRole.UNDO:
        return _undo_refusal(claim, lease)
    return (
        _time_refusal(claim, run, lease, now)
        or _order_refusal(claim, journal)
        or _own_refusal(claim, journal)
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


def _time_refusal(claim: Claim, run: PlanRun, lease: Lease, now: datetime) -> PlannerError | None:
    if lease.closing_at is not None:
        return NoAuthorityError(
            f"The run is being wound up since {lease.closing_at:%H:%M:%S} UTC, so "
            f"{_what(claim)} must not begin any more. Nothing was touched."
        )
    if run.abort_at is not None and lease.taken_at <= run.abort_at:
        return NoAuthorityError(
            f"The run was stopped by a person at {run.abort_at:%H:%M:%S} UTC, so {_what(claim)} "
            "must not begin any more. Nothing was touched."
        )
    if run.expires_at is not None and now >= run.expires_at:
        return ExpiredError(
            f"The decision to run was valid until {run.expires_at:%Y-%m-%d %H:%M:%S} UTC "
            f"(guards.ttl), so {_what(claim)} must not begin any more. Nothing was touched. "
            f"{NEW_RUN}."
        )
    return None


def _order_refusal(claim: Claim, journal: Journal) -> PlannerError | None:
    for before in claim.after:
        status = journal[before].status
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
    if lease.verdict is Verdict.UNDO:
        return None
    said = "keeps the change" if lease.verdict is Verdict.KEEP else "has not decided yet"
    return NoAuthorityError(
        f"`decide` {said}, so {_what(claim)} must not act. Nothing was touched. {CLEAR_ACQUIRE}."
    )


def _what(claim: Claim) -> str:
    return f"the undoing of {claim.step}" if claim.role is ActRole.UNDO else f"step {claim.step}"
