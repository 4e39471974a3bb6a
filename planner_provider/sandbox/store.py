"""The sandbox's SQLite file: request counts for ``sql`` steps of plans, and a small shop to
migrate.

Tables (all times are simulated, ISO 8601 text in UTC such as ``2026-01-05T12:00:10Z``)::

    requests        one row per service, version, track and bucket of 10 seconds
        service         TEXT     checkout
        version         TEXT     1.4.2
        track           TEXT     stable | canary
        bucket          TEXT     begin of the bucket
        requests        INTEGER  requests that ended in it
        errors          INTEGER  of these, how many failed
        latency_ms_sum  REAL     sum of their latencies in milliseconds
        slow            INTEGER  how many took longer than 300 ms
    clock           one row: now (TEXT), epoch (REAL, seconds since 1970); as of the last write
    recent_requests a view: requests, and age_s, the seconds from the end of the bucket to the clock
                    (at most 0 for the bucket that is still being filled)
    orders          id, customer, sku, quantity, amount_cents, currency, status, created_at
    schema_version  version (INTEGER), description, applied_at: one row per migration of ``orders``
    sandbox_meta    which seed and generation of the sandbox wrote this file

The error ratio of a canary over the last two minutes::

    SELECT 1.0 * sum(errors) / sum(requests) FROM recent_requests
    WHERE service = 'checkout' AND track = 'canary' AND version = '1.4.2' AND age_s < 120

It is NULL, not 0, when there were no requests. The file is in WAL mode, so readers never wait for
the sandbox. Nothing that a plan does to ``orders`` and ``schema_version`` is undone while the
sandbox lives; a new world (a start without saved state) makes all tables anew. The file carries an
application id, and a file that holds something else is refused.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from planner_provider.errors import MisconfiguredError
from planner_provider.sandbox.clock import iso
from planner_provider.sandbox.world import BUCKET_MS, Buckets

APPLICATION_ID = 0x504C_5342  # "PLSB"

_SCHEMA = f"""
CREATE TABLE sandbox_meta (seed INTEGER NOT NULL, generation INTEGER NOT NULL);
CREATE TABLE requests (
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    track TEXT NOT NULL CHECK (track IN ('stable', 'canary')),
    bucket TEXT NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    latency_ms_sum REAL NOT NULL,
    slow INTEGER NOT NULL,
    PRIMARY KEY (service, version, track, bucket)
) WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (bucket);
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1), now TEXT NOT NULL, epoch REAL NOT NULL
);
CREATE VIEW recent_requests AS
    SELECT requests.*,
        clock.epoch - {BUCKET_MS // 1000} - CAST(strftime('%s', bucket) AS INTEGER) AS age_s
    FROM requests, clock;
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer TEXT NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    amount_cents INTEGER NOT NULL,
    currency TEXT NOT NULL DEFAULT 'EUR',
    status TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX orders_by_status ON orders (status);
CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY, description TEXT NOT NULL, applied_at TEXT NOT NULL
);
"""  # noqa: S608  no input in it

_UPSERT = """
INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET requests = excluded.requests, errors = excluded.errors,
    latency_ms_sum = excluded.latency_ms_sum, slow = excluded.slow
"""


class Store:
    """The SQLite file.

    Safe for threads; a database that somebody else has locked is never waited for long.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        opened: sqlite3.Connection | None = None
        try:
            opened = self._db = sqlite3.connect(
                path, timeout=1.0, isolation_level=None, check_same_thread=False
            )
            self._refuse_foreign()
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            if opened is not None:
                opened.close()
            raise MisconfiguredError(
                f"cannot use {path} as the sandbox's database: {error}; "
                "give --db a new file in a folder that can be written"
            ) from error

    def _refuse_foreign(self) -> None:
        (mark,) = self._db.execute("PRAGMA application_id").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and mark != APPLICATION_ID:
            self._db.close()
            raise MisconfiguredError(
                f"{self.path} is a database, but not one of the sandbox: its tables would be lost; "
                "give --db another file"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def begin(self, seed: int, orders: int, now_ms: int) -> None:
        """Make a new world: drop every table and make those of the module's docstring."""
        self._db.execute("PRAGMA busy_timeout = 10000")
        with self._transaction() as db:
            for kind in ("view", "table"):
                names = db.execute(
                    "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite_%'",
                    (kind,),
                ).fetchall()
                for (name,) in names:
                    quoted = '"' + name.replace('"', '""') + '"'
                    db.execute(f"DROP {kind} {quoted}")
            for statement in _SCHEMA.split(";"):
                if statement.strip():
                    db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute("INSERT INTO sandbox_meta VALUES (?, 0)", (seed,))
            self._fill_shop(db, seed, orders, now_ms)
            self._set_clock(db, now_ms)
        self._db.execute("PRAGMA busy_timeout = 1000")

    def resume(self, generation: int, from_ms: int, now_ms: int) -> bool:
        """Go on with the world in the file; False when there is none.

        Buckets from ``from_ms`` on are dropped: the saved state holds them and writes them again,
        so that the table agrees with the counters even when the last process was killed between
        two writes.
        """
        (tables,) = self._db.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'sandbox_meta'"
        ).fetchone()
        if not tables:
            return False
        with self._transaction() as db:
            db.execute("DELETE FROM requests WHERE bucket >= ?", (iso(from_ms),))
            db.execute("UPDATE sandbox_meta SET generation = ?", (generation,))
            self._set_clock(db, now_ms)
        return True

    def write(self, buckets: Buckets, now_ms: int) -> bool:
        """Write buckets and the clock; False when the database is locked or full (try again
        later).
        """
        rows = [
            (
                *key[:2], key.track, iso(start),
                totals.requests, totals.errors, totals.latency_us / 1000, totals.slow,
            )
            for start, counted in buckets.items()
            for key, totals in counted.items()
        ]  # fmt: skip
        try:
            with self._transaction() as db:
                db.executemany(_UPSERT, rows)
                self._set_clock(db, now_ms)
        except sqlite3.OperationalError:
            return False
        return True

    def schema_version(self) -> int | None:
        """The highest row of ``schema_version``; None when it is empty or a plan dropped it."""
        with self._lock:
            try:
                row = self._db.execute("SELECT max(version) FROM schema_version").fetchone()
            except sqlite3.OperationalError:
                return None
        return row[0] if isinstance(row[0], int) else None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @staticmethod
    def _set_clock(db: sqlite3.Connection, now_ms: int) -> None:
        db.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?)", (iso(now_ms), now_ms / 1000))

    @staticmethod
    def _fill_shop(db: sqlite3.Connection, seed: int, orders: int, now_ms: int) -> None:
        rng = random.Random(f"{seed}/orders")  # noqa: S311  a simulation, not a secret
        ages = sorted((rng.randrange(30 * 86_400) for _ in range(orders)), reverse=True)
        rows = []
        for number, age in enumerate(ages, start=1):
            quantity = 1 + min(int(rng.expovariate(0.9)), 9)
            rows.append(
                (
                    number,
                    f"customer-{rng.randrange(120):03d}",
                    f"sku-{rng.randrange(40):03d}",
                    quantity,
                    quantity * rng.randrange(199, 19_999, 100),
                    "EUR" if rng.random() < 0.8 else "USD",
                    rng.choices(("open", "paid", "shipped", "refunded"), (1, 2, 6, 1))[0],
                    iso(now_ms - age * 1000),
                )
            )
        db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("INSERT INTO schema_version VALUES (1, 'first version', ?)", (iso(now_ms),))
