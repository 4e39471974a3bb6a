"""What a backfill is to do, and how it ended: values without Airflow or ledger."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from planner_provider.decide.partitions import MADE, Reprocess, Tally
from planner_provider.errors import RefusedError
from planner_provider.operators.backfill_target import shown

NAMED = 20
"""Most partitions that a message names."""
_NOT_IN_RUN_ID = re.compile(r"[^A-Za-z0-9_.~:+-]+")


@dataclass(frozen=True, slots=True)
class BackfillWork:
    """What is to be done, and how."""

    plan_id: str
    step: str
    plan: str
    dag_id: str
    reprocess: Reprocess
    attempts: int
    max_errors: int | float
    conf: Mapping[str, Any]
    every: float
    """Seconds between two looks at guards, throttle and the DAG."""

    @property
    def place(self) -> str:
        """Under which plans agree who works on a partition of the DAG."""
        return f"dag:{self.dag_id}"[:200]

    @property
    def holder(self) -> str:
        """Who works on it."""
        return f"{self.plan_id} {self.step}"[:250]

    @property
    def note(self) -> str:
        """What the runs of this backfill are marked with."""
        return f"Backfill by plan {self.plan_id}, step {self.step}"

    def run_id(self, date: datetime) -> str:
        """The id of the run that is made for a partition: always the same one."""
        key = hashlib.sha256(f"{self.plan_id}\x1f{self.step}".encode()).hexdigest()[:10]
        name = _NOT_IN_RUN_ID.sub("-", f"{self.plan}.{self.step}")[:150]
        return f"{MADE}{shown(date)}__{name}.{key}"


@dataclass(frozen=True, slots=True)
class BackfillEnd:
    """How a backfill ended."""

    tally: Tally
    allowed: int
    """How many partitions may have failed."""
    failed: tuple[str, ...]
    seconds: float
    """Since its first partition began."""

    @property
    def is_good(self) -> bool:
        """Whether no more failed than may."""
        return self.tally.failed <= self.allowed

    def as_json(self) -> dict[str, Any]:
        """For the XCom."""
        return {
            "total": self.tally.total,
            "done": self.tally.done,
            "failed": self.tally.failed,
            "left": self.tally.left,
            "left_out": self.tally.skipped,
            "failed_partitions": list(self.failed),
            "seconds": round(self.seconds, 1),
        }


def told_failed(end: BackfillEnd) -> str:
    """Which partitions failed, for a message."""
    named = ", ".join(end.failed[:NAMED])
    return named + (f" and {len(end.failed) - NAMED} more" if len(end.failed) > NAMED else "")


def failure_of(end: BackfillEnd) -> RefusedError | None:
    """The error that the end amounts to, ``None`` if it is good."""
    if end.is_good:
        return None
    left = f", {end.tally.left} were not begun" if end.tally.left else ""
    return RefusedError(
        f"{end.tally.failed} of {end.tally.total} partitions failed, and {end.allowed} may: "
        f"{told_failed(end)}. {end.tally.done} are done{left}. Mend the cause and clear this task "
        "(in a plan `acquire` with everything downstream): only what failed and what is left is "
        "done then"
    )
