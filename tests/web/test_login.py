"""Nothing is answered without a login: proved by the app's own table of routes."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from planner_provider.web.deps import own_page_only
from tests.web.pages import OWN, Page

REFUSED = {401, 403}


def routes(page: Page) -> list[APIRoute]:
    found: list[BaseRoute] = list(page.app.routes)
    assert all(isinstance(route, APIRoute) for route in found), "a route of another kind"
    return [route for route in found if isinstance(route, APIRoute)]


def path_of(route: APIRoute) -> str:
    return re.sub(r"\{[^}]*\}", "1", route.path)


def test_every_route_refuses_who_is_not_logged_in(page: Page) -> None:
    seen = 0
    for route in routes(page):
        for method in route.methods:
            answer = page.client.request(method, path_of(route), json={}, headers=OWN)
            if route.path == "/":
                assert answer.status_code == 302
                assert answer.headers["location"] == "/api/v2/auth/login?next=%2Fplanner%2F"
            else:
                assert answer.status_code in REFUSED, f"{method} {route.path}"
            seen += 1
    assert seen >= 18


@pytest.mark.parametrize("token", ["nonsense", ""])
def test_a_wrong_token_is_no_login(page: Page, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    told = page.client.get("/api/v1/me", headers=headers)
    assert (told.status_code, told.json()["error"]) == (401, "You are not logged in.")
    for route in routes(page):
        for method in route.methods:
            answer = page.client.request(method, path_of(route), json={}, headers=OWN | headers)
            assert answer.status_code in {*REFUSED, 302}, f"{method} {route.path}"


def test_nothing_is_read_before_the_login(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> None:
        raise AssertionError("the ledger was read")

    monkeypatch.setattr("planner_provider.web.deps.planner", read)
    assert page.get("/overview", user="").status_code == 401
    assert page.get("/runs/x", user="").status_code == 401


def test_every_change_is_taken_from_the_own_page_only(page: Page) -> None:
    changing = [route for route in routes(page) if route.methods != {"GET"}]
    assert len(changing) == 5
    for route in changing:
        calls = {dependency.call for dependency in route.dependant.dependencies}
        assert own_page_only in calls, route.path


def test_there_is_no_documentation_to_read(page: Page) -> None:
    for path in ("/docs", "/redoc", "/openapi.json", "/api/v1/openapi.json"):
        assert page.client.get(path).status_code == 404


def test_the_login_comes_back_to_the_run(page: Page) -> None:
    answer = page.client.get("/?dag_id=a%26b&run_id=c")
    assert answer.headers["location"] == (
        "/api/v2/auth/login?next=%2Fplanner%2F%3Fdag_id%3Da%2526b%26run_id%3Dc"
    )


def test_metrics_have_a_token_of_their_own(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from planner_provider.web.sight import planner

    off = page.client.get("/metrics", headers={"Authorization": "Bearer ada/user"})
    assert (off.status_code, "metrics_token" in off.text) == (403, True)
    monkeypatch.setenv("AIRFLOW__PLANNER__METRICS_TOKEN", "s3cret")
    planner.cache_clear()
    for given in ("", "Bearer ", "Bearer ada/user", "Bearer s3cre", "Basic s3cret"):
        refused = page.client.get("/metrics", headers={"Authorization": given})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    right = page.client.get("/metrics", headers={"Authorization": "Bearer s3cret"})
    assert right.status_code == 200
    assert right.headers["content-type"].startswith("text/plain")
