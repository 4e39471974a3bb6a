"""The Plans page in a real browser, on a real Airflow, with three plans under way."""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from planner_provider.ledger.rows import Outcome
from tests.e2e import plans_page_world as world
from tests.e2e.browser import Watched, chromium, grave_violations, logged_in
from tests.e2e.local_bundle import wait_until
from tests.e2e.plans_page_world import (
    APPROVAL,
    BACKFILL,
    CANARY,
    HOSTILE,
    HOSTS,
    HOURS,
    PATCH,
    SECRET,
    Stage,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SOON = 3_000
"""Milliseconds in which the page must show what has changed."""
SLOW = 20_000
IMAGES = Path(__file__).parents[2] / "docs" / "images"
ACTS = re.compile("Hold|Resume|Abort|Start|Override|Change throttle")
SIZES = {1440: 1000, 390: 844}
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


def open_as(stage: Stage, browser: Browser, user: str, **options: Any) -> Watched:
    settings = {"viewport": {"width": 1440, "height": SIZES[1440]}, "color_scheme": "light"}
    url = stage.airflow.settings.url
    context = logged_in(browser, url, stage.token(user), **(settings | options))
    watched = Watched(context.new_page())
    watched.page.set_default_timeout(SLOW)
    watched.page.goto(stage.page)
    expect(watched.page.locator("main h1")).to_have_count(1, timeout=SLOW)
    return watched


def show(page: Page, stage: Stage, where: str) -> None:
    """Go to a page of the app and wait for its first answer."""
    if not page.url.startswith(stage.page):
        page.goto(f"{stage.page}{where}")
    page.evaluate("where => { window.location.hash = where }", where)
    expect(page.locator("main .pending")).to_have_count(0, timeout=SLOW)
    expect(page.locator("main h1")).to_have_count(1, timeout=SLOW)


def lane(page: Page, plan: str) -> Locator:
    """The lane of a plan's run under Running."""
    return page.locator(".lane").filter(has=page.get_by_role("link", name=plan, exact=True))


def at_least(least: int, most: int, words: str) -> re.Pattern[str]:
    """Text with a number that is not below ``least``."""
    return re.compile(rf"\b({'|'.join(str(n) for n in range(least, most + 1))}) {words}")


def shown_soon(changed: Callable[[], object], where: Locator, text: str | re.Pattern[str]) -> None:
    """Wait for a change in the world, and from then on 3 s for the page to show it."""
    wait_until(changed, 60)
    expect(where).to_contain_text(text, timeout=SOON)


def confirm(page: Page, button: str, reason: str) -> None:
    """Fill in the reason that the dialog asks for, and do it."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=button, exact=True).click()
    expect(dialog).to_have_count(0)


def post(page: Page, path: str, body: dict[str, Any]) -> Any:
    """What the API answers to a request that the page's own origin sends: status and body."""
    code = """async ([path, body]) => {
        const headers = {"Content-Type": "application/json", "X-Planner-Request": "1"};
        const made = {method: "POST", headers, body: JSON.stringify(body)};
        const answer = await fetch(new URL(path, document.baseURI), made);
        return [answer.status, await answer.json()];
    }"""
    return page.evaluate(code, [path, body])


def test_each_run_is_shown_within_three_seconds_of_the_change(stage: Stage, page: Page) -> None:
    for plan in (CANARY, BACKFILL, PATCH, APPROVAL, SECRET):
        stage.start(plan)
    for plan in (CANARY, BACKFILL, PATCH):
        shown_soon(lambda plan=plan: stage.run(plan), page.locator("#running"), plan)
    shown_soon(lambda: stage.weight() == 20, lane(page, CANARY), "20% of the traffic")
    done = at_least(2, HOURS, f"of {HOURS} partitions")
    shown_soon(lambda: stage.done(BACKFILL, "load") >= 2, lane(page, BACKFILL), done)
    patched = at_least(1, HOSTS, f"of {HOSTS} targets")
    shown_soon(lambda: stage.done(PATCH, "kernel") >= 1, lane(page, PATCH), patched)
    shown_soon(lambda: stage.weight() == 50, lane(page, CANARY), "50% of the traffic")
    expect(lane(page, CANARY)).to_contain_text(re.compile(r"checkout-availability\s*\d+% left"))
    needs = page.locator("#needs-you").get_by_role("listitem").filter(has_text=APPROVAL)
    expect(needs).to_contain_text("Needs approval")
    expect(page.locator("#announcer")).to_contain_text(f"Needs approval: {APPROVAL}")
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


def test_hold_and_resume(stage: Stage, page: Page) -> None:
    page.get_by_role("button", name=f"Hold {BACKFILL}").click()
    confirm(page, "Hold run", "the replicas lag")
    expect(page.locator(".notices")).to_contain_text("held")
    held = lane(page, BACKFILL).locator(".badge")
    expect(held).to_have_text("held", timeout=SOON)
    assert stage.known(BACKFILL).held_by == "ui:admin"
    needs = page.locator("#needs-you").get_by_role("listitem").filter(has_text=BACKFILL)
    expect(needs).to_contain_text("the replicas lag")
    time.sleep(5)  # what was in flight ends
    before = stage.began(BACKFILL, "load")
    time.sleep(3)
    assert stage.began(BACKFILL, "load") == before

    needs.get_by_role("button", name=f"Resume {BACKFILL}").click()
    confirm(page, "Resume run", "they have caught up")
    expect(held).to_have_text("running", timeout=SOON)
    wait_until(lambda: stage.began(BACKFILL, "load") > before, 20)
    said = [
        (line.what, line.actor) for line in stage.ledger.audit_of(stage.known(BACKFILL).plan_id)
    ]
    assert ("run.held", "ui:admin") in said
    assert ("run.resumed", "ui:admin") in said


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
