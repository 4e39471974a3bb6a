"""What Prometheus scrapes: the world's counters in the formats of ``prometheus_client``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from planner_provider.sandbox.model import Value
from planner_provider.sandbox.traffic import BOUNDS_MS
from planner_provider.sandbox.world import World

_TRACK = ("service", "version", "track")
_BOUNDS = (*(format(bound / 1000, "g") for bound in BOUNDS_MS), "+Inf")


class _Worlds(Collector):
    def __init__(self, world: World) -> None:
        self._world = world

    def collect(self) -> Iterable[Metric]:
        """All metrics, as of one moment."""
        with self._world.lock:
            return [*self._requests(), *self._deployed(), *self._sandbox()]

    def _requests(self) -> Iterable[Metric]:
        count = CounterMetricFamily(
            "http_requests", "Requests that ended, by status code.", labels=(*_TRACK, "code")
        )
        duration = HistogramMetricFamily(
            "http_request_duration_seconds", "How long requests took.", labels=_TRACK
        )
        for key, totals in sorted(self._world.totals().items()):
            labels = (key.service, key.version, key.track)
            count.add_metric((*labels, "200"), totals.requests - totals.errors)
            count.add_metric((*labels, "500"), totals.errors)
            buckets = list(zip(_BOUNDS, map(float, accumulate(totals.cells)), strict=True))
            duration.add_metric(labels, buckets, totals.latency_us / 1e6)
        return count, duration

    def _deployed(self) -> Iterable[Metric]:
        weight = GaugeMetricFamily(
            "sandbox_weight", "Share of the requests, in percent.", labels=_TRACK
        )
        replicas = GaugeMetricFamily("sandbox_replicas", "Replicas that run.", labels=("service",))
        flags = GaugeMetricFamily(
            "sandbox_flag_percentage", "For how many percent a flag is on.", labels=("flag",)
        )
        for service in self._world.services():
            replicas.add_metric((service.name,), service.replicas)
            for key, share in service.tracks():
                weight.add_metric((key.service, key.version, key.track), round(share * 100))
        for flag in self._world.flags():
            flags.add_metric((flag.name,), flag.percentage if flag.enabled else 0)
        return weight, replicas, flags

    def _sandbox(self) -> Iterable[Metric]:
        changes = CounterMetricFamily(
            "sandbox_changes",
            "Changes that were asked for; not effective: it was so already.",
            labels=("service", "what", "to", "effective"),
        )
        for (service, what, to, effective), number in self._world.change_counts().items():
            changes.add_metric(
                (service or "", what, _label(to), "true" if effective else "false"), number
            )
        clock = GaugeMetricFamily("sandbox_time_seconds", "Simulated time since 1970.")
        clock.add_metric((), self._world.catch_up() / 1000)
        faults = GaugeMetricFamily("sandbox_faults", "Faults in force.")
        faults.add_metric((), len(self._world.all_faults()))
        return changes, clock, faults


def _label(value: Value) -> str:
    return "" if value is None else str(value)


class Exposition:
    """Renders the metrics of one world."""

    def __init__(self, world: World) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Worlds(world))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The metrics and their content type, as the ``Accept`` header wants them."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
