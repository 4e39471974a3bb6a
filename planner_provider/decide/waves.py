"""May the next target begin, and may the next wave? Pure: what the ledger holds goes in.

What the numbers of a rollout mean, exactly:

- ``max_errors``: no target is begun once *more than* ``max_errors`` targets of the rollout have
  failed, whichever wave they are in. Those that were begun by then are finished, and may fail as
  well. With ``max_errors: 0`` the first failure is the last beginning; with 2, the third is.
- ``max_unavailable``: a target counts as unavailable from its begin until it has ended well, or
  has failed and is known to be available again; and every other target of the fleet does that is
  unavailable for another reason. A target begins only if with it no more than ``max_unavailable``
  are so. One that is unavailable for another reason already may begin while fewer than
  ``max_unavailable`` are held by the rollout: that makes none more unavailable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal

from planner_provider.decide.model import Frozen, Inputs, Measure, Reason, Verdict, VerdictKind
from planner_provider.decide.replay import Decider

State = Literal["waiting", "acting", "done", "failed", "skipped", "gone"]


class TargetState(Frozen):
    """Where one target of a rollout stands."""

    name: str
    wave: int | None = None
    """Number of its wave; ``None``: no wave has it."""
    state: State = "waiting"
    detail: str | None = None
    available: bool = True
    """Of one that failed: whether it is known to be available again."""
    counts: bool = True
    """Of one that failed: whether it counts as an error. One that failed before a person cleared
    the run, so that it goes on, does not."""

    @property
    def holds(self) -> bool:
        """Whether the rollout keeps it unavailable, or left it so."""
        return self.state == "acting" or (self.state == "failed" and not self.available)

    @property
    def is_error(self) -> bool:
        """Whether it counts towards ``max_errors``."""
        return self.state == "failed" and self.counts


class TurnKind(StrEnum):
    """What a target that wants to begin is told."""

    BEGIN = "begin"
    WAIT = "wait"
    STOP = "stop"
    """It is not begun in this run: too many have failed."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The answer to a target that wants to begin."""

    kind: TurnKind
    why: str
    unavailable: tuple[str, ...] = ()
    """The other targets that are unavailable now, sorted."""


def turn(
    name: str,
    targets: Sequence[TargetState],
    *,
    max_unavailable: int,
    max_errors: int,
    elsewhere: Iterable[str] = (),
) -> Turn:
    """Whether a target may begin.

    ``elsewhere`` are the targets of the fleet that are unavailable for whatever reason, by what
    the world says.
    """
    away = frozenset(elsewhere)
    others = [target for target in targets if target.name != name]
    held = {target.name for target in others if target.holds}
    unavailable = tuple(sorted(held | (away - {name})))
    errors = [target.name for target in others if target.is_error]
    if len(errors) > max_errors:
        return Turn(
            TurnKind.STOP,
            f"{len(errors)} targets have failed ({_some(errors)}), and the plan bears {max_errors}",
            unavailable,
        )
    kept = [target.name for target in others if target.state == "failed" and target.holds]
    if len(kept) >= max_unavailable:
        return Turn(
            TurnKind.STOP,
            f"{_some(kept)} failed and may be unavailable still, and no more than "
            f"{max_unavailable} may be so at once",
            unavailable,
        )
    counted = len(held) if name in away else len(unavailable)
    if counted < max_unavailable:
        return Turn(TurnKind.BEGIN, f"{counted} others are unavailable", unavailable)
    return Turn(
        TurnKind.WAIT,
        f"{counted} others are unavailable ({_some(unavailable)}), and no more than "
        f"{max_unavailable} may be so at once",
        unavailable,
    )


class WaveInputs(Inputs):
    """A wave whose targets have all ended, or will not begin any more."""

    kind: ClassVar[str] = "wave"
    wave: int
    waves: int
    """How many there are."""
    max_errors: int
    targets: tuple[TargetState, ...]
    """All of the rollout."""


def judge_wave(inputs: WaveInputs) -> Verdict:
    """Whether the rollout goes on after a wave: proceed, or refuse with the reason."""
    done = [t for t in inputs.targets if t.state == "done"]
    errors = [t for t in inputs.targets if t.is_error]
    so_far = [t for t in inputs.targets if t.wave is not None and t.wave <= inputs.wave]
    measures = (
        Measure(name="failed targets", value=len(errors), limit=inputs.max_errors),
        Measure(name="targets done", value=len(done)),
    )
    if len(errors) > inputs.max_errors:
        told = "; ".join(f"{t.name}: {t.detail or 'no reason is known'}" for t in errors[:5])
        more = f"; and {len(errors) - 5} more" if len(errors) > 5 else ""
        text = f"{len(errors)} targets failed, and the plan bears {inputs.max_errors}. {told}{more}"
        return _verdict(VerdictKind.REFUSE, "too_many_errors", text, measures)
    acting = [t.name for t in so_far if t.state == "acting"]
    if acting:
        text = f"How it ended is not known of {_some(acting)}"
        return _verdict(VerdictKind.REFUSE, "not_ended", text, measures, inconclusive=True)
    waiting = [t for t in so_far if t.state == "waiting"]
    if waiting:
        why = next((t.detail for t in waiting if t.detail), "nobody said why")
        text = f"{len(waiting)} targets of wave {inputs.wave} were not begun: {why}"
        return _verdict(VerdictKind.REFUSE, "not_begun", text, measures)
    text = (
        f"Wave {inputs.wave} of {inputs.waves} has ended: {len(done)} targets are done, "
        f"{len(errors)} failed, and the plan bears {inputs.max_errors}"
    )
    return _verdict(VerdictKind.PROCEED, "wave_ended", text, measures)


def _verdict(
    kind: VerdictKind,
    code: str,
    text: str,
    measures: tuple[Measure, ...],
    *,
    inconclusive: bool = False,
) -> Verdict:
    reason = Reason(code=code, text=f"{text.rstrip('.')}.")
    return Verdict(kind=kind, reasons=(reason,), measures=measures, inconclusive=inconclusive)


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


DECIDER = Decider(inputs=WaveInputs, function=judge_wave, version=1)
