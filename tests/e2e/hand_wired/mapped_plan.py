"""A plan with a mapped step, wired by hand: specs have none. Part 4 of 6 fails."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, BaseHook, BaseOperator, chain

from planner_provider.errors import CheckFailedError
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
from planner_provider.sandbox import SandboxClient

NAME, DIGEST, PARTS, BROKEN = "mapped", "f" * 64, 6, 4


class FlagOperator(PlanStepMixin, BaseOperator):
    """Set a flag of the world, or take all away again."""

    def __init__(self, *, plan_ref: PlanRef, number: int = 0, **kwargs: Any) -> None:
        super().__init__(plan_ref=plan_ref, **kwargs)
        self.number = number

    def act(self, context: Any) -> None:
        connection = BaseHook.get_connection("sandbox")
        with SandboxClient(f"http://{connection.host}:{connection.port}") as world:
            if self.plan_ref.role is Role.UNDO:
                for number in reversed(range(PARTS)):
                    world.remove_flag(f"{NAME}.{number}")
            elif self.number == BROKEN:
                raise CheckFailedError(f"part {self.number} fails for good")
            else:
                world.set_flag(f"{NAME}.{self.number}", enabled=True)


def ref(role: Role, step: str | None = None) -> PlanRef:
    return PlanRef(NAME, DIGEST, role, step, ())


bind_while_parsing(NAME, DIGEST)
OUTLINE = (StepOutline("many", "many", "undo_many"),)
FRAME = ref(Role.FRAME)
with DAG(NAME, schedule=None, catchup=False):
    begin = BeginOperator(task_id="begin")
    assess = AssessOperator(task_id="assess", plan_ref=FRAME)
    acquire = AcquireOperator(task_id="acquire", plan_ref=FRAME, touches=())
    many = FlagOperator.partial(task_id="many", plan_ref=ref(Role.STEP, "many")).expand(
        number=list(range(PARTS))
    )
    decide = DecideOperator(task_id="decide", plan_ref=FRAME, steps=OUTLINE)
    undo = FlagOperator(task_id="undo_many", plan_ref=ref(Role.UNDO, "many"))
    release = ReleaseOperator(task_id="release", plan_ref=FRAME)
    finish = FinishOperator(
        task_id="finish", plan_ref=FRAME, steps=OUTLINE, front=("assess", "acquire")
    )
    chain(begin, assess, acquire.as_setup(), many, decide, undo, release, finish)
    for task in (decide, undo, release):
        task.as_teardown(setups=acquire, on_failure_fail_dagrun=True)
    finish.as_teardown(setups=begin.as_setup(), on_failure_fail_dagrun=True)
