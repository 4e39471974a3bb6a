"""A backfill over chunks in a real Airflow: every chunk once, few at once, also after a kill."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from planner_provider.ledger import Ledger
from planner_provider.localstack.local_airflow import LocalAirflow
from tests.e2e.local_bundle import header, make_airflow, make_bundle, wait_until
from tests.e2e.victims import running_tasks

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

AT_ONCE, ROWS, SIZE = 3, 240, 20
PLAN = """
    - id: fill
      retries: {{limit: 2, delay: 1s}}
      backfill:
        chunks:
          keys:
            connection: shop
            first: SELECT min(id) FROM orders
            last: SELECT max(id) FROM orders
            size: {size}
          shell:
            command: |
              echo "$PLANNER_CHUNK_BEGIN begin $(date +%s.%N)" >> {log}
              sleep 2
              echo "$PLANNER_CHUNK_BEGIN end $(date +%s.%N)" >> {log}
        from: "2026-11-01T00:00Z"
        to: "2026-11-02T00:00Z"
        throttle: {{max: {at_once}, every: 2s}}
      rollback: none
"""


class Stage:
    def __init__(self, airflow: LocalAirflow, log: Path) -> None:
        self.airflow, self.api, self.log = airflow, airflow.api, log
        self.ledger = Ledger(f"sqlite:///{airflow.settings.home / 'planner.db'}")

    def lines(self) -> list[tuple[int, str, float]]:
        found = self.log.read_text().splitlines() if self.log.exists() else []
        parted = (line.split() for line in found)
        return [(int(chunk), what, float(at)) for chunk, what, at in parted]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("chunks")
    specs = make_bundle(root / "bundle")
    shop, log = root / "shop.db", root / "log"
    with closing(sqlite3.connect(shop)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
        ids = [(number,) for number in range(1, ROWS + 1)]
        connection.executemany("INSERT INTO orders VALUES (?)", ids)
    text = PLAN.format(size=SIZE, log=log, at_once=AT_ONCE)
    (specs / "by-chunks.yaml").write_text(header("by-chunks") + text)
    with make_airflow(
        tmp_path_factory, root / "home", dags=root / "bundle" / "dags", parallelism=6
    ) as airflow:
        airflow.wait_ready()
        airflow.wait_dag("by-chunks")
        airflow.api.call(
            "POST",
            "/connections",
            {"connection_id": "shop", "conn_type": "sqlite", "host": str(shop)},
        )
        yield Stage(airflow, log)


def test_every_chunk_once_few_at_once_also_after_a_kill(stage: Stage) -> None:
    stage.api.trigger("by-chunks", {}, run_id="one")
    wait_until(lambda: len([1 for _, what, _ in stage.lines() if what == "end"]) >= 3, 150)
    killed = time.time()
    children = [child for _, child in running_tasks(stage.airflow)]
    max(children, key=lambda child: child.create_time()).kill()
    assert stage.api.wait_for_run("by-chunks", "one", timeout=400).state == "success"
    lines = stage.lines()
    begins = [chunk for chunk, what, _ in lines if what == "begin"]
    ends = [chunk for chunk, what, _ in lines if what == "end"]
    every = list(range(1, ROWS + 1, SIZE))
    assert sorted(set(ends)) == every
    assert len(ends) == len(every), "a chunk was done twice"
    assert len(begins) <= len(every) + 1, "only what was killed is begun again"
    at_once = highest = 0
    cut = {chunk for chunk in begins if begins.count(chunk) > 1}
    for chunk, what, at in sorted(lines, key=lambda line: line[2]):
        if chunk in cut and at < killed + 1:
            continue
        at_once += 1 if what == "begin" else -1
        highest = max(highest, at_once)
    assert 2 <= highest <= AT_ONCE
    told: Any = stage.api.xcom("by-chunks", "one", "execute.fill.check")
    assert (told["total"], told["done"], told["failed"], told["left"]) == (12, 12, 0, 0)
    run = stage.ledger.run_of("by-chunks", "one")
    assert run is not None
    assert stage.ledger.slot_holders(run.plan_id, "fill") == ()
