"""One weight of a canary, watched: what is asked at each look, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from planner_provider.decide.bake import Bake, BakeEnd
from planner_provider.decide.canary import CanaryInputs, JudgeSettings
from planner_provider.decide.model import Frozen, Verdict
from planner_provider.decide.replay import decide
from planner_provider.decide.slo import SloRules
from planner_provider.graph.slos import Slo
from planner_provider.hooks.arm_counts import Watched, count
from planner_provider.hooks.prometheus import Prometheus, prometheus
from planner_provider.hooks.slo_facts import Look, look_at

MAX_INTERVALS = 1440


class CanaryWatch(Frozen):
    """What to watch over one weight of a canary, and until when. JSON, so that a trigger has it."""

    weight: int
    slos: tuple[Slo, ...] = ()
    """They must not be breached."""
    watched: Watched
    """What is compared between the arms."""
    horizon: int
    """Intervals that all weights together are planned to last."""
    settings: JudgeSettings = JudgeSettings()
    until: datetime
    """End of the bake of this weight."""
    patience_until: datetime
    """Until then it is watched on while too little is known."""
    last: bool
    """Whether the canary is promoted after this weight."""

    @property
    def bake(self) -> Bake:
        """The rule by which the watch ends."""
        return Bake(until=self.until, patience_until=self.patience_until, last=self.last)


@dataclass(frozen=True, slots=True)
class CanaryLook:
    """One look at a canary: the verdicts on its SLOs and on the comparison, and what they mean."""

    slos: Look | None
    judge: Look | None
    end: BakeEnd | None
    why: Verdict | None

    @property
    def looks(self) -> tuple[Look, ...]:
        """The decisions of this look."""
        return tuple(look for look in (self.slos, self.judge) if look is not None)

    @property
    def summary(self) -> str:
        """The verdicts on one line each."""
        return " | ".join(look.verdict.text for look in self.looks)


def look_at_canary(
    watch: CanaryWatch,
    number: int,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    client: Callable[[str], Prometheus] = prometheus,
) -> CanaryLook:
    """Measure and decide. Whatever cannot be measured is not known; nothing is raised.

    ``number`` counts the looks at this canary, from 1.
    """
    slos = None
    if watch.slos:
        slos = look_at(watch.slos, SloRules.of(None, in_progress=True), clock=clock, client=client)
    judged = judge_canary(watch, number, clock=clock, client=client)
    end, why = watch.bake.look(
        slos.verdict if slos else None, judged.verdict if judged else None, clock()
    )
    return CanaryLook(slos, judged, end, why)


def judge_canary(
    watch: CanaryWatch,
    number: int,
    *,
    clock: Callable[[], datetime],
    client: Callable[[str], Prometheus],
) -> Look | None:
    """Compare the arms; ``None`` if the plan compares nothing."""
    if not watch.watched.comparisons:
        return None
    now = clock()
    metrics = count(watch.watched, now, client)
    inputs = CanaryInputs(
        now=clock(),
        look=number,
        minute=max(1, min(watch.watched.intervals(now), MAX_INTERVALS)),
        horizon=max(1, min(watch.horizon, MAX_INTERVALS)),
        metrics=metrics,
        settings=watch.settings,
    )
    return Look(*decide(inputs))
