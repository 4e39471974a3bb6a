"""The security headers stand on every answer, whoever made it."""

from __future__ import annotations

import pytest
from httpx import Response

from planner_provider.web.mount import MountedPlans
from planner_provider.web.routes import overview
from tests.web.pages import Page

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)


def must_be_safe(answer: Response) -> None:
    assert answer.headers.get_list("content-security-policy") == [POLICY]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"


def test_on_answers_of_every_status(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        200: page.get("/me"),
        302: page.client.get("/"),
        401: page.get("/overview", user=""),
        403: page.post("/runs/x/abort", headers={}),
        404: page.get("/runs/nothing"),
        405: page.client.delete("/api/v1/me"),
        422: page.get("/runs?limit=nonsense"),
    }

    def broken(*_: object) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr(overview.rows, "overview", broken)
    answers[500] = page.get("/overview")
    for status, answer in answers.items():
        assert answer.status_code == status
        must_be_safe(answer)
        assert answer.headers["cache-control"] == "no-store"
        if status >= 400:
            assert answer.headers["content-type"] == "application/json"
            assert set(answer.json()) == {"error", "hint"}
    assert "secret" not in answers[500].text


def test_a_ledger_that_does_not_answer(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from planner_provider.errors import UnavailableError
    from planner_provider.web.sight import planner

    def gone(_: object) -> None:
        raise UnavailableError("The ledger at postgresql://planner@db.example.com did not answer")

    monkeypatch.setattr(planner().overviews, "board", gone)
    answer = page.get("/overview")
    assert answer.status_code == 503
    assert "db.example.com" not in answer.text
    must_be_safe(answer)


def test_an_app_that_cannot_be_made_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi.testclient import TestClient

    def broken() -> None:
        raise ImportError("something is missing")

    monkeypatch.setattr("planner_provider.web.app.create_app", broken)
    answer = TestClient(MountedPlans()).get("/api/v1/me")
    assert answer.status_code == 503
    assert answer.json()["error"] == "The Plans page cannot be made."
    must_be_safe(answer)


def test_the_app_is_made_when_it_is_asked_for(page: Page) -> None:
    from fastapi.testclient import TestClient

    mounted = MountedPlans()
    assert mounted._app is None
    assert TestClient(mounted).get("/api/v1/me").status_code == 401
    assert mounted.make() is mounted.make()
