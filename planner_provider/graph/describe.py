"""What an action does, in one short sentence. One place for Airflow, ``explain`` and runbooks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from planner_provider.spec import actions, delivery, workloads
from planner_provider.spec.plan import ActionHolder
from planner_provider.spec.values import format_duration


def describe_action(holder: ActionHolder) -> str:
    """Say what the action does, such as ``PUT /services/checkout/weight on sandbox``."""
    return _DESCRIBE[holder.action_name](holder.action)


def _first_line(text: str, width: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _http(action: actions.Http) -> str:
    return f"{action.method} {action.path} on connection {action.connection}"


def _sql(action: actions.Sql) -> str:
    text = _first_line(action.statement or action.file or "")
    return f"SQL on connection {action.connection}: {text}"


def _shell(action: actions.Shell) -> str:
    command = action.command if isinstance(action.command, str) else " ".join(action.command)
    return f"Run on the worker: {_first_line(command)}"


def _pod(action: actions.Pod) -> str:
    where = f" in namespace {action.namespace}" if action.namespace else ""
    return f"Run a pod of {action.image}{where} on connection {action.connection}"


def _wait(action: actions.Wait) -> str:
    if action.for_ is not None:
        return f"Wait {format_duration(action.for_)}"
    return f"Wait until {_moment(action.until)}"


def _moment(value: datetime | str | None) -> str:
    return f"{value:%Y-%m-%d %H:%M %Z}" if isinstance(value, datetime) else str(value)


def _notify(action: actions.Notify) -> str:
    return f"Tell {', '.join(action.to)}: {_first_line(action.message, 60)}"


def _verify(action: actions.Verify) -> str:
    parts = [f"SLO {name}" for name in action.slos]
    parts += [f"{check.method} {check.path} on {check.connection}" for check in action.http]
    parts += [f"a query on {check.connection}" for check in action.sql]
    patience = f", for {format_duration(action.within)} at most" if action.within else ""
    return f"Check {', '.join(parts)}{patience}"


def _operator(action: actions.Operator) -> str:
    return f"Run Airflow operator {action.path}"


def _gate(action: actions.Gate) -> str:
    return f"Ask SLOs {', '.join(action.slos)} ({action.mode})"


def _approval(action: actions.Approval) -> str:
    people = "person" if action.count == 1 else "people"
    return f"Ask {action.count} {people} out of {', '.join(action.approvers)} to approve"


def _plan(action: actions.SubPlan) -> str:
    return f"Run plan {action.name}"


def _target(target: delivery.Target) -> str:
    if target.kubernetes:
        return f"deployment {target.kubernetes.deployment} in {target.kubernetes.namespace}"
    return f"service {target.http.service}" if target.http else "nothing"


def _canary(action: delivery.Canary) -> str:
    weights = ", ".join(f"{step.weight}%" for step in action.steps)
    return f"Canary on {_target(action.target)}: {weights}"


def _blue_green(action: delivery.BlueGreen) -> str:
    return f"Blue-green switch of {_target(action.target)}"


def _deploy(action: delivery.Deploy) -> str:
    return f"Deploy {_target(action.target)}"


def _flag(action: delivery.Flag) -> str:
    return f"Feature flag {action.name}: {action.action}"


def _scale(action: delivery.Scale) -> str:
    size = action.by if action.by is not None else f"to {action.replicas}"
    return f"Scale {_target(action.target)} {size}"


def _patch(action: workloads.Patch) -> str:
    waves = ", ".join(str(w) if isinstance(w, int) else f"{w:.0%}" for w in action.waves)
    return f"Patch fleet {action.fleet} in waves of {waves}"


def _backfill(action: workloads.Backfill) -> str:
    return f"Backfill {action.dag or 'chunks'} from {_moment(action.from_)} to {_moment(action.to)}"


_DESCRIBE: dict[str, Callable[[Any], str]] = {
    "canary": _canary,
    "blue_green": _blue_green,
    "deploy": _deploy,
    "patch": _patch,
    "backfill": _backfill,
    "pod": _pod,
    "http": _http,
    "sql": _sql,
    "shell": _shell,
    "operator": _operator,
    "gate": _gate,
    "approval": _approval,
    "wait": _wait,
    "flag": _flag,
    "scale": _scale,
    "verify": _verify,
    "notify": _notify,
    "plan": _plan,
}
