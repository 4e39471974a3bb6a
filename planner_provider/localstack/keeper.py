"""The owner's side of the keeper: start programs that cannot outlive this process."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from planner_provider.errors import MisconfiguredError
from planner_provider.localstack import keeper_process

START_SECONDS = 10.0


class KeeperError(MisconfiguredError):
    """A program could not be started or controlled."""


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; a zombie or another one with its number does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Exit:
    """A program that ended.

    ``code`` is its exit code, or minus the number of the signal that ended it.
    """

    name: str
    pid: int
    code: int

    def __str__(self) -> str:
        if self.code < 0:
            return f"{self.name} was ended by {signal.Signals(-self.code).name}"
        return f"{self.name} ended with exit code {self.code}"


class Keeper:
    """Starts programs under a process of their own that ends them when this process is gone.

    Use it as a context manager. ``grace`` is how many seconds a program has between TERM and
    KILL. Methods may be called from several threads.
    """

    def __init__(self, *, grace: float = 5.0) -> None:
        self._grace = grace
        self._lock = threading.RLock()
        self._received = b""
        self._pids: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._exits: list[Exit] = []
        self._stopped: set[str] = set()
        ours, theirs = socket.socketpair()
        with theirs:
            self._socket = ours
            self._process = subprocess.Popen(  # noqa: S603 - our own script
                [
                    *(sys.executable, "-I", "-S", keeper_process.__file__),
                    *(str(theirs.fileno()), str(grace)),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The keeper's own process id."""
        return self._process.pid

    def start(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path
    ) -> int:
        """Start a program and return its process id; its output is appended to ``log``.

        Raises :class:`KeeperError` when it cannot be started or one of that name runs.
        """
        with self._lock:
            self._read(0)
            if name in self._pids:
                raise KeeperError(f"cannot start {name}: it is running already")
            self._refused.pop(name, None)
            known_exits = len(self._exits)
            self._send(
                do="start", name=name, argv=list(argv), env=dict(env), cwd=str(cwd), log=str(log)
            )
            deadline = time.monotonic() + START_SECONDS
            while time.monotonic() < deadline:
                self._read(0.2)
                if name in self._refused:
                    raise KeeperError(f"cannot start {name}: {self._refused.pop(name)}")
                if name in self._pids:
                    return self._pids[name]
                if early := [e for e in self._exits[known_exits:] if e.name == name]:
                    return early[0].pid  # it ended at once; take_exits() tells how
        raise KeeperError(f"cannot start {name}: the keeper process does not answer")

    def process_id(self, name: str) -> int | None:
        """Return the process id of a running program, or nothing."""
        with self._lock:
            self._read(0)
            return self._pids.get(name)

    def take_exits(self) -> list[Exit]:
        """Return the programs that ended since the last call."""
        with self._lock:
            self._read(0)
            exits, self._exits = self._exits, []
            return exits

    def signal(self, name: str, number: int) -> None:
        """Send a signal to one program; its own children are left alone."""
        with self._lock:
            self._send(do="signal", name=name, signal=int(number))

    def stop(self, name: str, *, grace: float | None = None) -> None:
        """End one program and everything below it, and wait until it is gone."""
        seconds = self._grace if grace is None else grace
        with self._lock:
            self._read(0)
            if name not in self._pids:
                return
            self._stopped.discard(name)
            self._send(do="stop", name=name, grace=seconds)
            deadline = time.monotonic() + seconds + START_SECONDS
            while name not in self._stopped:
                if time.monotonic() > deadline:
                    raise KeeperError(f"{name} did not end within {seconds:.0f} s")
                self._read(0.2)

    def remove_at_end(self, folder: Path) -> None:
        """Have a folder deleted after all programs ended, even if this process is killed."""
        with self._lock:
            self._send(do="remove", folder=str(folder))

    def below(self) -> list[psutil.Process]:
        """Return all living processes under the keeper."""
        try:
            processes = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [process for process in processes if is_alive(process)]

    def close(self) -> None:
        """End all programs and the keeper, and wait until none is left. May be called twice."""
        started = self.below()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        try:
            self._process.wait(self._grace + 20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # Only if the keeper itself was killed is there anything left to find here.
        for left in started:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                if is_alive(left):
                    left.kill()
                    left.wait(5)

    def _send(self, **command: object) -> None:
        try:
            self._socket.sendall(json.dumps(command).encode() + b"\n")
        except OSError as error:
            raise KeeperError(f"the keeper process is gone: {error}") from error

    def _read(self, seconds: float) -> None:
        """Take in what the keeper has said, waiting at most so long for the first word."""
        try:
            while select.select([self._socket], [], [], seconds)[0]:
                seconds = 0
                data = self._socket.recv(65536)
                if not data:
                    return
                *lines, self._received = (self._received + data).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))
        except (OSError, ValueError):
            return  # closed by close()

    def _take(self, event: dict[str, object]) -> None:
        match event:
            case {"event": "started", "name": str(name), "pid": int(pid)}:
                self._pids[name] = pid
            case {"event": "exited", "name": str(name), "pid": int(pid), "code": int(code)}:
                self._pids.pop(name, None)
                self._exits.append(Exit(name, pid, code))
            case {"event": "stopped", "name": str(name)}:
                self._stopped.add(name)
            case {"event": "refused", "name": str(name), "reason": str(reason)}:
                self._refused[name] = reason
