"""Addresses in Airflow's UI and in this app, as the page shows them: absolute paths."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote, urlsplit

from airflow.configuration import conf

PREFIX = "planner"
"""Where the app is mounted, below Airflow's own address."""


@lru_cache(maxsize=1)
def root() -> str:
    """Path of Airflow's UI, with a slash at its end: ``/``, or ``/airflow/`` behind a proxy."""
    path = urlsplit(conf.get("api", "base_url", fallback="") or "/").path
    return f"{path.rstrip('/')}/"


def page() -> str:
    """This app."""
    return f"{root()}{PREFIX}/"


def login(then: str) -> str:
    """Airflow's login, which comes back to ``then``."""
    return f"{root()}api/v2/auth/login?next={quote(then, safe='')}"


def run(dag_id: str, run_id: str) -> str:
    """A run in Airflow."""
    return f"{root()}dags/{_part(dag_id)}/runs/{_part(run_id)}"


def task(dag_id: str, run_id: str, task_id: str, *, is_group: bool = False) -> str:
    """A task of a run, with its log; or a group of tasks."""
    group = "group/" if is_group else ""
    return f"{run(dag_id, run_id)}/tasks/{group}{_part(task_id)}"


def required_actions(dag_id: str, run_id: str, task_id: str) -> str:
    """Where people answer a task that asks them."""
    return f"{task(dag_id, run_id, task_id)}/required_actions"


def plan_run(plan_id: str) -> str:
    """A run in this app."""
    return f"#/runs/{_part(plan_id)}"


def trace(trace_id: str | None) -> str | None:
    """A trace in the tracing backend, where ``[planner] trace_url`` says where that is."""
    template = conf.get("planner", "trace_url", fallback="") or ""
    if not trace_id or not template.startswith(("http://", "https://")):
        return None
    return template.replace("{trace_id}", trace_id)


def _part(text: str) -> str:
    return quote(text, safe="")
