"""A throttled backfill in a real Airflow on PostgreSQL, beside Airflow's own backfill.

Each way of doing it gets a target DAG of its own with the same partitions, and the same downstream,
whose capacity changes twice at fixed times. Time is counted from the first request that reaches
the downstream to the end of the last one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.backfill_world import LIMIT, Downstream, Era, breaches, serving
from planner_provider.localstack.local_airflow import LocalAirflow
from planner_provider.localstack.settings import StackSettings
from tests.e2e.local_bundle import QUICK as OFTEN
from tests.e2e.local_bundle import header, make_bundle
from tests.ledger.databases import postgres, postgres_programs

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
PERIOD_S = 5.0
SIGNAL_S = 3.0
WAIT_TICKS = 2
"""D of the law: ticks until a change can be seen in a signal without lag."""

TARGETS = """
from datetime import datetime, timedelta, timezone
import urllib.request
from airflow.sdk import DAG, CronTriggerTimetable, task

NAMES = %(names)r

def target(name):
    with DAG(
        name, schedule=CronTriggerTimetable("0 * * * *", timezone="UTC"), catchup=False,
        start_date=datetime(2026, 11, 1, tzinfo=timezone.utc), max_active_runs=64,
        max_active_tasks=64,
    ) as dag:
        @task
        def load(logical_date=None):
            if logical_date > datetime(2026, 11, 15, tzinfo=timezone.utc):
                return  # a run of its own schedule
            call = urllib.request.Request("http://127.0.0.1:%(port)d/work", b"", method="POST")
            urllib.request.urlopen(call, timeout=600).read()
        load()
    return dag

for name in NAMES:
    globals()[name] = target(name)
"""
NORMAL = """
from datetime import datetime, timedelta, timezone
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import DAG, BaseOperator

class Long(BaseOperator):
    def execute(self, context):
        until = datetime.now(timezone.utc) + timedelta(hours=1)
        self.defer(trigger=DateTimeTrigger(until), method_name="over")
    def over(self, context, event=None):
        pass

with DAG("normal", schedule=None, max_active_runs=200, max_active_tasks=200):
    Long(task_id="long")
"""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    partitions: int
    work_s: float
    """How long a partition keeps the downstream busy, alone."""
    eras: tuple[Era, ...]
    normal_runs: int
    starved_s: float
    """How long Airflow's own backfill is watched beside the normal runs."""
    parallelism: int = 32

    @property
    def least(self) -> int:
        """The best fixed limit in hindsight: the most that never is too much."""
        return int(min(era.capacity for era in self.eras))

    @property
    def typical(self) -> int:
        """What somebody would set who knows the capacity at the start, with some room."""
        return int(self.eras[0].capacity * 0.9)

    @property
    def bound_s(self) -> float:
        """The longest time above the limit that is allowed for the throttle."""
        return 2 * WAIT_TICKS * PERIOD_S + self.work_s / 2 + 120


FULL = Size(200, 6.0, (Era(0, 8), Era(60, 3), Era(150, 16)), 50, 60.0)
QUICK = Size(60, 4.0, (Era(0, 8), Era(20, 3), Era(50, 16)), 50, 20.0)
PATIENCE = 1.5
"""A fixed limit is given up after so many times as long as the throttle took."""


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Measure all ways, one after the other; under ``summary`` what was aimed at."""
    programs = postgres_programs()
    if programs is None:
        return {"skipped": "PostgreSQL is not installed"}
    size = QUICK if quick else FULL
    world = Downstream(size.work_s, SIGNAL_S)
    try:
        with (
            serving(world) as port,
            postgres(programs) as url,
            tempfile.TemporaryDirectory() as tmp,
            stage(Path(tmp), url, port, size) as airflow,
        ):
            ways = _Ways(airflow, world, size).all()
    finally:
        world.stop()
    return {"size": _told(size), "ways": ways, "summary": summary(size, ways)}


def summary(size: Size, ways: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What was aimed at, and whether it was reached."""
    ours, beside = ways["planner"], ways["planner_beside_normal_runs"]
    typical, best = ways["native_typical"], ways["native_hindsight"]
    return {
        "seconds": [ours["seconds"], typical["seconds"], best["seconds"]],
        "longest_breach_s": [ours["longest_breach_s"], beside["longest_breach_s"]],
        "targets_met": {
            "real_breach_within_bound": max(ours["longest_breach_s"], beside["longest_breach_s"])
            <= size.bound_s,
            "real_faster_than_both": ours["finished"]
            and ours["seconds"] < min(typical["seconds"], best["seconds"]),
            "real_finished_beside_normal_runs": beside["finished"],
        },
    }


@contextmanager
def stage(root: Path, url: str, port: int, size: Size) -> Iterator[LocalAirflow]:
    """An Airflow on PostgreSQL with the target DAGs and a plan for each that needs one."""
    names = ("planner", "native_typical", "native_hindsight", "planner_beside", "native_beside")
    specs = make_bundle(root / "bundle")
    dags = root / "bundle" / "dags"
    (dags / "targets.py").write_text(TARGETS % {"names": names, "port": port})
    (dags / "normal.py").write_text(NORMAL)
    for name in ("planner", "planner_beside"):
        (specs / f"{name}.yaml").write_text(_plan(name, size))
    env = OFTEN | {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("://", "+psycopg2://"),
        "AIRFLOW__PLANNER__SQL_ALCHEMY_CONN": url.replace("://", "+psycopg://"),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
        "AIRFLOW_CONN_DOWNSTREAM": f"http://127.0.0.1:{port}",
    }
    settings = StackSettings(home=root / "home", dags=dags, env=env, parallelism=size.parallelism)
    with LocalAirflow(settings) as airflow:
        airflow.wait_ready(180)
        for name in (*names, "normal", *map(_plan_name, ("planner", "planner_beside"))):
            airflow.wait_dag(name, 120)
        user, password = next(iter(settings.passwords().items()))
        airflow.api.call(
            "POST",
            "/connections",
            {
                "connection_id": "airflow_api", "conn_type": "http", "host": "127.0.0.1",
                "port": settings.port, "login": user, "password": password,
            },
        )  # fmt: skip
        yield airflow


def _plan_name(target: str) -> str:
    return f"fill-{target.replace('_', '-')}"


def _plan(target: str, size: Size) -> str:
    end = BEGIN + size.partitions * timedelta(hours=1)
    return (
        header(_plan_name(target))
        + f"""
    - id: fill
      timeout: 2h
      backfill:
        dag: {target}
        from: "{BEGIN.isoformat()}"
        to: "{end.isoformat()}"
        throttle:
          start: {size.typical - 1}
          max: {size.parallelism - 4}
          every: {PERIOD_S:g}s
          signal:
            {{connection: downstream, query: slowness, max: {LIMIT:g}, window: {SIGNAL_S:g}s}}
      rollback: none
"""
    )


class _Ways:
    def __init__(self, airflow: LocalAirflow, world: Downstream, size: Size) -> None:
        self.airflow, self.api, self.world, self.size = airflow, airflow.api, world, size

    def all(self) -> dict[str, dict[str, Any]]:
        size = self.size
        ways = {"planner": self._played("planner", self._ours("planner"))}
        longest = PATIENCE * ways["planner"]["seconds"]
        for name, limit in (("native_typical", size.typical), ("native_hindsight", size.least)):
            ways[name] = self._played(name, self._native(name, limit), longest)
            if not ways[name]["finished"]:
                self._cancel(name)
        for number in range(size.normal_runs):
            self.api.trigger("normal", run_id=f"n{number}")
        self._wait(lambda: self._count("normal", "running") == size.normal_runs, 300)
        ways["planner_beside_normal_runs"] = self._played(
            "planner_beside", self._ours("planner_beside")
        )
        ways["native_beside_normal_runs"] = self._played(
            "native_beside", self._native("native_beside", size.typical), size.starved_s
        )
        return ways

    def _ours(self, target: str) -> Callable[[], object]:
        return lambda: self.api.trigger(_plan_name(target), run_id="bench")

    def _native(self, target: str, limit: int) -> Callable[[], object]:
        last = BEGIN + (self.size.partitions - 1) * timedelta(hours=1)
        body = {
            "dag_id": target,
            "from_date": BEGIN.isoformat(),
            "to_date": last.isoformat(),
            "max_active_runs": limit,
        }
        return lambda: self.api.call("POST", "/backfills", body)

    def _cancel(self, target: str) -> None:
        """End a backfill of Airflow's own that takes too long, and what runs of it."""
        found = self.api.call("GET", "/backfills", query={"dag_id": target})
        assert isinstance(found, dict)
        for backfill in found["backfills"]:
            self.api.call("PUT", f"/backfills/{backfill['id']}/cancel")
        self._wait(lambda: not self._count(target, "running"), 120, fatal=False)

    def _played(
        self, name: str, begin: Callable[[], object], longest: float = 1500
    ) -> dict[str, Any]:
        tell(name)
        self._wait(lambda: not self.world.load, 300)
        self.world.reset(self.size.eras)
        asked = time.monotonic()
        begin()
        finished = self._wait(
            lambda: len(self.world.finished) >= self.size.partitions, longest, fatal=False
        )
        ends = self.world.finished
        row = {
            "finished": finished,
            "done": len(ends),
            "seconds": round(ends[-1] if finished else longest, 1),
            "until_first_s": round(time.monotonic() - asked - (self._age() or 0), 1),
            **breaches(self.world.ticks),
            "loads": self._loads(),
        }
        tell(f"  {row}")
        if finished:
            self._wait(lambda: not self._count(name, "running"), 60, fatal=False)
        return row

    def _age(self) -> float | None:
        return self.world.ticks[-1].at if self.world.ticks else None

    def _loads(self) -> list[float]:
        """The mean load of each ten seconds."""
        found: dict[int, list[int]] = {}
        for tick in self.world.ticks:
            found.setdefault(int(tick.at // 10), []).append(tick.load)
        return [round(sum(loads) / len(loads), 1) for loads in found.values()]

    def _count(self, dag: str, state: str) -> int:
        found = self.api.call("GET", f"/dags/{dag}/dagRuns", query={"state": state, "limit": "1"})
        return int(found["total_entries"]) if isinstance(found, dict) else 0

    def _wait(self, what: Callable[[], object], seconds: float, *, fatal: bool = True) -> bool:
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                if fatal:
                    raise TimeoutError("Airflow did not get there in time")
                return False
            time.sleep(0.5)
        return True


def _told(size: Size) -> dict[str, Any]:
    return {
        "partitions": size.partitions,
        "work_s": size.work_s,
        "capacities": [[era.since, era.capacity] for era in size.eras],
        "normal_runs": size.normal_runs,
        "typical": size.typical,
        "hindsight": size.least,
        "bound_s": size.bound_s,
    }


def tell(text: str) -> None:
    """Say how far it is."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """``python -m bench.backfill_real [--quick]``: only this part, as JSON."""
    report = measure(quick="--quick" in arguments)
    print(json.dumps(report, indent=2))
    return 0 if all(report.get("summary", {}).get("targets_met", {}).values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
