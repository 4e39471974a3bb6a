"""What the acts of a run say about its steps. Pure: acts in, states out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from planner_provider.ledger.rows import Act, ActResult, ActRole


class StepStatus(StrEnum):
    """Where a step stands, by the journal."""

    UNTOUCHED = "untouched"
    """It never began."""
    DONE = "done"
    UNDONE = "undone"
    """It was done, or tried, and its compensation is done."""
    PARTLY_UNDONE = "partly undone"
    """Of a mapped step, some parts are undone and others are done."""
    FAILED = "failed"
    """Its last try ended with an error."""
    UNDO_FAILED = "undo failed"
    """Its compensation ended with an error or without a known result."""
    UNKNOWN = "unknown"
    """Its last try was stopped, or fell silent, before it ended."""
    UNDOING = "being undone"
    ACTING = "acting"


_WEIGHT = {status: index for index, status in enumerate(StepStatus)}
_AFTER_STEP = {
    None: StepStatus.ACTING,
    ActResult.DONE: StepStatus.DONE,
    ActResult.FAILED: StepStatus.FAILED,
    ActResult.UNKNOWN: StepStatus.UNKNOWN,
}
_AFTER_UNDO = {
    None: StepStatus.UNDOING,
    ActResult.DONE: StepStatus.UNDONE,
    ActResult.FAILED: StepStatus.UNDO_FAILED,
    ActResult.UNKNOWN: StepStatus.UNDO_FAILED,
}


@dataclass(frozen=True, slots=True)
class StepState:
    """Where a step stands and the act that says so."""

    status: StepStatus
    last: Act | None = None

    @property
    def must_be_undone(self) -> bool:
        """Whether something of it may be in the world."""
        return self.status not in {StepStatus.UNTOUCHED, StepStatus.UNDONE}


UNTOUCHED = StepState(StepStatus.UNTOUCHED)


PART = "/"
"""Between a step and its part: ``shift/w25``. What undoes ``shift`` undoes all of its parts."""


class Journal(Mapping[str, StepState]):
    """The states of all steps of one run. A step that never began is ``UNTOUCHED``, not missing.

    A step that is done in parts has its parts in the journal. The state of the whole is that of
    the part that matters most, of those that began.
    """

    def __init__(self, acts: Iterable[Act]) -> None:
        self.acts = tuple(sorted(acts, key=lambda act: act.id))
        self._states = _states(self.acts)

    def __getitem__(self, step: str) -> StepState:
        return _whole(self._states, step)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def of(self, step: str, map_index: int) -> StepState:
        """The state of one mapped part of a step; of all of it, if the index is negative."""
        own = [
            act
            for act in self.acts
            if _is_about(act, step) and (map_index < 0 or _concerns(act, map_index))
        ]
        return _whole(_states(own), step)

    def checked(self, task_id: str) -> bool:
        """Whether the last run of a verification passed, and no step or undo began after it."""
        checks = [a for a in self.acts if a.role is ActRole.CHECK and a.step == task_id]
        changes = [a.id for a in self.acts if a.role is not ActRole.CHECK]
        if not checks or checks[-1].result is not ActResult.DONE:
            return False
        return not changes or checks[-1].id > changes[-1]


def _is_about(act: Act, step: str) -> bool:
    if act.step == step or act.step.startswith(step + PART):
        return True
    return act.role is ActRole.UNDO and step.startswith(act.step + PART)


def _whole(states: Mapping[str, StepState], step: str) -> StepState:
    own = [state for name, state in states.items() if name == step or name.startswith(step + PART)]
    return _together(tuple(own)) if own else UNTOUCHED


def _concerns(act: Act, map_index: int) -> bool:
    return act.map_index == map_index or (act.role is ActRole.UNDO and act.map_index < 0)


def _states(acts: Iterable[Act]) -> dict[str, StepState]:
    parts: dict[str, dict[int, StepState]] = {}
    for act in acts:
        if act.role is ActRole.CHECK:
            continue
        if act.role is ActRole.STEP:
            parts.setdefault(act.step, {})[act.map_index] = StepState(_AFTER_STEP[act.result], act)
            continue
        undone = StepState(_AFTER_UNDO[act.result], act)
        names = [name for name in parts if name.startswith(act.step + PART)]
        for name in [act.step] if act.step in parts or not names else names:
            of_step = parts.setdefault(name, {})
            for index in [i for i in of_step if _concerns(act, i)] or [act.map_index]:
                of_step[index] = undone
    return {step: _together(tuple(states.values())) for step, states in parts.items()}


def _together(parts: tuple[StepState, ...]) -> StepState:
    """The state of a step from those of its mapped parts: the one that matters most."""
    heaviest = max(parts, key=lambda state: _WEIGHT[state.status])
    if heaviest.status is StepStatus.UNDONE and any(p.status is StepStatus.DONE for p in parts):
        return StepState(StepStatus.PARTLY_UNDONE, heaviest.last)
    return heaviest
