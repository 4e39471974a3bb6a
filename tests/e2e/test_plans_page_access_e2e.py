"""The Plans page in a real Airflow: who gets in, who sees what, and who may change what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from fastapi.routing import APIRoute

from planner_provider.ledger import Ledger
from planner_provider.ledger.rows import RunKey
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.localstack.settings import StackSettings
from planner_provider.web.app import create_app
from tests.e2e import partial_auth
from tests.e2e.local_bundle import QUICK, header, make_bundle

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
USERS = {"admin": "admin", "ada": "user", "vera": "viewer", "olga": "user"}
PLANS = ("release", "secret-release")
OWN = {"X-Planner-Request": "1"}
SECONDS = 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page") / "home"


@pytest.fixture(scope="module")
def ledger(home: Path) -> Ledger:
    """A run of each plan; written down, not run: this is about who may see it."""
    book = Ledger(f"sqlite:///{home.parent / 'planner.db'}")
    for plan in PLANS:
        now, digest = datetime.now(UTC), "d" * 64
        key = RunKey(f"{plan}-1", plan, plan, "manual__1", digest)
        book.pin_run(key, expires_at=None, parameters={}, actor="t", now=now)
    return book


@pytest.fixture(scope="module")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, home: Path, ledger: Ledger
) -> Iterator[LocalAirflow]:
    specs = make_bundle(home.parent / "bundle")
    for plan in PLANS:
        step = "    - {id: tell, notify: {message: hello}}\n"
        (specs / f"{plan}.yaml").write_text(header(plan) + step)
    env = {
        **QUICK,
        **partial_auth.environment(str(ROOT), olga="secret-"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__PLANNER__SQL_ALCHEMY_CONN": ledger.url,
        "AIRFLOW__PLANNER__OVERRIDE_USERS": "ada",
        "AIRFLOW__PLANNER__METRICS_TOKEN": "s3cret",
    }
    settings = StackSettings(
        home=home, dags=home.parent / "bundle" / "dags", users=USERS, env=env, parallelism=2
    )
    cache = tmp_path_factory.getbasetemp() / "airflow-template"
    with LocalAirflow(settings, template_cache=cache) as made:
        made.wait_ready()
        for plan in PLANS:
            made.wait_dag(plan)
        yield made


class Visitor:
    """A browser without a page: it sends the login as a cookie, as browsers do."""

    def __init__(self, airflow: LocalAirflow, user: str | None) -> None:
        self.page = f"{airflow.settings.url}/planner"
        self.session = requests.Session()
        self.session.trust_env = False
        if user is not None:
            body = {"username": user, "password": airflow.settings.passwords()[user]}
            url = f"{airflow.settings.url}/auth/token"
            answer = self.session.post(url, json=body, timeout=SECONDS)
            self.session.cookies.set("_token", answer.json()["access_token"])

    def ask(self, method: str, path: str, **more: object) -> requests.Response:
        return self.session.request(
            method, f"{self.page}{path}", timeout=SECONDS, allow_redirects=False, **more
        )  # type: ignore[arg-type]

    def get(self, path: str) -> requests.Response:
        return self.ask("GET", f"/api/v1{path}")

    def post(self, path: str, **headers: str) -> requests.Response:
        body = {"reason": "a test"}
        return self.ask("POST", f"/api/v1{path}", json=body, headers=OWN | headers)


def test_without_a_login_no_route_answers(airflow: LocalAirflow) -> None:
    nobody, walked = Visitor(airflow, None), 0
    for route in create_app().routes:
        assert isinstance(route, APIRoute)
        path = re.sub(r"\{[^}]*\}", "1", route.path)
        for method in route.methods:
            answer = nobody.ask(method, path, json={}, headers=OWN)
            if route.path == "/":
                assert answer.status_code == 302
                assert answer.headers["location"].startswith("/api/v2/auth/login?next=")
            else:
                assert answer.status_code in {401, 403}, f"{method} {path}: {answer.status_code}"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            walked += 1
    assert walked >= 18


def test_the_login_leads_back_to_the_page(airflow: LocalAirflow) -> None:
    nobody = Visitor(airflow, None)
    to_login = nobody.ask("GET", "/").headers["location"]
    answer = nobody.session.get(
        f"{airflow.settings.url}{to_login}", timeout=SECONDS, allow_redirects=False
    )
    assert answer.status_code == 307
    assert answer.headers["location"].endswith("/auth/login?next=%2Fplanner%2F")


def test_who_may_not_read_a_dag_does_not_see_its_plan(airflow: LocalAirflow) -> None:
    ada, olga = Visitor(airflow, "ada"), Visitor(airflow, "olga")

    def running(visitor: Visitor) -> set[str]:
        return {row["plan"] for row in visitor.get("/overview").json()["running"]}

    assert running(ada) == set(PLANS)
    assert running(olga) == {"release"}
    assert {row["plan"] for row in olga.get("/plans").json()} == {"release"}
    for path in ("/overview", "/plans", "/runs", "/audit", "/locks", "/decisions"):
        assert "secret" not in olga.get(path).text, path
    hidden, unknown = olga.get("/runs/secret-release-1"), olga.get("/runs/nothing")
    assert (hidden.status_code, hidden.content) == (404, unknown.content)
    hidden, unknown = olga.post("/runs/secret-release-1/hold"), olga.post("/runs/nothing/hold")
    assert (hidden.status_code, hidden.content) == (404, unknown.content)
    assert ada.get("/runs/secret-release-1").status_code == 200


def test_a_viewer_sees_and_changes_nothing(airflow: LocalAirflow, ledger: Ledger) -> None:
    vera = Visitor(airflow, "vera")
    (row,) = (r for r in vera.get("/overview").json()["running"] if r["plan"] == "release")
    assert row["rights"] == {"trigger": False, "steer": False, "override": False}
    for act in ("abort", "hold", "resume"):
        assert vera.post(f"/runs/release-1/{act}").status_code == 403, act
    throttle = vera.ask(
        "POST", "/api/v1/runs/release-1/throttles/x", json={"limit": 1}, headers=OWN
    )
    assert throttle.status_code == 403
    run = ledger.run("release-1")
    assert run is not None
    assert (run.abort_at, run.held_at) == (None, None)


def test_a_user_steers_under_their_name(airflow: LocalAirflow, ledger: Ledger) -> None:
    ada = Visitor(airflow, "ada")
    assert ada.post("/runs/release-1/hold", Origin="https://evil.example.com").status_code == 403
    for act, what in (("hold", "run.held"), ("resume", "run.resumed"), ("abort", "run.aborted")):
        answer = ada.post(f"/runs/release-1/{act}", Origin=airflow.settings.url)
        assert answer.status_code == 200, answer.text
        entry = ledger.audit_of("release-1")[-1]
        assert (entry.what, entry.actor) == (what, "ui:ada")
    assert ada.get("/runs/release-1").json()["row"]["state"] == "stopping"


def test_polling_and_metrics(airflow: LocalAirflow) -> None:
    ada = Visitor(airflow, "ada")
    first = ada.get("/overview")
    headers = {"If-None-Match": first.headers["etag"]}
    assert ada.ask("GET", "/api/v1/overview", headers=headers).status_code == 304
    token = {"Authorization": "Bearer s3cret"}
    metrics = Visitor(airflow, None).ask("GET", "/metrics", headers=token)
    assert (metrics.status_code, "planner_" in metrics.text) == (200, True)


def test_airflow_shows_the_page(airflow: LocalAirflow) -> None:
    found = airflow.api.call("GET", "/plugins")
    assert isinstance(found, dict)
    (plugin,) = (item for item in found["plugins"] if item["name"] == "planner")
    assert {view["destination"] for view in plugin["external_views"]} == {"nav", "dag", "dag_run"}
    assert airflow.api.call("GET", "/plugins/importErrors") == {
        "import_errors": [], "total_entries": 0,
    }  # fmt: skip
