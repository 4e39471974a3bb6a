"""Waiting until nothing acts any more. A task's state does not prove that: its process may live."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import Act
from planner_provider.operators.clock import Clock

LOOK_SECONDS = 0.5


def wait_for_quiet(
    ledger: Ledger,
    plan_id: str,
    concerns: Callable[[Act], bool],
    *,
    silence: timedelta,
    actor: str,
    clock: Clock,
    tell: Callable[[str], None],
) -> None:
    """Return when every act that concerns the caller has ended, or gave no sign for ``silence``.

    Silent ones are ended as unknown. Silence is measured by watching, not by comparing clocks:
    the clocks of two machines may differ, and the database may have been away for a while.
    """
    watched: dict[int, tuple[datetime, float]] = {}
    told: set[int] = set()
    while True:
        acting = [act for act in ledger.acts_of(plan_id) if act.may_act and concerns(act)]
        if not acting:
            return
        moment = clock.monotonic()
        for act in acting:
            if act.id not in watched or watched[act.id][0] != act.alive_at:
                watched[act.id] = (act.alive_at, moment)
            if act.id not in told:
                told.add(act.id)
                tell(
                    f"Waiting until {act.role.value} of {act.step} (try {act.try_number}) has "
                    f"ended, or was silent for {silence.total_seconds():g} s."
                )
        silent = {
            act.id: act.alive_at
            for act in acting
            if moment - watched[act.id][1] >= silence.total_seconds()
        }
        if silent and ledger.end_silent_acts(plan_id, silent, actor=actor, now=clock.now()):
            tell(f"{len(silent)} act(s) gave no sign of life; their results are unknown.")
            continue
        clock.sleep(LOOK_SECONDS)
