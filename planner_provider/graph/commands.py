"""The commands by which a person does what an action does: curl, SQL, a shell, kubectl.

Secrets are never in a plan, so commands name shell variables that the person fills in. Values
that come from the plan are quoted so that a shell takes them literally; a parameter of the plan
becomes a variable, ``{{ params.version }}`` the text ``${PARAM_VERSION}``.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from planner_provider.graph.command import Command
from planner_provider.graph.patch_commands import patch_commands, undo_commands
from planner_provider.spec import actions, workloads
from planner_provider.spec.base import Model
from planner_provider.spec.plan import ActionHolder
from planner_provider.spec.values import format_duration

_PARAMETER = re.compile(
    r"""\{\{-?\s*params(?:\.([A-Za-z_]\w*)|\[\s*['"]([A-Za-z_]\w*)['"]\s*\])\s*-?\}\}"""
)
_TEMPLATE = re.compile(r"\{\{|\{%")
HTTP, SQL, KUBERNETES, OTHER = "http", "sql", "kubernetes", "other"


@dataclass
class Connections:
    """The connections of one plan, and the shell variable of each."""

    variables: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, connection id) -> name of the variable, in the order of their first use."""

    def variable(self, kind: str, connection: str) -> str:
        """The variable of a connection; different connections never share one."""
        known = self.variables.get((kind, connection))
        if known:
            return known
        ending = {HTTP: "URL", KUBERNETES: "CONTEXT"}.get(kind, "DATABASE")
        base = re.sub(r"\W", "_", connection).upper()
        name, number = f"{base}_{ending}", 2
        if name[0].isdigit():
            name = f"C_{name}"
        first = name
        while name in self.variables.values():
            name, number = f"{first}_{number}", number + 1
        self.variables[(kind, connection)] = name
        return name


def parameter_variable(name: str) -> str:
    """The shell variable of a plan parameter."""
    return f"PARAM_{name.upper()}"


def commands(holder: ActionHolder, connections: Connections, name: str) -> tuple[Command, ...]:
    """What a person types to do what the action does; ``name`` is used for a pod."""
    known = _plain(holder.action, connections, name)
    if known is not None:
        return known
    action = holder.action
    data = action.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    lead = f"There is no single command for `{holder.action_name}`. Do by hand what it says:"
    return (Command("json", json.dumps(data, indent=2, ensure_ascii=False), lead),)


def commands_to_undo(
    action: workloads.Patch, connections: Connections, name: str
) -> tuple[Command, ...]:
    """What a person types to undo a rollout."""
    return tuple(undo_commands(action, _of_target(connections), name))


def _of_target(connections: Connections) -> Callable[[Model, str], tuple[Command, ...]]:
    return lambda action, name: _plain(action, connections, name) or ()


def _plain(action: Model, connections: Connections, name: str) -> tuple[Command, ...] | None:
    """The commands of an action, if there are any."""
    match action:
        case actions.Http():
            return (_curl(action, connections),)
        case actions.Sql():
            return _sql(action, connections)
        case actions.Shell():
            return (_shell(action),)
        case actions.Pod():
            return (_kubectl(action, connections, name),)
        case actions.Wait():
            return (_wait(action),)
        case actions.Notify():
            return (Command("text", action.message, f"Write to {', '.join(action.to)}:"),)
        case actions.Verify():
            return _verify(action, connections)
        case workloads.Backfill() if action.dag:
            return (_airflow_backfill(action),)
        case workloads.Patch():
            return tuple(patch_commands(action, _of_target(connections), name))
        case _:
            return None


def unfilled(command: Command) -> bool:
    """Whether templates are left that a person must fill in."""
    return bool(_TEMPLATE.search(command.text))


def shell_word(text: str) -> str:
    """Quote text for a shell; parameters of the plan become variables."""
    if not _PARAMETER.search(text):
        return shlex.quote(text)
    parts: list[str] = []
    end = 0
    for match in _PARAMETER.finditer(text):
        parts.append(_in_double_quotes(text[end : match.start()]))
        parts.append(f"${{{parameter_variable(match.group(1) or match.group(2))}}}")
        end = match.end()
    parts.append(_in_double_quotes(text[end:]))
    return '"' + "".join(parts) + '"'


def _in_double_quotes(text: str) -> str:
    return re.sub(r'([\\"$`])', r"\\\1", text)


def _joined(words: Iterable[str]) -> str:
    return " \\\n  ".join(words)


def _curl(action: actions.Http | actions.HttpCheck, connections: Connections) -> Command:
    variable = connections.variable(HTTP, action.connection)
    path = shell_word(action.path if action.path.startswith("/") else f"/{action.path}")
    words = [f"curl -sS -X {action.method}" if action.method != "HEAD" else "curl -sS --head"]
    words[0] += f' "${{{variable}}}"{path}'
    headers = dict(action.headers)
    body = action.body
    if body is not None and not isinstance(body, str):
        if not any(key.lower() == "content-type" for key in headers):
            headers["Content-Type"] = "application/json"
        body = json.dumps(body, ensure_ascii=False)
    words += [f"-H {shell_word(f'{key}: {value}')}" for key, value in headers.items()]
    if body is not None:
        words.append(f"--data-raw {shell_word(body)}")
    words.append(f"--max-time {action.timeout.total_seconds():g}")
    words.append(r"-w '\nstatus: %{http_code}\n'")
    return Command("bash", _joined(words))


def _sql(action: actions.Sql | actions.SqlCheck, connections: Connections) -> tuple[Command, ...]:
    connections.variable(SQL, action.connection)
    lead = f"In the database of connection `{action.connection}`:"
    if action.statement is None:
        return (
            Command("text", action.file or "", f"{lead} run this file, which is beside the spec"),
        )
    shown = [Command("sql", action.statement.strip(), lead)]
    if action.parameters:
        values = "\n".join(f"{key} = {_literal(value)}" for key, value in action.parameters.items())
        shown.append(Command("text", values, "with these values for its placeholders:"))
    return tuple(shown)


def _literal(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shell(action: actions.Shell) -> Command:
    lines = [f"export {key}={shell_word(value)}" for key, value in action.env.items()]
    if action.working_directory:
        lines.insert(0, f"cd {shell_word(action.working_directory)}")
    if isinstance(action.command, str):
        lines.append(action.command.strip())
    else:
        lines.append(" ".join(shell_word(word) for word in action.command))
    lead = "On an Airflow worker, or where the same tools and rights are:"
    return Command("bash", "\n".join(lines), lead)


def _kubectl(action: actions.Pod, connections: Connections, name: str) -> Command:
    variable = connections.variable(KUBERNETES, action.connection)
    pod = re.sub(r"[^a-z0-9-]", "-", name.lower())[:63].strip("-")
    words = [f'kubectl --context "${{{variable}}}" run {pod}', "--attach --rm --restart=Never"]
    words.append(f"--image={shell_word(action.image)}")
    if action.namespace:
        words.append(f"--namespace={shell_word(action.namespace)}")
    words += [f"--env={shell_word(f'{key}={value}')}" for key, value in action.env.items()]
    if action.labels:
        labels = ",".join(f"{key}={value}" for key, value in action.labels.items())
        words.append(f"--labels={shell_word(labels)}")
    overrides = _overrides(action, pod)
    if overrides:
        text = shell_word(json.dumps({"apiVersion": "v1", "spec": overrides}))
        words.append(f"--override-type=strategic --overrides={text}")
    arguments = [*action.command, *action.args]
    if arguments:
        flag = "--command -- " if action.command else "-- "
        words.append(flag + " ".join(shell_word(word) for word in arguments))
    return Command("bash", _joined(words))


def _overrides(action: actions.Pod, pod: str) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if action.service_account:
        spec["serviceAccountName"] = action.service_account
    if isinstance(action, workloads.TargetPod):
        spec["nodeName"] = "{{ target.name }}"
        spec |= _host(pod) if action.host else {}
    if action.resources:
        asked = action.resources
        sizes = {
            "requests": {"cpu": asked.cpu, "memory": asked.memory},
            "limits": {"cpu": asked.cpu_limit, "memory": asked.memory_limit},
        }
        given = {
            name: {key: value for key, value in group.items() if value}
            for name, group in sizes.items()
        }
        kept = {name: group for name, group in given.items() if group}
        container = (spec.get("containers") or [{"name": pod}])[0]
        spec["containers"] = [{**container, "resources": kept}]
    return spec


def _host(pod: str) -> dict[str, Any]:
    """What gives a pod its node."""
    mount = {"name": "host", "mountPath": "/host"}
    privileged = {"securityContext": {"privileged": True}, "volumeMounts": [mount]}
    return {
        "hostPID": True,
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        "containers": [{"name": pod, **privileged}],
    }


def _wait(action: actions.Wait) -> Command:
    if action.for_ is not None:
        seconds = action.for_.total_seconds()
        return Command("bash", f"sleep {seconds:g}", f"Wait {format_duration(action.for_)}.")
    until = action.until if isinstance(action.until, str) else str(action.until)
    return Command("text", until, "Wait until this moment:")


def _airflow_backfill(action: workloads.Backfill) -> Command:
    """Airflow's own backfill: it includes its last date, and cannot be slowed down."""
    words = [
        f"airflow backfill create --dag-id {shell_word(action.dag or '')}",
        f"--from-date {shell_word(_moment_text(action.from_))}",
        f"--to-date {shell_word(_moment_text(action.to))}",
        f"--max-active-runs {action.throttle.start}",
        f"--reprocess-behavior {action.reprocess}",
    ]
    if action.conf:
        words.append(f"--dag-run-conf {shell_word(json.dumps(action.conf, ensure_ascii=False))}")
    if action.order == "newest_first":
        words.append("--run-backwards")
    lead = (
        "Where Airflow's command line is; `--to-date` counts there, so give the last date before "
        "this one. Try it with `--dry-run` first, and watch what is downstream:"
    )
    return Command("bash", _joined(words), lead)


def _moment_text(moment: datetime | str) -> str:
    return moment if isinstance(moment, str) else moment.isoformat()


def _verify(action: actions.Verify, connections: Connections) -> tuple[Command, ...]:
    shown = [Command("text", name, "Look at this SLO on its dashboard:") for name in action.slos]
    shown += [_curl(check, connections) for check in action.http]
    for query in action.sql:
        shown += _sql(query, connections)
    return tuple(shown)
