"""The same plans for dag-factory and airflow-blueprint, as near as their languages come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from airflow.sdk import DAG, BaseOperator

from planner_provider.operators.http import HttpActionOperator

DAG_FACTORY_LOADER = """\
from pathlib import Path
from airflow.sdk import DAG
from dagfactory import load_yaml_dags

load_yaml_dags(globals_dict=globals(), dags_folder=str(Path(__file__).parent))
"""

BLUEPRINT_LOADER = """\
from blueprint import build_all_airflow_dags

build_all_airflow_dags()
"""

BLUEPRINT_TEMPLATES = '''\
from datetime import timedelta

from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator
from blueprint import BaseModel, Blueprint


class RequestConfig(BaseModel):
    connection: str
    method: str
    path: str
    body: str
    summary: str
    retries: int
    delay_s: float
    timeout_s: float


class Request(Blueprint[RequestConfig]):
    """One HTTP request."""

    def render(self, config: RequestConfig) -> BaseOperator:
        return HttpOperator(
            task_id=self.step_id,
            http_conn_id=config.connection,
            method=config.method,
            endpoint=config.path,
            data=config.body,
            doc=config.summary,
            retries=config.retries,
            retry_delay=timedelta(seconds=config.delay_s),
            execution_timeout=timedelta(seconds=config.timeout_s),
        )


class FrameConfig(BaseModel):
    summary: str


class Frame(Blueprint[FrameConfig]):
    """A task of the frame."""

    def render(self, config: FrameConfig) -> BaseOperator:
        return EmptyOperator(task_id=self.step_id, doc=config.summary)
'''


def write_dag_factory(folder: Path, dags: list[DAG]) -> None:
    """One YAML file per DAG and the loader."""
    folder.mkdir(parents=True)
    (folder / "loader.py").write_text(DAG_FACTORY_LOADER)
    for dag in dags:
        config = {
            "description": dag.description,
            "schedule": None,
            "start_date": "2026-01-01",
            "catchup": False,
            "max_active_runs": 1,
            "default_args": {"owner": dag.default_args["owner"]},
            "tags": sorted(dag.tags),
            "task_groups": {
                name: {"tooltip": group.tooltip}
                for name, group in dag.task_group_dict.items()
                if name
            },
            "tasks": {_key(task.task_id): _dag_factory_task(task) for task in dag.tasks},
        }
        _write_yaml(folder / f"{dag.dag_id}.yaml", {dag.dag_id: config})


def write_blueprint(folder: Path, dags: list[DAG]) -> None:
    """One YAML file per DAG, the blueprints and the loader."""
    folder.mkdir(parents=True)
    (folder / "loader.py").write_text(BLUEPRINT_LOADER)
    (folder / "templates.py").write_text(BLUEPRINT_TEMPLATES)
    for dag in dags:
        steps = {_key(task.task_id): _blueprint_step(task) for task in dag.tasks}
        content = {"dag_id": dag.dag_id, "description": dag.description, "steps": steps}
        _write_yaml(folder / f"{dag.dag_id}.dag.yaml", content)


def _dag_factory_task(task: BaseOperator) -> dict[str, Any]:
    out: dict[str, Any] = {
        "operator": "airflow.providers.standard.operators.empty.EmptyOperator",
        "doc": task.doc,
        "dependencies": _dependencies(task),
    }
    if task.task_group and task.task_group.group_id:
        out["task_group_name"] = task.task_group.group_id
    if isinstance(task, HttpActionOperator):
        out |= {
            "operator": "airflow.providers.http.operators.http.HttpOperator",
            "http_conn_id": task.connection,
            "method": task.method,
            "endpoint": task.path,
            "data": json.dumps(task.body),
            "retries": task.retries,
            "retry_delay": _delta(task.retry_delay),
            "execution_timeout": _delta(task.execution_timeout),
        }
    return out


def _blueprint_step(task: BaseOperator) -> dict[str, Any]:
    out: dict[str, Any] = {
        "blueprint": "frame",
        "summary": task.doc,
        "depends_on": _dependencies(task),
    }
    if isinstance(task, HttpActionOperator):
        out |= {
            "blueprint": "request",
            "connection": task.connection,
            "method": task.method,
            "path": task.path,
            # its own templates are rendered on loading; Airflow's have to be escaped
            "body": "{% raw %}" + json.dumps(task.body) + "{% endraw %}",
            "retries": task.retries,
            "delay_s": _seconds(task.retry_delay),
            "timeout_s": _seconds(task.execution_timeout),
        }
    return out


def _dependencies(task: BaseOperator) -> list[str]:
    return sorted(_key(task_id) for task_id in task.upstream_task_ids)


def _key(task_id: str) -> str:
    """Names are unique per file there, also across groups."""
    return task_id.replace(".", "_")


def _seconds(value: Any) -> int:
    return int(value.total_seconds())


def _delta(value: Any) -> dict[str, Any]:
    return {"__type__": "datetime.timedelta", "seconds": _seconds(value)}


def _write_yaml(file: Path, content: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False))
