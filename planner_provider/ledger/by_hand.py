"""What a person may do to the locks of a run that has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from planner_provider.ledger import acts, audit, leases, reaper, runs
from planner_provider.ledger.engine import LOCK_LEASES, lock, make_engine, writing
from planner_provider.ledger.rows import Act, ActRole, Lease
from planner_provider.ledger.upgrade import require_schema


class Refusal(StrEnum):
    """Why locks are not given back."""

    UNKNOWN_RUN = "there is no such run"
    NOT_ENDED = "the run has not ended"
    MAY_ACT = "something may still be acting"


@dataclass(frozen=True, slots=True)
class HandedBack:
    """What came of it."""

    lease: Lease | None
    """What the run held; ``None`` if it held nothing."""
    refusal: Refusal | None = None
    acting: tuple[Act, ...] = ()
    """With ``MAY_ACT``: what must fall silent first."""


def hand_back(url: str, plan_id: str, *, reason: str, actor: str, now: datetime) -> HandedBack:
    """Give back the locks of a run that ended. Refuses while something may act under them.

    The check and the release are one transaction, so nothing can begin in between. The reason is
    audited, also where the locks are not given back yet: from then on nothing new begins, and what
    gives no sign of life for ``reaper.SILENCE`` is taken to be over, by the reaper or the next try.
    """
    engine = make_engine(url)
    require_schema(engine, upgrade=False)
    with writing(engine) as connection:
        lock(connection, LOCK_LEASES)
        run = runs.get(connection, plan_id, lock=True)
        if run is None:
            return HandedBack(None, Refusal.UNKNOWN_RUN)
        lease = leases.live(connection, plan_id)
        if lease is None:
            return HandedBack(None)
        opened = [act for act in acts.of_run(connection, plan_id) if act.may_act]
        acting = tuple(act for act in opened if act.role is not ActRole.CHECK)
        if run.outcome is None:
            return HandedBack(lease, Refusal.NOT_ENDED, acting)
        audit.append(
            connection, what="lease.release_asked", actor=actor, plan_id=plan_id,
            detail={"generation": lease.generation, "reason": reason}, now=now,
        )  # fmt: skip
        reaped = reaper.reap(
            connection, [plan_id], actor=actor, now=now, silence=reaper.SILENCE,
            idle=reaper.IDLE, idle_parked=reaper.IDLE_PARKED,
        )  # fmt: skip
        if plan_id in reaped.released:
            return HandedBack(lease)
        return HandedBack(lease, Refusal.MAY_ACT, acting)
