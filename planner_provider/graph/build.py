"""From a plan document to its ``PlanGraph``: the frame, the steps, and what undoes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

from planner_provider.errors import SpecError
from planner_provider.graph.approvals import approval_rule
from planner_provider.graph.calendars import PlanCalendar, resolve_calendar
from planner_provider.graph.change_summary import graph_profile
from planner_provider.graph.contacts import Contact, contact
from planner_provider.graph.describe import describe_action, describe_undoing
from planner_provider.graph.digest import digest
from planner_provider.graph.fleets import FLEET, ResolvedFleet, resolve_fleets
from planner_provider.graph.model import (
    Compensation,
    Edge,
    Group,
    PlanGraph,
    Source,
    Task,
    TaskKind,
    Touched,
)
from planner_provider.graph.order import step_order
from planner_provider.graph.parts import parts_of
from planner_provider.graph.slos import Slo, resolve_slo, unusable
from planner_provider.spec.actions import Notify
from planner_provider.spec.availability import unavailable
from planner_provider.spec.folder import Catalog, PlanDocument
from planner_provider.spec.plan import (
    ActionHolder,
    Plan,
    PlanSpec,
    Retries,
    RollbackAction,
    Step,
    Touch,
)
from planner_provider.spec.slo_names import slo_names

EXECUTE = "execute"
ROLLBACK = "rollback"
FRAME_TIMEOUT = timedelta(minutes=10)
FRAME_RETRIES = Retries(limit=3, delay=timedelta(seconds=5))
UNDO_RETRIES = Retries(limit=3)


def build_graph(document: PlanDocument, catalog: Catalog) -> PlanGraph:
    """Build the graph of a plan that the spec layer found to be valid."""
    plan = document.plan
    calendar, unusable_calendar = _calendar(plan, catalog)
    calendars, unusable_calendars = _step_calendars(plan.spec, catalog)
    tasks, edges, compensations = _tasks(plan.spec, catalog)
    groups = [Group(id=EXECUTE, summary="The steps of the plan")]
    if compensations:
        groups.append(Group(id=ROLLBACK, summary="What undoes the steps, last one first"))
    graph = PlanGraph(
        name=plan.metadata.name,
        owner=plan.metadata.owner,
        summary=plan.spec.summary,
        description=plan.spec.description,
        runbook=plan.spec.runbook,
        ticket=plan.spec.ticket,
        silence=plan.spec.silence,
        cost=plan.spec.cost,
        labels=dict(sorted(plan.metadata.labels.items())),
        parameters=plan.spec.parameters,
        schedule=plan.spec.schedule,
        touches=_touches(plan.spec),
        guards=plan.spec.guards,
        approval=plan.spec.approval,
        groups=tuple(groups),
        tasks=tuple(tasks),
        edges=tuple(edges),
        compensations=tuple(compensations),
        contacts=_contacts(plan, catalog),
        slos=_slos(plan, catalog),
        fleets=_fleets(plan.spec, catalog),
        calendar=calendar,
        calendars=calendars,
        unavailable=(
            *(item.what for item in unavailable(plan, catalog)),
            *unusable_calendar,
            *unusable_calendars,
        ),
        source=Source(file=document.file, line=document.line),
    )
    if any(task.rule for task in graph.tasks):  # else nobody asks how risky it is
        graph = graph.model_copy(update={"profile": graph_profile(graph, catalog.services)})
    return graph.model_copy(update={"digest": digest(graph)})


def _touches(spec: PlanSpec) -> tuple[Touched, ...]:
    strongest: dict[str, Touched] = {}
    changed = [Touch(service=step.service) for step in spec.steps if step.service]
    for touch in (*spec.touches, *changed):
        known = strongest.get(touch.uri)
        if known is None or touch.mode == "exclusive":
            strongest[touch.uri] = Touched(resource=touch.uri, mode=touch.mode)
    for step in spec.steps:
        if step.patch is not None:  # two rollouts together would have more unavailable than either
            fleet = f"{FLEET}{step.patch.fleet}"
            strongest[fleet] = Touched(resource=fleet, mode="exclusive")
    return tuple(strongest[uri] for uri in sorted(strongest))


def _calendar(plan: Plan, catalog: Catalog) -> tuple[PlanCalendar | None, tuple[str, ...]]:
    """The calendar of the schedule, or why there is none that could be used."""
    name = plan.spec.schedule and plan.spec.schedule.calendar
    if not name:
        return None, ()
    try:
        return resolve_calendar(name, catalog), ()
    except SpecError as error:
        return None, (f"calendar `{name}` ({error})",)


def _fleets(spec: PlanSpec, catalog: Catalog) -> tuple[ResolvedFleet, ...]:
    names = [step.patch.fleet for step in spec.steps if step.patch is not None]
    return resolve_fleets(names, catalog)


def _step_calendars(
    spec: PlanSpec, catalog: Catalog
) -> tuple[tuple[PlanCalendar, ...], tuple[str, ...]]:
    """The calendars that steps keep to, and why some cannot be used."""
    holders: list[ActionHolder] = [*spec.steps]
    holders += [s.rollback for s in spec.steps if isinstance(s.rollback, RollbackAction)]
    names = {holder.backfill.calendar for holder in holders if holder.backfill}
    found: list[PlanCalendar] = []
    unusable: list[str] = []
    for name in sorted(filter(None, names)):
        try:
            found.append(resolve_calendar(name, catalog))
        except SpecError as error:
            unusable.append(f"calendar `{name}` ({error})")
    return tuple(found), tuple(unusable)


def _contacts(plan: Plan, catalog: Catalog) -> tuple[Contact, ...]:
    wanted = {plan.metadata.owner}
    for step in plan.spec.steps:
        holders: list[ActionHolder] = [step]
        if isinstance(step.rollback, RollbackAction):
            holders.append(step.rollback)
        for holder in holders:
            if isinstance(holder.action, Notify):
                wanted.update(
                    target.removeprefix("team:")
                    for target in holder.action.to
                    if target.startswith("team:")
                )
    touched = _touched_teams(plan, catalog) - {plan.metadata.owner}
    return tuple(
        contact(name, catalog.teams[name], catalog.teams, touched=name in touched)
        for name in sorted(wanted | touched)
        if name in catalog.teams
    )


def _touched_teams(plan: Plan, catalog: Catalog) -> set[str]:
    """The owners of services that the plan touches, who want to hear of that."""
    touched = {touch.resource for touch in _touches(plan.spec)}
    owners = {
        service.metadata.owner
        for name, service in catalog.services.items()
        if touched.intersection((f"service://{name}", *service.spec.resources))
    }
    return {
        name
        for name, team in catalog.teams.items()
        if name in owners and any(route.touched for route in team.spec.routes)
    }


def _slos(plan: Plan, catalog: Catalog) -> tuple[Slo, ...]:
    """The SLOs that can be measured; what cannot is among ``unavailable``."""
    documents = {name: catalog.slos.get(name) for name in slo_names(plan)}
    return tuple(
        resolve_slo(name, catalog)
        for name, document in documents.items()
        if document is not None and unusable(document, catalog) is None
    )


def _tasks(spec: PlanSpec, catalog: Catalog) -> tuple[list[Task], list[Edge], list[Compensation]]:
    ordered = step_order(spec, catalog.services)
    front = _front(spec, catalog)
    steps = [_step(step, spec, catalog) for step, _ in ordered]
    undos = [undo for step, _ in ordered if (undo := _undo(step, spec)) is not None]
    verify = _verify(spec, TaskKind.VERIFY, "verify", "Check that the change is good")
    recheck = _verify(
        spec, TaskKind.VERIFY_ROLLBACK, "verify_rollback", "Check that all is as it was before"
    )
    decide = _teardown("decide", TaskKind.DECIDE, "Decide whether the change stays or is undone")
    release = _teardown("release", TaskKind.RELEASE, "Give the locks back")
    finish = _teardown("finish", TaskKind.FINISH, "Record the outcome", of="begin")

    edges = [_edge(before.id, after.id) for before, after in pairwise(front)]
    edges += _step_edges({step.id: after for step, after in ordered}, front[-1].id)
    ends = [task.id for task in _leaves(steps, edges)]
    if verify:
        edges += [_edge(end, verify.id) for end in ends]
        ends = [verify.id]
    edges += [_edge(end, decide.id) for end in ends]
    tidies = [_tidy(step) for step, _ in reversed(ordered) if step.patch is not None]
    checked = [recheck] if recheck and undos else []
    backward = [*reversed(undos), *tidies, *checked]
    chain = [decide, *backward, release, finish]
    edges += [_edge(before.id, after.id) for before, after in pairwise(chain)]
    edges += [_edge(decide.id, task.id) for task in backward[1:]]

    tasks = [*front, *steps, *([verify] if verify else []), decide, *backward, release, finish]
    done = [Compensation(step=undo.step or "", task=undo.id) for undo in undos]
    return tasks, edges, done


def _step_edges(after: Mapping[str, tuple[str, ...]], start: str) -> list[Edge]:
    edges: list[Edge] = []
    for step, befores in after.items():
        if befores:
            edges += [_edge(f"{EXECUTE}.{before}", f"{EXECUTE}.{step}") for before in befores]
        else:
            edges.append(_edge(start, f"{EXECUTE}.{step}"))
    return edges


def _leaves(steps: list[Task], edges: list[Edge]) -> list[Task]:
    has_downstream = {edge.upstream for edge in edges}
    return [step for step in steps if step.id not in has_downstream]


def _edge(upstream: str, downstream: str) -> Edge:
    return Edge(upstream=upstream, downstream=downstream)


def _front(spec: PlanSpec, catalog: Catalog) -> list[Task]:
    front = [
        Task(id="begin", kind=TaskKind.BEGIN, summary="Begin the run", is_setup=True),
        _frame("assess", TaskKind.ASSESS, "Check that the plan may run and pin its version"),
    ]
    rule = approval_rule(spec.approval, catalog.teams) if spec.approval else None
    if rule is not None:
        approve = _waiting("approve", TaskKind.APPROVE, "Ask for approval")
        front.append(approve.model_copy(update={"rule": rule}))
    if spec.schedule and spec.schedule.calendar:
        front.append(_waiting("window", TaskKind.WINDOW, "Wait until the window is open"))
    if spec.guards.slos or spec.guards.signals:
        front.append(_frame("guard", TaskKind.GUARD, "Check the guards before anything is changed"))
    acquire = _frame("acquire", TaskKind.ACQUIRE, "Take the locks on all that is touched")
    front.append(acquire.model_copy(update={"is_setup": True}))
    return front


def _frame(task_id: str, kind: TaskKind, summary: str) -> Task:
    return Task(
        id=task_id, kind=kind, summary=summary, retries=FRAME_RETRIES, timeout=FRAME_TIMEOUT
    )


def _waiting(task_id: str, kind: TaskKind, summary: str) -> Task:
    """A task that waits for people or for time, which has its own end, not the frame's."""
    return Task(id=task_id, kind=kind, summary=summary, retries=FRAME_RETRIES)


def _teardown(task_id: str, kind: TaskKind, summary: str, of: str = "acquire") -> Task:
    return _frame(task_id, kind, summary).model_copy(
        update={"teardown_of": of, "trigger_rule": "all_done_setup_success"}
    )


def _step(step: Step, spec: PlanSpec, catalog: Catalog) -> Task:
    return Task(
        id=f"{EXECUTE}.{step.id}",
        kind=TaskKind.STEP,
        group=EXECUTE,
        step=step.id,
        summary=step.summary or describe_action(step),
        action=_only_action(step),
        leaves_nothing=step.rollback == "none",
        retries=step.retries or spec.defaults.retries,
        timeout=step.timeout or spec.defaults.timeout,
        pool=step.pool or spec.defaults.pool,
        guards=step.guards,
        parts=parts_of(step, catalog.teams),
        rule=approval_rule(step.approval, catalog.teams) if step.approval else None,
    )


def _undo(step: Step, spec: PlanSpec) -> Task | None:
    if step.rollback is None or step.rollback == "none":
        return None
    action: ActionHolder | None = None
    if isinstance(step.rollback, RollbackAction):
        action = _only_action(step.rollback)
        how = describe_action(action)
    else:
        how = describe_undoing(step.action) or f"Undo {step.action_name} as it knows how"
    return Task(
        id=f"{ROLLBACK}.{step.id}",
        kind=TaskKind.UNDO,
        group=ROLLBACK,
        step=step.id,
        summary=how,
        action=action,
        teardown_of="acquire",
        trigger_rule="all_done_setup_success",
        retries=step.retries or UNDO_RETRIES,
        timeout=step.timeout or spec.defaults.timeout,
        pool=step.pool or spec.defaults.pool,
    )


def _tidy(step: Step) -> Task:
    """What comes after a rollout however it ended. It is worth more tries than other teardowns."""
    summary = f"Leave no cordon of {step.id} behind, and report"
    task = _teardown(f"tidy-{step.id}", TaskKind.TIDY, summary)
    retries = Retries(limit=8, delay=timedelta(seconds=10))
    return task.model_copy(
        update={"step": step.id, "action": _only_action(step), "retries": retries}
    )


def _verify(spec: PlanSpec, kind: TaskKind, task_id: str, summary: str) -> Task | None:
    if spec.verify is None:
        return None
    after_rollback = kind is TaskKind.VERIFY_ROLLBACK
    return Task(
        id=task_id,
        kind=kind,
        summary=summary,
        action=ActionHolder(verify=spec.verify),
        teardown_of="acquire" if after_rollback else None,
        trigger_rule="all_done_setup_success" if after_rollback else "all_success",
        retries=spec.defaults.retries,
        timeout=spec.defaults.timeout,
    )


def _only_action(holder: ActionHolder) -> ActionHolder:
    name = holder.action_name
    values: dict[str, Any] = {name: holder.action}
    return ActionHolder.model_construct({name}, **values)
