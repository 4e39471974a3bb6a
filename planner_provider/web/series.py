"""The series that a decision looked at, to be drawn. Pure: JSON of records in, points out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from planner_provider.ledger.overview_rows import VerdictRow
from planner_provider.web.models import Series

MINUTE = 60.0
SMALLEST = 1e-12
CANARY = {"canary": (0, 1), "baseline": (2, 3)}
"""Places of the events and of the bad ones in a row of a canary's minutes."""
MOST_SERIES = 24


def of_canary(inputs: Mapping[str, Any], now: datetime) -> tuple[Series, ...]:
    """The share of bad events of both arms, minute by minute, of each metric."""
    minutes = int(inputs.get("minute", 0))
    begin = now.timestamp() - minutes * MINUTE
    found: list[Series] = []
    for metric in inputs.get("metrics", ()):
        for cut in metric.get("cuts", ()):
            rows = cut.get("minutes", ())
            name = ", ".join(filter(None, (str(metric["name"]), str(cut.get("name", "")))))
            for arm, (events, bad) in CANARY.items():
                points = tuple(
                    (begin + (index + 1) * MINUTE, _share(row, events, bad))
                    for index, row in enumerate(rows)
                )
                limit = metric.get("tolerable")
                found.append(
                    Series(name=f"{name}: bad of {arm}", unit="ratio", points=points, limit=limit)
                )
    return tuple(found[:MOST_SERIES])


def _share(row: Sequence[Any] | None, events: int, bad: int) -> float | None:
    if row is None:
        return None
    total, part = row[events], row[bad]
    if not isinstance(total, int | float) or not isinstance(part, int | float) or total < SMALLEST:
        return None
    return part / total


def of_measures(rows: Iterable[VerdictRow], wanted: Iterable[str]) -> tuple[Series, ...]:
    """How measures went from decision to decision; those whose names have one of these words."""
    words = tuple(wanted)
    points: dict[str, list[tuple[float, float | None]]] = {}
    kept: dict[str, tuple[str | None, float | None]] = {}
    for row in rows:
        for measure in _measures(row):
            name = str(measure.get("name", ""))
            if not any(word in name for word in words):
                continue
            value = measure.get("value")
            points.setdefault(name, []).append((row.decided_at.timestamp(), value))
            kept[name] = (measure.get("unit") or None, measure.get("limit"))
    return tuple(
        Series(name=name, unit=kept[name][0], points=tuple(at), limit=kept[name][1])
        for name, at in list(points.items())[:MOST_SERIES]
    )


def _measures(row: VerdictRow) -> list[dict[str, Any]]:
    try:
        read = json.loads(row.verdict)
    except ValueError:
        return []
    measures = read.get("measures", []) if isinstance(read, dict) else []
    return [item for item in measures if isinstance(item, dict)]
