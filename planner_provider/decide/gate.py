"""What a gate makes of one look after the other: healthy for a time, or until healthy. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from planner_provider.decide.model import Verdict

GAP = timedelta(minutes=5)
"""The longest time between two looks that show health, if it is to count as healthy throughout:
the shortest window of burn rates, which sees what happened in between."""


class Ending(StrEnum):
    """How a gate came to its end."""

    PASSED = "passed"
    BREACHED = "breached"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Course:
    """A gate while it looks, again and again."""

    until: datetime
    """The gate ends here, whatever it knows."""
    hold_for: timedelta | None = None
    """Healthy for so long, breaking off at the first breach; ``None``: until healthy at all."""
    healthy_since: datetime | None = None
    healthy_at: datetime | None = None
    """The last look that showed health."""

    def look(self, verdict: Verdict, at: datetime) -> tuple[Course, Ending | None]:
        """The course after a look, and how it ended if it did.

        A look that does not know says nothing: health is counted on if it is seen again within
        ``GAP``, and anew if it is not.
        """
        course, ending = self, None
        if verdict.passes:
            lasting = self.healthy_at is not None and at - self.healthy_at <= GAP
            since = self.healthy_since if lasting and self.healthy_since is not None else at
            course = replace(self, healthy_since=since, healthy_at=at)
            if self.hold_for is None or at - since >= self.hold_for:
                ending = Ending.PASSED
        elif self.hold_for is not None and not verdict.inconclusive:
            ending = Ending.BREACHED
        if ending is None and at >= self.until:
            ending = Ending.TIMED_OUT
        return course, ending
