"""Which document refers to which, read from raw data so that a broken one is followed as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from planner_provider.spec.diagnostics import SpecPath
from planner_provider.spec.subject import (
    OPENSLO_API,
    PLANNER_API,
    Key,
    Subject,
    as_list,
    as_mapping,
)

HOLE = "${{"
"""What begins an expression of a template; a name with one is not judged."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in a document that names another."""

    path: SpecPath
    key: Key
    essential: bool = True
    """Whether the document cannot be used while the other is broken."""
    optional: bool = False
    """Whether the other need not exist."""


def references_of(subject: Subject) -> tuple[Reference, ...]:
    """All references of a document, in no order."""
    found: tuple[Reference, ...] | None = subject.memo.get("references")
    if found is None:
        found = subject.memo["references"] = tuple(_references(subject))
    return found


def _references(subject: Subject) -> Iterator[Reference]:
    if subject.key is None:
        return
    owner = as_mapping(subject.data.get("metadata")).get("owner")
    if subject.key.api == PLANNER_API:
        yield from _named(("metadata", "owner"), owner, "Team", essential=False, optional=True)
    finder = _FINDERS.get((subject.key.api, subject.key.kind))
    if finder is _plan:
        yield from _plan(plan_spec(subject), plan_top(subject), plan_actions(subject))
    elif finder:
        yield from finder(subject.spec, ("spec",))


def plan_top(subject: Subject) -> SpecPath:
    """Where in a document the `spec` of a plan stands: a template has it further in."""
    kind = subject.key.kind if subject.key else ""
    return ("spec", "plan") if kind == "PlanTemplate" else ("spec",)


def plan_spec(subject: Subject) -> dict[str, Any]:
    """The `spec` of a plan, or that of the plan in a template."""
    inner = plan_top(subject) == ("spec", "plan")
    return as_mapping(subject.spec.get("plan")) if inner else subject.spec


def plan_actions(subject: Subject) -> tuple[Action, ...]:
    """Every action of a plan or of the plan in a template."""
    found: tuple[Action, ...] | None = subject.memo.get("actions")
    if found is None:
        found = tuple(actions_of(plan_spec(subject), plan_top(subject)))
        subject.memo["actions"] = found
    return found


@dataclass(frozen=True, slots=True)
class Action:
    """An action within a plan: of a step, of its rollback, or of a target."""

    path: SpecPath
    name: str
    data: dict[str, Any]
    step: int | None
    """Index of the step; ``None`` for the plan's own `verify`."""
    is_rollback: bool = False


def actions_of(spec: dict[str, Any], top: SpecPath = ("spec",)) -> Iterator[Action]:
    """Every action in the `spec` of a plan, broken ones included."""
    for index, step in enumerate(as_list(spec.get("steps"))):
        step_path = (*top, "steps", index)
        yield from _held(as_mapping(step), step_path, index, is_rollback=False)
        rollback = as_mapping(as_mapping(step).get("rollback"))
        if rollback:
            yield from _held(rollback, (*step_path, "rollback"), index, is_rollback=True)
    verify = spec.get("verify")
    if isinstance(verify, dict):
        yield Action((*top, "verify"), "verify", verify, None)


ACTION_KEYS = frozenset({
    "canary", "blue_green", "deploy", "patch", "backfill", "pod", "http", "sql", "shell",
    "operator", "gate", "approval", "wait", "flag", "scale", "verify", "notify", "plan",
})  # fmt: skip


def _held(
    holder: dict[str, Any], path: SpecPath, step: int, *, is_rollback: bool
) -> Iterator[Action]:
    for name, data in holder.items():
        if name not in ACTION_KEYS or not isinstance(data, dict):
            continue
        yield Action((*path, name), name, data, step, is_rollback)
        if name == "patch":
            for key in ("per_target", "undo"):
                for index, entry in enumerate(as_list(data.get(key))):
                    inner = (*path, name, key, index)
                    held = as_mapping(entry)
                    yield from _held(held, inner, step, is_rollback=is_rollback or key == "undo")
                    by = as_mapping(as_mapping(held.get("reboot")).get("by"))
                    where = (*inner, "reboot", "by")
                    yield from _held(by, where, step, is_rollback=is_rollback)
        elif name == "backfill":
            inner = (*path, name, "chunks")
            chunks = as_mapping(data.get("chunks"))
            yield from _held(chunks, inner, step, is_rollback=is_rollback)


def _named(
    path: SpecPath,
    name: Any,
    kind: str,
    *,
    api: str = PLANNER_API,
    essential: bool = True,
    optional: bool = False,
) -> Iterator[Reference]:
    if isinstance(name, str) and name and HOLE not in name:
        yield Reference(path, Key(api, kind, name), essential, optional)


def _slos(path: SpecPath, holder: Any, field: str = "slos") -> Iterator[Reference]:
    for index, name in enumerate(as_list(as_mapping(holder).get(field))):
        yield from _named((*path, field, index), name, "SLO", api=OPENSLO_API)


def _teams(path: SpecPath, names: Any) -> Iterator[Reference]:
    for index, name in enumerate(as_list(names)):
        if isinstance(name, str) and name.startswith("team:"):
            team = name.removeprefix("team:")
            yield from _named((*path, index), team, "Team", essential=False)


def _approval(path: SpecPath, approval: Any) -> Iterator[Reference]:
    data = as_mapping(approval)
    yield from _teams((*path, "approvers"), data.get("approvers"))
    for index, escalation in enumerate(as_list(data.get("escalate"))):
        yield from _teams((*path, "escalate", index, "to"), as_mapping(escalation).get("to"))


def _plan(
    spec: dict[str, Any], top: SpecPath, actions: Iterable[Action] = ()
) -> Iterator[Reference]:
    if len(top) == 1:  # a template is not made from another
        template = as_mapping(spec.get("template"))
        yield from _named((*top, "template", "name"), template.get("name"), "PlanTemplate")
    schedule = as_mapping(spec.get("schedule"))
    yield from _named((*top, "schedule", "calendar"), schedule.get("calendar"), "Calendar")
    yield from _slos((*top, "guards"), spec.get("guards"))
    yield from _approval((*top, "approval"), spec.get("approval"))
    for index, touch in enumerate(as_list(spec.get("touches"))):
        service = as_mapping(touch).get("service")
        yield from _named((*top, "touches", index, "service"), service, "Service", essential=False)
    for index, step in enumerate(as_list(spec.get("steps"))):
        yield from _slos((*top, "steps", index, "guards"), as_mapping(step).get("guards"))
        service = as_mapping(step).get("service")
        yield from _named((*top, "steps", index, "service"), service, "Service", essential=False)
    for action in actions:
        yield from _of_action(action)


def _of_action(action: Action) -> Iterator[Reference]:
    path, data = action.path, action.data
    if action.name in {"gate", "verify"}:
        yield from _slos(path, data)
    elif action.name in {"canary", "blue_green"}:
        yield from _slos((*path, "analysis"), data.get("analysis"))
        yield from _slos((*path, "analysis"), data.get("analysis"), "compare")
    elif action.name == "patch":
        yield from _named((*path, "fleet"), data.get("fleet"), "Fleet")
        between = as_mapping(data.get("between_waves"))
        yield from _slos((*path, "between_waves"), between)
        yield from _approval((*path, "between_waves", "approval"), between.get("approval"))
    elif action.name == "backfill":
        signal = as_mapping(as_mapping(data.get("throttle")).get("signal"))
        where = (*path, "throttle", "signal", "slo")
        yield from _named((*path, "calendar"), data.get("calendar"), "Calendar")
        yield from _named(where, signal.get("slo"), "SLO", api=OPENSLO_API)
    elif action.name == "notify":
        yield from _teams((*path, "to"), data.get("to"))
    elif action.name == "approval":
        yield from _approval(path, data)
    elif action.name == "plan":
        yield from _named((*path, "name"), data.get("name"), "Plan")


def _service(spec: dict[str, Any], top: SpecPath) -> Iterator[Reference]:
    for index, name in enumerate(as_list(spec.get("depends_on"))):
        yield from _named((*top, "depends_on", index), name, "Service", essential=False)
    for index, name in enumerate(as_list(spec.get("slos"))):
        yield from _named((*top, "slos", index), name, "SLO", api=OPENSLO_API, essential=False)


def _team(spec: dict[str, Any], top: SpecPath) -> Iterator[Reference]:
    yield from _teams((*top, "escalation"), spec.get("escalation"))
    for index, item in enumerate(as_list(spec.get("escalation"))):
        yield from _teams((*top, "escalation", index, "to"), as_mapping(item).get("to"))


def _calendar(spec: dict[str, Any], top: SpecPath) -> Iterator[Reference]:
    for index, name in enumerate(as_list(spec.get("requires"))):
        yield from _named((*top, "requires", index), name, "Calendar")
    for index, freeze in enumerate(as_list(spec.get("freezes"))):
        path = (*top, "freezes", index, "calendar")
        yield from _named(path, as_mapping(freeze).get("calendar"), "Calendar")


def _slo(spec: dict[str, Any], top: SpecPath) -> Iterator[Reference]:
    yield from _indicator(spec, top)
    for index, objective in enumerate(as_list(spec.get("objectives"))):
        yield from _indicator(as_mapping(objective), (*top, "objectives", index))
    for index, policy in enumerate(as_list(spec.get("alertPolicies"))):
        where = (*top, "alertPolicies", index)
        data = as_mapping(policy)
        yield from _openslo((*where, "alertPolicyRef"), data.get("alertPolicyRef"), "AlertPolicy")
        yield from _alert_policy(as_mapping(data.get("spec")), (*where, "spec"))


def _indicator(holder: dict[str, Any], path: SpecPath) -> Iterator[Reference]:
    yield from _openslo((*path, "indicatorRef"), holder.get("indicatorRef"), "SLI")
    inline = as_mapping(as_mapping(holder.get("indicator")).get("spec"))
    yield from _sli(inline, (*path, "indicator", "spec"))


def _sli(spec: dict[str, Any], top: SpecPath) -> Iterator[Reference]:
    yield from _metric(spec, top, "thresholdMetric")
    ratio = as_mapping(spec.get("ratioMetric"))
    for part in ("good", "bad", "total", "raw"):
        yield from _metric(ratio, (*top, "ratioMetric"), part)


def _metric(holder: dict[str, Any], path: SpecPath, part: str) -> Iterator[Reference]:
    source = as_mapping(as_mapping(holder.get(part)).get("metricSource"))
    where = (*path, part, "metricSource", "metricSourceRef")
    yield from _openslo(where, source.get("metricSourceRef"), "DataSource")


def _alert_policy(spec: dict[str, Any], top: SpecPath) -> Iterator[Reference]:
    for index, condition in enumerate(as_list(spec.get("conditions"))):
        where = (*top, "conditions", index, "conditionRef")
        yield from _openslo(where, as_mapping(condition).get("conditionRef"), "AlertCondition")
    for index, target in enumerate(as_list(spec.get("notificationTargets"))):
        where = (*top, "notificationTargets", index, "targetRef")
        name = as_mapping(target).get("targetRef")
        yield from _openslo(where, name, "AlertNotificationTarget")


def _openslo(path: SpecPath, name: Any, kind: str) -> Iterator[Reference]:
    yield from _named(path, name, kind, api=OPENSLO_API)


_FINDERS: dict[tuple[str, str], Callable[..., Iterator[Reference]]] = {
    (PLANNER_API, "Plan"): _plan,
    (PLANNER_API, "PlanTemplate"): _plan,
    (PLANNER_API, "Calendar"): _calendar,
    (PLANNER_API, "Service"): _service,
    (PLANNER_API, "Team"): _team,
    (OPENSLO_API, "SLO"): _slo,
    (OPENSLO_API, "SLI"): _sli,
    (OPENSLO_API, "AlertPolicy"): _alert_policy,
}
