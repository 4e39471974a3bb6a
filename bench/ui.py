"""What the Plans page costs: a real Airflow, and a ledger on PostgreSQL with 2,000 runs, 50 live.

- ``latency``: each list of the API, asked once at a time with a pause in which the shared look at
  the ledger grows old, so that every answer is made anew. Milliseconds at the client, with login.
- ``polling``: twenty pages open, each asking for the overview as often as the page does, with the
  tag of its last answer and a connection of its own, while the ledger changes all the time. CPU
  time of the API server (all its processes) in shares of a core, without and with the pages.
- ``page``: from the request for the page to the lanes of the runs on it, in Chromium, each time
  with an empty cache.
"""

from __future__ import annotations

import json
import math
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import requests
from sqlalchemy import text

from bench.ui_seed import seed, write_specs
from planner_provider.ledger.engine import make_engine, writing
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.localstack.settings import StackSettings
from tests.ledger.databases import postgres, postgres_programs

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "planner_provider" / "web" / "static" / "index.html"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
TARGETS = {"list_p95_ms": 100.0, "page_usable_s": 2.0, "polling_core_share": 0.10}
LISTS = ("overview", "runs?limit=50", "runs?state=live&limit=100", "plans", "locks")
STALE = 1.05
"""Seconds after which everybody's look at the ledger is old."""
EVERY = 1.5
"""Seconds between two questions of an open page."""
CHANGES = 0.5
"""Seconds between two changes of the ledger while it is polled."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    runs: int
    live: int
    asked: int
    """Questions for each list."""
    pages: int
    seconds: float
    """Of polling."""
    loads: int
    """Loads of the page."""


FULL = Size(runs=2_000, live=50, asked=60, pages=20, seconds=60, loads=7)
QUICK = Size(runs=200, live=20, asked=10, pages=20, seconds=12, loads=2)


@dataclass(frozen=True)
class Times:
    """Milliseconds."""

    p50: float
    p95: float
    most: float
    count: int
    size: int
    """Bytes of an answer, as it is sent."""


@dataclass(frozen=True)
class Polling:
    """CPU time in shares of a core."""

    idle: float
    polled: float
    cost: float
    """What the pages cost: the difference."""
    asked: int
    not_modified: int
    p95_ms: float
    changes: int
    """Changes of the ledger meanwhile."""


def run(size: Size, *, as_json: bool) -> int:
    """Measure, print, and give 0 if the targets are met, 1 if not."""
    programs = postgres_programs()
    if programs is None:
        print("PostgreSQL is not installed (Debian: apt-get install postgresql)", file=sys.stderr)
        return 2
    with postgres(programs, durable=True) as url, _airflow(url, size) as airflow:
        _tell(f"Airflow is ready at {airflow.settings.url}")
        report = _measure(airflow, url, size)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        _print(report)
    return 0 if all(report["summary"]["targets_met"].values()) else 1


@contextmanager
def _airflow(url: str, size: Size) -> Iterator[LocalAirflow]:
    folder = Path(tempfile.mkdtemp(prefix="planner-bench-ui-"))
    try:
        _tell(f"seeding {size.runs} runs")
        seed(url, folder, total=size.runs, live=size.live)
        specs = write_specs(folder)
        shutil.copytree(ROOT / "dags", folder / "dags")
        settings = StackSettings(
            home=folder / "airflow",
            dags=folder / "dags",
            specs=specs,
            fast=False,  # as it is in production, but for the size
            parallelism=2,
            env={
                "AIRFLOW__PLANNER__SQL_ALCHEMY_CONN": url,
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            },
        )
        with LocalAirflow(settings) as airflow:
            airflow.wait_ready(180)
            airflow.wait_dag("release-0059", 180)
            yield airflow
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(airflow: LocalAirflow, url: str, size: Size) -> dict[str, Any]:
    client = Client(airflow)
    for path in LISTS:
        client.ask(path)  # imports, and what is read once for all
    latency = {path: _latency(client, path, size.asked) for path in LISTS}
    polling = _poll(airflow, url, size)
    loads = _load_page(airflow, client, size.loads)
    figures = {
        "list_p95_ms": max(times.p95 for times in latency.values()),
        "page_usable_s": round(statistics.median(loads), 2) if loads else None,
        "polling_core_share": polling.cost,
    }
    met = {name: value is not None and value < TARGETS[name] for name, value in figures.items()}
    return {
        "bench": "ui",
        "python": platform.python_version(),
        "cores": psutil.cpu_count(),
        "size": asdict(size),
        "latency_ms": {path: asdict(times) for path, times in latency.items()},
        "polling": asdict(polling),
        "page_usable_s": [round(seconds, 2) for seconds in loads],
        "load_average": round(psutil.getloadavg()[0], 1),
        "summary": {**figures, "targets": TARGETS, "targets_met": met},
    }


class Client:
    """Somebody with a page open: a login as a cookie, and a connection that stays."""

    def __init__(self, airflow: LocalAirflow) -> None:
        settings = airflow.settings
        user, password = next(iter(settings.passwords().items()))
        self.url = settings.url
        self.session = requests.Session()
        self.session.trust_env = False
        body = {"username": user, "password": password}
        answer = self.session.post(f"{self.url}/auth/token", json=body, timeout=30)
        self.token = str(answer.json()["access_token"])
        self.session.cookies.set("_token", self.token)

    def ask(self, path: str, tag: str | None = None) -> requests.Response:
        """A list, unless it is what it was."""
        headers = {"If-None-Match": tag} if tag else {}
        url = f"{self.url}/planner/api/v1/{path}"
        answer = self.session.get(url, headers=headers, timeout=30)
        answer.raise_for_status()
        return answer


def _latency(client: Client, path: str, asked: int) -> Times:
    taken, size = [], 0
    for _ in range(asked):
        time.sleep(STALE)
        begin = time.perf_counter()
        answer = client.ask(path)
        taken.append((time.perf_counter() - begin) * 1000)
        size = int(answer.headers.get("content-length", len(answer.content)))
    found = _times(taken, size)
    _tell(f"{path}: p50 {found.p50} ms, p95 {found.p95} ms, {size} bytes")
    return found


def _times(taken: Sequence[float], size: int) -> Times:
    return Times(_at(taken, 0.5), _at(taken, 0.95), round(max(taken), 1), len(taken), size)


def _at(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1)


# ---- polling


def _poll(airflow: LocalAirflow, url: str, size: Size) -> Polling:
    end = threading.Event()
    changes = _Counter()
    changing = threading.Thread(target=_change, args=(url, end, changes), daemon=True)
    changing.start()
    idle = _cpu_share(airflow, lambda: time.sleep(min(20.0, size.seconds)))
    _tell(f"idle: {idle:.3f} of a core")
    pages = [
        _OpenPage(Client(airflow), number * EVERY / size.pages) for number in range(size.pages)
    ]
    threads = [threading.Thread(target=page.poll, args=(end,), daemon=True) for page in pages]
    for thread in threads:
        thread.start()
    time.sleep(2 * EVERY)  # the first answers are whole
    before = changes.value
    for page in pages:
        page.taken.clear()
        page.not_modified = 0
    polled = _cpu_share(airflow, lambda: time.sleep(size.seconds))
    changed = changes.value - before
    end.set()
    for thread in (*threads, changing):
        thread.join(30)
    taken = [one for page in pages for one in page.taken]
    found = Polling(
        idle=round(idle, 4),
        polled=round(polled, 4),
        cost=round(max(0.0, polled - idle), 4),
        asked=len(taken),
        not_modified=sum(page.not_modified for page in pages),
        p95_ms=_at(taken, 0.95),
        changes=changed,
    )
    _tell(f"polled: {found}")
    return found


class _OpenPage:
    def __init__(self, client: Client, wait: float) -> None:
        self.client = client
        self.wait = wait
        self.taken: list[float] = []
        self.not_modified = 0

    def poll(self, end: threading.Event) -> None:
        """Ask again and again until the end."""
        tag: str | None = None
        due = time.monotonic() + self.wait
        while not end.wait(max(0.0, due - time.monotonic())):
            begin = time.perf_counter()
            answer = self.client.ask("overview", tag)
            self.taken.append((time.perf_counter() - begin) * 1000)
            self.not_modified += answer.status_code == 304
            tag = answer.headers["etag"]
            due += EVERY


@dataclass
class _Counter:
    value: int = 0


def _change(url: str, end: threading.Event, changes: _Counter) -> None:
    """Have something happen in the ledger that the overview shows, again and again."""
    engine = make_engine(url)
    one = text(
        "UPDATE work_items SET state = 'done', ended_at = :now WHERE (plan_id, step, item) IN "
        "(SELECT plan_id, step, item FROM work_items WHERE state = 'waiting' LIMIT 1)"
    )
    signs = text("UPDATE acts SET alive_at = :now WHERE ended_at IS NULL")
    while not end.wait(CHANGES):
        with writing(engine) as connection:
            now = datetime.now(UTC)
            connection.execute(one, {"now": now})
            connection.execute(signs, {"now": now})
        changes.value += 1


def _cpu_share(airflow: LocalAirflow, wait: Callable[[], None]) -> float:
    server = airflow.process("api-server")
    before, began = _cpu(server), time.monotonic()
    wait()
    return (_cpu(server) - before) / (time.monotonic() - began)


def _cpu(server: psutil.Process) -> float:
    total = 0.0
    for process in (server, *server.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


# ---- the page


def _load_page(airflow: LocalAirflow, client: Client, loads: int) -> list[float]:
    """Seconds until the lanes of the runs are there; none if page or browser are missing."""
    browser_path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if browser_path is None or not INDEX.is_file():
        _tell("no Chromium, or no front end: the page is not measured")
        return []
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _tell("playwright is not installed: the page is not measured")
        return []
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--no-proxy-server"]
        )
        try:
            for _ in range(loads):
                context = browser.new_context(viewport={"width": 1440, "height": 900})
                context.add_cookies([{"name": "_token", "value": client.token, "url": client.url}])
                tab = context.new_page()
                begin = time.perf_counter()
                tab.goto(f"{client.url}/planner/", wait_until="commit")
                tab.locator("#running li.lane").first.wait_for(timeout=20_000)
                taken.append(time.perf_counter() - begin)
                context.close()
                time.sleep(STALE)
        finally:
            browser.close()
    _tell(f"page: {[round(seconds, 2) for seconds in taken]}")
    return taken


def _print(report: dict[str, Any]) -> None:
    for path, times in report["latency_ms"].items():
        print(f"{path:28} p50 {times['p50']:7.1f} ms   p95 {times['p95']:7.1f} ms")
    print("polling ", report["polling"])
    print("page    ", report["page_usable_s"], "s")
    for name, met in report["summary"]["targets_met"].items():
        value = report["summary"][name]
        print(f"{name}: {value}, target below {TARGETS[name]}: {'met' if met else 'MISSED'}")


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
