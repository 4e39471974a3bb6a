from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from planner_provider.sandbox import Sandbox, SandboxClient
from planner_provider.sandbox.call import BODY_LIMIT


@pytest.fixture
def wire(sandbox: Sandbox) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        yield connection


def talk(wire: socket.socket, sent: bytes) -> tuple[int, dict[str, str]]:
    """Send bytes; read one answer to the end of the connection."""
    wire.sendall(sent)
    wire.shutdown(socket.SHUT_WR)
    got = b"".join(iter(lambda: wire.recv(65_536), b""))
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("head", "status", "error"),
    [
        (b"Content-Length: %d" % (BODY_LIMIT + 1), 413, "too_big"),
        (b"Content-Length: 99999999999999999999", 413, "too_big"),
        (b"Content-Length: -5", 400, "length"),
        (b"Content-Length: five", 400, "length"),
        (b"Transfer-Encoding: chunked", 411, "length"),
    ],
)
def test_bodies_that_cannot_be_read(
    wire: socket.socket, head: bytes, status: int, error: str
) -> None:
    got, body = talk(wire, b"PUT /flags/a HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
    assert (got, body["error"]) == (status, error)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"one two three four\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
    ],
)
def test_what_is_not_http_is_answered_in_json(
    wire: socket.socket, sent: bytes, status: int
) -> None:
    got, body = talk(wire, sent)
    assert (got, body["error"]) == (status, "http")


def test_a_body_cut_short_changes_nothing(wire: socket.socket, sandbox: Sandbox) -> None:
    wire.sendall(
        b"PUT /services/auth/replicas HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n"
        b'{"replicas": 9}'
    )
    wire.shutdown(socket.SHUT_WR)
    assert wire.recv(100) == b""
    assert sandbox.changes() == ()


def test_a_connection_is_kept(wire: socket.socket) -> None:
    for _ in range(3):
        wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.recv(65_536).startswith(b"HTTP/1.1 200")


def test_many_clients_at_once_lose_no_change(sandbox: Sandbox) -> None:
    def change(number: int) -> None:
        with SandboxClient(sandbox.url) as one:
            for percentage in range(10):
                one.set_flag(f"flag-{number}", percentage=percentage)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    changes = sandbox.changes()
    assert [c.seq for c in changes] == list(range(1, 81))
    assert all(c.act.effective for c in changes)


def test_stopping_cuts_connections_that_are_open_or_waiting(sandbox: Sandbox) -> None:
    before = set(threading.enumerate())
    with (
        socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as idle,
        socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as slow,
    ):
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(65_536)
        sandbox.fault("slow_api", value=200)
        slow.sendall(
            b'PUT /flags/seen HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{"enabled": true}'
        )
        while not sandbox.changes():
            time.sleep(0.01)
        sandbox.stop()
        assert idle.recv(100) == b""
        assert slow.recv(100) == b""
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", sandbox.port), timeout=5)
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
        assert not thread.is_alive(), f"{thread.name} still waits"
