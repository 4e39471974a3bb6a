"""What one weight of a canary makes of each look: go on, keep watching, or take it back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from planner_provider.decide.model import Reason, Verdict, VerdictKind

NOT_AGAINST = frozenset({"baking", "too_little_seen", "may_be_worse"})
"""Reasons of the judge to hold that do not bar the next weight: nothing is missing, nothing is
suspect, only more is to be seen; more traffic shows more. Before it is promoted, none may be left.
"""


class BakeEnd(StrEnum):
    """How the watch over one weight came to its end."""

    PASSED = "passed"
    BAD = "bad"
    """An SLO is breached, or the canary is worse than the baseline."""
    UNSURE = "unsure"
    """Patience ran out before enough was known."""


@dataclass(frozen=True, slots=True)
class Bake:
    """The watch over one weight."""

    until: datetime
    """End of the bake."""
    patience_until: datetime
    """Until then it is watched on if too little is known; not before ``until``."""
    last: bool
    """Whether the canary is promoted after this weight."""

    def look(
        self, slos: Verdict | None, judge: Verdict | None, at: datetime
    ) -> tuple[BakeEnd | None, Verdict | None]:
        """How the watch ends after a look, if it does, and the verdict that ends it.

        ``slos`` and ``judge`` are the verdicts on the SLOs and on the comparison; ``None`` where
        the plan does not ask for one. A bad verdict ends it at once, whatever the other says.
        """
        verdicts = [verdict for verdict in (slos, judge) if verdict is not None]
        for verdict in verdicts:
            if verdict.kind in (VerdictKind.ROLL_BACK, VerdictKind.REFUSE):
                return BakeEnd.BAD, verdict
        if at < self.until:
            return None, None
        barring = [slos] if slos is not None and not slos.passes else []
        if judge is not None and not self._lets_pass(judge):
            barring.append(judge)
        if verdicts and not barring:
            return BakeEnd.PASSED, verdicts[-1]
        if at < self.patience_until:
            return None, None
        return BakeEnd.UNSURE, barring[0] if barring else None

    def _lets_pass(self, judge: Verdict) -> bool:
        if judge.passes:
            return True
        return not self.last and {reason.code for reason in barring_reasons(judge)} <= NOT_AGAINST


def barring_reasons(verdict: Verdict) -> tuple[Reason, ...]:
    """The reasons without those that only inform."""
    return tuple(reason for reason in verdict.reasons if reason.code != "informational_unknown")
