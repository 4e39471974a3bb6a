"""Debian's Chromium, driven by Playwright; nothing is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

MISSING = "Debian's package chromium is not installed; `make test` installs it"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
GRAVE = ("serious", "critical")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start it."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, MISSING
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def logged_in(browser: Browser, url: str, token: str, **options: Any) -> BrowserContext:
    """A window of somebody who has logged in to Airflow."""
    context = browser.new_context(reduced_motion="reduce", **options)
    context.add_cookies([{"name": "_token", "value": token, "url": url}])
    return context


class Watched:
    """A page, and what must not happen on it: errors of scripts, breaches of the CSP, alerts."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("console", self._heard)
        page.on("dialog", self._asked)

    def _heard(self, message: Any) -> None:
        text = message.text
        if message.type == "error" and not text.startswith("Failed to load resource"):
            self.wrong.append(f"console: {text}")

    def _asked(self, dialog: Any) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()


def grave_violations(page: Page) -> list[str]:
    """What axe-core finds that keeps people from using the page."""
    found = Axe().run(page).response["violations"]
    return [
        f"{item['id']} at {[node['target'] for node in item['nodes']][:3]}: {item['help']}"
        for item in found
        if item["impact"] in GRAVE
    ]
