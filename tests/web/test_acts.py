"""What people do from the page: asked of Airflow, never from another site, audited by name."""

from __future__ import annotations

import pytest

from planner_provider.ledger.rows import AuditEntry, ChangeKind, CompiledPlan, Outcome, Throttle
from tests.decide.calendars import nights
from tests.graph.plans import graph_of, put, small
from tests.web.pages import HOST, OWN, Page


def last(page: Page) -> AuditEntry:
    return page.ledger.audit_of()[-1]


def test_abort(page: Page) -> None:
    plan_id = page.run("release")
    answer = page.post(f"/runs/{plan_id}/abort", {"reason": " wrong version "})
    assert answer.status_code == 200
    assert "being stopped" in answer.json()["text"]
    entry = last(page)
    assert (entry.what, entry.actor, entry.detail) == (
        "run.aborted", "ui:ada", {"reason": "wrong version"},
    )  # fmt: skip
    assert page.json(f"/runs/{plan_id}")["row"]["state"] == "stopping"


def test_hold_and_resume(page: Page) -> None:
    plan_id = page.run("release")
    assert page.post(f"/runs/{plan_id}/resume").status_code == 409
    assert "is held" in page.post(f"/runs/{plan_id}/hold", {"reason": "lunch"}).json()["text"]
    assert (last(page).what, last(page).actor) == ("run.held", "ui:ada")
    found = page.json("/overview")
    assert (found["running"][0]["state"], found["needs_me"][0]["kind"]) == ("held", "held")
    again = page.post(f"/runs/{plan_id}/hold", user="bob/user").json()["text"]
    assert again == "The run was held already, by ui:ada."
    assert page.post(f"/runs/{plan_id}/resume", user="bob/user").status_code == 200
    assert (last(page).what, last(page).actor) == ("run.resumed", "ui:bob")
    assert page.json("/overview")["needs_me"] == []


@pytest.mark.parametrize("act", ["abort", "hold", "resume", "throttles/fill"])
def test_a_run_that_has_ended_is_left(page: Page, act: str) -> None:
    plan_id = page.run("release")
    run = page.ledger.run(plan_id)
    assert run is not None
    page.ledger.finish_run(run.key, Outcome.SUCCEEDED, "done", actor="t", now=page.now)
    body = {"limit": 2} if "throttles" in act else None
    answer = page.post(f"/runs/{plan_id}/{act}", body)
    assert (answer.status_code, "ended already" in answer.json()["error"]) == (409, True)
    assert last(page).what == "run.finished"


def throttled(page: Page) -> str:
    plan_id = page.run("fill")
    page.ledger.begin_throttle(Throttle("fill", plan_id, 4.0, 1.0, 8.0, "task:fill", page.now))
    return plan_id


def test_change_of_a_throttle(page: Page) -> None:
    plan_id = throttled(page)
    path = f"/runs/{plan_id}/throttles/fill"
    answer = page.post(path, {"limit": 2, "maximum": 6, "reason": "too much"})
    assert answer.json()["text"] == "2 may go on at once (between 1 and 6)."
    entry = last(page)
    assert (entry.what, entry.actor) == ("throttle.set", "ui:ada")
    assert (entry.detail["limit"], entry.detail["reason"]) == (2.0, "too much")
    paused = page.post(path, {"paused": True, "reason": "lunch"}).json()["text"]
    assert paused == "2 may go on at once (between 1 and 6). It is paused."
    assert (
        page.json("/overview")["running"][0]["waits_for"]
        == "throttle fill, paused by ui:ada: lunch"
    )
    for body, told in (
        ({"limit": 7}, "Limit 7 is not between 1 and 6."),
        ({"minimum": 9}, "0 <= min <= max <= 1024 must hold"),
        ({}, "Nothing is to be changed."),
        ({"limit": "many"}, "not what is expected"),
        ({"speed": 1}, "not what is expected"),
    ):
        refused = page.post(path, body)
        assert (refused.status_code, told in refused.json()["error"]) == (422, True), body
    unknown = page.post(f"/runs/{plan_id}/throttles/other", {"limit": 2})
    assert (unknown.status_code, unknown.json()["hint"]) == (404, "It has: fill.")


def calendar_plan(page: Page, name: str = "nightly") -> None:
    graph = graph_of(small(put("s1"), name=name)).model_copy(update={"calendar": nights()})
    page.compile(CompiledPlan(name, graph.digest, graph.to_json(), "p.yaml", "s" * 64, page.now))


def test_override_of_a_calendar(page: Page) -> None:
    calendar_plan(page)
    page.json("/overview")
    path, body = "/calendars/nights/override", {"until": page.ahead(hours=2), "reason": "outage"}
    assert "nightly" in page.post(path, body).json()["text"]
    change = page.ledger.calendar_changes_of("nights")[-1]
    assert (change.kind, change.who, change.reason) == (ChangeKind.OVERRIDE, "ui:ada", "outage")
    assert (last(page).what, last(page).actor) == ("calendar.override", "ui:ada")
    for user in ("bob/user", "vera/viewer", "eve:ada/admin"):
        refused = page.post(path, body, user)
        assert (refused.status_code, "may not override" in refused.json()["error"]) == (403, True)
    for wrong in (
        {"until": page.ahead(hours=-1), "reason": "x"},
        {"until": "2027-01-01T00:00:00", "reason": "x"},
        {"until": page.ahead(hours=1), "reason": " "},
        {"reason": "x"},
    ):
        assert page.post(path, wrong).status_code == 422, wrong
    assert page.post("/calendars/other/override", body).status_code == 404
    page.manager.hidden["ada"] = "night"
    assert page.post(path, body).status_code == 404
    assert len(page.ledger.calendar_changes_of()) == 1


@pytest.mark.parametrize("act", ["abort", "hold", "resume", "throttles/fill"])
def test_a_viewer_changes_nothing(page: Page, act: str) -> None:
    plan_id = throttled(page)
    body = {"limit": 2} if "throttles" in act else None
    before = last(page).seq
    answer = page.post(f"/runs/{plan_id}/{act}", body, "vera/viewer")
    assert (answer.status_code, "may not steer" in answer.json()["error"]) == (403, True)
    assert last(page).seq == before


def test_rights_are_asked_anew_for_each_change(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was remembered for reading does not count."""
    monkeypatch.setattr("planner_provider.web.access.LIFE_SECONDS", 60.0)
    plan_id = page.run("release")
    assert page.json("/overview")["running"][0]["rights"]["steer"]
    page.manager.hidden["ada"] = "release"
    assert page.post(f"/runs/{plan_id}/abort").status_code == 404
    run = page.ledger.run(plan_id)
    assert run is not None
    assert run.abort_at is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Planner-Request": "0"},
        OWN | {"Content-Type": "text/plain"},
        OWN | {"Content-Type": "application/x-www-form-urlencoded"},
        OWN | {"Origin": "https://evil.example.com"},
        OWN | {"Origin": "null"},
        OWN | {"Origin": "http://testserver.evil.example.com"},
        OWN | {"Sec-Fetch-Site": "cross-site"},
        OWN | {"Sec-Fetch-Site": "same-site"},
        OWN | {"Sec-Fetch-Site": "none"},
    ],
)
def test_another_site_changes_nothing(page: Page, headers: dict[str, str]) -> None:
    plan_id = page.run("release")
    answer = page.post(f"/runs/{plan_id}/abort", headers=headers)
    assert answer.status_code == 403
    run = page.ledger.run(plan_id)
    assert run is not None
    assert run.abort_at is None


@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        OWN | {"Origin": HOST, "Sec-Fetch-Site": "same-origin"},
        OWN | {"Content-Type": "application/json; charset=utf-8"},
        OWN | {"Origin": "https://airflow.example.com"},
    ],
)
def test_the_own_page_may(
    page: Page, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/prod")
    plan_id = page.run("release")
    assert page.post(f"/runs/{plan_id}/abort", headers=headers).status_code == 200


def test_a_body_that_is_too_long(page: Page) -> None:
    plan_id = page.run("release")
    path = f"/runs/{plan_id}/abort"
    assert page.post(path, {"reason": "x" * 70_000}).status_code == 413
    assert page.post(path, {"reason": "x" * 3_000}).status_code == 422
    assert page.post(path, {"reason": ""}).status_code == 422
    assert page.post(path, {"why": "x"}).status_code == 422
