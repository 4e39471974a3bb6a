"""A DAG as the Python file that somebody would write by hand to get the very same operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param
from pydantic import BaseModel

from planner_provider.operators.retry import PlanRetryPolicy
from planner_provider.operators.stopped import note_failure

OF_THE_DAG = frozenset({"dag", "task_group", "default_args", "params"})
"""Arguments that say where the operator stands; written by structure, not by value."""

_MARKS = ("is_setup", "is_teardown", "on_failure_fail_dagrun", "trigger_rule")


class Source:
    """Python source of values, and the imports that it needs."""

    def __init__(self) -> None:
        self.imports: set[tuple[str, str]] = set()

    def name(self, kind: type) -> str:
        """The name of a class, imported."""
        self.imports.add((kind.__module__, kind.__qualname__))
        return kind.__qualname__

    def value(self, value: Any) -> str:
        """An expression for the value."""
        if isinstance(value, Enum):
            return f"{self.name(type(value))}.{value.name}"
        if value is None or isinstance(value, str | int | float | bool):
            return repr(value)
        if isinstance(value, timedelta):
            return f"{self.name(timedelta)}(seconds={value.total_seconds():g})"
        if isinstance(value, Mapping):
            pairs = (f"{self.value(key)}: {self.value(item)}" for key, item in value.items())
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, tuple):
            return "(" + "".join(f"{self.value(item)}, " for item in value) + ")"
        if isinstance(value, list):
            return "[" + ", ".join(self.value(item) for item in value) + "]"
        if isinstance(value, frozenset | set):
            return f"{type(value).__name__}({self.value(sorted(value))})"
        return self._call(value)

    def _call(self, value: Any) -> str:
        given: Mapping[str, Any]
        if isinstance(value, PlanRetryPolicy):
            given = vars(value)
        elif is_dataclass(value):
            given = {item.name: getattr(value, item.name) for item in fields(value)}
        elif isinstance(value, BaseModel):
            names = type(value).model_fields
            given = {
                info.alias or name: getattr(value, name)
                for name, info in names.items()
                if name in value.model_fields_set
            }
        else:
            raise TypeError(f"no source for {type(value)}: {value!r}")
        arguments = ", ".join(f"{name}={self.value(item)}" for name, item in given.items())
        return f"{self.name(type(value))}({arguments})"


def init_arguments(task: BaseOperator) -> dict[str, Any]:
    """What the operator was made with, without what follows from its DAG."""
    made: dict[str, Any] = task._BaseOperator__init_kwargs
    shown = {name: item for name, item in made.items() if name not in OF_THE_DAG}
    if task.dag and shown.get("owner") == task.dag.default_args.get("owner"):
        shown.pop("owner", None)
    if shown.get("on_failure_callback") == [note_failure]:  # the operator adds it by itself
        shown.pop("on_failure_callback")
    return shown


def dag_source(dag: DAG, *, only_empty: bool = False) -> str:
    """The Python file. ``only_empty`` puts an ``EmptyOperator`` in the place of every operator."""
    source = Source()
    variables = {task_id: _variable(task_id) for task_id in dag.task_ids}
    body = [*_dag_lines(dag, source), *_group_lines(dag)]
    for task in dag.tasks:
        body.append(f"    {variables[task.task_id]} = {_task(task, source, only_empty)}")
        if task.is_setup:
            body.append(f"    {variables[task.task_id]}.is_setup = True")
    for task in dag.tasks:
        below = sorted(task.downstream_task_ids)
        if below:
            names = ", ".join(variables[task_id] for task_id in below)
            body.append(f"    {variables[task.task_id]} >> [{names}]")
    for task in dag.tasks:
        if task.is_teardown:
            setups = [item for item in task.upstream_list if item.is_setup]
            names = ", ".join(variables[item.task_id] for item in setups)
            body.append(
                f"    {variables[task.task_id]}.as_teardown("
                f"setups=[{names}], on_failure_fail_dagrun={task.on_failure_fail_dagrun})"
            )
    imports = [f"from {module} import {name}" for module, name in sorted(source.imports)]
    head = ["from datetime import UTC, datetime", "from airflow.sdk import DAG, Param, TaskGroup"]
    return "\n".join([*head, *imports, "", *body, ""])


def shape(dag: DAG) -> dict[str, Any]:
    """Everything about a DAG that the benchmark wants to be equal, as plain data."""
    source = Source()
    tasks = {
        task.task_id: {
            "class": type(task).__qualname__,
            "arguments": {n: source.value(v) for n, v in sorted(init_arguments(task).items())},
            "upstream": sorted(task.upstream_task_ids),
            "downstream": sorted(task.downstream_task_ids),
            **{name: str(getattr(task, name)) for name in _MARKS},
        }
        for task in dag.tasks
    }
    names = ("dag_id", "description", "start_date", "catchup", "max_active_runs", "doc_md", "tags")
    return {
        "tasks": tasks,
        "groups": sorted(dag.task_group_dict, key=str),
        "params": {name: dag.params.get_param(name).serialize() for name in dag.params},
        **{name: getattr(dag, name) for name in names},
    }


def _variable(task_id: str) -> str:
    return task_id.replace(".", "_").replace("-", "_")


def _dag_lines(dag: DAG, source: Source) -> list[str]:
    start = dag.start_date
    assert isinstance(start, datetime)
    params = [f"{name!r}: {_param(dag.params.get_param(name), source)}" for name in dag.params]
    return [
        "with DAG(",
        f"    dag_id={dag.dag_id!r},",
        f"    description={dag.description!r},",
        "    schedule=None,",
        f"    start_date=datetime({start.year}, {start.month}, {start.day}, tzinfo=UTC),",
        f"    catchup={dag.catchup},",
        f"    max_active_runs={dag.max_active_runs},",
        f"    default_args={source.value(dag.default_args)},",
        f"    params={{{', '.join(params)}}},",
        f"    tags={sorted(dag.tags)!r},",
        f"    doc_md={dag.doc_md!r},",
        ") as dag:",
    ]


def _param(param: Param, source: Source) -> str:
    given = {"description": param.description, **param.schema}
    arguments = ", ".join(f"{name}={source.value(item)}" for name, item in given.items())
    return f"Param({source.value(param.value)}, {arguments})"


def _group_lines(dag: DAG) -> list[str]:
    return [
        f"    group_{name} = TaskGroup({name!r}, tooltip={group.tooltip!r})"
        for name, group in dag.task_group_dict.items()
        if name
    ]


def _task(task: BaseOperator, source: Source, only_empty: bool) -> str:
    given = init_arguments(task)
    kind: type = type(task)
    if only_empty:
        from airflow.providers.standard.operators.empty import EmptyOperator

        kind = EmptyOperator
        given = {"task_id": given["task_id"]}
    arguments = [f"{name}={source.value(item)}" for name, item in given.items()]
    if task.task_group and task.task_group.group_id:
        arguments.append(f"task_group=group_{task.task_group.group_id}")
    return f"{source.name(kind)}({', '.join(arguments)})"
