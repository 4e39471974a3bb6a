"""What must hold for a step to count as done, in words: for ``explain`` and for runbooks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from planner_provider.spec import actions, delivery, workloads
from planner_provider.spec.plan import ActionHolder
from planner_provider.spec.values import format_duration


def expected(holder: ActionHolder) -> tuple[str, ...]:
    """Sentences, each of which must be true after the action; the plan stops if one is not."""
    action = holder.action
    say = _EXPECTED.get(type(action))
    return say(action) if say else ("it reports success",)


def http_expected(expect: actions.HttpExpect) -> tuple[str, ...]:
    """What must hold for an HTTP answer."""
    codes = ", ".join(map(str, expect.status[:-1]))
    last = expect.status[-1]
    said = [
        f"the answer has status {codes} or {last}" if codes else f"the answer has status {last}"
    ]
    if expect.body_matches:
        said.append(f"the answer matches the regular expression {expect.body_matches}")
    said += [
        f"{path} in the answer is {_value(value)}" for path, value in expect.json_values.items()
    ]
    return tuple(said)


def sql_expected(expect: actions.SqlExpect | None) -> tuple[str, ...]:
    """What must hold for the result of a statement."""
    said: list[str] = []
    if expect and expect.value:
        said.append(f"the first value of the first row is {_bound(expect.value)}")
    if expect and expect.rows:
        said.append(f"the number of rows is {_bound(expect.rows)}")
    return tuple(said) or ("the database reports no error",)


def _bound(bound: actions.Bound) -> str:
    parts: list[str] = []
    if bound.equals is not None:
        parts.append(_value(bound.equals))
    if bound.min is not None:
        parts.append(f"{bound.min} or more")
    if bound.max is not None:
        parts.append(f"{bound.max} or less")
    return " and ".join(parts)


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shell(_: actions.Shell) -> tuple[str, ...]:
    return ("the command ends with exit status 0",)


def _pod(_: actions.Pod) -> tuple[str, ...]:
    return ("the pod ends with exit status 0",)


def _verify(action: actions.Verify) -> tuple[str, ...]:
    said = [f"SLO {name} is not breached" for name in action.slos]
    for http in action.http:
        said += [
            f"{http.method} {http.path} on {http.connection}: {part}"
            for part in http_expected(http.expect)
        ]
    for query in action.sql:
        said += [f"query on {query.connection}: {part}" for part in sql_expected(query.expect)]
    return tuple(said)


def _gate(action: actions.Gate) -> tuple[str, ...]:
    said = [f"SLO {name} is healthy" for name in action.slos]
    if action.for_:
        said.append(f"they stay so for {format_duration(action.for_)}")
    if action.budget:
        said += budget_expected(action.budget)
    return tuple(said)


def budget_expected(budget: actions.Budget) -> tuple[str, ...]:
    """What must hold for an error budget."""
    said: list[str] = []
    if budget.min_remaining is not None:
        said.append(f"at least {budget.min_remaining * 100:.4g}% of the error budget is left")
    if budget.max_burn_rate is not None:
        said.append(f"the error budget burns at {budget.max_burn_rate} times the even rate at most")
    return tuple(said)


def _approval(action: actions.Approval) -> tuple[str, ...]:
    return (f"{action.count} of {', '.join(action.approvers)} agreed",)


def _canary(action: delivery.Canary) -> tuple[str, ...]:
    said = [f"SLO {name} is not breached" for name in action.analysis.slos]
    said += [f"{name} is no worse than the old version's" for name in action.analysis.compare]
    said += [f"{item.name} is no worse than the old version's" for item in action.analysis.metrics]
    return tuple(said)


def _blue_green(action: delivery.BlueGreen) -> tuple[str, ...]:
    watched = action.analysis.slos if action.analysis else ()
    said = [f"SLO {name} is not breached" for name in watched]
    return (*said, "the new version is rolled out and takes all traffic")


def _deploy(action: delivery.Deploy) -> tuple[str, ...]:
    return (f"it is rolled out within {format_duration(action.progress_deadline)}",)


def _patch(action: workloads.Patch) -> tuple[str, ...]:
    return (f"no more than {_count(action.max_errors)} of the targets fail",)


def _backfill(action: workloads.Backfill) -> tuple[str, ...]:
    tries = f", each tried {action.attempts} times at most" if action.attempts > 1 else ""
    what = "partitions" if action.dag else "chunks"
    return (f"no more than {_count(action.max_errors)} of the {what} fail{tries}",)


def _count(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value * 100:.4g}%"


_EXPECTED: dict[type, Callable[[Any], tuple[str, ...]]] = {
    actions.Http: lambda action: http_expected(action.expect),
    actions.Sql: lambda action: sql_expected(action.expect),
    actions.Shell: _shell,
    actions.Pod: _pod,
    actions.Wait: lambda action: (),
    actions.Notify: lambda action: (),
    actions.Verify: _verify,
    actions.Gate: _gate,
    actions.Approval: _approval,
    delivery.Canary: _canary,
    delivery.BlueGreen: _blue_green,
    delivery.Deploy: _deploy,
    workloads.Patch: _patch,
    workloads.Backfill: _backfill,
}
