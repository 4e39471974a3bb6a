"""The Plans page as the tests look at it and click on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.browser import Watched, logged_in
from tests.e2e.local_bundle import wait_until
from tests.e2e.plans_page_world import Stage

SOON = 3_000
"""Milliseconds in which the page must show what has changed."""
SLOW = 20_000
SIZES = {1440: 1000, 390: 844}


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


def need(page: Page, plan: str, kind: str) -> Locator:
    """What a run wants under Needs you."""
    items = page.locator("#needs-you").get_by_role("listitem").filter(has_text=plan)
    return items.filter(has_text=kind)


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
