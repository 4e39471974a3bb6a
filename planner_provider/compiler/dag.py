"""One ``PlanGraph`` becomes one DAG. Pure: the same graph gives the same DAG, always."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, CronTriggerTimetable, Param, TaskGroup

from planner_provider.compiler.doc import plan_doc
from planner_provider.compiler.parts import Place, build_parts
from planner_provider.errors import NotAvailableError
from planner_provider.graph.change_summary import ChangeSummary, change_summary
from planner_provider.graph.model import Part, PlanGraph, Task, TaskKind
from planner_provider.graph.plan_window import WindowRule
from planner_provider.notifications.plans import Audience
from planner_provider.operators.actions import (
    ACTION_OPERATORS,
    AUTO_UNDO,
    PART_OPERATORS,
    Makers,
)
from planner_provider.operators.approval import RequestApprovalOperator
from planner_provider.operators.frame import (
    AcquireOperator,
    AssessOperator,
    BeginOperator,
    DecideOperator,
    FinishOperator,
    ReleaseOperator,
)
from planner_provider.operators.guard import GuardOperator
from planner_provider.operators.not_available import NotAvailableOperator
from planner_provider.operators.outline import StepOutline, outline, parts_of
from planner_provider.operators.plan_ref import PlanRef, Role
from planner_provider.operators.retry import PlanRetryPolicy
from planner_provider.spec.plan import READ_ONLY_ACTIONS, ActionHolder

if TYPE_CHECKING:
    from planner_provider.graph.slos import Slo
    from planner_provider.spec.plan import Parameter

START = datetime(2026, 1, 1, tzinfo=UTC)
"""Before any run; with catch-up off it only has to lie in the past and never to change."""
STALE_TAG = "spec-broken"
"""Tag of a plan whose last good compilation is in force because its spec is broken."""
OF_ACTIONS = frozenset(
    {"part", "rule", "change", "guard_slos", "guard_budget", "guard_cost", "plan_window"}
)
"""Arguments that only operators of actions take."""
URGENT = 1_000
"""Priority of what decides whether to take back, and so of all that comes after it: where workers
or places in a pool are few, no rollback waits for tasks that only begin something. By the weight
rule ``upstream``, what is under way comes before what has only begun."""
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
        default_args={"owner": graph.owner, "weight_rule": "upstream"},
        params={name: _param(parameter) for name, parameter in graph.parameters.items()},
        tags=_tags(graph, stale),
        doc_md=plan_doc(graph, stale),
        auto_register=False,
    )
    _Builder(graph, dag).build()
    return dag


def _schedule(graph: PlanGraph) -> Any:
    schedule = graph.schedule
    if schedule is not None and graph.calendar is not None:
        from planner_provider.timetables.window import WindowTimetable

        return WindowTimetable(graph.calendar, needs=schedule.needs, catch_up=schedule.catch_up)
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
        self.groups: dict[str, TaskGroup] = {}
        self.approvals = tuple(t.id for t in graph.tasks if t.kind is TaskKind.APPROVE)
        self.window = WindowRule.of(graph.schedule, graph.calendar)
        limited = graph.cost is not None and graph.cost.max_increase is not None
        self.limited = graph.cost if limited else None
        self._parties: dict[str, Any] = {
            "contacts": graph.contacts, "slos": graph.slos, "fleets": graph.fleets,
            "calendars": graph.calendars,
        }  # fmt: skip

    def build(self) -> None:
        """Add groups, tasks and edges to the DAG."""
        graph = self.graph
        for group in graph.groups:
            self.groups[group.id] = self._group(group.id, group.summary, self.dag.task_group)
        made = {task.id: self._operators(task) for task in graph.tasks}
        for task in graph.tasks:
            below = [made[task_id][0] for task_id in graph.downstream(task.id)]
            if below:
                made[task.id][-1].set_downstream(below)
        for task in graph.tasks:
            if task.teardown_of:
                made[task.id][0].as_teardown(
                    setups=made[task.teardown_of][0], on_failure_fail_dagrun=True
                )

    @cached_property
    def change(self) -> ChangeSummary:
        """What those are told who are asked to approve."""
        return change_summary(self.graph, self.graph.profile)

    @cached_property
    def audience(self) -> Audience:
        """Who hears how runs begin and end."""
        graph = self.graph
        return Audience(
            graph.owner, graph.summary, graph.runbook, graph.contacts, graph.ticket, graph.silence
        )

    def _id_of(self, kind: TaskKind) -> str | None:
        return next((task.id for task in self.graph.tasks if task.kind is kind), None)

    def _group(self, label: str, summary: str, parent: TaskGroup | None) -> TaskGroup:
        return TaskGroup(label, tooltip=summary, dag=self.dag, parent_group=parent)

    def _operators(self, task: Task) -> list[BaseOperator]:
        """The operators of a task, one after the other: one, or one for each part."""
        group = self.groups[task.group] if task.group else self.dag.task_group
        if not task.parts:
            operator = self._operator(task, self._base(task, group))
            operator.is_setup = task.is_setup
            return [operator]

        def make(part: Part, place: Place) -> BaseOperator:
            base = self._base(task, place.group) | {"trigger_rule": place.rule}
            ref = self._ref(task, step=place.name, after=place.after)
            return self._part(task, part, replace(ref, after_same=place.after_same), base)

        own = self._group(task.label, task.summary, group)
        return build_parts(task, own, self._after(task), make)

    def _base(self, task: Task, group: TaskGroup | None) -> dict[str, Any]:
        """Arguments of ``BaseOperator``. Without a group, it is the one that is being built."""
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
        if task.kind is TaskKind.DECIDE:
            base["priority_weight"] = URGENT
        if task.pool:
            base["pool"] = task.pool
        return base

    def _after(self, task: Task) -> tuple[str, ...]:
        """Names in the journal of what must be done before a step."""
        ups = [self.graph.by_id[up] for up in self.graph.upstream(task.id)]
        return tuple(parts_of(up)[-1][0] for up in ups if up.kind is TaskKind.STEP)

    def _ref(
        self, task: Task, *, step: str | None = None, after: tuple[str, ...] | None = None
    ) -> PlanRef:
        role = ROLES.get(task.kind, Role.FRAME)
        is_step = role in (Role.STEP, Role.UNDO)
        if after is None:
            after = self._after(task) if role is Role.STEP else ()
        own = task.step if is_step else (task.id if role is Role.CHECK else None)
        return PlanRef(self.graph.name, self.graph.digest, role, step or own, after)

    def _operator(self, task: Task, base: dict[str, Any]) -> BaseOperator:
        if task.kind in ROLES:
            return self._action(task, base)
        return self._frame(task, base)

    def _action(self, task: Task, base: dict[str, Any]) -> BaseOperator:
        ref = self._ref(task)
        if task.action is None:
            done = next(step for step in self.graph.steps if step.step == task.step)
            return self._built(AUTO_UNDO, "Automatic rollback of", done, ref, base)
        return self._built(ACTION_OPERATORS, "Action", task, ref, base)

    def _part(self, task: Task, part: Part, ref: PlanRef, base: dict[str, Any]) -> BaseOperator:
        base |= {"task_id": part.id, "task_display_name": part.id, "doc": part.summary}
        if part.rule is not None:
            return self._built(ACTION_OPERATORS, "Action", _asking(task, part), ref, base)
        return self._built(PART_OPERATORS, "Action", task, ref, base | {"part": part})

    def _built(
        self, makers: Makers, what: str, task: Task, ref: PlanRef, base: dict[str, Any]
    ) -> BaseOperator:
        """The operator for a task's action; one that refuses, where this release has none."""
        assert task.action is not None, "only what undoes a step may lack an action"
        name = task.action.action_name
        if (build := makers.get(name)) is None:
            return self._not_available(ref, f"{what} `{name}`", base)
        guards = self._guards(task) if ref.role is Role.STEP else ()  # undoing is never held up
        if ref.role is Role.STEP and self.window is not None:
            base |= {"plan_window": self.window}
        if guards:
            base |= {"guard_slos": guards, "guard_budget": self.graph.guards.budget}
        if ref.role is Role.STEP and self.limited is not None and name not in READ_ONLY_ACTIONS:
            base |= {"guard_cost": self.limited}
        if task.rule is not None:
            base |= {"rule": task.rule, "change": self.change}
        try:
            return build(task.action.action, plan_ref=ref, **self._parties, **base)
        except NotAvailableError as error:
            return self._not_available(ref, f"{what} `{name}` ({error})", base)

    @staticmethod
    def _not_available(ref: PlanRef, what: str, base: dict[str, Any]) -> BaseOperator:
        plain = {key: value for key, value in base.items() if key not in OF_ACTIONS}
        return NotAvailableOperator(plan_ref=ref, what=what, **plain)

    def _guards(self, task: Task) -> tuple[Slo, ...]:
        """What is asked before a step begins: its own guards; and the plan's, if it changes."""
        if task.kind is not TaskKind.STEP or task.action is None:
            return ()
        names = set(task.guards.slos) if task.guards else set()
        if task.action.action_name not in READ_ONLY_ACTIONS:
            names.update(self.graph.guards.slos)
        return tuple(slo for slo in self.graph.slos if slo.name in names)

    def _frame(self, task: Task, base: dict[str, Any]) -> BaseOperator:
        graph, ref = self.graph, self._ref(task)
        match task.kind:
            case TaskKind.BEGIN:
                # the scheduler marks it as done: no worker, no retries, no policy to send along
                names = ("task_id", "task_group", "dag", "doc", "task_display_name")
                return BeginOperator(**{name: base[name] for name in names})
            case TaskKind.ASSESS:
                return AssessOperator(
                    plan_ref=ref,
                    unavailable=graph.unavailable,
                    ttl=graph.ttl,
                    approvals=self.approvals,
                    **base,
                )
            case TaskKind.ACQUIRE:
                touches = tuple((touch.resource, touch.mode) for touch in graph.touches)
                return AcquireOperator(
                    plan_ref=ref, touches=touches, audience=self.audience, cost=graph.cost, **base
                )
            case TaskKind.APPROVE:
                return RequestApprovalOperator(
                    plan_ref=ref,
                    rule=task.rule,
                    change=self.change,
                    slos=tuple(s for s in graph.slos if s.name in graph.guards.slos),
                    **base,
                )
            case TaskKind.WINDOW if self.window is not None:
                from planner_provider.operators.window import WindowOperator

                return WindowOperator(plan_ref=ref, window=self.window, **base)
            case TaskKind.GUARD:
                slos = tuple(slo for slo in graph.slos if slo.name in graph.guards.slos)
                return GuardOperator(
                    plan_ref=ref,
                    slos=slos,
                    budget=graph.guards.budget,
                    signals=graph.guards.signals,
                    min_coverage=graph.guards.min_coverage,
                    **base,
                )
            case TaskKind.TIDY:
                return self._tidy(task, ref, base)
            case TaskKind.DECIDE:
                return DecideOperator(
                    plan_ref=ref,
                    steps=self.steps,
                    verify=self.verify,
                    verify_rollback=self.verify_rollback,
                    cost=self.limited if any(step.changes for step in self.steps) else None,
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
                    approvals=self.approvals,
                    runbook=graph.runbook,
                    audience=self.audience,
                    cost=graph.cost,
                    **base,
                )
            case _:
                return NotAvailableOperator(plan_ref=ref, what=task.summary, **base)

    def _tidy(self, task: Task, ref: PlanRef, base: dict[str, Any]) -> BaseOperator:
        from planner_provider.operators.patch_rollout import Rollout
        from planner_provider.operators.patch_tidy import PatchTidyOperator

        assert task.action is not None, "it tidies up after a rollout"
        assert task.action.patch is not None, "it tidies up after a rollout"
        rollout = Rollout.of(task.action.patch, task.step or "", self.graph.fleets)
        return PatchTidyOperator(plan_ref=ref, rollout=rollout, **base)


def _asking(task: Task, part: Part) -> Task:
    """A part that asks for approval, as if it were a step that does."""
    assert part.approval is not None
    holder = ActionHolder.model_construct({"approval"}, approval=part.approval)
    return task.model_copy(update={"action": holder, "rule": part.rule, "guards": None})
