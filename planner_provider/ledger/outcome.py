"""How a run ended, judged by the journal. Pure: facts in, outcome and reason out.

================  ==========================================================================
outcome           what it says about the world
================  ==========================================================================
succeeded         The change is in: every step is done, none was undone, and the plan's
                  verification, if it has one, passed after the last step.
rolled_back       Something was changed, and everything that was done is undone again; the
                  verification, if there is one, passed after that. A step that *failed* and
                  declares no rollback is named in the reason: it may have got part of the way.
rollback_failed   A compensation failed or did not run, or the verification after the rollback
                  did not pass. The reason names what is left. Somebody must look now.
failed            Something was changed that no compensation is declared for, so it stays
                  ("Left changed: ..."). Or nothing was changed and a step or verification failed.
rejected          Nothing was changed: an approver said no.
expired           Nothing was changed: the time to live, an approval or the maintenance window
                  ran out first.
blocked           Nothing was changed: the frame refused to go on (assess, window, guard, locks).
aborted           Nothing was changed: a person, or the end of its window, stopped the run first.
================  ==========================================================================

The state of the world comes first: a run that a person stopped after two steps is rolled_back or
rollback_failed, and its reason says that a person stopped it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from planner_provider.ledger.journal import Journal, StepState, StepStatus
from planner_provider.ledger.rows import Course, Outcome


@dataclass(frozen=True, slots=True)
class StepFact:
    """A step of the plan and where it stands."""

    step: str
    state: StepState
    changes: bool = True
    """Whether it can change anything at all."""
    has_undo: bool = False

    @property
    def concerns(self) -> bool:
        """Whether it can leave something in the world."""
        return self.changes or self.has_undo


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known when a run ends."""

    steps: tuple[StepFact, ...]
    """In the order in which they are done."""
    course: Course | None = None
    verified: bool | None = None
    """Whether the verification passed; ``None`` if the plan has none."""
    rollback_verified: bool | None = None
    """Whether the verification after the rollback passed; ``None`` if the plan has none."""
    why: str = ""
    """What stopped the run, in words; empty if nothing did."""
    rejected: bool = False
    expired: bool = False
    aborted: bool = False
    blocked: bool = False
    """A task before the steps failed or was skipped."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a run ended."""

    outcome: Outcome
    reason: str
    """For a person at night, in whole sentences: what stopped it, what is left. What is left comes
    first where somebody must look now: lists and messages may cut the rest off."""
    done: tuple[str, ...] = ()
    """Steps that are in the world."""
    undone: tuple[str, ...] = ()
    """Steps that were undone."""
    left: tuple[str, ...] = ()
    """Steps that should not be in the world and are, or may be."""
    unclear: tuple[str, ...] = ()
    """Steps that failed, declare no rollback, and may have got part of the way."""


def conclude(facts: RunFacts) -> Conclusion:
    """Judge a run that has ended."""
    by_status = {fact.step: fact.state.status for fact in facts.steps}
    done = tuple(s for s, status in by_status.items() if status is StepStatus.DONE)
    undone = tuple(s for s, status in by_status.items() if status is StepStatus.UNDONE)
    if _is_in(facts):
        return Conclusion(Outcome.SUCCEEDED, "Every step is done.", done=done)
    remaining = [f for f in facts.steps if f.concerns and f.state.must_be_undone]
    not_undone = _names(f for f in remaining if f.has_undo)
    unclear = _names(f for f in remaining if not f.has_undo and f.state.status is StepStatus.FAILED)
    stays = _names(f for f in remaining if not f.has_undo and f.step not in unclear)
    outcome, world = _judge(facts, not_undone, undone, stays, unclear)
    told = (facts.why.strip(), world)
    if outcome is Outcome.ROLLBACK_FAILED:
        told = (world, facts.why.strip())
    reason = " ".join(part for part in told if part)
    return Conclusion(outcome, reason, done, undone, (*not_undone, *stays), unclear)


def conclude_unfinished(journal: Journal, course: Course | None, why: str) -> Conclusion:
    """Judge a run that ended without its last task, by its journal alone.

    What the plan is made of is not known here, so nothing is taken for granted: the change is in
    only if `decide` said so and nothing was undone; it is undone only if every step that began is.
    """
    steps = {step: state.status for step, state in journal.items()}
    done = tuple(s for s, status in steps.items() if status is StepStatus.DONE)
    undone = tuple(s for s, status in steps.items() if status is StepStatus.UNDONE)
    left = tuple(s for s, state in journal.items() if state.must_be_undone)
    said = f"The run ended without its last task ({why})."
    if course is Course.KEEP and done and len(done) == len(steps):
        return Conclusion(Outcome.SUCCEEDED, f"{said} Every step is done.", done=done)
    if left:
        states = ", ".join(f"{step} ({steps[step].value})" for step in left)
        return Conclusion(
            Outcome.ROLLBACK_FAILED,
            f"{said} Nobody undid what it began: {states}. Look now.",
            done, undone, left,
        )  # fmt: skip
    if undone:
        return Conclusion(
            Outcome.ROLLED_BACK,
            f"{said} Undone: {_list(undone)}. Whether the plan's check passed after that is not "
            "known; look.",
            undone=undone,
        )
    return Conclusion(Outcome.FAILED, f"{said} Nothing was changed.")


def _is_in(facts: RunFacts) -> bool:
    all_done = all(fact.state.status is StepStatus.DONE for fact in facts.steps)
    return all_done and facts.verified is not False and facts.course is Course.KEEP


def _judge(
    facts: RunFacts,
    not_undone: tuple[str, ...],
    undone: tuple[str, ...],
    stays: tuple[str, ...],
    unclear: tuple[str, ...],
) -> tuple[Outcome, str]:
    unsure = f" {_maybe(unclear)}" if unclear else ""
    if not_undone:
        also = f" No rollback is declared for {_list(stays)}." if stays else ""
        return (
            Outcome.ROLLBACK_FAILED,
            f"The rollback is not complete. Left changed: {_list((*not_undone, *stays))}."
            f"{also}{unsure}",
        )
    if stays:
        also = f" Undone: {_list(undone)}." if undone else ""
        return (
            Outcome.FAILED,
            f"Left changed: {_list(stays)}; no rollback is declared for that.{also}{unsure}",
        )
    if undone and facts.rollback_verified is False:
        return (
            Outcome.ROLLBACK_FAILED,
            f"Undone: {_list(undone)}. But the check afterwards did not pass, so the world is not "
            f"known to be as before.{unsure}",
        )
    if undone:
        return Outcome.ROLLED_BACK, f"Undone: {_list(undone)}. Nothing else was done.{unsure}"
    if unclear:
        return Outcome.FAILED, f"Nothing was undone.{unsure}"
    return _untouched(facts), "Nothing was changed."


def _untouched(facts: RunFacts) -> Outcome:
    for holds, outcome in (
        (facts.rejected, Outcome.REJECTED),
        (facts.aborted, Outcome.ABORTED),
        (facts.expired, Outcome.EXPIRED),
        (facts.blocked, Outcome.BLOCKED),
    ):
        if holds:
            return outcome
    return Outcome.FAILED


def _maybe(steps: tuple[str, ...]) -> str:
    verb = "it" if len(steps) == 1 else "they"
    return (
        f"Failed without a declared rollback: {_list(steps)}; look whether {verb} got part of "
        "the way."
    )


def _names(facts: Iterable[StepFact]) -> tuple[str, ...]:
    return tuple(fact.step for fact in facts)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
