"""Memory, queries and reaction of many SLO gates that wait in one triggerer."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

ROOT = Path(__file__).parent.parent
LOOKS = 3
"""Intervals for which all is well before the breach."""
TARGETS = {"extra_memory_mb": 60.0, "queries_per_interval_max": 1, "intervals_until_all_saw": 1.0}
"""Figures of the summary that must not be above this."""
_FACT = "planner_fact"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    gates: int
    distinct: int
    """Number of different SLOs among them."""
    every_s: float


FULL = Size(gates=1000, distinct=20, every_s=15.0)
QUICK = Size(gates=1000, distinct=5, every_s=5.0)


@dataclass(slots=True)
class Played:
    """A server that plays Prometheus, and what it was asked."""

    port: int = 0
    burning: bool = False
    asked: list[tuple[float, str]] = field(default_factory=list)
    burning_at: dict[str, float] = field(default_factory=dict)
    """Query -> when it was first asked after the breach."""


def run(size: Size, *, as_json: bool) -> int:
    """Measure, print, and return the exit code: 0, whether or not the targets are met."""
    with _played_prometheus() as played:
        told, breach_at = _measure(size, played)
    report = {
        "python": platform.python_version(),
        "gates": size.gates,
        "distinct_slos": size.distinct,
        "interval_s": size.every_s,
        "memory": {
            name: {key: round(value, 1) for key, value in told[name].items() if key.endswith("_mb")}
            for name in ("before", "waiting", "done")
        },
        "waiting": told["waiting"]["waiting"],
        "cpu_s": round(told["done"]["cpu_s"], 2),
        "queries": len(played.asked),
        "summary": summarise(size, played, told, breach_at),
    }
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        _print_table(report)
    return 0


def summarise(
    size: Size, played: Played, told: dict[str, Any], breach_at: float
) -> dict[str, object]:
    """The figures that have targets.

    ``intervals_until_all_saw`` ends when the last look that saw the breach was asked, since that
    is what the interval is for; ``told_after_look_s_max`` is the time from there to the last event.
    """
    memory = {name: told[name] for name in ("before", "waiting", "done")}
    extra = max(memory["waiting"]["rss_mb"], memory["done"]["rss_mb"]) - memory["before"]["rss_mb"]
    events = told["done"]["events"]
    last = max(event["at"] for event in events) - breach_at
    looks = [_look_of(number % size.distinct, played) for number in range(size.gates)]
    told_after = max(event["at"] - look for event, look in zip(events, looks, strict=True))
    figures = {
        "extra_memory_mb": round(extra, 1),
        "extra_pss_mb": round(memory["waiting"]["pss_mb"] - memory["before"]["pss_mb"], 1),
        "extra_kb_per_gate": round(extra * 1024 / size.gates, 1),
        "queries_per_interval_max": queries_per_interval(played.asked, size.every_s),
        "breach_seen_by_all_after_s": round(last, 2),
        "intervals_until_all_saw": round((max(looks) - breach_at) / size.every_s, 3),
        "told_after_look_s_max": round(told_after, 3),
        "saw_the_breach": sum(event["ending"] == "breached" for event in events),
    }
    met = {name: figures[name] <= limit for name, limit in TARGETS.items()}
    met["saw_the_breach"] = figures["saw_the_breach"] == size.gates
    return {**figures, "targets": TARGETS, "targets_met": met}


def _look_of(number: int, played: Played) -> float:
    """When the first look that saw the breach asked about an SLO; for ever if there was none."""
    name = f'"service-{number}"'
    return min((at for query, at in played.burning_at.items() if name in query), default=math.inf)


def queries_per_interval(asked: list[tuple[float, str]], every: float) -> int:
    """How often the same query was asked at most in an interval; its first one sets the beat."""
    first: dict[str, float] = {}
    counts: Counter[tuple[str, int]] = Counter()
    for at, query in asked:
        beat = first.setdefault(query, at)
        counts[query, round((at - beat) / every)] += 1
    return max(counts.values())


def _measure(size: Size, played: Played) -> tuple[dict[str, Any], float]:
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="planner-bench-") as home:
        process = _process(home, played.port)
        assert process.stdin
        assert process.stdout
        plan = {"triggers": _arguments(size), "wait_s": (LOOKS + 0.5) * size.every_s}
        process.stdin.write(json.dumps(plan))
        process.stdin.close()
        breach_at = 0.0
        for line in process.stdout:
            item = json.loads(line)
            told[item.pop("what")] = item
            print(f"{', '.join(told)}", file=sys.stderr, flush=True)
            if "waiting" in told and not breach_at:
                played.burning, breach_at = True, time.time()
        if process.wait() or "done" not in told:
            raise SystemExit(f"the waiting process ended with {process.returncode}")
    return told, breach_at


def _arguments(size: Size) -> list[str]:
    """The arguments of each trigger, as text of its own."""
    from datetime import timedelta

    from planner_provider.decide.slo import SloRules
    from planner_provider.graph.slos import Indicator, Query, Slo, SloTarget

    def slo(number: int) -> str:
        name = f"service-{number}"
        query = f'http_requests_total{{service="{name}"'
        item = Slo(
            name=f"{name}-availability",
            service=name,
            targets=(SloTarget(target=0.999),),
            window=timedelta(days=30),
            indicator=Indicator(
                kind="good",
                query=Query(source="prometheus", connection="prom", text=query + ',code!~"5.."}'),
                total=Query(source="prometheus", connection="prom", text=query + "}"),
            ),
        )
        return json.dumps([item.model_dump(mode="json", exclude_defaults=True)])

    now = time.time()
    rules = SloRules(in_progress=True).model_dump_json(exclude_defaults=True)
    return [
        json.dumps(
            {
                "slos": slo(number % size.distinct),
                "rules": rules,
                "every": size.every_s,
                "until": now + 86400,
                "hold_for": 43200.0,
                "healthy_since": now,
                "plan_id": f"plan-{number:08d}-12345678",
            }
        )
        for number in range(size.gates)
    ]


def _process(home: str, port: int) -> subprocess.Popen[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "_AIRFLOW", "PYTHON"))
    }
    environment = kept | {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW_CONN_PROM": f"http://bench:secret@127.0.0.1:{port}",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "bench.gates_process"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def _played_prometheus() -> Iterator[Played]:
    played = Played()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            begun = time.time()
            size = int(self.headers["content-length"])
            query = parse_qs(self.rfile.read(size).decode())["query"][0]
            played.asked.append((begun, query))
            if played.burning and _FACT in query:
                played.burning_at.setdefault(query, begun)
            body = json.dumps(
                {"status": "success", "data": {"resultType": "vector", "result": _series(query)}}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    def _series(query: str) -> list[dict[str, Any]]:
        """Answer each part of a bundle of queries; there are no recording rules."""
        now = time.time()
        found = []
        for part in query.split("label_replace(\n")[1:]:
            expression, _, rest = part.partition(f'\n, "{_FACT}", "')
            if "timestamp(" in expression:
                value = now
            elif "code!~" in expression:
                value = 50_000.0 if played.burning else 99_990.0
            else:
                value = 100_000.0
            labels = {_FACT: rest.partition('"')[0]}
            found.append({"metric": labels, "value": [now, repr(value)]})
        return found

    class Listener(ThreadingHTTPServer):
        daemon_threads = True

    listener = Listener(("127.0.0.1", 0), Handler)
    played.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield played
    finally:
        listener.shutdown()
        listener.server_close()


def _print_table(report: dict[str, Any]) -> None:
    print(
        f"\n{report['gates']} gates on {report['distinct_slos']} SLOs in one event loop, a look "
        f"every {report['interval_s']:g} s\n"
    )
    for name, sizes in report["memory"].items():
        print(f"  {name:<10}{sizes['rss_mb']:>8.1f} MB resident{sizes['pss_mb']:>9.1f} MB PSS")
    print()
    met = report["summary"]["targets_met"]
    for name, value in report["summary"].items():
        if isinstance(value, int | float):
            limit = TARGETS.get(name)
            told = f"   at most {limit:g}: {'met' if met[name] else 'MISSED'}" if limit else ""
            print(f"  {name:<32}{value:>10g}{told}")
