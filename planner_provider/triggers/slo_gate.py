"""Looks at SLOs again and again, until a gate's end is certain.

Gates with equal SLOs, rules and interval look at the same moments, and share one look: its queries
are asked once, and its verdict is reached once, however many wait.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import zlib
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.triggers.base import TriggerEvent

from planner_provider.triggers.aborts import LOOKS_EVERY, AbortWatch
from planner_provider.triggers.looking import KeptTrigger
from planner_provider.triggers.sharing import asked_once

if TYPE_CHECKING:
    from planner_provider.decide.gate import Course, Ending
    from planner_provider.decide.slo import SloRules
    from planner_provider.graph.slos import Slo
    from planner_provider.hooks.slo_facts import Look

Result = TypeVar("Result")

FIRST_EVENT = 3.0
"""Seconds from the start before which nothing is said: Airflow may lose earlier events."""
SHARED = 0.8
"""For this part of an interval a look is shared; the next moment to look then asks anew."""
MAX_LOOKS = 8
"""Looks at different SLOs that are under way at once in a process."""

_threads = ThreadPoolExecutor(MAX_LOOKS, thread_name_prefix="slo-look")
_under_way: set[asyncio.Task[Any]] = set()


class SloGateTrigger(KeptTrigger):
    """Waits for the end of a gate. Fires once.

    The event is ``{"ending": ..., "decision": ...}`` with the ``Ending`` and the JSON of the
    ``Decision`` of the last look, or ``{"abort": ...}`` with the moment of the abort.

    Args:
        slos: JSON of a list of ``graph.slos.Slo``.
        rules: JSON of a ``decide.slo.SloRules``.
        every: seconds between two looks.
        until: end of the gate, in seconds since 1970.
        hold_for: seconds of health that are needed; ``None``: being healthy at all is enough.
        healthy_since: since when it has been healthy, in seconds since 1970; ``None``: it is not.
        plan_id: the run that ends the gate when it is aborted.
    """

    def __init__(
        self,
        *,
        slos: str,
        rules: str,
        every: float,
        until: float,
        hold_for: float | None = None,
        healthy_since: float | None = None,
        plan_id: str | None = None,
    ) -> None:
        super().__init__()
        self.slos = sys.intern(slos)
        self.rules = sys.intern(rules)
        self.every = every
        self.until = until
        self.hold_for = hold_for
        self.healthy_since = healthy_since
        self.plan_id = plan_id
        self.aborts = AbortWatch(plan_id, self.log.warning)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the end is certain."""
        begun = time.monotonic()
        course = self._course()
        told: str | None = None
        while True:
            aborted = await self.aborts.until(min(self._next_look(time.time()), self.until))
            if aborted is None:
                looked = await self._watching(self._look())
                aborted = looked if isinstance(looked, datetime) else None
            if aborted is not None:
                event: dict[str, str] = {"abort": aborted.isoformat()}
                break
            assert not isinstance(looked, datetime)
            course, ending = course.look(looked.verdict, self._moment(looked))
            if looked.verdict.kind.value != told:
                self.log.info("%s", looked.verdict.text)
                told = looked.verdict.kind.value
            if ending is not None:
                event = {"ending": ending.value, "decision": looked.decision.model_dump_json()}
                break
        await asyncio.sleep(FIRST_EVENT - (time.monotonic() - begun))
        yield TriggerEvent(event)

    def _course(self) -> Course:
        from planner_provider.decide.gate import Course

        since = None if self.healthy_since is None else _at(self.healthy_since)
        return Course(
            until=_at(self.until),
            hold_for=None if self.hold_for is None else timedelta(seconds=self.hold_for),
            healthy_since=since,
            healthy_at=since,
        )

    def _moment(self, look: Look) -> datetime:
        """The moment that a look is about, or the end of the gate once that has come."""
        if time.time() >= self.until:
            return max(look.decision.decided_at, _at(self.until))
        return look.decision.decided_at

    def _next_look(self, now: float) -> float:
        """The next moment at which all gates with the same questions look."""
        phase = zlib.crc32(f"{self.slos}{self.rules}".encode()) / 2**32 * self.every
        return ((now - phase) // self.every + 1) * self.every + phase

    async def _look(self) -> Look:
        return await asked_once(
            ("slo_gate", self.slos, self.rules, self.every),
            self.every * SHARED,
            lambda: _look(self.slos, self.rules),
            _threads,
        )

    async def _watching(self, work: Coroutine[Any, Any, Result]) -> Result | datetime:
        """Wait for something that may take long, but not longer than until an abort."""
        task = asyncio.ensure_future(work)
        _under_way.add(task)  # it goes on for the others who wait for the same
        task.add_done_callback(_under_way.discard)
        while True:
            await asyncio.wait({task}, timeout=LOOKS_EVERY)
            if task.done():
                return task.result()
            if aborted := await self.aborts.look():
                return aborted


def slos_json(slos: tuple[Slo, ...]) -> str:
    """SLOs as the trigger takes them; equal SLOs give equal texts."""
    return json.dumps([slo.model_dump(mode="json", exclude_defaults=True) for slo in slos])


def rules_json(rules: SloRules) -> str:
    """Rules as the trigger takes them."""
    return json.dumps(rules.model_dump(mode="json", exclude_defaults=True))


def ending_of(event: dict[str, Any]) -> Ending:
    """How the gate ended, by the event of the trigger."""
    from planner_provider.decide.gate import Ending

    return Ending(event["ending"])


def _look(slos: str, rules: str) -> Look:
    from planner_provider.hooks.slo_facts import look_at

    return look_at(*_parsed(slos, rules))


@lru_cache(maxsize=256)
def _parsed(slos: str, rules: str) -> tuple[tuple[Slo, ...], SloRules]:
    from planner_provider.decide.slo import SloRules
    from planner_provider.graph.slos import Slo

    return (
        tuple(Slo.model_validate(item) for item in json.loads(slos)),
        SloRules.model_validate_json(rules),
    )


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
