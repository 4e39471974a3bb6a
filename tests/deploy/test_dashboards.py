"""The dashboards: as they are generated, and with data of a real ledger in a real Prometheus."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.grafana import make_dashboards
from planner_provider import metrics
from planner_provider.metrics.definitions import DEFINITIONS
from tests.cli.ledgers import LedgerCase
from tests.deploy.asking import PLANNER_JOB, ask, expressions, lacking
from tests.e2e.scraping import scraping
from tests.hooks.http_server import Asked, Reply, http_server
from tests.metrics import played

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
BOARDS = {board.uid: board for board in make_dashboards.DASHBOARDS}
TOKEN = "only-for-this-test"


@pytest.mark.parametrize("uid", BOARDS)
def test_the_files_are_as_they_are_generated(uid: str) -> None:
    generated = json.loads(json.dumps(make_dashboards.document(BOARDS[uid])))
    told = "run python deploy/grafana/make_dashboards.py"
    assert json.loads((FOLDER / f"{uid}.json").read_text(encoding="utf-8")) == generated, told


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_neither_overlap_nor_hang_over(uid: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in make_dashboards.document(BOARDS[uid])["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["description"]


def test_they_ask_for_metrics_that_there_are() -> None:
    known = {definition.exposed for definition in DEFINITIONS}
    known |= {
        f"{d.name}_{part}"
        for d in DEFINITIONS
        if d.kind == "histogram"
        for part in ("bucket", "sum", "count")
    }
    asked = {name for e in expressions() for name in re.findall(r"\bplanner_\w+", e)}
    assert len(asked) > 35
    assert asked <= known


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    base = tmp_path_factory.mktemp("boards")
    case = LedgerCase(base / "planner.db")
    now = datetime.now(UTC)
    played.fill(case, now)
    played.wait_and_retry(case, now)
    metrics.forget()

    def answer(asked: Asked) -> Reply:
        assert asked.path == "/planner/metrics"
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401)
        body, kind = metrics.exposition(case.url, datetime.now(UTC))
        return Reply(200, body, {"Content-Type": kind})

    with http_server(answer) as server:
        job = PLANNER_JOB.format(port=server.port, token=TOKEN)
        with scraping(base / "prometheus", server.port, jobs=job) as port:
            yield port


@pytest.mark.e2e
def test_every_query_has_data(port: int) -> None:
    end = time.monotonic() + 40
    while (missing := lacking(port, expressions())) and time.monotonic() < end:
        time.sleep(0.5)
    assert missing == []


@pytest.mark.e2e
def test_a_query_of_nothing_would_be_noticed(port: int) -> None:
    assert lacking(port, ["planner_nothing_total"]) == ["planner_nothing_total"]


@pytest.mark.e2e
def test_the_rules_are_evaluated(port: int) -> None:
    end = time.monotonic() + 40
    wanted = {"PlannerRollbackFailed", "PlannerRolledBack", "PlannerHeldTooLong"}
    while time.monotonic() < end:
        firing = {
            series["metric"]["alertname"] for series in ask(port, 'ALERTS{alertstate="firing"}')
        }
        if wanted <= firing:
            break
        time.sleep(0.5)
    assert wanted <= firing
    plans: set[Any] = {series["metric"].get("plan") for series in ask(port, "ALERTS")}
    assert played.CRITICAL in plans
