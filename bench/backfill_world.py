"""What is downstream of a backfill, on loopback: it slows down under load; its capacity changes.

It works on any number of requests at once. With ``n`` at work and capacity ``c`` each takes
``1 + (n/c)**2`` times as long as alone, so at the capacity it is at its limit of twice as long, and
above it gets little done. It is its own Prometheus: every query gives how much slower it has been.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

LIMIT = 2.0
"""Slowness that is the limit of the SLO: reached where the load is the capacity."""
STEP_S = 0.05


def slowness(load: int, capacity: float) -> float:
    """How many times as long work takes."""
    return 1.0 + (load / capacity) ** 2


@dataclass(frozen=True)
class Era:
    """A capacity, from so many seconds after the first request on."""

    since: float
    capacity: float


@dataclass
class Work:
    """One request."""

    left: float
    done: threading.Event = field(default_factory=threading.Event)


@dataclass
class Tick:
    """What was at one moment."""

    at: float
    load: int
    capacity: float

    @property
    def is_breach(self) -> bool:
        """Whether it was slower than its limit."""
        return slowness(self.load, self.capacity) > LIMIT + 1e-9


class Downstream:
    """Works on requests. Its time begins with the first one after `reset`."""

    def __init__(self, seconds: float, window: float) -> None:
        self.seconds = seconds
        """How long a request takes alone."""
        self.window = window
        """Over how many seconds its signal is the mean."""
        self._lock = threading.Lock()
        self._eras: Sequence[Era] = (Era(0, 1),)
        self._work: list[Work] = []
        self._over = threading.Event()
        self.reset(self._eras)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def reset(self, eras: Sequence[Era]) -> None:
        """Forget all that was, and begin anew with the next request."""
        with self._lock:
            self._eras = eras
            self._began: float | None = None
            self.ticks: list[Tick] = []
            self.finished: list[float] = []
            """When requests ended, in seconds since the first one."""
            self._recent: deque[tuple[float, float]] = deque()

    def stop(self) -> None:
        """End its thread."""
        self._over.set()
        self._thread.join()

    def serve(self) -> None:
        """Work on one request to its end."""
        work = Work(self.seconds)
        with self._lock:
            if self._began is None:
                self._began = time.monotonic()
            self._work.append(work)
        work.done.wait()

    @property
    def load(self) -> int:
        """How many requests are at work."""
        with self._lock:
            return len(self._work)

    def signal(self) -> float:
        """Mean slowness over the window; 1 while there is no load."""
        with self._lock:
            values = [value for _, value in self._recent]
        return sum(values) / len(values) if values else 1.0

    def _run(self) -> None:
        last = time.monotonic()
        while not self._over.wait(STEP_S):
            now = time.monotonic()
            with self._lock:
                self._step(now, now - last)
            last = now

    def _step(self, now: float, passed: float) -> None:
        at = 0.0 if self._began is None else now - self._began
        capacity = [era.capacity for era in self._eras if era.since <= at][-1]
        load = len(self._work)
        slow = slowness(load, capacity)
        self._recent.append((now, slow))
        while self._recent and self._recent[0][0] < now - self.window:
            self._recent.popleft()
        if self._began is None:
            return
        self.ticks.append(Tick(at, load, capacity))
        for work in list(self._work):
            work.left -= passed / slow
            if work.left <= 0:
                self._work.remove(work)
                self.finished.append(at)
                work.done.set()


def breaches(ticks: Sequence[Tick]) -> dict[str, float]:
    """Seconds above the limit in all, the longest in one go, and the mean load."""
    total = longest = current = area = 0.0
    for before, tick in itertools.pairwise(ticks):
        span = tick.at - before.at
        area += span * before.load
        current = current + span if before.is_breach else 0.0
        total += span if before.is_breach else 0.0
        longest = max(longest, current)
    whole = ticks[-1].at - ticks[0].at if len(ticks) > 1 else 0.0
    return {
        "breach_s": round(total, 1),
        "longest_breach_s": round(longest, 1),
        "mean_load": round(area / whole, 2) if whole else 0.0,
    }


@contextmanager
def serving(world: Downstream) -> Iterator[int]:
    """Serve it on loopback: POST /work, and Prometheus's /api/v1/query. Gives the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            if self.path == "/work":
                world.serve()
                self._say({})
            else:
                self._say(_vector(world, parse_qs(body).get("query", [""])[0]))

        def do_GET(self) -> None:
            query = parse_qs(self.path.partition("?")[2]).get("query", [""])[0]
            self._say(_vector(world, query))

        def _say(self, document: Any) -> None:
            data = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _vector(world: Downstream, query: str) -> dict[str, Any]:
    now = time.time()
    value = now if query.startswith("timestamp(") else world.signal()
    sample = {"metric": {"__name__": "slowness"}, "value": [now, str(value)]}
    return {"status": "success", "data": {"resultType": "vector", "result": [sample]}}
