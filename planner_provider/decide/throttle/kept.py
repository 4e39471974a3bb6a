"""What is kept of a throttle between its ticks: beside the law's state, what people said."""

from __future__ import annotations

from pydantic import AwareDatetime

from planner_provider.decide.model import Frozen
from planner_provider.decide.throttle.model import ThrottleState


class Pause(Frozen):
    """Somebody said that nothing new may begin."""

    who: str
    reason: str
    at: AwareDatetime


class Kept(Frozen):
    """What is kept of a throttle."""

    law: ThrottleState | None = None
    """``None``: it has not ticked yet, or has no signal to go by."""
    paused: Pause | None = None
    blocked: str | None = None
    """Why nothing new may begin, of the last tick."""
    completed: int = 0
    """How many had ended at the last tick."""
    ratio: float | None = None
    """The signal at the last tick, as a share of the most that it may be."""
    told: str = ""
    """What the last tick came to, in words."""

    @classmethod
    def read(cls, text: str | None) -> Kept:
        """Read what is kept; a fresh one if there is nothing, or another version wrote it."""
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValueError:
            return cls()

    def text(self) -> str:
        """As JSON."""
        return self.model_dump_json(exclude_defaults=True)
