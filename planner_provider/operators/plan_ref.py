"""What a task knows of the plan that it belongs to, fixed when the DAG is compiled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from planner_provider.graph.digest import plan_id


class Role(StrEnum):
    """What a task does to the world."""

    FRAME = "frame"
    """Part of the frame: assess, acquire, decide, release, finish."""
    STEP = "step"
    """Carries out a step."""
    UNDO = "undo"
    """Undoes a step."""
    CHECK = "check"
    """Reads only: verify."""


@dataclass(frozen=True, slots=True)
class PlanRef:
    """The plan, its version, and the task's place in it."""

    plan: str
    """Name of the plan; also the DAG id."""
    digest: str
    """Digest of the compiled plan that this task was made from."""
    role: Role
    step: str | None = None
    """Id of the step, for roles STEP and UNDO."""
    after: tuple[str, ...] = ()
    """Ids of the steps that must be done, and not undone, before this one acts."""
    after_same: tuple[str, ...] = ()
    """As ``after``, of mapped steps: only what has the same map index must be done."""

    def plan_id(self, run_id: str) -> str:
        """The plan ID of the run."""
        return plan_id(self.plan, self.digest, run_id)
