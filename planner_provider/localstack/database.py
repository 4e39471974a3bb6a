"""Airflow's SQLite database, made quickly: migrated once, then copied."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.metadata import distributions
from pathlib import Path

import planner_provider
from planner_provider.errors import MisconfiguredError
from planner_provider.localstack.keeper import Keeper
from planner_provider.localstack.settings import StackSettings

MIGRATE = "db-migrate"
MIGRATE_SECONDS = 180.0


class DatabaseError(MisconfiguredError):
    """Airflow's database could not be made."""


def prepare_database(
    settings: StackSettings, environment: Mapping[str, str], keeper: Keeper, cache: Path | None
) -> bool:
    """Make Airflow's database in the home folder, or bring it up to date; true if it was copied.

    With a ``cache`` folder, a migrated database is made there once for each set of installed
    Airflow packages, and copied from then on, which saves several seconds. The folder may be
    shared by processes that start at the same time.
    """
    if cache is None or settings.database.exists():
        migrate(settings.home, environment, keeper)
        return False
    template = template_path(cache)
    with _locked(cache / "lock"):
        if not _is_usable(template):
            _make_template(template, environment, keeper)
        partial = settings.database.with_suffix(".partial")
        shutil.copyfile(template, partial)
    partial.replace(settings.database)
    return True


def migrate(home: Path, environment: Mapping[str, str], keeper: Keeper) -> None:
    """Run ``airflow db migrate``; raises :class:`DatabaseError` with the end of its output."""
    log = home / f"{MIGRATE}.log"
    argv = [sys.executable, "-m", "airflow", "db", "migrate"]
    keeper.start(MIGRATE, argv, env=environment, cwd=home, log=log)
    deadline = time.monotonic() + MIGRATE_SECONDS
    while not (exits := keeper.take_exits()):
        if time.monotonic() > deadline:
            keeper.stop(MIGRATE)
            raise DatabaseError(
                f"airflow db migrate in {home} was not done after {MIGRATE_SECONDS:.0f} s"
            )
        time.sleep(0.05)
    if exits[0].code != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        raise DatabaseError(f"{exits[0]} in {home}; the end of its output:\n{tail}")


def template_path(cache: Path) -> Path:
    """Return where the template for the installed packages belongs."""
    return cache / f"airflow-{fingerprint()}.db"


def fingerprint() -> str:
    """Return a digest of everything that shapes the migrated database.

    These are the versions of Airflow and of all its providers, and this provider's own
    migrations, which change without a new version while they are developed.
    """
    parts: set[str] = set()
    for found in distributions():
        name = (found.metadata["Name"] or "").lower().replace("_", "-")
        groups = {entry.group for entry in found.entry_points}
        if name.startswith("apache-airflow") or "apache_airflow_provider" in groups:
            parts.add(f"{name} {found.version}")
    root = Path(planner_provider.__file__).parent
    for source in [root / "provider_info.py", *sorted((root / "ledger").rglob("*.py"))]:
        if source.exists():
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            parts.add(f"{source.relative_to(root)} {digest}")
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


def _make_template(template: Path, environment: Mapping[str, str], keeper: Keeper) -> None:
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        home = Path(folder)
        (home / "airflow.cfg").write_text("[core]\n", encoding="utf-8")
        database = home / "airflow.db"
        migrate(
            home,
            {
                **environment,
                "AIRFLOW_HOME": str(home),
                "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
            },
            keeper,
        )
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.replace(template)
    for old in template.parent.glob("airflow-*.db"):
        if old != template:
            old.unlink(missing_ok=True)


def _is_usable(template: Path) -> bool:
    if not template.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{template}?mode=ro&immutable=1", uri=True)) as reader:
            (verdict,) = reader.execute("PRAGMA quick_check(1)").fetchone()
            (count,) = reader.execute("SELECT count(*) FROM alembic_version").fetchone()
    except sqlite3.DatabaseError:
        return False
    return bool(verdict == "ok" and count == 1)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file; it is free again when this process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
