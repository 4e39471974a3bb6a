"""A mail server on loopback that keeps what it is given."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Mailbox:
    port: int
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refuses: str | None = None
    """What it answers to every recipient."""


@contextmanager
def smtp_server() -> Iterator[Mailbox]:
    class Handler(socketserver.StreamRequestHandler):
        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def handle(self) -> None:
            self.say("220 localhost")
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    self.say("354 go on")
                    lines = []
                    while (line := self.rfile.readline()).rstrip() != b".":
                        lines.append(line.removeprefix(b"."))
                    message = message_from_bytes(b"".join(lines), policy=policy.default)
                    box.messages.append(message)
                elif verb == b"RCPT":
                    box.recipients.append(line.decode().strip())
                    if box.refuses:
                        self.say(box.refuses)
                        continue
                elif verb == b"QUIT":
                    self.say("221 bye")
                    return
                self.say("250 ok")

    class Listener(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Listener(("127.0.0.1", 0), Handler) as listener:
        box = Mailbox(listener.server_address[1])
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield box
        listener.shutdown()
        thread.join()
