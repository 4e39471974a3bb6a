"""A small typed client for Airflow's REST API."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeVar
from urllib.parse import quote

import requests

from planner_provider.errors import PlannerError, RefusedError, UnavailableError
from planner_provider.localstack.answers import (
    Answer,
    Dag,
    DagDetails,
    DagRun,
    DagVersion,
    Health,
    ImportProblem,
    TaskInstance,
)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
AnswerType = TypeVar("AnswerType", bound=Answer)

PAGE = 100
RETRY_PAUSES = (0.2, 0.5, 1.0, 2.0, 3.0)
"""Seconds between tries after a refused connection or an answer of 5xx."""


class ApiRefusedError(RefusedError):
    """Airflow answered with a 4xx status. ``status`` is that number."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ApiUnavailableError(UnavailableError):
    """Airflow's API server did not answer, or answered 5xx, at every try."""


class AirflowApi:
    """Talks to one Airflow as one user.

    A refused connection and answers of 5xx are tried again for some seconds, because SQLite gives
    both under load. Raises :class:`ApiRefusedError` or :class:`ApiUnavailableError`.
    """

    def __init__(self, url: str, user: str, password: str, *, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._user = user
        self._password = password
        self._timeout = timeout
        self._token: str | None = None
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy may stand between us and loopback

    def close(self) -> None:
        """Give back the connections."""
        self._session.close()

    def health(self) -> Health:
        """Return the state of Airflow's parts; needs no login and is not tried again."""
        answer = self._send_once("GET", "/api/v2/monitor/health", None, None, login=False)
        return Health.model_validate(answer.json())

    # ---- DAGs

    def dag(self, dag_id: str) -> Dag:
        """Return one DAG."""
        return self._get(Dag, f"/dags/{quote(dag_id)}")

    def dag_details(self, dag_id: str) -> DagDetails:
        """Return one DAG with its documentation and parameters."""
        return self._get(DagDetails, f"/dags/{quote(dag_id)}/details")

    def find_dag(self, dag_id: str) -> Dag | None:
        """Return one DAG, or nothing while Airflow does not know it."""
        try:
            return self.dag(dag_id)
        except ApiRefusedError as error:
            if error.status == requests.codes.not_found:
                return None
            raise

    def dags(self) -> tuple[Dag, ...]:
        """Return all DAGs that are not stale."""
        return tuple(self._pages(Dag, "/dags", "dags"))

    def dag_versions(self, dag_id: str) -> tuple[DagVersion, ...]:
        """Return the versions of a DAG, oldest first."""
        found = self._pages(DagVersion, f"/dags/{quote(dag_id)}/dagVersions", "dag_versions")
        return tuple(sorted(found, key=lambda version: version.version_number))

    def import_errors(self) -> tuple[ImportProblem, ...]:
        """Return the DAG files that cannot be imported."""
        return tuple(self._pages(ImportProblem, "/importErrors", "import_errors"))

    def set_paused(self, dag_id: str, paused: bool) -> Dag:
        """Pause or unpause a DAG."""
        answer = self._call("PATCH", f"/dags/{quote(dag_id)}", {"is_paused": paused})
        return Dag.model_validate(answer.json())

    # ---- runs

    def trigger(
        self, dag_id: str, conf: Mapping[str, object] | None = None, *, run_id: str | None = None
    ) -> DagRun:
        """Start a run and return it. Trying again cannot start a second one."""
        name = run_id or f"local__{uuid.uuid4().hex[:12]}"
        body = {"logical_date": None, "dag_run_id": name, "conf": dict(conf or {})}
        try:
            answer = self._call("POST", f"/dags/{quote(dag_id)}/dagRuns", body)
        except ApiRefusedError as error:
            if error.status == requests.codes.conflict and run_id is None:
                return self.run(dag_id, name)  # an earlier try did reach Airflow
            raise
        return DagRun.model_validate(answer.json())

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """Return one run."""
        return self._get(DagRun, self._run_path(dag_id, run_id))

    def runs(self, dag_id: str) -> tuple[DagRun, ...]:
        """Return all runs of a DAG."""
        return tuple(self._pages(DagRun, f"/dags/{quote(dag_id)}/dagRuns", "dag_runs"))

    def wait_for_run(self, dag_id: str, run_id: str, *, timeout: float = 120.0) -> DagRun:
        """Wait until a run has finished; raises :class:`TimeoutError` after so many seconds."""
        deadline = time.monotonic() + timeout
        while not (run := self.run(dag_id, run_id)).is_finished:
            if time.monotonic() > deadline:
                states = {task.label: task.state for task in self.task_instances(dag_id, run_id)}
                raise TimeoutError(
                    f"run {run_id} of {dag_id} is {run.state} after {timeout:.0f} s: {states}"
                )
            time.sleep(0.3)
        return run

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> DagRun:
        """Mark a run ``success``, ``failed`` or ``queued``, as the UI does."""
        answer = self._call("PATCH", self._run_path(dag_id, run_id), {"state": state})
        return DagRun.model_validate(answer.json())

    # ---- tasks

    def task_instances(self, dag_id: str, run_id: str) -> tuple[TaskInstance, ...]:
        """Return all task instances of a run."""
        path = f"{self._run_path(dag_id, run_id)}/taskInstances"
        return tuple(self._pages(TaskInstance, path, "task_instances"))

    def task_instance(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1
    ) -> TaskInstance:
        """Return one task instance."""
        return self._get(TaskInstance, self._task_path(dag_id, run_id, task_id, map_index))

    def set_task_state(
        self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1
    ) -> None:
        """Mark a task instance ``success``, ``failed`` or ``skipped``, as the UI does."""
        path = self._task_path(dag_id, run_id, task_id, map_index)
        self._call("PATCH", path, {"new_state": state})

    def clear(
        self,
        dag_id: str,
        run_id: str,
        task_ids: Sequence[str] | None = None,
        *,
        only_failed: bool = False,
        downstream: bool = True,
    ) -> tuple[TaskInstance, ...]:
        """Clear tasks of a run, all of them without ``task_ids``, so that they run again."""
        body: dict[str, object] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": only_failed,
            "include_downstream": downstream,
        }
        if task_ids is not None:
            body["task_ids"] = list(task_ids)
        answer = self._call("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", body)
        cleared = answer.json()["task_instances"]
        return tuple(TaskInstance.model_validate(task) for task in cleared)

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> str:
        """Return the log of one try as text: a line an event, with its extra fields as JSON."""
        path = f"{self._run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}"
        answer = self._call(
            "GET", path, query={"map_index": str(map_index), "full_content": "true"}
        )
        return "\n".join(log_line(entry) for entry in answer.json()["content"])

    def xcom(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        key: str = "return_value",
        map_index: int = -1,
    ) -> object:
        """Return an XCom's value; nothing if there is none of that key."""
        path = f"{self._run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries"
        query = {"map_index": str(map_index), "stringify": "false"}
        try:
            answer = self._call("GET", f"{path}/{quote(key)}", query=query)
        except ApiRefusedError as error:
            if error.status == requests.codes.not_found:
                return None
            raise
        value: object = answer.json()["value"]
        return value

    # ---- the wire

    def call(
        self,
        method: Method,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> object:
        """Call any other path below ``/api/v2`` and return the decoded answer."""
        answer = self._call(method, path, body, query)
        decoded: object = answer.json() if answer.content else None
        return decoded

    @staticmethod
    def _run_path(dag_id: str, run_id: str) -> str:
        return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}"

    def _task_path(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
        path = f"{self._run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}"
        return path if map_index < 0 else f"{path}/{map_index}"

    def _get(self, kind: type[AnswerType], path: str) -> AnswerType:
        return kind.model_validate(self._call("GET", path).json())

    def _pages(self, kind: type[AnswerType], path: str, key: str) -> Iterator[AnswerType]:
        offset = 0
        while True:
            query = {"limit": str(PAGE), "offset": str(offset)}
            page = self._call("GET", path, query=query).json()[key]
            yield from (kind.model_validate(entry) for entry in page)
            if len(page) < PAGE:
                return
            offset += PAGE

    def _call(
        self,
        method: Method,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> requests.Response:
        problem: PlannerError | None = None
        for pause in (*RETRY_PAUSES, None):
            try:
                return self._send_once(method, f"/api/v2{path}", body, query, login=True)
            except ApiUnavailableError as error:
                problem = error
            except ApiRefusedError as error:
                if error.status != requests.codes.unauthorized:
                    raise
                problem = error
                self._token = None  # it expired, or Airflow came back with another secret
            if pause is not None:
                time.sleep(pause)
        raise problem or ApiUnavailableError(f"no answer from {self.url}")

    def _send_once(
        self,
        method: Method,
        path: str,
        body: Mapping[str, object] | None,
        query: Mapping[str, str] | None,
        *,
        login: bool,
    ) -> requests.Response:
        headers = {"Accept": "application/json"}
        if login:
            headers["Authorization"] = f"Bearer {self._log_in()}"
        try:
            answer = self._session.request(
                method,
                f"{self.url}{path}",
                json=body,
                params=query,
                headers=headers,
                timeout=self._timeout,
            )
        except requests.RequestException as error:
            raise ApiUnavailableError(f"{method} {path}: no answer: {error}") from error
        if answer.status_code >= requests.codes.server_error:
            raise ApiUnavailableError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        if not answer.ok:
            raise ApiRefusedError(
                f"{method} {path}: {answer.status_code} {answer.text[:300]}", answer.status_code
            )
        return answer

    def _log_in(self) -> str:
        if self._token is None:
            body = {"username": self._user, "password": self._password}
            answer = self._send_once("POST", "/auth/token", body, None, login=False)
            self._token = str(answer.json()["access_token"])
        return self._token


def log_line(entry: object) -> str:
    """Return one entry of a task's log as a line of text."""
    match entry:
        case {"event": event, **rest}:
            stamp = str(rest.pop("timestamp", "") or "")
            level = str(rest.pop("level", "") or "")
            extra = json.dumps(rest, sort_keys=True, default=str) if rest else ""
            return " ".join(part for part in (stamp, level, str(event), extra) if part)
        case _:
            return str(entry)
