"""The app without an Airflow around it: users, rights and DAGs are what the test says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi.testclient import TestClient
from httpx import Response
from jwt import InvalidTokenError

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import CompiledPlan, Hold, RunKey
from planner_provider.web import access, airflow_dags, links, sight
from planner_provider.web.airflow_dags import DagNow
from planner_provider.web.app import create_app
from planner_provider.web.routes import runs

OWN = {"X-Planner-Request": "1"}
HOST = "http://testserver"


@dataclass(frozen=True)
class User:
    name: str
    role: str = "user"

    def get_name(self) -> str:
        return self.name

    def get_id(self) -> str:
        return self.name


@dataclass
class FakeAuthManager:
    """Tokens are ``name:role``; viewers only read, and ``hidden`` says who does not see what."""

    hidden: dict[str, str] = field(default_factory=dict)
    """User -> prefix of DAG ids."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    no_audit: set[str] = field(default_factory=set)

    async def get_user_from_token(self, token: str) -> User:
        name, separator, role = token.partition("/")
        if not separator:
            raise InvalidTokenError("not one of ours")
        return User(name, role)

    def serialize_user(self, user: User) -> dict[str, Any]:
        return {"sub": user.name, "role": user.role}

    def is_authorized_dag(
        self, *, method: str, user: User, access_entity: Any = None, details: Any = None
    ) -> bool:
        self.asked.append((method, details.id))
        prefix = self.hidden.get(user.name)
        if prefix is not None and details.id.startswith(prefix):
            return False
        if access_entity is DagAccessEntity.AUDIT_LOG and user.name in self.no_audit:
            return False
        return method == "GET" or user.role != "viewer"

    def filter_authorized_dag_ids(
        self, *, dag_ids: set[str], user: User, method: str = "GET", team_name: str | None = None
    ) -> set[str]:
        prefix = self.hidden.get(user.name)
        return {name for name in dag_ids if prefix is None or not name.startswith(prefix)}


class Page:
    """The app, its ledger, and clients that are logged in."""

    def __init__(self, ledger: Ledger, manager: FakeAuthManager) -> None:
        self.ledger = ledger
        self.manager = manager
        self.dags: dict[str, DagNow] = {}
        self.app = create_app()
        self.client = TestClient(self.app, raise_server_exceptions=False, follow_redirects=False)
        self.now = datetime.now(UTC)

    def get(self, path: str, user: str = "ada/user", **headers: str) -> Response:
        """Ask the API as a user."""
        login = {"Authorization": f"Bearer {user}"} if user else {}
        found: Response = self.client.get(f"/api/v1{path}", headers=login | headers)
        return found

    def json(self, path: str, user: str = "ada/user") -> Any:
        """What the API answers."""
        answer = self.get(path, user)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        user: str = "ada/user",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Change something as a user, as the page does unless other headers are given."""
        login = {"Authorization": f"Bearer {user}"} if user else {}
        given = OWN if headers is None else headers
        found: Response = self.client.post(
            f"/api/v1{path}", json=dict(body or {"reason": "a test"}), headers=login | dict(given)
        )
        return found

    def run(
        self, plan: str, run_id: str = "manual__1", *touches: str, digest: str = "d" * 64
    ) -> str:
        """A run that has begun a step; its plan ID."""
        key = RunKey(f"{plan}-{digest[:8]}-{run_id}", plan, plan, run_id, digest)
        self.ledger.pin_run(
            key, expires_at=None, parameters={"version": "1"}, actor="t", now=self.now,
            requester="ada",
        )  # fmt: skip
        if touches:
            self.ledger.take_lease(
                key.plan_id, [Hold(name) for name in touches], actor="t", now=self.now
            )
        self.dags.setdefault(plan, DagNow(is_paused=False, is_stale=False))
        return key.plan_id

    def compile(self, *plans: CompiledPlan) -> None:
        """Have these plans compiled, and their DAGs known to Airflow."""
        self.ledger.remember_compiled(plans)
        for plan in plans:
            self.dags.setdefault(plan.plan, DagNow(is_paused=False, is_stale=False))

    def ahead(self, **time: float) -> str:
        """A moment from now on."""
        return (self.now + timedelta(**time)).isoformat()


@contextmanager
def made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Put an app together. Nothing is remembered from request to request, but what rights say."""
    url = f"sqlite:///{folder / 'planner.db'}"
    monkeypatch.setenv("AIRFLOW__PLANNER__SQL_ALCHEMY_CONN", url)
    monkeypatch.setenv("AIRFLOW__PLANNER__OVERRIDE_USERS", "ada, grace")
    monkeypatch.setattr(sight, "LIFE_SECONDS", 0.0)
    monkeypatch.setattr(access, "LIFE_SECONDS", 0.0)
    monkeypatch.setattr(airflow_dags, "LIFE_SECONDS", 0.0)
    monkeypatch.setattr(runs, "watched_runs", runs.WatchedRuns())
    manager = FakeAuthManager()
    for place in (
        "planner_provider.web.access.get_auth_manager",
        "airflow.api_fastapi.core_api.security.get_auth_manager",
    ):
        monkeypatch.setattr(place, lambda: manager)
    sight.planner.cache_clear()
    links.root.cache_clear()
    ready = Page(Ledger(url), manager)
    monkeypatch.setattr(airflow_dags, "read_dags", lambda: dict(ready.dags))
    try:
        yield ready
    finally:
        sight.planner().engine.dispose()
        sight.planner.cache_clear()
        links.root.cache_clear()
