"""The simulated production as a whole: what is deployed, the requests it got, and every change
made to it.

``World`` holds the state behind one lock and knows nothing of HTTP or SQLite. Each public method
first lets the simulation catch up with the clock, so a change takes hold at the next simulated
second.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from planner_provider.sandbox.clock import Clock
from planner_provider.sandbox.config import WorldConfig
from planner_provider.sandbox.faults import CallEffect, Fault, FaultBook
from planner_provider.sandbox.model import (
    Act,
    Change,
    Flag,
    Service,
    TrackKey,
    Value,
    put_flag,
    remove_flag,
)
from planner_provider.sandbox.traffic import NOTHING, QUANTUM_MS, Totals, Traffic

BUCKET_MS = 10_000
"""Width of the time buckets that requests are counted in."""

KEPT_BUCKETS = 90
"""How many buckets stay in memory for ``recent``: 15 simulated minutes."""

MAX_CATCH_UP = 3600
"""Quanta that are made up for after a pause (a suspended laptop); beyond, the clock is set back
instead.
"""

KEPT_CHANGES = 10_000
KEPT_MESSAGES = 1_000
MAX_HOOKS = 200
MAX_FAULTS = 1_000

CountKey = tuple[str | None, str, Value, bool]
"""Changes are counted by service, what, to and whether they were effective."""

Buckets = dict[int, dict[TrackKey, Totals]]


class FullError(Exception):
    """A store of the sandbox has no room for more."""


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody posted to a hook: JSON where it was JSON, else text."""

    at_ms: int
    body: object
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SavedWorld:
    """Everything that outlives a restart.

    Random streams do not: they begin anew with the next generation.
    """

    generation: int
    now_ms: int
    services: tuple[Service, ...]
    flags: tuple[Flag, ...]
    faults: tuple[Fault, ...]
    next_fault: int
    next_seq: int
    changes: tuple[Change, ...]
    counts: tuple[tuple[CountKey, int], ...]
    totals: tuple[tuple[TrackKey, Totals], ...]
    buckets: tuple[tuple[int, tuple[tuple[TrackKey, Totals], ...]], ...]
    hooks: tuple[tuple[str, tuple[Message, ...]], ...]


class World:
    """The state of the simulation. Safe for threads."""

    def __init__(
        self, config: WorldConfig, clock: Clock, seed: int, saved: SavedWorld | None = None
    ) -> None:
        self.config = config
        self.clock = clock
        self.seed = seed
        self.lock = threading.RLock()
        self.generation = saved.generation + 1 if saved else 0
        self._traffic = Traffic(config, f"{seed}/{self.generation}")
        self._services = {c.name: Service(c.name, c.version, c.replicas) for c in config.services}
        self._flags = {
            f.name: Flag(f.name, f.enabled, f.percentage, f.service) for f in config.flags
        }
        self.faults = FaultBook()
        self._changes: deque[Change] = deque(maxlen=KEPT_CHANGES)
        self._next_seq = 1
        self._counts: Counter[CountKey] = Counter()
        self._totals: dict[TrackKey, Totals] = {}
        self._buckets: Buckets = {}
        self._dirty: set[int] = set()
        self._hooks: dict[str, deque[Message]] = {}
        self._done_ms = clock.now_ms()
        if saved:
            self._load(saved)
        self._count_from_zero()

    def _load(self, saved: SavedWorld) -> None:
        self._services.update({s.name: s for s in saved.services if s.name in self._services})
        self._flags = {flag.name: flag for flag in saved.flags}
        self.faults = FaultBook(saved.faults, saved.next_fault)
        self._changes.extend(saved.changes)
        self._next_seq = saved.next_seq
        self._counts.update(dict(saved.counts))
        self._totals = dict(saved.totals)
        self._buckets = {start: dict(rows) for start, rows in saved.buckets}
        self._dirty = set(self._buckets)
        self._hooks = {name: deque(rows, KEPT_MESSAGES) for name, rows in saved.hooks}

    def save(self) -> SavedWorld:
        """Everything that a restart needs."""
        with self.lock:
            return SavedWorld(
                generation=self.generation,
                now_ms=self.catch_up(),
                services=tuple(self._services.values()),
                flags=tuple(self._flags.values()),
                faults=self.faults.all(self._done_ms),
                next_fault=self.faults.next_id,
                next_seq=self._next_seq,
                changes=tuple(self._changes),
                counts=tuple(self._counts.items()),
                totals=tuple(self._totals.items()),
                buckets=tuple((at, tuple(rows.items())) for at, rows in self._buckets.items()),
                hooks=tuple((name, tuple(rows)) for name, rows in self._hooks.items()),
            )

    # --- time -----------------------------------------------------------------------------

    def catch_up(self) -> int:
        """Simulate up to the clock; return the simulated time in milliseconds."""
        with self.lock:
            now = self.clock.now_ms()
            if not self.clock.stepped and now - self._done_ms > MAX_CATCH_UP * QUANTUM_MS:
                now = self._done_ms + MAX_CATCH_UP * QUANTUM_MS
                self.clock.rebase(now)
            while self._done_ms + QUANTUM_MS <= now:
                self._quantum()
            return now

    def advance(self, ms: int) -> int:
        """Move a stepped clock on and simulate; return the simulated time in milliseconds."""
        with self.lock:
            self.clock.advance(ms)
            return self.catch_up()

    def _quantum(self) -> None:
        at = self._done_ms
        start = at - at % BUCKET_MS
        bucket = self._buckets.get(start)
        if bucket is None:
            bucket = self._buckets[start] = {}
            self._forget_old_buckets()
        faulty = bool(self.faults.all(at))
        for service in self._services.values():
            effects = (
                [(key, self.faults.on_traffic(key, at)) for key, _ in service.tracks()]
                if faulty
                else []
            )
            for key, drawn in self._traffic.quantum(service, at, effects):
                if drawn.requests:
                    self._totals[key] = self._totals[key] + drawn
                    bucket[key] = bucket.get(key, NOTHING) + drawn
                    self._dirty.add(start)
        self._done_ms = at + QUANTUM_MS

    def _forget_old_buckets(self) -> None:
        for start in sorted(self._buckets)[:-KEPT_BUCKETS]:
            # What was not written yet (a locked database) stays until it is.
            if start not in self._dirty:
                del self._buckets[start]

    def _count_from_zero(self) -> None:
        for service in self._services.values():
            for key, _ in service.tracks():
                self._totals.setdefault(key, NOTHING)

    # --- what was counted -----------------------------------------------------------------

    def totals(self) -> dict[TrackKey, Totals]:
        """All requests since the beginning. Counts never fall."""
        with self.lock:
            self.catch_up()
            return dict(self._totals)

    def recent(self, service: str, seconds: int) -> dict[TrackKey, Totals]:
        """Requests of one service in the buckets that ended less than ``seconds`` ago."""
        with self.lock:
            now = self.catch_up()
            found: dict[TrackKey, Totals] = {}
            for start, rows in self._buckets.items():
                if start + BUCKET_MS > now - seconds * 1000:
                    for key, totals in rows.items():
                        if key.service == service:
                            found[key] = found.get(key, NOTHING) + totals
            return found

    def take_dirty(self) -> Buckets:
        """The buckets that changed since the last call, whole. Give them back if writing failed."""
        with self.lock:
            self.catch_up()
            taken = {start: dict(self._buckets[start]) for start in sorted(self._dirty)}
            self._dirty.clear()
            return taken

    def give_back(self, buckets: Buckets) -> None:
        """Mark buckets as changed again, because they could not be written."""
        with self.lock:
            self._dirty.update(buckets)

    # --- what is deployed -----------------------------------------------------------------

    def services(self) -> tuple[Service, ...]:
        """All services, in the order of the configuration."""
        with self.lock:
            return tuple(self._services.values())

    def service(self, name: str) -> Service | None:
        """One service, or None."""
        with self.lock:
            return self._services.get(name)

    def change(
        self,
        name: str,
        how: Callable[[Service], tuple[Service, Act]],
        headers: Mapping[str, str],
    ) -> Change:
        """Change a service that exists by a function of ``model``, and record it.

        Raises ``ContradictionError`` from ``how``; then nothing is changed or recorded.
        """
        with self.lock:
            now = self.catch_up()
            new, act = how(self._services[name])
            self._services[name] = new
            self._count_from_zero()
            return self._record(act, now, headers)

    def flags(self) -> tuple[Flag, ...]:
        """All flags by name."""
        with self.lock:
            return tuple(sorted(self._flags.values(), key=lambda flag: flag.name))

    def set_flag(
        self,
        name: str,
        enabled: bool | None,
        percentage: int | None,
        headers: Mapping[str, str],
    ) -> Change:
        """Set a flag, or make it."""
        with self.lock:
            now = self.catch_up()
            self._flags[name], act = put_flag(self._flags.get(name), name, enabled, percentage)
            return self._record(act, now, headers)

    def remove_flag(self, name: str, headers: Mapping[str, str]) -> Change:
        """Take a flag away."""
        with self.lock:
            now = self.catch_up()
            act = remove_flag(self._flags.pop(name, None), name)
            return self._record(act, now, headers)

    def _record(self, act: Act, now_ms: int, headers: Mapping[str, str]) -> Change:
        change = Change(self._next_seq, now_ms, act, dict(headers))
        self._next_seq += 1
        self._changes.append(change)
        self._counts[(act.service, act.what, act.after, act.effective)] += 1
        return change

    def changes(self) -> tuple[Change, ...]:
        """The last ``KEPT_CHANGES`` changes, oldest first."""
        with self.lock:
            return tuple(self._changes)

    def change_counts(self) -> dict[CountKey, int]:
        """How often each change was asked for, since the beginning."""
        with self.lock:
            return dict(self._counts)

    # --- faults and hooks -----------------------------------------------------------------

    def add_fault(self, fault: Fault, for_ms: int | None) -> Fault:
        """Put a fault in force, for a simulated time or until it is lifted."""
        with self.lock:
            now = self.catch_up()
            if len(self.faults.all(now)) >= MAX_FAULTS:
                raise FullError(f"{MAX_FAULTS} faults are in force; lift some first")
            until = None if for_ms is None else now + for_ms
            return self.faults.add(replace(fault, until_ms=until))

    def lift_fault(self, fault_id: int) -> Fault | None:
        """Lift a fault; None when it is not in force."""
        with self.lock:
            self.catch_up()
            return self.faults.remove(fault_id)

    def all_faults(self) -> tuple[Fault, ...]:
        """The faults in force."""
        with self.lock:
            return self.faults.all(self.catch_up())

    def meet_faults(self, service: str | None, write: bool) -> CallEffect:
        """What the faults do to a call of the API that just came in."""
        with self.lock:
            return self.faults.on_call(service, write, self.catch_up())

    def post(self, hook: str, body: object, headers: Mapping[str, str]) -> int:
        """Keep a message; return how many this hook holds now."""
        with self.lock:
            if hook not in self._hooks and len(self._hooks) >= MAX_HOOKS:
                raise FullError(f"{MAX_HOOKS} hooks are in use; post to one of them")
            rows = self._hooks.setdefault(hook, deque(maxlen=KEPT_MESSAGES))
            rows.append(Message(self.catch_up(), body, dict(headers)))
            return len(rows)

    def messages(self, hook: str) -> tuple[Message, ...]:
        """The last ``KEPT_MESSAGES`` messages of a hook, oldest first."""
        with self.lock:
            return tuple(self._hooks.get(hook, ()))

    def hooks(self) -> tuple[str, ...]:
        """The names of the hooks that got messages."""
        with self.lock:
            return tuple(sorted(self._hooks))
