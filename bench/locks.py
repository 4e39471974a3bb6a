"""What taking and giving back locks costs, beside a bare insert and commit on the same database.

Each contender is a process with connections of its own. In ``apart`` each wants a resource that
nobody else wants, so that only the ledger itself is shared. In ``same`` all want one resource and
queue for it; ``acquire`` is then the transaction that gets it, and ``handover`` the time from the
moment at which one has given it back to the moment at which the next one has it, with 400 looks a
second of all contenders together (Airflow's triggers look every 3 s, once for all).
"""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine, text

from planner_provider.ledger import Ledger
from planner_provider.ledger.engine import make_engine, writing
from planner_provider.ledger.rows import Hold, Lease, RunKey
from tests.ledger.databases import postgres, postgres_programs

FULL = (1, 2, 4, 8, 16, 32, 64)
QUICK = (1, 8)
ROUNDS = 320
"""Rounds of all contenders together; each does at least five."""
QUICK_ROUNDS = 64
LOOKS = 400
"""Looks a second of all who wait together."""
Measured = TypeVar("Measured")
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Times:
    """Milliseconds."""

    p50: float
    p99: float
    count: int


@dataclass(frozen=True)
class Row:
    """One measurement: a database, a scenario, a number of contenders."""

    database: str
    scenario: str
    contenders: int
    baseline: Times
    acquire: Times
    release: Times
    handover: Times | None
    ratio_p50: float
    """Acquire and release together (two transactions), over two bare inserts."""


@dataclass(frozen=True)
class Sample:
    """One taking and giving back, in milliseconds."""

    acquire: float
    release: float
    held_from: float
    """Moments of a clock that all processes share."""
    released_at: float


def run(contenders: Sequence[int], *, rounds: int, as_json: bool) -> int:
    rows: list[Row] = []
    skipped: list[str] = []
    for name, database in (("sqlite", _sqlite), ("postgresql", _postgresql)):
        if name == "postgresql" and postgres_programs() is None:
            skipped.append("postgresql: not installed")
            continue
        for count in contenders:
            with database() as url:
                measured = _measure(name, url, count, max(5, rounds // count))
            for row in measured:
                print(_line(row), file=sys.stderr, flush=True)
            rows += measured
    if as_json:
        print(json.dumps(_report(rows, skipped), indent=2))
    else:
        _print(rows, skipped)
    return 0


def _measure(database: str, url: str, count: int, rounds: int) -> list[Row]:
    ledger, now = Ledger(url), datetime.now(UTC)
    ledger.upgrade()
    for number in range(count):
        ledger.pin_run(_key(number), expires_at=None, parameters={}, actor="bench", now=now)
    with writing(make_engine(url)) as connection:
        connection.execute(text("CREATE TABLE bench_rows (at VARCHAR(40))"))
    baseline = _times([t for part in _contest(url, count, rounds, _insert) for t in part])
    rows = []
    for scenario, work in (("apart", _apart), ("same", _same)):
        samples = [s for part in _contest(url, count, rounds, work) for s in part]
        acquire = _times([s.acquire for s in samples])
        release = _times([s.release for s in samples])
        rows.append(
            Row(
                database,
                scenario,
                count,
                baseline,
                acquire,
                release,
                _handover(samples) if scenario == "same" and count > 1 else None,
                round((acquire.p50 + release.p50) / (2 * baseline.p50), 2),
            )
        )
    return rows


def _contest(
    url: str, count: int, rounds: int, work: Callable[[str, int, int], Iterator[Measured]]
) -> list[list[Measured]]:
    """Let ``count`` processes work at the same time; give what each measured."""
    global _look_every  # the processes inherit it
    _look_every = count / LOOKS
    barrier = FORK.Barrier(count)
    pipes, processes = [], []
    for number in range(count):
        receiver, sender = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_one, args=(url, number, rounds, work, barrier, sender))
        process.start()
        sender.close()
        pipes.append(receiver)
        processes.append(process)
    try:
        return [pipe.recv() for pipe in pipes]
    finally:
        for process in processes:
            process.join(60)
            process.kill()


def _one(
    url: str,
    number: int,
    rounds: int,
    work: Callable[[str, int, int], Iterator[Measured]],
    barrier: Barrier,
    sender: Pipe,
) -> None:
    for _ in work(url, number, 1):
        pass  # the first time imports and opens things
    barrier.wait(120)
    sender.send(list(work(url, number, rounds)))


_look_every = 0.0
"""Seconds between two looks of one who waits."""
_engines: dict[str, Engine] = {}
_ledgers: dict[str, Ledger] = {}


def _insert(url: str, number: int, rounds: int) -> Iterator[float]:
    engine = _engines.setdefault(url, make_engine(url))
    for _ in range(rounds):
        begin = time.perf_counter()
        with writing(engine) as connection:
            connection.execute(text("INSERT INTO bench_rows VALUES (:at)"), {"at": str(begin)})
        yield (time.perf_counter() - begin) * 1000


def _apart(url: str, number: int, rounds: int) -> Iterator[Sample]:
    return _take_and_give(url, number, rounds, f"db://{number}")


def _same(url: str, number: int, rounds: int) -> Iterator[Sample]:
    return _take_and_give(url, number, rounds, "db://all")


def _take_and_give(url: str, number: int, rounds: int, resource: str) -> Iterator[Sample]:
    ledger, plan_id = _ledgers.setdefault(url, Ledger(url)), _key(number).plan_id
    holds = [Hold(resource), Hold(f"plan://{number}")]
    for _ in range(rounds):
        while True:
            begin = time.perf_counter()
            answer = ledger.ask_for_lease(plan_id, holds, actor="bench", now=datetime.now(UTC))
            held_from = time.monotonic()
            acquire = time.perf_counter() - begin
            if isinstance(answer, Lease):
                break
            time.sleep(_look_every)
        begin = time.perf_counter()
        ledger.release_lease(plan_id, actor="bench", now=datetime.now(UTC))
        release = time.perf_counter() - begin
        yield Sample(acquire * 1000, release * 1000, held_from, time.monotonic())


def _handover(samples: list[Sample]) -> Times:
    ordered = sorted(samples, key=lambda sample: sample.held_from)
    gaps = [
        max(0.0, (after.held_from - before.released_at) * 1000)
        for before, after in itertools.pairwise(ordered)
    ]
    return _times(gaps)


def _times(values: Sequence[float]) -> Times:
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)], 3)

    return Times(at(0.5), at(0.99), len(ordered))


def _key(number: int) -> RunKey:
    return RunKey(f"bench-{number}", f"bench{number}", f"bench{number}", "run", "b" * 64)


@contextmanager
def _sqlite() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="planner-bench-"))
    try:
        yield f"sqlite:///{folder / 'planner.db'}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _postgresql() -> Iterator[str]:
    programs = postgres_programs()
    assert programs is not None
    with postgres(programs, durable=True) as url:
        yield url


def _report(rows: list[Row], skipped: list[str]) -> dict[str, object]:
    slowest = max(rows, key=lambda row: row.acquire.p99)
    return {
        "bench": "locks",
        "unit": "ms",
        "python": platform.python_version(),
        "skipped": skipped,
        "rows": [asdict(row) for row in rows],
        "summary": {
            "ratio_p50_max": max(row.ratio_p50 for row in rows),
            "acquire_p99_max_ms": slowest.acquire.p99,
            "acquire_p99_max_at": f"{slowest.database}, {slowest.scenario}, {slowest.contenders}",
        },
    }


def _print(rows: list[Row], skipped: list[str]) -> None:
    print("milliseconds, p50 / p99      bare insert        acquire        release       handover")
    for row in rows:
        print(_line(row))
    for line in skipped:
        print(f"skipped: {line}")


def _line(row: Row) -> str:
    columns = (row.baseline, row.acquire, row.release, row.handover)
    shown = "".join(f"{f'{t.p50:.1f} / {t.p99:.1f}' if t else '-':>15}" for t in columns)
    return f"{row.database:<11}{row.scenario:<6}{row.contenders:>3} contenders{shown}"
