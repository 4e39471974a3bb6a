"""The downstream of the backfill benchmark, and how its numbers are judged. Without Airflow."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from bench.backfill_real import FULL, QUICK, summary
from bench.backfill_world import LIMIT, Downstream, Era, Tick, breaches, serving, slowness


@pytest.fixture
def world() -> Iterator[Downstream]:
    found = Downstream(0.2, 1.0)
    yield found
    found.stop()


def test_at_its_capacity_it_is_at_its_limit() -> None:
    assert slowness(8, 8) == LIMIT
    assert not Tick(0, 8, 8).is_breach
    assert Tick(0, 9, 8).is_breach


def test_breaches_are_counted_from_tick_to_tick() -> None:
    loads = [1, 9, 9, 1, 9, 1]
    found = breaches([Tick(float(at), load, 8) for at, load in enumerate(loads)])
    assert (found["breach_s"], found["longest_breach_s"]) == (3.0, 2.0)
    assert found["mean_load"] == pytest.approx(29 / 5)
    assert breaches([])["breach_s"] == 0


def test_it_works_slower_under_load_and_tells(world: Downstream) -> None:
    world.reset([Era(0, 2)])
    with serving(world) as port:
        call = f"http://127.0.0.1:{port}"
        threads = [threading.Thread(target=world.serve) for _ in range(3)]
        for thread in threads:
            thread.start()
        urllib.request.urlopen(f"{call}/work", b"", timeout=30).read()
        with urllib.request.urlopen(f"{call}/api/v1/query?query=slowness", timeout=30) as answer:
            (sample,) = json.load(answer)["data"]["result"]
        for thread in threads:
            thread.join()
    assert float(sample["value"][1]) > 1.0
    assert len(world.finished) == 4
    assert world.load == 0
    assert max(tick.load for tick in world.ticks) == 4
    assert breaches(world.ticks)["breach_s"] > 0


@pytest.mark.parametrize("size", [FULL, QUICK])
def test_fixed_limits_are_what_somebody_would_set(size: Any) -> None:
    assert size.least == 3
    assert size.typical == 7
    assert len(size.eras) == 3, "the capacity changes twice"


def way(seconds: float, *, breach: float = 0, finished: bool = True) -> dict[str, Any]:
    return {"seconds": seconds, "longest_breach_s": breach, "finished": finished}


@pytest.mark.parametrize(
    ("ours", "beside", "met"),
    [
        (way(100), way(200), [True, True, True]),
        (way(100, breach=1000), way(200), [False, True, True]),
        (way(160), way(200), [True, False, True]),
        (way(100), way(200, finished=False), [True, True, False]),
    ],
)
def test_targets(ours: dict[str, Any], beside: dict[str, Any], met: list[bool]) -> None:
    ways = {
        "planner": ours,
        "planner_beside_normal_runs": beside,
        "native_typical": way(150),
        "native_hindsight": way(300),
    }
    assert list(summary(FULL, ways)["targets_met"].values()) == met
