"""The page and its files: only what was built, only for who is logged in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from planner_provider.web import links
from planner_provider.web.routes import page as routes
from tests.web.pages import Page

LOGIN = {"Authorization": "Bearer ada/user"}


@pytest.fixture
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Plans</title>")
    (folder / "assets" / "app-1a2b.js").write_text("let x")
    (folder / "assets" / "app-1a2b.css").write_text("a{}")
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(routes, "STATIC", folder)
    routes._assets.cache_clear()
    yield folder
    routes._assets.cache_clear()


def test_the_page(page: Page, static: Path) -> None:
    answer = page.client.get("/", headers=LOGIN)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("name", "kind"), [("app-1a2b.js", "text/javascript"), ("app-1a2b.css", "text/css")]
)
def test_its_files_are_kept_by_the_browser(page: Page, static: Path, name: str, kind: str) -> None:
    answer = page.client.get(f"/assets/{name}", headers=LOGIN)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert page.client.get(f"/assets/{name}").status_code == 401


@pytest.mark.parametrize(
    "path",
    ["other.js", "..%2findex.html", "%2e%2e/index.html", "..%2f..%2fsecret.txt", "%2fetc%2fpasswd",
     ".", "app-1a2b.js%00", ""],
)  # fmt: skip
def test_nothing_else_is_read(page: Page, static: Path, path: str) -> None:
    answer = page.client.get(f"/assets/{path}", headers=LOGIN)
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_without_a_build_it_says_so(page: Page, static: Path) -> None:
    (static / "index.html").unlink()
    answer = page.client.get("/", headers=LOGIN)
    assert (answer.status_code, "make frontend" in answer.text) == (503, True)
    assert page.json("/me") == {"user": "ada", "version": page.app.version}


def test_addresses_below_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/airflow/prod/")
    links.root.cache_clear()
    try:
        assert links.page() == "/airflow/prod/planner/"
        assert links.login("/x?a=b") == "/airflow/prod/api/v2/auth/login?next=%2Fx%3Fa%3Db"
        assert links.task("d/1", "manual__2026-01-01T00:00:00+00:00", "g.t", is_group=True) == (
            "/airflow/prod/dags/d%2F1/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00"
            "/tasks/group/g.t"
        )
    finally:
        links.root.cache_clear()


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("https://traces.example.com/trace/{trace_id}", "https://traces.example.com/trace/abc"),
        ("javascript:alert('{trace_id}')", None),
        ("", None),
    ],
)
def test_traces(monkeypatch: pytest.MonkeyPatch, template: str, found: str | None) -> None:
    monkeypatch.setenv("AIRFLOW__PLANNER__TRACE_URL", template)
    assert links.trace("abc") == found
    assert links.trace(None) is None
