"""The Plans page in a real browser, on a real Airflow, with three plans under way."""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from planner_provider.ledger.rows import Outcome
from tests.e2e import plans_page_world as world
from tests.e2e.browser import Watched, chromium, grave_violations
from tests.e2e.local_bundle import wait_until
from tests.e2e.plans_page_views import (
    SIZES,
    SLOW,
    SOON,
    at_least,
    confirm,
    lane,
    need,
    open_as,
    post,
    show,
    shown_soon,
)
from tests.e2e.plans_page_world import (
    APPROVAL,
    BACKFILL,
    CALENDAR,
    CANARY,
    FAILOVER,
    HOSTILE,
    HOSTS,
    HOURS,
    PATCH,
    SECRET,
    STARTED,
    STRICT,
    WINDOW,
    Stage,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

IMAGES = Path(__file__).parents[2] / "docs" / "images"
ACTS = re.compile("Hold|Resume|Abort|Start|Override|Change throttle")
THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with world.stage(tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def watched(stage: Stage, browser: Browser) -> Iterator[Watched]:
    """The page of somebody who may do everything, left open through all tests."""
    with_rights = open_as(stage, browser, "admin")
    yield with_rights
    with_rights.page.context.close()


@pytest.fixture
def page(stage: Stage, watched: Watched) -> Iterator[Page]:
    """The overview; nothing wrong may have happened on it at the end."""
    show(watched.page, stage, "#/")
    yield watched.page
    assert watched.wrong == []


def test_each_run_is_shown_within_three_seconds_of_the_change(stage: Stage, page: Page) -> None:
    for plan in STARTED:
        stage.start(plan)
    for plan in (CANARY, BACKFILL, PATCH):
        shown_soon(lambda plan=plan: stage.run(plan), page.locator("#running"), plan)
    shown_soon(lambda: stage.weight() == 20, lane(page, CANARY), "20% of the traffic")
    page.get_by_role("button", name=f"Hold {CANARY}").click()
    confirm(page, "Hold run", "the shops are asked first")
    expect(lane(page, CANARY).locator(".badge")).to_have_text("held", timeout=SOON)
    expect(page.locator("#announcer")).to_contain_text(f"Held: {CANARY}", timeout=SOON)
    done = at_least(2, HOURS, f"of {HOURS} partitions")
    shown_soon(lambda: stage.done(BACKFILL, "load") >= 2, lane(page, BACKFILL), done)
    patched = at_least(1, HOSTS, f"of {HOSTS} targets")
    shown_soon(lambda: stage.done(PATCH, "kernel") >= 1, lane(page, PATCH), patched)
    expect(lane(page, CANARY)).to_contain_text(re.compile(r"checkout-availability\s*\d+% left"))
    needs = need(page, APPROVAL, "Needs approval")
    expect(needs.get_by_role("link", name="Review and answer")).to_have_attribute(
        "href", re.compile(rf"/dags/{APPROVAL}/runs/.*/required_actions$")
    )


def test_what_is_due_is_shown_with_its_conflicts_and_hostile_text_stays_text(
    stage: Stage, page: Page
) -> None:
    rows = page.locator("#due tbody tr")
    reindex = rows.filter(has=page.get_by_role("link", name="search-reindex"))
    expect(reindex).to_contain_text("Conflicts with search-migration")
    expect(rows.filter(has_text="certificate-check")).to_contain_text("05:15 UTC")
    show(page, stage, "#/plans/search-reindex")
    expect(page.locator("main")).to_contain_text(HOSTILE)
    assert page.locator("main img").count() == 0


def test_a_closed_window_is_opened_from_the_page(stage: Stage, page: Page) -> None:
    closed = need(page, WINDOW, "Window closed")
    expect(closed).to_contain_text("No window is on. The next one begins ")
    expect(lane(page, WINDOW)).to_contain_text("Waits for its window.")
    closed.get_by_role("link", name=f"Open run of {WINDOW}").click()
    page.get_by_role("button", name="Override window").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"every plan that uses this calendar, not only for {WINDOW}")
    dialog.get_by_role("button", name="2 h").click()
    until = dialog.get_by_label("Until (UTC)").input_value()
    confirm(page, "Open window", "the disks are nearly full")
    expect(page.locator(".notices")).to_contain_text(f"Calendar {CALENDAR} is open until")
    show(page, stage, "#/audit")
    row = page.locator("main tbody tr").filter(has_text="calendar.override")
    expect(row).to_contain_text("ui:admin", timeout=SOON)
    expect(row).to_contain_text("the disks are nearly full")
    (change,) = stage.ledger.calendar_changes_of(CALENDAR)
    assert (change.who, change.reason) == ("ui:admin", "the disks are nearly full")
    assert f"{change.ends_at:%Y-%m-%dT%H:%M}" == until
    assert abs(change.ends_at - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=2)
    added = [line for line in stage.ledger.audit_of() if line.what == "calendar.override"]
    assert [(line.actor, line.detail["reason"]) for line in added] == [(change.who, change.reason)]


def test_a_breach_and_then_a_rollback_that_fails_need_somebody(stage: Stage, page: Page) -> None:
    breach = need(page, FAILOVER, "SLO breached")
    expect(breach).to_contain_text(re.compile(rf"{STRICT}: .*budget"))
    expect(lane(page, FAILOVER)).to_contain_text("rolling back")
    assert breach.get_by_role("button", name=ACTS).count() == 0, "it rolls back by itself"
    run = f"#/runs/{stage.known(FAILOVER).plan_id}"
    link = breach.get_by_role("link", name=f"Open run of {FAILOVER}")
    expect(link).to_have_attribute("href", run)
    stage.undoing.set()
    failed = need(page, FAILOVER, "Rollback failed")
    shown_soon(lambda: stage.outcome(FAILOVER), failed, f"{FAILOVER}The rollback is not complete.")
    expect(failed).to_contain_text("Left changed: divert. Step healthy ended failed")
    assert stage.outcome(FAILOVER) is Outcome.ROLLBACK_FAILED
    expect(breach).to_have_count(0)
    expect(page.locator("#announcer")).to_contain_text(f"Rollback failed: {FAILOVER}")
    assert page.locator("#needs-you").get_by_role("listitem").first.inner_text() == (
        failed.inner_text()
    ), "nothing is more urgent"
    failed.get_by_role("link", name=f"Open run of {FAILOVER}").click()
    advice = page.get_by_role("region", name="What to do next")
    expect(advice).to_contain_text("By the journal there is left: divert")
    expect(page.locator("#steps")).to_contain_text("region a is drained")


def test_a_held_canary_stays_at_its_weight_until_it_is_resumed(stage: Stage, page: Page) -> None:
    wait_until(lambda: stage.ended(CANARY, "shift/w20"), 60)
    assert stage.weight() == 20
    need(page, CANARY, "Held").get_by_role("button", name=f"Resume {CANARY}").click()
    assert stage.weight() == 20
    confirm(page, "Resume run", "they agree")
    shown_soon(lambda: stage.weight() == 50, lane(page, CANARY), "50% of the traffic")
    assert stage.said(CANARY).count(("run.held", "ui:admin")) == 1
    assert stage.said(CANARY).count(("run.resumed", "ui:admin")) == 1


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_grave(stage: Stage, page: Page, theme: Any) -> None:
    run = f"#/runs/{stage.known(CANARY).plan_id}"
    page.emulate_media(color_scheme=theme)
    found: dict[str, list[str]] = {}
    for where in ("#/", "#/runs", "#/plans", f"#/plans/{CANARY}", "#/locks", "#/audit", run):
        show(page, stage, where)
        if where == run:
            page.locator(".decision > details > summary").first.click()
            expect(page.locator(".evidence .vouched")).to_be_visible()
        found[where] = grave_violations(page)
    page.get_by_role("button", name=f"Abort {CANARY}").click()
    found["dialog"] = grave_violations(page)
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": SIZES[390]})
    for where in ("#/", run):
        show(page, stage, where)
        found[f"{where} on a telephone"] = grave_violations(page)
    page.set_viewport_size({"width": 1440, "height": SIZES[1440]})
    page.emulate_media(color_scheme="light")
    assert {where: bad for where, bad in found.items() if bad} == {}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", SIZES)
def test_screenshots(stage: Stage, page: Page, tmp_path: Path, width: int, theme: Any) -> None:
    folder = IMAGES if os.environ.get("UPDATE_SCREENSHOTS") == "1" else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    run = f"#/runs/{stage.known(CANARY).plan_id}"
    page.set_viewport_size({"width": width, "height": SIZES[width]})
    page.emulate_media(color_scheme=theme)
    try:
        for name, where in (("overview", "#/"), ("run", run)):
            show(page, stage, where)
            page.evaluate("window.scrollTo(0, 0)")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is wider than the screen: {wide}"
            file = folder / f"plans-{name}-{width}-{theme}.png"
            page.screenshot(path=file)
            data = file.read_bytes()
            assert struct.unpack(">II", data[16:24]) == (width, SIZES[width])
            assert len(data) > 15_000, "there is next to nothing on it"
    finally:
        page.set_viewport_size({"width": 1440, "height": SIZES[1440]})
        page.emulate_media(color_scheme="light")


def test_what_is_open_and_in_focus_stays_so_while_the_page_changes(
    stage: Stage, page: Page
) -> None:
    show(page, stage, f"#/runs/{stage.known(CANARY).plan_id}")
    newest = page.locator(".decision > details > summary").last
    newest.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".evidence .vouched")).to_contain_text("vouches")
    answers = []
    page.on("response", lambda answer: answers.append(answer.status))
    wait_until(lambda: page.wait_for_timeout(100) or len(answers) >= 3, 20)
    assert set(answers) <= {200, 304}
    assert page.locator(".decision > details[open]").count() == 1
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_a_lost_connection_is_said_with_the_age_of_what_is_seen(page: Page) -> None:
    page.context.set_offline(True)
    try:
        banner = page.locator(".banner")
        expect(banner).to_contain_text("No connection.", timeout=SLOW)
        expect(banner).to_contain_text(re.compile(r"What you see is \d+ s old"))
        expect(lane(page, CANARY)).to_be_visible()
    finally:
        page.context.set_offline(False)
    expect(banner).to_have_count(0)


def test_a_throttle_is_changed_from_the_page(stage: Stage, page: Page) -> None:
    show(page, stage, f"#/runs/{stage.known(BACKFILL).plan_id}")
    throttle = page.locator("#throttles")
    expect(throttle).to_contain_text(re.compile(r"load\s*2\s*at once"))

    def change(reason: str, limit: str, begin: str) -> None:
        page.get_by_role("button", name="Change throttle load").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Limit now").fill(limit)
        dialog.get_by_label("New items").select_option(begin)
        dialog.get_by_label("Reason").fill(reason)
        dialog.get_by_role("button", name="Change throttle", exact=True).click()

    change("too eager", "3", "")
    refused = page.get_by_role("dialog").get_by_role("alert")
    expect(refused).to_contain_text("Limit 3 is not between 1 and 2.")
    page.keyboard.press("Escape")

    change("the replicas lag", "2", "pause")
    expect(throttle).to_contain_text("Paused by ui:admin: the replicas lag", timeout=SOON)
    wait_until(lambda: stage.acting(BACKFILL, "load") == 0, 20)
    began = stage.began(BACKFILL, "load")
    page.wait_for_timeout(2_500)  # the throttle has looked again
    assert (stage.began(BACKFILL, "load"), stage.target_runs()) == (began, 0)

    change("slowly", "1", "go-on")
    expect(throttle).to_contain_text(re.compile(r"load\s*1\s*at once"), timeout=SOON)
    most = 0

    def two_more() -> bool:
        nonlocal most
        most = max(most, stage.acting(BACKFILL, "load"), stage.target_runs())
        return stage.began(BACKFILL, "load") >= began + 3

    wait_until(two_more, 40)
    assert most == 1
    change("all is well", "2", "")
    wait_until(lambda: stage.acting(BACKFILL, "load") == 2, 20)
    lines = stage.ledger.audit_of(stage.known(BACKFILL).plan_id)
    made = [(line.actor, line.detail) for line in lines if line.what == "throttle.set"]
    assert [(who, told["limit"], told["reason"], told.get("paused")) for who, told in made] == [
        ("ui:admin", 2.0, "the replicas lag", True),
        ("ui:admin", 1.0, "slowly", False),
        ("ui:admin", 2.0, "all is well", None),
    ]


def test_hold_and_resume(stage: Stage, page: Page) -> None:
    page.get_by_role("button", name=f"Hold {BACKFILL}").click()
    confirm(page, "Hold run", "the replicas lag")
    expect(page.locator(".notices")).to_contain_text("held")
    held = lane(page, BACKFILL).locator(".badge")
    expect(held).to_have_text("held", timeout=SOON)
    assert stage.known(BACKFILL).held_by == "ui:admin"
    needs = need(page, BACKFILL, "Held")
    expect(needs).to_contain_text("the replicas lag")
    time.sleep(5)  # what was in flight ends
    before = stage.began(BACKFILL, "load")
    time.sleep(3)
    assert stage.began(BACKFILL, "load") == before

    needs.get_by_role("button", name=f"Resume {BACKFILL}").click()
    confirm(page, "Resume run", "they have caught up")
    expect(held).to_have_text("running", timeout=SOON)
    wait_until(lambda: stage.began(BACKFILL, "load") > before, 20)
    said = stage.said(BACKFILL)
    assert ("run.held", "ui:admin") in said
    assert ("run.resumed", "ui:admin") in said


def test_what_waited_for_the_window_went_on(stage: Stage, page: Page) -> None:
    ended = page.locator("#happened tbody tr").filter(has_text=WINDOW)
    shown_soon(lambda: stage.outcome(WINDOW), ended, "succeeded")
    assert stage.outcome(WINDOW) is Outcome.SUCCEEDED
    expect(need(page, WINDOW, "Window closed")).to_have_count(0)


def test_abort_ends_rolled_back(stage: Stage, page: Page) -> None:
    assert stage.weight() == 50
    page.get_by_role("button", name=f"Abort {CANARY}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("What was changed is rolled back, last first")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert page.evaluate("document.activeElement.ariaLabel") == f"Abort {CANARY}"
    assert stage.known(CANARY).abort_at is None

    page.get_by_role("button", name=f"Abort {CANARY}").click()
    confirm(page, "Abort run", "it is the wrong version")
    ended = page.locator("#happened tbody tr").filter(has_text=CANARY)
    shown_soon(lambda: stage.outcome(CANARY) is not None, ended, "rolled back")
    assert stage.outcome(CANARY) is Outcome.ROLLED_BACK
    assert stage.known(CANARY).abort_reason == "it is the wrong version"
    assert stage.deployed() == ("1.4.1", None)
    expect(lane(page, CANARY)).to_have_count(0)


def test_a_plan_is_started_and_airflow_checks_its_parameters(stage: Stage, page: Page) -> None:
    show(page, stage, "#/plans")
    page.get_by_role("searchbox", name="Find a plan").fill("payments")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("button", name=f"Start {SECRET}").click()
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_label("days")
    expect(field).to_have_value("90")
    field.evaluate("field => field.removeAttribute('min')")
    field.fill("7")
    dialog.get_by_role("button", name="Start plan").click()
    expect(dialog.get_by_role("alert")).to_contain_text("7 is less than the minimum of 30")
    field.fill("60")
    dialog.get_by_role("button", name="Start plan").click()
    expect(dialog).to_have_count(0)
    started = page.locator(".notices a")
    stage.runs[SECRET] = started.inner_text().strip()
    wait_until(lambda: stage.run(SECRET), 30)
    assert stage.known(SECRET).parameters == {"days": 60}


def test_who_may_only_look_sees_no_act_and_gets_403(stage: Stage, browser: Browser) -> None:
    watched = open_as(stage, browser, "vera")
    plan_id = stage.known(BACKFILL).plan_id
    expect(lane(watched.page, BACKFILL)).to_be_visible()
    for where in ("#/", "#/plans", f"#/plans/{APPROVAL}", f"#/runs/{plan_id}"):
        show(watched.page, stage, where)
        expect(watched.page.locator("main a").first).to_be_visible()
        assert watched.page.get_by_role("button", name=ACTS).all_inner_texts() == []
    for act in ("abort", "hold", "resume"):
        status, said = post(watched.page, f"api/v1/runs/{plan_id}/{act}", {"reason": "let me"})
        assert (status, "may not" in said["error"]) == (403, True), said
    run = {"logical_date": None, "conf": {}}
    assert post(watched.page, f"../api/v2/dags/{APPROVAL}/dagRuns", run)[0] == 403
    assert stage.known(BACKFILL).abort_at is None
    assert watched.wrong == []
    watched.page.context.close()


def test_who_may_not_see_a_dag_does_not_find_it(stage: Stage, browser: Browser, page: Page) -> None:
    show(page, stage, "#/runs")
    expect(page.locator("main tbody")).to_contain_text(SECRET)
    watched = open_as(stage, browser, "olga")
    for where, control in (("#/", CANARY), ("#/runs", CANARY), ("#/plans", CANARY)):
        show(watched.page, stage, where)
        expect(watched.page.locator("main")).to_contain_text(control)
        assert SECRET not in watched.page.content()
    for seen, overrides in ((page, True), (watched.page, False)):
        show(seen, stage, "#/")
        expect(seen.locator("#due")).to_contain_text(WINDOW)
        found = seen.get_by_role("button", name=f"Override the window of {WINDOW}")
        assert (found.count() == 1) is overrides
    order = {
        "until": f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%MZ}",
        "reason": "let me",
    }
    status, said = post(watched.page, f"api/v1/calendars/{CALENDAR}/override", order)
    assert (status, "You may not override calendars" in said["error"]) == (403, True), said
    assert len(stage.ledger.calendar_changes_of(CALENDAR)) == 1
    secret = stage.known(SECRET).plan_id
    show(watched.page, stage, f"#/runs/{secret}")
    expect(watched.page.get_by_role("alert")).to_be_visible()
    assert post(watched.page, f"api/v1/runs/{secret}/abort", {"reason": "let me"})[0] == 404
    assert watched.wrong == []
    watched.page.context.close()


def test_inside_of_airflow(stage: Stage, browser: Browser) -> None:
    watched = open_as(stage, browser, "admin")
    page, url = watched.page, stage.airflow.settings.url
    run = stage.known(CANARY).key
    page.goto(f"{url}/dags/{run.dag_id}/runs/{run.run_id}/plugin/plan_run")
    framed = page.frame_locator("iframe")
    expect(framed.get_by_role("heading", level=1)).to_contain_text(CANARY, timeout=SLOW)
    page.goto(f"{url}/plugin/plans")
    expect(framed.locator("#needs-you")).to_contain_text(APPROVAL, timeout=SLOW)
    expect(framed.locator(".brand")).to_have_count(0)
    framed.get_by_role("link", name="Review and answer").first.click()
    page.wait_for_url(re.compile(rf"/dags/{APPROVAL}/.*/required_actions"), timeout=SLOW)
    page.context.close()
