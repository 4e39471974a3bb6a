"""A real PostgreSQL for tests: started on loopback in a folder of its own, ended without fail."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CANDIDATES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin")


def postgres_programs() -> Path | None:
    """The folder with ``initdb`` and ``postgres``, if they are installed."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres", path=str(Path(found).parent)):
        return Path(found).parent
    for pattern in CANDIDATES:
        for folder in sorted(Path("/").glob(pattern.removeprefix("/")), reverse=True):
            if (folder / "initdb").exists() and (folder / "postgres").exists():
                return folder
    return None


@contextmanager
def postgres(programs: Path, *, durable: bool = False, abandoned: str = "0") -> Iterator[str]:
    """Run a server and give the URL of its database. It must not run as root, so it never does.

    With ``durable`` commits wait for the disk, as they do in production. ``abandoned`` is how long
    a transaction may stand idle, such as ``30s``; ``0``: for ever.
    """
    base = Path(tempfile.mkdtemp(prefix="planner-pg-"))
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        os.chown(base, pwd.getpwnam(user).pw_uid, -1)
    data = base / "data"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "planner", "-A", "trust", "-E", "UTF8"],
            check=True, capture_output=True, user=user, cwd=base, env={"LC_ALL": "C"},
        )  # fmt: skip
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": base,
            "max_connections": 300,
            "fsync": "on" if durable else "off",
            "idle_in_transaction_session_timeout": abandoned,
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (base / "log").open("w") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *options],
                stdout=log, stderr=log, user=user, cwd=base, env={"LC_ALL": "C"},
            )  # fmt: skip
        try:
            _wait_until_ready(server, port, base / "log")
            yield f"postgresql://planner@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    import psycopg

    end = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="planner", dbname="postgres").close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from error
            time.sleep(0.1)
        else:
            return
