"""One ``PlanGraph`` becomes one DAG. Pure: the same graph gives the same DAG, always."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, CronTriggerTimetable, Param, TaskGroup

from planner_provider.compiler.doc import plan_doc
from planner_provider.graph.model import PlanGraph, Task, TaskKind
from planner_provider.operators.actions import ACTION_OPERATORS
from planner_provider.operators.frame import (
    AcquireOperator,
    AssessOperator,
    BeginOperator,
    DecideOperator,
    FinishOperator,
    ReleaseOperator,
)
from planner_provider.operators.not_available import NotAvailableOperator
from planner_provider.operators.outline import StepOutline, outline
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.operators.retry import PlanRetryPolicy

if TYPE_CHECKING:
    from planner_provider.spec.plan import Parameter

START = datetime(2026, 1, 1, tzinfo=UTC)
"""Before any run; with catch-up off it only has to lie in the past and never to change."""
STALE_TAG = "spec-broken"
"""Tag of a plan whose last good compilation is in force because its spec is broken."""
FRONT = (
    TaskKind.ASSESS, TaskKind.APPROVE, TaskKind.WINDOW, TaskKind.GUARD, TaskKind.ACQUIRE,
)  # fmt: skip
ROLES = {
    TaskKind.STEP: Role.STEP,
    TaskKind.UNDO: Role.UNDO,
    TaskKind.VERIFY: Role.CHECK,
    TaskKind.VERIFY_ROLLBACK: Role.CHECK,
}


def build_dag(graph: PlanGraph, *, stale: str | None = None) -> DAG:
    """Build the DAG of a plan.

    ``stale`` says why this is not the newest spec; it marks the DAG. Raises ``SpecError`` for an
    `operator` step whose class cannot be imported or built.
    """
    dag = DAG(
        dag_id=graph.name,
        description=graph.summary,
        schedule=_schedule(graph),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args={"owner": graph.owner},
        params={name: _param(parameter) for name, parameter in graph.parameters.items()},
        tags=_tags(graph, stale),
        doc_md=plan_doc(graph, stale),
        auto_register=False,
    )
    _Builder(graph, dag).build()
    return dag


def _schedule(graph: PlanGraph) -> Any:
    schedule = graph.schedule
    if schedule is None or schedule.cron is None:
        return None
    return CronTriggerTimetable(schedule.cron, timezone=schedule.timezone or "UTC")


def _tags(graph: PlanGraph, stale: str | None) -> list[str]:
    tags = {"plan", graph.owner, *(f"{key}:{value}" for key, value in graph.labels.items())}
    if stale:
        tags.add(STALE_TAG)
    return sorted(tag[:100] for tag in tags)


def _param(parameter: Parameter) -> Param:
    names = {
        "type": parameter.type,
        "title": parameter.title,
        "enum": list(parameter.enum) if parameter.enum is not None else None,
        "pattern": parameter.pattern,
        "format": parameter.format,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "minLength": parameter.min_length,
        "maxLength": parameter.max_length,
    }
    schema = {name: value for name, value in names.items() if value is not None}
    if parameter.required:
        return Param(description=parameter.description, **schema)
    if parameter.default is None:
        schema["type"] = ["null", parameter.type]
    return Param(parameter.default, description=parameter.description, **schema)


class _Builder:
    def __init__(self, graph: PlanGraph, dag: DAG) -> None:
        self.graph = graph
        self.dag = dag
        self.steps: tuple[StepOutline, ...] = outline(graph)
        self.verify = self._id_of(TaskKind.VERIFY)
        self.verify_rollback = self._id_of(TaskKind.VERIFY_ROLLBACK)
        self.after = {
            task.step: tuple(
                before.removeprefix("execute.")
                for before in graph.upstream(task.id)
                if graph.by_id[before].kind is TaskKind.STEP
            )
            for task in graph.steps
        }

    def build(self) -> None:
        """Add groups, tasks and edges to the DAG."""
        graph, dag = self.graph, self.dag
        groups = {
            group.id: TaskGroup(
                group.id, tooltip=group.summary, dag=dag, parent_group=dag.task_group
            )
            for group in graph.groups
        }
        made: dict[str, BaseOperator] = {}
        for task in graph.tasks:
            group = groups[task.group] if task.group else dag.task_group
            operator = self._operator(task, self._base(task, group))
            operator.is_setup = task.is_setup
            made[task.id] = operator
        for task in graph.tasks:
            below = [made[task_id] for task_id in graph.downstream(task.id)]
            if below:
                made[task.id].set_downstream(below)
        for task in graph.tasks:
            if task.teardown_of:
                made[task.id].as_teardown(
                    setups=made[task.teardown_of], on_failure_fail_dagrun=True
                )

    def _id_of(self, kind: TaskKind) -> str | None:
        return next((task.id for task in self.graph.tasks if task.kind is kind), None)

    def _base(self, task: Task, group: TaskGroup) -> dict[str, Any]:
        base: dict[str, Any] = {
            "task_id": task.label,
            "task_group": group,
            "dag": self.dag,
            "task_display_name": f"undo {task.label}" if task.kind is TaskKind.UNDO else task.label,
            "doc": task.summary,
            "retries": task.retries.limit,
            "retry_delay": task.retries.delay,
            "retry_policy": PlanRetryPolicy.from_spec(task.retries),
            "execution_timeout": task.timeout,
        }
        if task.pool:
            base["pool"] = task.pool
        return base

    def _ref(self, task: Task) -> PlanRef:
        role = ROLES.get(task.kind, Role.FRAME)
        is_step = role in (Role.STEP, Role.UNDO)
        return PlanRef(
            plan=self.graph.name,
            digest=self.graph.digest,
            role=role,
            step=task.step if is_step else (task.id if role is Role.CHECK else None),
            after=self.after[task.step] if role is Role.STEP else (),
        )

    def _operator(self, task: Task, base: dict[str, Any]) -> BaseOperator:
        if task.kind in ROLES:
            return self._action(task, base)
        return self._frame(task, base)

    def _action(self, task: Task, base: dict[str, Any]) -> BaseOperator:
        ref = self._ref(task)
        if task.action is None:
            return NotAvailableOperator(plan_ref=ref, what="Automatic rollback", **base)
        name = task.action.action_name
        build = ACTION_OPERATORS.get(name)
        if build is None:
            return NotAvailableOperator(plan_ref=ref, what=f"Action `{name}`", **base)
        return build(task.action.action, plan_ref=ref, contacts=self.graph.contacts, **base)

    def _frame(self, task: Task, base: dict[str, Any]) -> BaseOperator:
        graph, ref = self.graph, self._ref(task)
        match task.kind:
            case TaskKind.BEGIN:
                # the scheduler marks it as done: no worker, no retries, no policy to send along
                names = ("task_id", "task_group", "dag", "doc", "task_display_name")
                return BeginOperator(**{name: base[name] for name in names})
            case TaskKind.ASSESS:
                return AssessOperator(
                    plan_ref=ref, unavailable=graph.unavailable, ttl=graph.ttl, **base
                )
            case TaskKind.ACQUIRE:
                touches = tuple((touch.resource, touch.mode) for touch in graph.touches)
                return AcquireOperator(plan_ref=ref, touches=touches, **base)
            case TaskKind.DECIDE:
                return DecideOperator(
                    plan_ref=ref,
                    steps=self.steps,
                    verify=self.verify,
                    verify_rollback=self.verify_rollback,
                    **base,
                )
            case TaskKind.RELEASE:
                return ReleaseOperator(plan_ref=ref, **base)
            case TaskKind.FINISH:
                return FinishOperator(
                    plan_ref=ref,
                    steps=self.steps,
                    verify=self.verify,
                    verify_rollback=self.verify_rollback,
                    front=tuple(task.id for task in graph.tasks if task.kind in FRONT),
                    approvals=tuple(t.id for t in graph.tasks if t.kind is TaskKind.APPROVE),
                    runbook=graph.runbook,
                    **base,
                )
            case _:
                return NotAvailableOperator(plan_ref=ref, what=task.summary, **base)
