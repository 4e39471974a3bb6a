"""HTTP over a socket for the API: threads, limits, and the ways to not answer.

``http.server`` is enough here: the calls are few and short, and hanging up on a client must be
easy. What it lacks is added: JSON for every error, a limit on bodies, no look-up of the host's
name, no Nagle delay, and a stop that does not wait for anybody.
"""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from planner_provider.sandbox.api import Api
from planner_provider.sandbox.call import BODY_LIMIT, Answer, ApiError, Request


class HttpServer(ThreadingHTTPServer):
    """Serves one ``Api`` until ``stop``."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    timeout = 5

    def __init__(self, api: Api, address: str, port: int, verbose: bool = False) -> None:
        self.api = api
        self.verbose = verbose
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        if ":" in address:
            self.address_family = socket.AF_INET6
        super().__init__((address, port), _Handler)
        self._thread = threading.Thread(target=self._serve, name="sandbox-http", daemon=True)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are, as the base class would."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop at once: no new connections, and those that are open are cut."""
        self.stopping.set()
        if self._thread.is_alive():
            self._poke()
            self._thread.join(timeout=10)
        self.server_close()
        with self._open_lock:
            for connection in self._open:
                _quietly(lambda c=connection: c.shutdown(socket.SHUT_RDWR))  # type: ignore[misc]

    def _serve(self) -> None:
        while not self.stopping.is_set():
            self.handle_request()

    def _poke(self) -> None:
        """Wake the thread that waits for connections."""
        local = "::1" if self.address_family == socket.AF_INET6 else "127.0.0.1"
        address = str(self.server_address[0])
        target = local if address in ("0.0.0.0", "::") else address  # noqa: S104
        _quietly(lambda: socket.create_connection((target, self.server_port), timeout=1).close())

    def verify_request(self, request: object, client_address: object) -> bool:
        """Turn away whoever comes while we stop."""
        return not self.stopping.is_set()

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, to cut it when stopping."""
        with self._open_lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._open_lock:
            self._open.discard(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that went away; show everything else."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True
    methods: ClassVar[tuple[str, ...]] = (
        "GET",
        "PUT",
        "POST",
        "DELETE",
        "PATCH",
        "HEAD",
        "OPTIONS",
    )

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def _handle(self) -> None:
        try:
            body = self._read()
            request = Request(self.command, self.path, self._headers(), body)
            answer = self.server.api.answer(request, self._wait)
        except ApiError as error:
            self.close_connection = True  # the body may not have been read
            answer = error.answer()
        except (ConnectionError, TimeoutError):
            raise  # the client went away, or we stop
        except Exception:  # noqa: BLE001  the client must get an answer, and the author the trace
            traceback.print_exc()
            answer = ApiError(
                500, "internal", "the sandbox failed; this is a defect of it",
                "its standard error has the trace",
            ).answer()  # fmt: skip
        if answer.delay:
            self._wait(answer.delay)
        if answer.hang_up:
            self._hang_up()
        else:
            self._send(answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _handle  # noqa: N815

    def _headers(self) -> dict[str, str]:
        joined: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            joined[key] = f"{joined[key]},{value}" if key in joined else value
        return joined

    def _read(self) -> bytes:
        if "transfer-encoding" in self.headers:
            raise ApiError(
                411, "length", "the body has no known length", "send Content-Length, not chunks"
            )
        text = self.headers.get("content-length", "0").strip()
        if not (text.isascii() and text.isdigit()):
            raise ApiError(400, "length", f"Content-Length {text!r} is no number", "leave it out")
        if len(text) > 12 or int(text) > BODY_LIMIT:
            raise ApiError(
                413, "too_big", f"the body has {text[:12]} bytes; {BODY_LIMIT} are allowed",
                "send less",
            )  # fmt: skip
        body = self.rfile.read(int(text))
        if len(body) < int(text):
            raise ConnectionError("the client went away in the middle of a body")
        return body

    def _wait(self, seconds: float) -> None:
        if self.server.stopping.wait(seconds):
            raise ConnectionAbortedError("the sandbox stops")

    def _hang_up(self) -> None:
        """Close the connection with a reset: the client sees at once that no answer comes."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        _quietly(lambda: self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger))

    def _send(self, answer: Answer) -> None:
        # One write for head and body: two would be two packets.
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        buffer: list[bytes] = self._headers_buffer  # type: ignore[attr-defined]
        buffer.append(b"\r\n")
        if self.command != "HEAD":
            buffer.append(answer.body)
        self.flush_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in JSON to what is not HTTP, or has too many headers."""
        self.close_connection = True
        try:
            phrase = HTTPStatus(code).phrase
        except ValueError:
            phrase = "error"
        view = {"error": "http", "detail": message or phrase, "hint": explain or "speak HTTP/1.1"}
        self.command = self.command or "GET"
        if self.request_version == "HTTP/0.9":
            self.request_version = "HTTP/1.0"
        self._send(Answer(code, json.dumps(view).encode()))

    def log_message(self, format: str, *args: object) -> None:
        if self.server.verbose:
            sys.stderr.write(f"{self.address_string()} {format % args}\n")


def _quietly(act: Callable[[], object]) -> None:
    try:
        act()
    except OSError:
        return
