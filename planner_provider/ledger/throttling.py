"""The part of ``Ledger`` that keeps throttles and slots."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from planner_provider.ledger import audit, slots, throttles
from planner_provider.ledger.database import Database
from planner_provider.ledger.engine import reading, writing
from planner_provider.ledger.rows import Slot, Throttle


class Throttling(Database):
    """How much may go on at once, and who has a part of it. See ``Ledger``."""

    # ---- throttles

    def throttle(self, plan_id: str, name: str) -> Throttle | None:
        """A throttle as it is now."""
        with reading(self._engine) as connection:
            return throttles.find(connection, plan_id, name)

    def throttles_of(self, plan_id: str) -> tuple[Throttle, ...]:
        """All throttles of a run, by name."""
        with reading(self._engine) as connection:
            return throttles.of_run(connection, plan_id)

    def begin_throttle(self, throttle: Throttle) -> Throttle:
        """Write a throttle down unless it is there; give the one that is there then.

        Raises ``ValueError`` for a limit out of its bounds.
        """
        with writing(self._engine) as connection:
            if throttles.begin(connection, throttle):
                self._audit_throttle(connection, "throttle.began", throttle, {})
            found = throttles.find(connection, throttle.plan_id, throttle.name)
            assert found is not None
            return found

    def claim_tick(self, throttle: Throttle, *, now: datetime) -> Throttle | None:
        """Be the only one who ticks now: gives the throttle as it is then, for ``move_throttle``.

        ``None`` if somebody else claimed or changed it since ``throttle`` was read.
        """
        with writing(self._engine) as connection:
            claimed = throttles.claim(
                connection, throttle.plan_id, throttle.name, version=throttle.version, now=now
            )
            if not claimed:
                return None
            return replace(throttle, version=throttle.version + 1, ticked_at=now)

    def move_throttle(self, throttle: Throttle) -> bool:
        """What the law made of a throttle; ``False`` if somebody changed it since it was read.

        It is no entry of the audit trail: the decision is. Raises ``ValueError`` for a limit out
        of its bounds.
        """
        with writing(self._engine) as connection:
            return throttles.change(connection, throttle)

    def set_throttle(self, throttle: Throttle, detail: dict[str, Any]) -> bool:
        """What a person made of it; ``False`` if somebody changed it since it was read.

        ``detail`` goes into the audit trail. Raises ``ValueError`` for a limit out of its bounds.
        """
        with writing(self._engine) as connection:
            changed = throttles.change(connection, throttle)
            if changed:
                self._audit_throttle(connection, "throttle.set", throttle, detail)
            return changed

    @staticmethod
    def _audit_throttle(
        connection: Connection, what: str, throttle: Throttle, detail: dict[str, Any]
    ) -> None:
        shown = {
            "name": throttle.name,
            "limit": throttle.limit,
            "minimum": throttle.minimum,
            "maximum": throttle.maximum,
        }
        audit.append(
            connection, what=what, actor=throttle.changed_by, plan_id=throttle.plan_id,
            detail=shown | detail, now=throttle.changed_at,
        )  # fmt: skip

    # ---- slots

    def take_slot(self, plan_id: str, name: str, holder: str, limit: int, *, now: datetime) -> bool:
        """Take a slot if fewer than ``limit`` are held. See ``slots.take``."""
        with writing(self._engine) as connection:
            return slots.take(connection, plan_id, name, holder, limit, now)

    def give_slot_back(self, plan_id: str, name: str, holder: str) -> bool:
        """Let others have a slot; ``False`` if the holder had none."""
        with writing(self._engine) as connection:
            return slots.give_back(connection, plan_id, name, holder)

    def slot_holders(self, plan_id: str, name: str) -> tuple[Slot, ...]:
        """Who holds a slot, longest first."""
        with reading(self._engine) as connection:
            return slots.holders(connection, plan_id, name)
