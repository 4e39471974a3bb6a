"""Plans that want the same lock, wired by hand, as DAG files of the e2e tests.

A run holds the lock until its file ``go-<run_id>`` is there. ``vanishing`` has a time-out for the
whole run: Airflow then skips its teardowns too.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator, chain

from planner_provider.operators.frame import (
    AcquireOperator,
    AssessOperator,
    BeginOperator,
    DecideOperator,
    FinishOperator,
    ReleaseOperator,
)
from planner_provider.operators.outline import StepOutline
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.operators.plan_step import PlanStepMixin

FOLDER = Path(__file__).parent
DIGEST = "ab" * 32


class HoldOperator(PlanStepMixin, BaseOperator):
    """Write down that it acts, and act until it may go."""

    def act(self, context: Any) -> None:
        run_id = context["ti"].run_id
        with (FOLDER / "world.txt").open("a") as file:
            file.write(f"{run_id} {self.fencing_token(context)} {os.getpid()}\n")
        while not (FOLDER / f"go-{run_id}").exists():
            self.pause(0.2)


def build(name: str, **dag: Any) -> DAG:
    frame = PlanRef(name, DIGEST, Role.FRAME)
    outline = (StepOutline("hold", "hold"),)
    with DAG(name, schedule=None, catchup=False, **dag) as made:
        begin = BeginOperator(task_id="begin")
        assess = AssessOperator(task_id="assess", plan_ref=frame)
        acquire = AcquireOperator(
            task_id="acquire", plan_ref=frame, touches=(("db://orders", "exclusive"),)
        )
        hold = HoldOperator(task_id="hold", plan_ref=PlanRef(name, DIGEST, Role.STEP, "hold"))
        decide = DecideOperator(task_id="decide", plan_ref=frame, steps=outline)
        release = ReleaseOperator(task_id="release", plan_ref=frame)
        finish = FinishOperator(
            task_id="finish", plan_ref=frame, steps=outline, front=("assess", "acquire")
        )
        chain(begin, assess, acquire.as_setup(), hold, decide, release, finish)
        for task in (decide, release):
            task.as_teardown(setups=acquire, on_failure_fail_dagrun=True)
        finish.as_teardown(setups=begin, on_failure_fail_dagrun=True)
    return made


one = build("one")
two = build("two")
three = build("three")
vanishing = build("vanishing", dagrun_timeout=timedelta(seconds=20))
