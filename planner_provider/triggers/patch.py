"""Waiting for the turn of a target of a patch rollout: one look at the ledger for all who wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from planner_provider.decide.waves import TargetState, Turn, TurnKind, turn
from planner_provider.errors import PlannerError
from planner_provider.hooks.settings import load_settings, open_ledger
from planner_provider.triggers.aborts import AbortWatch
from planner_provider.triggers.hold import is_held
from planner_provider.triggers.looking import KeptTrigger
from planner_provider.triggers.sharing import asked_once

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

EVERY = 1.5
"""Seconds between two looks at the targets of a step, of all triggers of a process together."""
LOOK = 1.0
"""Seconds after which a trigger looks again at what is known."""
FIRST_EVENT = 3.5
"""Seconds from the start before which nothing is said: Airflow may lose earlier events."""
ASK_AGAIN = 30.0
"""Seconds after which the task asks the world anew, where it was the world that was in the way."""


class TurnTrigger(KeptTrigger):
    """End when it looks like a target's turn, when patience is over, or when the run is stopped.

    It cannot begin the target: the task does, in one transaction with the check. While a person
    holds the run it waits, and the patience begins anew after that. The event is
    ``{"turn": True}``, ``{"patience_over": True, "why": ...}`` or ``{"abort": moment}``.

    Args:
        plan_id: the run.
        step: its patch step.
        target: the target that waits.
        max_unavailable: how many may be unavailable.
        max_errors: how many may fail before no other is begun.
        elsewhere: targets that are unavailable for other reasons, by what the task last saw.
        patience: seconds to wait while nothing changes.
    """

    def __init__(
        self,
        *,
        plan_id: str,
        step: str,
        target: str,
        max_unavailable: int,
        max_errors: int,
        elsewhere: Sequence[str],
        patience: float,
    ) -> None:
        super().__init__()
        self.plan_id = plan_id
        self.step = step
        self.target = target
        self.max_unavailable = max_unavailable
        self.max_errors = max_errors
        self.elsewhere = list(elsewhere)
        self.patience = patience
        self.aborts = AbortWatch(plan_id, self.log.warning)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to do."""
        began = changed = time.monotonic()
        held: frozenset[str] | None = None
        while True:
            now = time.monotonic()
            targets = await self._targets()
            if targets is not None:
                holding = frozenset(target.name for target in targets if target.holds)
                if holding != held:
                    held, changed = holding, now
            else:  # not known, or the run is held
                changed = now
            event = await self.look(targets, waited=now - began, still=now - changed)
            if event is not None:
                await asyncio.sleep(FIRST_EVENT - (time.monotonic() - began))
                yield TriggerEvent(event)
                return
            await asyncio.sleep(LOOK)

    async def look(
        self, targets: Sequence[TargetState] | None, *, waited: float, still: float
    ) -> dict[str, Any] | None:
        """What there is to do now; ``None`` if nothing.

        ``waited`` and ``still`` are seconds: since the begin, and since anything changed.
        """
        if (aborted := await self.aborts.look()) is not None:
            return {"abort": aborted.isoformat()}
        if targets is None:
            return None
        answer = self._turn(targets, self.elsewhere)
        if answer.kind is not TurnKind.WAIT:
            if answer.kind is TurnKind.STOP or self._is_next(targets, len(answer.unavailable)):
                return {"turn": True}
        elif waited >= ASK_AGAIN and self._turn(targets, ()).kind is TurnKind.BEGIN:
            return {"turn": True}
        if still >= self.patience:
            return {"patience_over": True, "why": answer.why}
        return None

    def _turn(self, targets: Sequence[TargetState], elsewhere: Iterable[str]) -> Turn:
        return turn(
            self.target,
            targets,
            max_unavailable=self.max_unavailable,
            max_errors=self.max_errors,
            elsewhere=elsewhere,
        )

    def _is_next(self, targets: Sequence[TargetState], unavailable: int) -> bool:
        """Whether no more targets than there are free places asked for their turn before."""
        waiting = [t.name for t in targets if t.state == "waiting" and t.detail is not None]
        place = waiting.index(self.target) if self.target in waiting else 0
        return place < max(1, self.max_unavailable - unavailable)

    async def _targets(self) -> Sequence[TargetState] | None:
        """The targets of the step; ``None`` if they are not known, or the run is held."""
        try:
            if await is_held(self.plan_id):
                return None
            url = load_settings().sql_alchemy_conn
            found: Sequence[TargetState] = await asked_once(
                ("targets", url, self.plan_id, self.step),
                EVERY,
                lambda: open_ledger().target_states(self.plan_id, self.step),
            )
        except PlannerError as error:
            log.warning("Not known for now, asked again: %s", error)
            return None
        return found
