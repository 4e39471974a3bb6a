"""A running sandbox: the world, its file, its ticking and its HTTP server in one object."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from planner_provider.errors import MisconfiguredError
from planner_provider.sandbox.api import Api
from planner_provider.sandbox.clock import MAX_SPEED, MIN_SPEED, STEPPED_START_MS, Clock, wall_ms
from planner_provider.sandbox.config import WorldConfig, default_world
from planner_provider.sandbox.http_server import HttpServer
from planner_provider.sandbox.metrics import Exposition
from planner_provider.sandbox.model import Change, Service
from planner_provider.sandbox.store import Store
from planner_provider.sandbox.wire import FaultBody, FaultView
from planner_provider.sandbox.world import Buckets, Message, SavedWorld, World

TICK_S = 1.0
"""How often, in real time, the simulation goes on and is written to the file."""

_SAVED: TypeAdapter[SavedWorld] = TypeAdapter(SavedWorld)


class Sandbox:
    """A simulated production that serves HTTP from ``with`` (or ``start``) to its end (or
    ``stop``).

    ``stepped`` stops the clock, which then moves only by ``advance``. Otherwise it runs ``speed``
    times as fast as real time. The same seed and the same calls give the same requests. ``db`` is
    the SQLite file (see ``store``); without it there is none. ``state`` is a JSON file that keeps
    the world over a restart; without it every start is a new world, and ``db`` is emptied.

    Raises ``MisconfiguredError`` when an argument, a file or the address cannot be used.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        stepped: bool = False,
        speed: float = 1.0,
        db: Path | None = None,
        state: Path | None = None,
        config: WorldConfig | None = None,
        listen: str = "127.0.0.1",
        port: int = 0,
        start_ms: int | None = None,
        verbose: bool = False,
    ) -> None:
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise MisconfiguredError(
                f"speed {speed:g} is not between {MIN_SPEED:g} and {MAX_SPEED:g}; "
                "60 makes a minute pass each second"
            )
        self._state_path = state
        saved = self._read_state()
        first_ms = start_ms or (STEPPED_START_MS if stepped else wall_ms())
        if saved:
            first_ms = saved.now_ms if stepped else max(saved.now_ms, first_ms)
        clock = Clock(first_ms, None if stepped else speed)
        self.world = World(config or default_world(), clock, seed, saved)
        self._write_lock = threading.Lock()
        self._stop = threading.Event()
        self._store = self._open_store(db, saved, first_ms)
        self._exposition = Exposition(self.world)
        schema_version = self._store.schema_version if self._store else lambda: None
        api = Api(self.world, schema_version, self._metrics, self._wrote)
        try:
            self._http = HttpServer(api, listen, port, verbose)
        except (OSError, OverflowError) as error:
            if self._store:
                self._store.close()
            raise MisconfiguredError(
                f"cannot listen on {listen} port {port}: {error}; port 0 takes any that is free"
            ) from error
        self._ticker = threading.Thread(target=self._tick, name="sandbox-tick", daemon=True)

    def _open_store(self, db: Path | None, saved: SavedWorld | None, now_ms: int) -> Store | None:
        if db is None:
            return None
        store = Store(db)
        starts = [start for start, _ in saved.buckets] if saved else []
        try:
            resumed = saved is not None and store.resume(
                self.world.generation, min(starts, default=now_ms), now_ms
            )
            if not resumed:
                store.begin(self.world.seed, self.world.config.orders_rows, now_ms)
        except sqlite3.Error as error:
            store.close()
            raise MisconfiguredError(
                f"cannot write the sandbox's database {db}: {error}; does another process hold it?"
            ) from error
        return store

    # --- life -----------------------------------------------------------------------------

    def start(self) -> Self:
        """Serve and tick."""
        self._save_all()
        self._http.start()
        if not self.world.clock.stepped:
            self._ticker.start()
        return self

    def stop(self) -> None:
        """Stop at once and write everything. Doing it twice is harmless."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._http.stop()
        if self._ticker.is_alive():
            self._ticker.join(timeout=10)
        self._save_all()
        if self._store:
            self._store.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._http.server_port

    @property
    def url(self) -> str:
        """Where the API is, without a slash at the end."""
        address = str(self._http.server_address[0])
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
        return f"http://[{local}]:{self.port}" if ":" in local else f"http://{local}:{self.port}"

    # --- for tests in the same process ----------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Move the stepped clock on, simulate, and write the file."""
        if not self.world.clock.stepped:
            raise MisconfiguredError("this sandbox runs by itself; make it with stepped=True")
        self.world.advance(round(seconds * 1000))
        self._save_all()

    def service(self, name: str) -> Service:
        """What is deployed of one service. Raises ``KeyError`` for an unknown one."""
        found = self.world.service(name)
        if found is None:
            raise KeyError(name)
        return found

    def changes(self) -> tuple[Change, ...]:
        """Every change that was asked for, oldest first."""
        return self.world.changes()

    def messages(self, hook: str) -> tuple[Message, ...]:
        """What was posted to a hook, oldest first."""
        return self.world.messages(hook)

    def fault(self, kind: str, service: str = "*", **more: Any) -> int:
        """Put a fault in force and return its id; the same words as ``POST /faults`` takes.

        ``for`` is a word of Python, so here it is ``for_``. Raises ``pydantic.ValidationError``.
        """
        fields: Mapping[str, Any] = {"kind": kind, "service": service, **more}
        body = FaultBody.model_validate({k.rstrip("_"): v for k, v in fields.items()})
        for_ms = None if body.for_ is None else round(float(body.for_) * 1000)
        return FaultView.of(self.world.add_fault(body.fault(), for_ms)).id

    def lift_fault(self, fault_id: int) -> None:
        """Lift a fault, if it is still in force."""
        self.world.lift_fault(fault_id)

    # --- writing --------------------------------------------------------------------------

    def _tick(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            due = max(due + TICK_S, time.monotonic())
            if self._stop.wait(due - time.monotonic()):
                return
            try:
                self._save_all()
            except Exception:  # noqa: BLE001  a full disk must not end the simulation
                traceback.print_exc()

    def _metrics(self, accept: str) -> tuple[bytes, str]:
        """Render the metrics and write the file, both as of the same moment."""
        with self._write_lock:
            with self.world.lock:
                self.world.catch_up()
                rendered = self._exposition.render(accept)
                taken = self._take()
            self._write_requests(*taken)
            return rendered

    def _wrote(self) -> None:
        """Called after every call that may have changed something, before it is answered."""
        if self.world.clock.stepped:
            self._save_all()
        else:
            with self._write_lock:
                self._write_state()

    def _save_all(self) -> None:
        with self._write_lock:
            self._write_requests(*self._take())
            self._write_state()

    def _take(self) -> tuple[Buckets, int]:
        with self.world.lock:
            now = self.world.catch_up()
            return self.world.take_dirty(), now

    def _write_requests(self, buckets: Buckets, now: int) -> None:
        if self._store is not None and not self._store.write(buckets, now):
            self.world.give_back(buckets)

    def _write_state(self) -> None:
        if self._state_path is None:
            return
        text = _SAVED.dump_json(self.world.save())
        fresh = self._state_path.with_name(self._state_path.name + ".new")
        fresh.write_bytes(text)
        os.replace(fresh, self._state_path)  # noqa: PTH105  atomic, and never fails on a present file

    def _read_state(self) -> SavedWorld | None:
        if self._state_path is None:
            return None
        try:
            return _SAVED.validate_json(self._state_path.read_bytes())
        except FileNotFoundError:
            if self._state_path.parent.is_dir():
                return None
            raise MisconfiguredError(
                f"the folder {self._state_path.parent} of the state file does not exist; make it"
            ) from None
        except (OSError, ValidationError) as error:
            raise MisconfiguredError(
                f"cannot read the saved state {self._state_path}: {error}; "
                "move the file away to begin a new world"
            ) from error
