"""What can be made to go wrong, on demand.

Faults of the traffic change how requests end; faults of the API change how the control API
answers. Clients must survive both.

============  ========  ============================  ====================================
kind          hits      value                         does
============  ========  ============================  ====================================
errors        traffic   ratio added, 0 to 1           this share more of requests fails
error_factor  traffic   factor, above 0               error ratio times this
latency       traffic   factor, above 0               median and p99 times this
down          traffic   none                          every request fails
api_error     API       number of calls (default 1)   answers 503; nothing is done
drop          API       number of calls (default 1)   does it, then hangs up unanswered
hang_up       API       number of calls (default 1)   hangs up; nothing is done
slow_api      API       seconds of real time          does it at once, answers later
late_api      API       seconds of real time          does it later, then answers
============  ========  ============================  ====================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from planner_provider.sandbox.model import TrackKey

TrafficKind = Literal["errors", "error_factor", "latency", "down"]
ApiKind = Literal["api_error", "drop", "hang_up", "slow_api", "late_api"]
FaultKind = TrafficKind | ApiKind
Calls = Literal["any", "read", "write"]

TRAFFIC_KINDS: frozenset[str] = frozenset({"errors", "error_factor", "latency", "down"})
COUNTED_KINDS: frozenset[str] = frozenset({"api_error", "drop", "hang_up"})
DELAY_KINDS: frozenset[str] = frozenset({"slow_api", "late_api"})
MAX_DELAY_S = 300.0

ANY = "*"
"""As a service or a version of a fault: all of them."""

HOOKS = "hooks"
"""As the service of an API fault: the webhook receiver instead of the control API."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    ``until_ms`` is simulated time; ``left`` counts the calls it still hits; None: no end.
    """

    id: int
    kind: FaultKind
    service: str
    version: str
    value: float
    status: int
    on: Calls
    until_ms: int | None
    left: int | None

    def covers(self, key: TrackKey) -> bool:
        """Whether it is about this service and version (or track)."""
        return self.service in (ANY, key.service) and self.version in (ANY, key.track, key.version)


@dataclass(frozen=True, slots=True)
class TrafficEffect:
    """What all faults together do to the requests of one track."""

    error_added: float = 0.0
    error_factor: float = 1.0
    latency_factor: float = 1.0
    down: bool = False


NO_EFFECT = TrafficEffect()


@dataclass(frozen=True, slots=True)
class CallEffect:
    """What all faults together do to one call of the API. Delays in seconds of real time."""

    status: int | None = None
    hang_up: bool = False
    drop: bool = False
    delay_before: float = 0.0
    delay_after: float = 0.0


UNHARMED = CallEffect()


class FaultBook:
    """The faults in force. Not safe for threads: its owner holds a lock."""

    def __init__(self, faults: tuple[Fault, ...] = (), next_id: int = 1) -> None:
        self._faults = {fault.id: fault for fault in faults}
        self.next_id = next_id

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force under a fresh id."""
        fault = replace(fault, id=self.next_id)
        self.next_id += 1
        self._faults[fault.id] = fault
        return fault

    def remove(self, fault_id: int) -> Fault | None:
        """Lift a fault; None when there is none of this id."""
        return self._faults.pop(fault_id, None)

    def all(self, now_ms: int) -> tuple[Fault, ...]:
        """The faults in force at a simulated time, oldest first.

        Those that are over are forgotten.
        """
        over = [
            f.id for f in self._faults.values() if f.until_ms is not None and f.until_ms <= now_ms
        ]
        for fault_id in over:
            del self._faults[fault_id]
        return tuple(self._faults.values())

    def on_traffic(self, key: TrackKey, now_ms: int) -> TrafficEffect:
        """What the faults do to the requests of a track in the quantum beginning at ``now_ms``."""
        effect = NO_EFFECT
        for fault in self.all(now_ms):
            if fault.kind not in TRAFFIC_KINDS or not fault.covers(key):
                continue
            if fault.kind == "errors":
                effect = replace(effect, error_added=effect.error_added + fault.value)
            elif fault.kind == "error_factor":
                effect = replace(effect, error_factor=effect.error_factor * fault.value)
            elif fault.kind == "latency":
                effect = replace(effect, latency_factor=effect.latency_factor * fault.value)
            else:
                effect = replace(effect, down=True)
        return effect

    def on_call(self, service: str | None, write: bool, now_ms: int) -> CallEffect:
        """What the faults do to one call; uses up one call of those that count calls.

        ``service`` is None for calls that are about no single service. One call meets at most one
        fault that keeps it from being answered: the oldest.
        """
        effect = UNHARMED
        for fault in self.all(now_ms):
            if fault.kind in TRAFFIC_KINDS or not self._hits(fault, service, write):
                continue
            answered = effect.status is None and not effect.hang_up and not effect.drop
            if fault.kind == "slow_api":
                effect = replace(effect, delay_after=effect.delay_after + fault.value)
            elif fault.kind == "late_api":
                effect = replace(effect, delay_before=effect.delay_before + fault.value)
            elif not answered:
                continue
            elif fault.kind == "api_error":
                effect = replace(effect, status=fault.status)
            elif fault.kind == "hang_up":
                effect = replace(effect, hang_up=True)
            else:
                effect = replace(effect, drop=True)
            self._use(fault)
        return effect

    @staticmethod
    def _hits(fault: Fault, service: str | None, write: bool) -> bool:
        if fault.on != "any" and (fault.on == "write") != write:
            return False
        if service == HOOKS:
            return fault.service == HOOKS
        return fault.service == ANY or fault.service == service

    def _use(self, fault: Fault) -> None:
        if fault.left is None:
            return
        if fault.left <= 1:
            del self._faults[fault.id]
        else:
            self._faults[fault.id] = replace(fault, left=fault.left - 1)
