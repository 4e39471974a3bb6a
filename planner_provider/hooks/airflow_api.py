"""Airflow's own REST API (v2), through a Connection: DAGs, their partitions and their runs.

The Connection is of type http. With a login, its user and password are exchanged for a token at
``/auth/token``; without one, its password is the token. A token that is not taken any more is
fetched anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from planner_provider.decide.partitions import TargetRun
from planner_provider.errors import (
    MisconfiguredError,
    PlannerError,
    RefusedError,
    UnavailableError,
)
from planner_provider.hooks.connections import get_connection
from planner_provider.hooks.http import HttpAnswer, HttpRequest, HttpServer, connect, send

PAGE = 100
"""Entries of a list in one answer; Airflow's own limit by default."""
TRY_AGAIN_AFTER = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries after no answer, 429 and 5xx."""
ACTIVE = ("queued", "running")


class ApiRefusedError(RefusedError):
    """Airflow answered with a 4xx status. ``status`` is that number."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class TargetDag:
    """What Airflow tells about a DAG."""

    dag_id: str
    is_paused: bool
    is_stale: bool
    has_import_errors: bool
    max_active_runs: int | None
    periodic: bool
    """Whether it has a schedule that gives logical dates."""
    partitioned: bool
    """Whether its runs go by partition keys in place of logical dates."""
    allowed_run_types: tuple[str, ...] | None
    next_interval: tuple[datetime, datetime] | None
    """Data interval of its next run by the schedule."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be made."""

    run_id: str
    logical_date: datetime
    interval_end: datetime
    conf: Mapping[str, Any]
    note: str


class AirflowApi:
    """One Airflow, called as one user.

    No answer, 429 and 5xx are tried again for some seconds; so every call may reach Airflow more
    than once, and each is made so that this does no harm.

    Args:
        connection: Airflow Connection of type http.
        timeout: longest wait for one answer, in seconds.
        pause: how to wait between tries; an operator's own, so that a stop is seen.

    Raises:
        MisconfiguredError: the Connection is missing, or its credentials are not good.
        UnavailableError: Airflow did not answer, or answered 429 or 5xx, at every try.
        ApiRefusedError: any other answer of 4xx.
    """

    def __init__(
        self,
        connection: str,
        *,
        timeout: float = 30.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection = connection
        self.timeout = timeout
        self.pause = pause
        self._server: HttpServer | None = None
        self._token: str | None = None

    def close(self) -> None:
        """Give back what the connections hold."""
        if self._server is not None:
            self._server.session.close()
            self._server = None

    # ---- DAGs

    def dag(self, dag_id: str) -> TargetDag:
        """One DAG. Raises ``RefusedError`` if there is none."""
        try:
            found = self._call("GET", f"/dags/{quote(dag_id)}")
        except ApiRefusedError as error:
            if error.status == 404:
                raise RefusedError(
                    f"There is no DAG '{dag_id}' at connection '{self.connection}'; mend `dag`, or "
                    "look whether its file can be imported"
                ) from error
            raise
        return _dag(found)

    def set_paused(self, dag_id: str, paused: bool) -> None:
        """Pause or unpause a DAG."""
        self._call("PATCH", f"/dags/{quote(dag_id)}?update_mask=is_paused", {"is_paused": paused})

    def logical_dates(self, dag_id: str, begin: datetime, end: datetime) -> tuple[datetime, ...]:
        """Logical dates of the DAG's timetable from ``begin`` on and before ``end``, rising.

        Airflow leaves out those whose data interval is not over, and those whose run is queued or
        running. Raises ``RefusedError`` where Airflow says why it cannot list them.
        """
        body = {
            "dag_id": dag_id,
            "from_date": begin.isoformat(),
            "to_date": end.isoformat(),
            "reprocess_behavior": "completed",
        }
        listed = self._call("POST", "/backfills/dry_run", body)["backfills"]
        dates = (_moment(entry.get("logical_date")) for entry in listed)
        return tuple(sorted(date for date in dates if date is not None and begin <= date < end))

    # ---- runs

    def runs(
        self,
        dag_id: str,
        begin: datetime,
        end: datetime,
        *,
        states: tuple[str, ...] = (),
    ) -> tuple[TargetRun, ...]:
        """Runs with a logical date from ``begin`` to ``end``, both included."""
        query = [("logical_date_gte", begin.isoformat()), ("logical_date_lte", end.isoformat())]
        query += [("state", state) for state in states]
        return tuple(self._listed(dag_id, query))

    def scheduled_runs(self, dag_id: str, limit: int = PAGE) -> dict[datetime, datetime]:
        """Logical date and end of the data interval of runs that the schedule made, newest."""
        query = [("run_type", "scheduled"), ("run_type", "backfill"), ("order_by", "-logical_date")]
        page = self._page(dag_id, [*query, ("limit", str(limit))])
        return dict(_interval(entry) for entry in page["dag_runs"] if _has_interval(entry))

    def count_active(self, dag_id: str) -> int:
        """How many runs of a DAG are queued or running, whoever made them."""
        query = [("state", state) for state in ACTIVE]
        return int(self._page(dag_id, [*query, ("limit", "1")])["total_entries"])

    def run_at(self, dag_id: str, logical_date: datetime) -> TargetRun | None:
        """The run of a logical date; Airflow has at most one."""
        return next(iter(self.runs(dag_id, logical_date, logical_date)), None)

    def run(self, dag_id: str, run_id: str) -> TargetRun | None:
        """One run, ``None`` if there is none of this id."""
        try:
            return _run(self._call("GET", _run_path(dag_id, run_id)))
        except ApiRefusedError as error:
            if error.status == 404:
                return None
            raise

    def make_run(self, dag_id: str, new: NewRun) -> bool:
        """Make a run; ``False`` if there is one of this id or logical date already."""
        body = {
            "dag_run_id": new.run_id,
            "logical_date": new.logical_date.isoformat(),
            "data_interval_start": new.logical_date.isoformat(),
            "data_interval_end": new.interval_end.isoformat(),
            "conf": dict(new.conf),
            "note": new.note,
        }
        try:
            self._call("POST", f"/dags/{quote(dag_id)}/dagRuns", body)
        except ApiRefusedError as error:
            if error.status == 409:
                return False
            raise
        return True

    def clear_run(self, dag_id: str, run_id: str, note: str) -> None:
        """Let all tasks of a run that ended run again."""
        body = {"dry_run": False, "only_failed": False, "note": note}
        self._call("POST", f"{_run_path(dag_id, run_id)}/clear", body)

    def fail_run(self, dag_id: str, run_id: str) -> None:
        """Stop a run and mark it as failed. One that is gone is none to stop."""
        try:
            self._call("PATCH", _run_path(dag_id, run_id), {"state": "failed"})
        except ApiRefusedError as error:
            if error.status != 404:
                raise

    # ---- the wire

    def _listed(self, dag_id: str, query: list[tuple[str, str]]) -> Iterator[TargetRun]:
        offset = 0
        while True:
            paged = [*query, ("order_by", "id"), ("limit", str(PAGE)), ("offset", str(offset))]
            page = self._page(dag_id, paged)["dag_runs"]
            yield from (_run(entry) for entry in page)
            if not page:
                return
            offset += len(page)
            if len(page) < PAGE:
                return

    def _page(self, dag_id: str, query: list[tuple[str, str]]) -> dict[str, Any]:
        found: dict[str, Any] = self._call(
            "GET", f"/dags/{quote(dag_id)}/dagRuns?{urlencode(query)}"
        )
        return found

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        problem: PlannerError | None = None
        for wait in (*TRY_AGAIN_AFTER, None):
            try:
                answer = self._ask(method, f"/api/v2{path}", body)
            except UnavailableError as error:
                problem = error
            else:
                if answer.status == 401 and self._renewable():
                    self._token = None
                    problem = self._not_let_in(answer)
                elif answer.status == 429 or answer.status >= 500:
                    problem = UnavailableError(_said(answer))
                else:
                    return self._decoded(answer)
            if wait is not None:
                self.pause(wait)
        raise problem or UnavailableError(f"connection {self.connection} did not answer")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> HttpAnswer:
        server = self._connected()
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token_of()}"}
        return send(
            HttpRequest(
                connection=self.connection,
                method=method,
                path=path,
                headers=headers,
                body=None if body is None else dict(body),
                timeout=self.timeout,
            ),
            server,
        )

    def _connected(self) -> HttpServer:
        if self._server is None:
            self._server = connect(self.connection)
            self._server.session.auth = None  # Airflow's API takes tokens, not basic auth
        return self._server

    def _renewable(self) -> bool:
        return bool(get_connection(self.connection).login)

    def _token_of(self) -> str:
        if self._token is None:
            connection = get_connection(self.connection)
            password = connection.password or ""
            if not password:
                raise MisconfiguredError(
                    f"Connection '{self.connection}' has no password: give it a user and a "
                    "password of this Airflow, or leave the user out and give a token as password"
                )
            self._token = self._log_in(connection.login, password) if connection.login else password
        return self._token

    def _log_in(self, user: str, password: str) -> str:
        answer = send(
            HttpRequest(
                connection=self.connection,
                method="POST",
                path="/auth/token",
                body={"username": user, "password": password},
                timeout=self.timeout,
            ),
            self._connected(),
        )
        if answer.status == 429 or answer.status >= 500:
            raise UnavailableError(_said(answer))
        if answer.status >= 300:
            raise self._not_let_in(answer)
        token = _json(answer).get("access_token")
        if not isinstance(token, str):
            raise MisconfiguredError(
                f"{answer.where} gave no token; is this the address of an Airflow?"
            )
        return token

    def _not_let_in(self, answer: HttpAnswer) -> MisconfiguredError:
        return MisconfiguredError(
            f"{_said(answer)}. Look at user and password of connection '{self.connection}'"
        )

    def _decoded(self, answer: HttpAnswer) -> Any:
        if answer.status == 401:
            raise self._not_let_in(answer)
        if answer.status == 403:
            raise MisconfiguredError(
                f"{_said(answer)}. The user of connection '{self.connection}' needs the right to "
                "read the DAG, and to make, change and clear its runs"
            )
        if answer.status >= 300:
            raise ApiRefusedError(_said(answer), answer.status)
        return _json(answer) if answer.body else {}


def _said(answer: HttpAnswer) -> str:
    try:
        detail = json.loads(answer.text).get("detail")
    except (ValueError, AttributeError):
        detail = None
    if isinstance(detail, dict):
        detail = detail.get("message") or detail.get("reason")
    text = detail if isinstance(detail, str) else answer.excerpt
    said = f"{answer.where} answered {answer.status} {answer.reason}"
    return f"{said}: {text}" if text else said


def _json(answer: HttpAnswer) -> dict[str, Any]:
    try:
        found = json.loads(answer.text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise MisconfiguredError(
            f"{answer.where} did not answer with a JSON object; is this the address of an Airflow?"
        )
    return found


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None


def _dag(found: Mapping[str, Any]) -> TargetDag:
    begin = _moment(found.get("next_dagrun_data_interval_start"))
    end = _moment(found.get("next_dagrun_data_interval_end"))
    allowed = found.get("allowed_run_types")
    return TargetDag(
        dag_id=found["dag_id"],
        is_paused=bool(found["is_paused"]),
        is_stale=bool(found.get("is_stale")),
        has_import_errors=bool(found.get("has_import_errors")),
        max_active_runs=found.get("max_active_runs"),
        periodic=bool(found.get("timetable_periodic", True)),
        partitioned=bool(found.get("timetable_partitioned")),
        allowed_run_types=None if allowed is None else tuple(allowed),
        next_interval=(begin, end) if begin is not None and end is not None else None,
    )


def _run(found: Mapping[str, Any]) -> TargetRun:
    return TargetRun(
        run_id=found["dag_run_id"],
        logical_date=_moment(found.get("logical_date")),
        state=found["state"],
        run_type=found.get("run_type") or "manual",
        started_at=_moment(found.get("start_date")),
        ended_at=_moment(found.get("end_date")),
    )


def _has_interval(found: Mapping[str, Any]) -> bool:
    keys = ("logical_date", "data_interval_start", "data_interval_end")
    return all(isinstance(found.get(key), str) for key in keys) and _moment(
        found["logical_date"]
    ) == _moment(found["data_interval_start"])


def _interval(found: Mapping[str, Any]) -> tuple[datetime, datetime]:
    begin = datetime.fromisoformat(found["data_interval_start"]).astimezone(UTC)
    return begin, datetime.fromisoformat(found["data_interval_end"]).astimezone(UTC)
