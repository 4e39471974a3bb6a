"""The planner measures itself: what its ledger says, for Prometheus. Knows no Airflow."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from planner_provider.metrics.reader import MetricsReader

log = logging.getLogger(__name__)

FRESH = timedelta(seconds=10)
"""Who asks again within this time gets the same answer."""


@dataclass(slots=True)
class _Place:
    """What is kept of one ledger between two scrapes."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    reader: MetricsReader | None = None
    answer: tuple[bytes, str] | None = None
    answered_at: datetime | None = None


_places: dict[str, _Place] = {}
_guard = threading.Lock()


def exposition(ledger_url: str, now: datetime) -> tuple[bytes, str]:
    """The metrics of a ledger in Prometheus' text format, and their content type.

    Never raises for a ledger that cannot be read: then ``planner_ledger_up`` is 0. Threads that ask
    at the same time wait for one reading.
    """
    with _guard:
        place = _places.setdefault(ledger_url, _Place())
    with place.lock:
        kept, at = place.answer, place.answered_at
        if kept is not None and at is not None and timedelta(0) <= now - at < FRESH:
            return kept
        place.answer, place.answered_at = _answer(place, ledger_url, now), now
        return place.answer


def forget() -> None:
    """Begin anew with every ledger."""
    with _guard:
        _places.clear()


def _answer(place: _Place, ledger_url: str, now: datetime) -> tuple[bytes, str]:
    from planner_provider import __version__
    from planner_provider.errors import PlannerError
    from planner_provider.metrics.families import families, unreadable
    from planner_provider.metrics.reader import MetricsReader

    try:
        if place.reader is None:
            place.reader = MetricsReader.open(ledger_url)
        return text(families(place.reader.read(now), __version__))
    except PlannerError as error:
        log.warning("The metrics cannot be made: %s", error)
        place.reader = None
        return text(unreadable(__version__))


def text(found: Iterable[Metric]) -> tuple[bytes, str]:
    """Families in Prometheus' text format, and its content type."""
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    from prometheus_client.registry import Collector

    class Once(Collector):
        def collect(self) -> Iterable[Metric]:
            return found

    return generate_latest(Once()), CONTENT_TYPE_PLAIN_0_0_4


__all__ = ["FRESH", "exposition", "forget", "text"]
