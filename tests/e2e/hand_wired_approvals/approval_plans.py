"""Plans that need an approval, wired by hand, as a DAG file of the e2e tests.

Each has one step, which appends a line to the world. Between approval and locks the task ``hold``
waits until the file ``go-<run>`` is there, if the run's ``conf`` asks for it.
"""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param, chain

from planner_provider.graph.approvals import (
    ApprovalRule,
    ChangeProfile,
    EscalationRule,
    parameters_digest,
)
from planner_provider.graph.change_summary import ChangeSummary
from planner_provider.operators.approval import RequestApprovalOperator
from planner_provider.operators.assess import AssessOperator
from planner_provider.operators.frame import (
    AcquireOperator,
    BeginOperator,
    DecideOperator,
    FinishOperator,
    ReleaseOperator,
)
from planner_provider.operators.frame_task import FrameTask
from planner_provider.operators.outline import StepOutline
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.sensors.approval import ApprovalSensor

FOLDER = Path(__file__).parent


class BindOperator(AssessOperator):
    """Binds the run to its version, its parameters and its approvals."""

    def __init__(self, *, needs: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.needs = needs

    def run_task(self, task: FrameTask, context: Any) -> dict[str, str]:
        now = self.clock.now()
        values = dict(context["params"])
        run = task.ledger.pin_run(
            task.key,
            expires_at=now + self.ttl if self.ttl else None,
            parameters=values,
            approvals=self.needs,
            parameters_sha=parameters_digest(values),
            actor=task.actor,
            now=now,
        )
        return {"plan_id": run.plan_id, "digest": run.key.digest}


class HoldOperator(BaseOperator):
    """Waits for a file."""

    def execute(self, context: Any) -> None:
        if (context["dag_run"].conf or {}).get("hold"):
            while not (FOLDER / f"go-{context['ti'].run_id}").exists():
                time.sleep(0.2)


class TouchOperator(PlanStepMixin, BaseOperator):
    """Touches the world."""

    def act(self, context: Any) -> None:
        run_id, version = context["ti"].run_id, context["params"]["version"]
        with (FOLDER / f"world-{run_id}.txt").open("a") as file:
            file.write(f"version {version}\n")


def build(
    name: str, rule: ApprovalRule, *, digest: str, slots: int = 1, ttl: timedelta | None = None
) -> DAG:
    frame = PlanRef(name, digest, Role.FRAME)
    step = PlanRef(name, digest, Role.STEP, "touch")
    change = ChangeSummary(
        plan=name,
        summary="Touch the world",
        owner="team-shop",
        digest=digest,
        steps=("touch: write a line",),
        profile=ChangeProfile(
            tier=3, exclusive_resources=1, dependents=0, changing_steps=1, irreversible_steps=1
        ),
    )
    with DAG(name, schedule=None, params={"version": Param("1", type="string")}) as dag:
        begin = BeginOperator(task_id="begin")
        assess = BindOperator(task_id="assess", plan_ref=frame, needs=("approve",), ttl=ttl)
        common = {"rule": rule, "change": change, "plan_ref": frame, "retries": 2}
        common["retry_delay"] = timedelta(seconds=1)
        if slots == 1:
            asking = [RequestApprovalOperator(task_id="approve", **common)]
        else:
            asking = [
                RequestApprovalOperator(
                    task_id=f"approve_{n}", approval="approve", slot=n, slots=slots, **common
                )
                for n in range(1, slots + 1)
            ]
        hold = HoldOperator(task_id="hold")
        acquire = AcquireOperator(task_id="acquire", plan_ref=frame)
        touch = TouchOperator(task_id="touch", plan_ref=step)
        outlines = (StepOutline("touch", "touch"),)
        decide = DecideOperator(task_id="decide", plan_ref=frame, steps=outlines)
        release = ReleaseOperator(task_id="release", plan_ref=frame)
        names = tuple(task.task_id for task in asking)
        finish = FinishOperator(
            task_id="finish", plan_ref=frame, steps=outlines,
            front=("assess", *names, "hold", "acquire"), approvals=names,
        )  # fmt: skip
        chain(begin, assess, asking, hold, acquire.as_setup(), touch, decide, release, finish)
        for task in (decide, release):
            task.as_teardown(setups=acquire, on_failure_fail_dagrun=True)
        finish.as_teardown(setups=begin.as_setup(), on_failure_fail_dagrun=True)
    return dag


def rule(**values: Any) -> ApprovalRule:
    users = values.pop("users", ("alice", "bob"))
    return ApprovalRule(
        approvers=("group:sre",),
        users=users,
        **{"timeout": timedelta(minutes=5), **values},
    )


one = build("one", rule(), digest="1" * 64)
two = build("two", rule(count=2), digest="2" * 64, slots=2)
brief = build("brief", rule(timeout=timedelta(seconds=14)), digest="3" * 64)
changing = build("changing", rule(), digest=(FOLDER / "digest.txt").read_text().strip())
lead = EscalationRule(
    after=timedelta(seconds=12), to=("group:leads",), users=("lena",), connections=("leads_hook",)
)
climbing = build(
    "climbing",
    rule(count=1, users=("alice",), escalations=(lead,), connections=("sre_hook",)),
    digest="5" * 64,
)
easy = build("easy", rule(required="auto", max_risk="high"), digest="6" * 64)

with DAG("by_hand", schedule=None) as by_hand:
    RequestApprovalOperator(
        task_id="ask", approvers=["alice", "bob"], count=2, subject="Go on with {{ run_id }}?"
    ) >> HoldOperator(task_id="after")

with DAG("watcher", schedule=None) as watcher:
    ApprovalSensor(
        task_id="watch", of="approve", of_plan_id="{{ dag_run.conf['plan_id'] }}",
        timeout=timedelta(minutes=5),
    )  # fmt: skip
