"""Plans wired by hand, without spec or compiler, as DAG files of the e2e tests.

Each step appends a line to a file, the world, and does what the run's ``conf`` says about it:
``{"s3": "fail"}``, ``{"s2": "slow"}``, ``{"undo s1": "fail"}``, ``{"verify": "fail"}``.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator, chain

from planner_provider.errors import CheckFailedError, UnavailableError
from planner_provider.operators.frame import (
    AcquireOperator,
    AssessOperator,
    BeginOperator,
    DecideOperator,
    FinishOperator,
    ReleaseOperator,
)
from planner_provider.operators.outline import StepOutline
from planner_provider.operators.plan_log import bind_while_parsing
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.retry import PlanRetryPolicy
from planner_provider.spec.plan import Retries

FOLDER = Path(__file__).parent
STEPS = ("s1", "s2", "s3", "s4", "s5")
RETRIES = Retries(limit=1, delay=timedelta(seconds=1))


class WorldOperator(PlanStepMixin, BaseOperator):
    """Append a line to the world."""

    def act(self, context: Any) -> str:
        name = {Role.UNDO: f"undo {self.plan_ref.step}"}.get(self.plan_ref.role, self.plan_ref.step)
        how = (context["dag_run"].conf or {}).get(name)
        self.write(context, f"{name} begins")
        self.log.info("a line of the action")
        print("a printed line of the action")
        if how == "fail":
            raise CheckFailedError(f"{name} fails for good")
        if how == "unavailable":
            raise UnavailableError(f"{name} does not answer")
        if how == "slow":
            self.pause(120)
        if how == "hang once" and context["ti"].try_number == 1:
            self.pause(120)
        self.write(context, name)
        return name

    @staticmethod
    def write(context: Any, line: str) -> None:
        with (FOLDER / f"world-{context['ti'].run_id}.txt").open("a") as file:
            file.write(f"{line} {os.getpid()}\n")


def build(name: str, digest: str, *, undos: bool = True, **assess: Any) -> DAG:
    """A plan of five steps in the shape that the compiler gives."""

    def ref(role: Role, step: str | None = None, after: tuple[str, ...] = ()) -> PlanRef:
        return PlanRef(name, digest, role, step, after)

    def retried(limit: int | None = None) -> dict[str, Any]:
        retries = RETRIES if limit is None else Retries(limit=limit, delay=timedelta(seconds=2))
        return {
            "retries": retries.limit,
            "retry_delay": retries.delay,
            "retry_policy": PlanRetryPolicy.from_spec(retries),
        }

    bind_while_parsing(name, digest)
    outlines = tuple(
        StepOutline(step, f"execute.{step}", f"rollback.{step}" if undos and step != "s3" else None)
        for step in STEPS
    )
    frame = ref(Role.FRAME)
    with DAG(name, schedule=None, catchup=False) as dag:
        begin = BeginOperator(task_id="begin")
        assess = AssessOperator(task_id="assess", plan_ref=frame, **retried(), **assess)
        acquire = AcquireOperator(
            task_id="acquire", plan_ref=frame, touches=(("db://shared", "exclusive"),), **retried()
        )
        steps = [
            WorldOperator(
                task_id=f"execute.{step}",
                plan_ref=ref(Role.STEP, step, STEPS[:index][-1:]),
                **retried(),
            )
            for index, step in enumerate(STEPS)
        ]
        verify = WorldOperator(task_id="verify", plan_ref=ref(Role.CHECK, "verify"), **retried())
        again = WorldOperator(
            task_id="verify_rollback", plan_ref=ref(Role.CHECK, "verify_rollback"), **retried()
        )
        decide = DecideOperator(
            task_id="decide", plan_ref=frame, steps=outlines, verify="verify",
            verify_rollback="verify_rollback", **retried(),
        )  # fmt: skip
        backward = [
            WorldOperator(task_id=item.undo, plan_ref=ref(Role.UNDO, item.step), **retried())
            for item in reversed(outlines)
            if item.undo
        ]
        release = ReleaseOperator(task_id="release", plan_ref=frame, **retried())
        finish = FinishOperator(
            task_id="finish", plan_ref=frame, steps=outlines, verify="verify",
            verify_rollback="verify_rollback", front=("assess", "acquire"),
            runbook="https://example.com/runbook", **retried(),
        )  # fmt: skip
        chain(begin, assess, acquire.as_setup(), *steps, verify, decide)
        chain(decide, *backward, again, release, finish)
        for task in [*backward[1:], again]:
            decide >> task
        for task in [decide, *backward, again, release]:
            task.as_teardown(setups=acquire, on_failure_fail_dagrun=True)
        finish.as_teardown(setups=begin.as_setup(), on_failure_fail_dagrun=True)
    return dag


five = build("five", "a" * 64)
other = build("other", "b" * 64)
bare = build("bare", "c" * 64, undos=False)
missing = build("missing", "d" * 64, unavailable=("action canary of step s1",))
expiring = build("expiring", "e" * 64, ttl=timedelta(milliseconds=1))
changing = build("changing", (FOLDER / "digest.txt").read_text().strip())
