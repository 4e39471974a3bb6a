"""What the tests read back: the sums in the SQLite file and the samples of the exposition."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Sums = dict[tuple[str, str, str], tuple[int, int, int, int]]
"""By service, version and track: requests, errors, slow ones, latency in whole microseconds."""


def query(db: Path, sql: str, values: Sequence[object] = ()) -> list[Any]:
    with closing(sqlite3.connect(db)) as connection, connection:
        return connection.execute(sql, values).fetchall()


def sums_in_file(db: Path) -> Sums:
    rows = query(
        db,
        "SELECT service, version, track, sum(requests), sum(errors), sum(slow), "
        "sum(latency_ms_sum) FROM requests GROUP BY 1, 2, 3",
    )
    return {tuple(row[:3]): (row[3], row[4], row[5], round(row[6] * 1000)) for row in rows}


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sums_in_metrics(text: str) -> Sums:
    found = samples(text)
    sums: Sums = {}
    for name, labels in found:
        if name != "http_request_duration_seconds_count":
            continue
        by = dict(labels)
        count = int(found[(name, labels)])
        ok, bad = (
            int(found[("http_requests_total", labels | {("code", code)})])
            for code in ("200", "500")
        )
        assert ok + bad == count
        quick = found[("http_request_duration_seconds_bucket", labels | {("le", "0.3")})]
        latency = found[("http_request_duration_seconds_sum", labels)] * 1_000_000
        if count:
            key = (by["service"], by["version"], by["track"])
            sums[key] = (count, bad, count - int(quick), round(latency))
    return sums
