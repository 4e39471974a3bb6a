"""What an action does, in one short sentence. One place for Airflow, ``explain`` and runbooks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from planner_provider.spec import actions, delivery, workloads
from planner_provider.spec.base import Model
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
    waves = ", ".join(map(format_count_or_share, action.waves))
    names = ", ".join(entry.action_name for entry in action.per_target)
    return (
        f"Patch fleet {action.fleet} ({names}) in waves up to {waves}, "
        f"{format_count_or_share(action.max_unavailable)} unavailable at once"
    )


def describe_undoing(action: Model) -> str | None:
    """Say how an action undoes itself, where there is more to say than that it does."""
    if not isinstance(action, workloads.Patch):
        return None
    each = "; ".join(describe_target_action(entry) for entry in action.undo)
    return f"Take our cordons away; then on each target that was begun, the last first: {each}"


def format_count_or_share(value: float) -> str:
    """A count, or a share as a percentage: ``3``, ``12.5%``."""
    return str(value) if isinstance(value, int) else f"{round(value * 100, 6):g}%"


def describe_target_action(entry: workloads.TargetAction) -> str:
    """Say what is done to a target, such as ``Drain it within 15m``."""
    action = entry.action
    if isinstance(action, workloads.Cordon):
        return "Let it take no new work"
    if isinstance(action, workloads.Drain):
        return f"Drain it within {format_duration(action.timeout)}{_losses(action)}"
    if isinstance(action, workloads.Reboot):
        return _reboot(action)
    if isinstance(action, workloads.Uncordon):
        return "Let it take work again"
    if isinstance(action, workloads.TargetPod):
        return f"Run a pod of {action.image} on it"
    if isinstance(action, workloads.TargetVerify):
        return _target_verify(action)
    return _DESCRIBE[entry.action_name](action)


def _losses(drain: workloads.Drain) -> str:
    lost = [*(["pods without a controller"] if drain.force else [])]
    lost += ["local data"] if drain.local_data == "delete" else []
    return f", {' and '.join(lost)} included" if lost else ""


def _reboot(action: workloads.Reboot) -> str:
    wait = f"wait {format_duration(action.timeout)} at most until it is back"
    by = action.by
    if by is None:
        return wait[0].upper() + wait[1:]
    if by.pod is not None:
        how = f"a pod of {by.pod.image}"
    elif by.http is not None:
        how = _http(by.http)
    else:
        how = "a command on the worker"
    return f"Reboot it by {how}; {wait}"


def _target_verify(action: workloads.TargetVerify) -> str:
    parts = ["that it is ready"] if action.ready else []
    parts += [f"SLO {name}" for name in action.slos]
    parts += [f"{check.method} {check.path} on {check.connection}" for check in action.http]
    parts += [f"a query on {check.connection}" for check in action.sql]
    patience = f", for {format_duration(action.within)} at most" if action.within else ""
    return f"Check {', '.join(parts)}{patience}"


def _backfill(action: workloads.Backfill) -> str:
    span = f"from {_moment(action.from_)} to {_moment(action.to)}"
    what = f"DAG {action.dag}" if action.dag else "chunks"
    more = {"failed": " and those that failed", "completed": " and all that ended", "none": ""}
    which = f", partitions without a run{more[action.reprocess]}" if action.dag else ""
    first = ", newest first" if action.order == "newest_first" else ""
    when = f", while calendar {action.calendar} is open" if action.calendar else ""
    does = "Dry run of a backfill of" if action.dry_run is True else "Backfill"
    return f"{does} {what} {span}{which}{first}, {_pace(action.throttle)}{when}"


def _pace(throttle: workloads.Throttle) -> str:
    signal = throttle.signal
    if signal is None or throttle.min == throttle.max:
        return f"{throttle.max} at once"
    by = f"SLO {signal.slo}" if signal.slo else f"a query on {signal.connection}"
    return f"{throttle.min} to {throttle.max} at once by {by}"


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
