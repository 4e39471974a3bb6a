"""Polling is cheap: one look a second for all, and nothing is sent that has not changed."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import timedelta

import pytest
from httpx import Response

from planner_provider.web import airflow_dags, sight
from planner_provider.web.answers import Rendered, RenderedOnce
from planner_provider.web.models import Me
from planner_provider.web.sight import Planner, Shared, planner
from tests.ledger.cases import claim
from tests.web.pages import Page


def test_nothing_new_is_not_sent_again(page: Page) -> None:
    plan_id = page.run("release")
    for path in ("/overview", f"/runs/{plan_id}"):
        first = page.get(path)
        tag = first.headers["etag"]
        for given in (tag, f'W/"other", {tag}', tag.removeprefix("W/")):
            again = page.get(path, **{"If-None-Match": given})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert page.get(path, **{"If-None-Match": '"other"'}).status_code == 200
    old = page.get("/overview").headers["etag"]
    page.ledger.hold_run(plan_id, actor="ui:ada", reason="lunch", now=page.now)
    new = page.get("/overview", **{"If-None-Match": old})
    assert (new.status_code, new.json()["running"][0]["state"]) == (200, "held")


def test_a_run_that_acts_is_sent_again_when_it_falls_silent(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not each second in which it is well."""
    plan_id = page.run("release", "manual__1", "db://orders")
    page.ledger.begin_act(claim("s1", dag_id="release", run_id="manual__1"), now=page.now)

    def after(seconds: float, tag: str = "") -> Response:
        moment = page.now + timedelta(seconds=seconds)
        monkeypatch.setattr(Planner, "now", staticmethod(lambda: moment))
        return page.get(f"/runs/{plan_id}", **{"If-None-Match": tag})

    first = after(0)
    tag = first.headers["etag"]
    assert "less than 10 s ago" in first.json()["advice"][0]
    assert [after(seconds, tag).status_code for seconds in (1, 3, 9)] == [304, 304, 304]
    silent = after(21, tag)
    assert (silent.status_code, "more than 20 s ago" in silent.json()["advice"][0]) == (200, True)


def test_users_with_other_rights_have_another_tag(page: Page) -> None:
    page.run("release")
    tags = {
        user: page.get("/overview", user).headers["etag"]
        for user in ("bob/user", "eve/user", "vera/viewer")
    }
    assert tags["bob/user"] == tags["eve/user"] != tags["vera/viewer"]


def test_long_answers_are_compressed_once(page: Page) -> None:
    for number in range(5):
        page.run(f"release-{number}")
    answer = page.get("/overview", **{"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["vary"]
    plain = page.get("/overview", **{"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json()["running"] == answer.json()["running"]


def test_all_who_ask_within_a_second_share_one_look(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sight, "LIFE_SECONDS", 60.0)
    planner.cache_clear()
    looks = []
    look = planner().overviews.board
    monkeypatch.setattr(planner().overviews, "board", lambda now: looks.append(now) or look(now))
    plan_id = page.run("release")
    for user in ("ada/user", "bob/user", "vera/viewer", "ada/user"):
        assert len(page.json("/overview", user)["running"]) == 1
        page.json("/plans", user)
    assert len(looks) == 1
    assert page.post(f"/runs/{plan_id}/hold").status_code == 200
    assert page.json("/overview")["running"][0]["state"] == "held", "who changes it sees it"
    assert len(looks) == 2


class Counter:
    def __init__(self, *values: object) -> None:
        self.values = list(values)
        self.reads = 0

    def __call__(self) -> object:
        self.reads += 1
        return self.values[min(self.reads, len(self.values)) - 1]


def test_what_has_not_changed_stays_the_same_object() -> None:
    first, equal, other = [1], [1], [2]
    shared: Shared[object] = Shared(Counter(first, equal, other), life=0.0)
    assert shared.get() is first
    assert shared.get() is first
    assert shared.get() is other


def test_shared_is_read_once_in_its_life() -> None:
    read = Counter(1, 2)
    shared: Shared[object] = Shared(read, life=60.0)
    assert (shared.fresh(), shared.get(), shared.get(), shared.fresh()) == (None, 1, 1, 1)
    shared.forget()
    assert (shared.fresh(), shared.get(), read.reads) == (None, 2, 2)


def test_rendered_answers_are_kept_for_their_source_only() -> None:
    kept, source, other = RenderedOnce(), object(), object()
    made: list[str] = []

    def make(text: str) -> Callable[[], Rendered]:
        return lambda: made.append(text) or Rendered(text.encode(), None, text)  # type: ignore[func-returns-value]

    assert kept.get(source, "a", make("1")).tag == "1"
    assert kept.get(source, "a", make("2")).tag == "1"
    assert kept.known(other, "a") is None
    assert kept.get(other, "a", make("3")).tag == "3"
    assert kept.known(source, "a") is None
    assert made == ["1", "3"]


def test_short_answers_are_not_compressed() -> None:
    from planner_provider.web.answers import rendered

    short = rendered(Me(user="ada", version="1"))
    long = rendered(Me(user="a" * 2_000, version="1"))
    assert short.packed is None
    assert long.packed is not None
    assert gzip.decompress(long.packed) == long.body
    assert rendered(Me(user="x", version="1"), besides={"user"}).tag == (
        rendered(Me(user="y", version="1"), besides={"user"}).tag
    )


def test_airflow_is_asked_for_dags_every_other_second(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Counter({}, {"a": airflow_dags.DagNow(False, False)})
    monkeypatch.setattr(airflow_dags, "read_dags", read)
    dags = airflow_dags.Dags()
    assert dags.now() == dags.now() == {}
    assert read.reads == 1
    dags._until = 0.0
    assert set(dags.now()) == {"a"}
