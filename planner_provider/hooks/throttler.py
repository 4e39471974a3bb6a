"""A throttle at work: looks at its signal once a period, whoever asks, and says how much may run.

What it knows is in the ledger, so that many tasks may ask it, none of them needs to live, and a
person can change it while it works (``planner throttle``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from planner_provider.decide.replay import decide
from planner_provider.decide.throttle import (
    Act,
    Kept,
    Limits,
    Move,
    Observation,
    Settings,
    ThrottleInputs,
    ThrottleState,
    late_ticks,
    move_of,
    verdict_of,
)
from planner_provider.hooks.throttle_signal import Reading, read_signal
from planner_provider.ledger.rows import Throttle as Kept_Throttle

if TYPE_CHECKING:
    from planner_provider.graph.slos import Slo
    from planner_provider.ledger import Ledger
    from planner_provider.spec.workloads import Throttle

log = logging.getLogger(__name__)

DUE = 0.9
"""Share of a period after which it is time for the next tick: clocks and sleeps are not exact."""
TRIES = 5
"""How often a tick is worked out anew because somebody changed the throttle meanwhile."""
ACTOR = "throttle"


class Throttler:
    """Says how much may run at once.

    Args:
        ledger: where it is kept.
        plan_id: run of the plan.
        name: the throttle's name: the step that it is of.
        throttle: what the spec says.
        slos: the plan's SLOs, of which the signal may name one.
        measure: measures the signal; left out, it is asked for as the spec says.
        guard: asked at each tick; the reason, as a sentence, why nothing new may begin, if any.
    """

    def __init__(
        self,
        ledger: Ledger,
        plan_id: str,
        name: str,
        throttle: Throttle,
        *,
        slos: Iterable[Slo] = (),
        measure: Callable[[datetime], Reading] | None = None,
        guard: Callable[[], str | None] | None = None,
        actor: str = ACTOR,
    ) -> None:
        self._ledger = ledger
        self._plan_id = plan_id
        self._name = name
        self._throttle = throttle
        self._slos = tuple(slos)
        self._measure = measure or self._ask
        self._guard = guard
        self._actor = actor
        self._seen: list[int] = []

    def tick(self, now: datetime, running: int, completed: int) -> int:
        """How much may run from now on; looks at the signal if it is time to.

        ``running`` is how much runs now, ``completed`` how much has ended since the step began,
        both over all tasks of the step. Raises what the ledger raises.
        """
        self._seen.append(running)
        row = self._ledger.throttle(self._plan_id, self._name) or self._begin(now)
        if not self._due(row, now):
            return self._present(row)
        mine = self._ledger.claim_tick(row, now=now)
        if mine is None:
            return self._present(self._read() or row)
        return self._move(mine, row.ticked_at, now, completed)

    # ---- one tick

    def _move(
        self, row: Kept_Throttle, before: datetime | None, now: datetime, completed: int
    ) -> int:
        blocked = self._guard() if self._guard is not None else None
        reading = self._measure(now) if self._throttle.signal is not None else None
        seen, self._seen = self._seen, self._seen[-1:]
        for _ in range(TRIES):
            kept = Kept.read(row.state)
            inputs = self._inputs(row, kept, before, now, completed, seen, reading, blocked)
            if reading is None and inputs.blocked is None:
                return self._without_signal(row, kept, completed)
            move = self._work_out(inputs)
            fresh = kept.model_copy(
                update={
                    "law": move.state,
                    "blocked": inputs.blocked,
                    "completed": completed,
                    "ratio": inputs.observation.ratio,
                    "told": self._told(inputs, move),
                }
            )
            wanted = min(max(move.state.limit, row.minimum), row.maximum)
            if self._ledger.move_throttle(replace(row, limit=wanted, state=fresh.text())):
                self._tell(inputs, move, kept, fresh, now)
                return 0 if inputs.blocked else int(wanted + 1e-9)
            row = self._read() or row
        return self._present(row)

    def _inputs(
        self,
        row: Kept_Throttle,
        kept: Kept,
        before: datetime | None,
        now: datetime,
        completed: int,
        seen: list[int],
        reading: Reading | None,
        blocked: str | None,
    ) -> ThrottleInputs:
        every = self._throttle.every
        elapsed = (now - before).total_seconds() if before else every.total_seconds()
        signal = self._throttle.signal
        lag = late_ticks(reading.age, signal.window, every) if reading and signal else 0
        if kept.paused is not None:
            blocked = f"{kept.paused.who} paused it: {_sentence(kept.paused.reason)}"
        return ThrottleInputs(
            now=now,
            name=self._name,
            state=kept.law or ThrottleState(limit=row.limit),
            observation=Observation(
                ratio=reading.ratio if reading else None,
                problem=reading.problem if reading else "there is no signal",
                running=seen[-1],
                running_mean=sum(seen) / len(seen),
                completed=max(0, completed - kept.completed),
                elapsed_s=max(elapsed, 0.001),
            ),
            limits=Limits(minimum=row.minimum, maximum=row.maximum),
            settings=Settings(
                period=every,
                set_point=self._throttle.target,
                lag=lag,
                queue=signal is not None and signal.kind == "queue",
                back_off=self._throttle.on_missing == "back_off",
            ),
            signal=reading.fact if reading else None,
            blocked=blocked,
        )

    def _work_out(self, inputs: ThrottleInputs) -> Move:
        return move_of(
            inputs.state, inputs.observation, inputs.limits, inputs.settings, inputs.blocked
        )

    def _told(self, inputs: ThrottleInputs, move: Move) -> str:
        verdict = verdict_of(
            move, inputs.observation, inputs.limits, inputs.settings, inputs.blocked
        )
        return verdict.reasons[0].text

    def _without_signal(self, row: Kept_Throttle, kept: Kept, completed: int) -> int:
        """Nothing moves a limit without a signal but people."""
        fresh = kept.model_copy(update={"blocked": None, "completed": completed, "told": ""})
        if fresh != kept:
            self._ledger.move_throttle(replace(row, state=fresh.text()))
        return int(row.limit + 1e-9)

    def _tell(
        self, inputs: ThrottleInputs, move: Move, kept: Kept, fresh: Kept, now: datetime
    ) -> None:
        """Log every tick that did something; record a decision where it changed what may run."""
        still_blocked = inputs.blocked is not None and inputs.blocked == kept.blocked
        quiet = still_blocked or move.act in (Act.HELD, Act.DRAINING)
        log.log(logging.DEBUG if quiet else logging.INFO, "%s: %s", self._name, fresh.told)
        allowed = int(move.before + 1e-9) != move.state.allowed
        if allowed or (kept.blocked is None) != (inputs.blocked is None):
            _, decision = decide(inputs)
            self._ledger.record_decision(
                decision, plan_id=self._plan_id, step=self._name, actor=self._actor, now=now
            )

    # ---- what is kept

    def _begin(self, now: datetime) -> Kept_Throttle:
        throttle = self._throttle
        first = throttle.start if throttle.signal is not None else throttle.max
        return self._ledger.begin_throttle(
            Kept_Throttle(
                name=self._name,
                plan_id=self._plan_id,
                limit=float(first),
                minimum=float(throttle.min),
                maximum=float(throttle.max),
                changed_by=self._actor,
                changed_at=now,
            )
        )

    def _read(self) -> Kept_Throttle | None:
        return self._ledger.throttle(self._plan_id, self._name)

    def _due(self, row: Kept_Throttle, now: datetime) -> bool:
        return row.ticked_at is None or now - row.ticked_at >= DUE * self._throttle.every

    def _present(self, row: Kept_Throttle) -> int:
        """How much may run, by what is kept."""
        kept = Kept.read(row.state)
        if kept.paused is not None or kept.blocked is not None:
            return 0
        return int(row.limit + 1e-9)

    def _ask(self, now: datetime) -> Reading:
        assert self._throttle.signal is not None  # it is only asked where there is one
        return read_signal(self._throttle.signal, self._slos, self._throttle.every, now=now)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
