"""Commands on this machine: a process group of its own that never outlives the worker.

A second process, the leash, holds the reading end of a pipe. When the worker ends in any way
without letting go, the leash ends the whole group: TERM, and KILL after ``LEASH_GRACE`` seconds.
That also reaches grandchildren, which a death signal for the child alone would not.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
"""What a command sees of the worker's environment; Airflow's settings and secrets are left out."""
KILL_GRACE = 10.0
"""Seconds between TERM and KILL."""
LEASH_GRACE = 5
"""The same where the worker is gone."""
MAX_LINE = 8192
"""Longer lines are cut when they are logged, in bytes."""
_DRAIN = 1.0
_LEASH = 'read -r word && exit 0; kill -s TERM -- "-$1"; sleep "$2"; kill -s KILL -- "-$1"'


@dataclass(frozen=True, slots=True)
class Command:
    """What to run."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    working_directory: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    exit_code: int
    """Exit code, or minus the number of the signal that ended it."""
    last_line: str
    """Last line of output that is not blank."""
    stopped: bool
    """Whether it was told to stop."""
    left_behind: bool
    """Whether it left processes running, which were ended."""
    seconds: float


def inherited_environment() -> dict[str, str]:
    """The part of the worker's environment that commands may see."""
    found = {name: os.environ[name] for name in INHERITED if name in os.environ}
    found.setdefault("PATH", os.defpath)
    return found


class ProcessGroup:
    """A running command and everything that it started. Use as a context manager.

    Raises ``OSError`` from the constructor if the command cannot be started.
    """

    def __init__(self, command: Command, *, kill_grace: float = KILL_GRACE) -> None:
        self._kill_grace = kill_grace
        self._kill_at: float | None = None
        self._process = subprocess.Popen(  # noqa: S603 - running what the plan says is the purpose
            list(command.argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**inherited_environment(), **command.env},
            cwd=command.working_directory,
            start_new_session=True,
        )
        self.pid = self._process.pid
        try:
            self._leash = subprocess.Popen(  # noqa: S603 - a fixed text, only numbers are filled in
                ["/bin/sh", "-c", _LEASH, "planner-leash", str(self.pid), str(LEASH_GRACE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={"PATH": os.defpath},
            )
        except BaseException:
            self._signal(signal.SIGKILL)
            self._process.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.stop()
            self._wait_or_kill()
            self._signal(signal.SIGKILL)
        if self._process.stdout:
            self._process.stdout.close()
        self._let_go()

    def stop(self) -> None:
        """Tell the group to end (TERM); ``follow`` sends KILL later. Safe in a signal handler."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._kill_grace
        self._signal(signal.SIGTERM)

    def follow(self, on_line: Callable[[str], None], should_stop: Callable[[], bool]) -> Ended:
        """Pass on each line of output until the command has ended.

        ``should_stop`` is asked several times a second; once it says yes, the group is stopped.
        """
        started = time.monotonic()
        lines = _Lines(on_line)
        out = self._process.stdout
        assert out is not None
        os.set_blocking(out.fileno(), False)
        ended_at: float | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            while True:
                if self._kill_at is None and should_stop():
                    self.stop()
                if self._kill_at is not None and time.monotonic() > self._kill_at:
                    self._signal(signal.SIGKILL)
                if ended_at is None and self._process.poll() is not None:
                    ended_at = time.monotonic()
                readable = selector.select(0.2 if ended_at is None else 0.05)
                closed = bool(readable) and lines.read(out)
                if closed or (ended_at is not None and time.monotonic() - ended_at > _DRAIN):
                    break
        self._wait_or_kill(should_stop)
        lines.finish()
        left_behind = self._group_lives()
        if left_behind:
            self._end_rest()
        return Ended(
            exit_code=self._process.returncode,
            last_line=lines.last,
            stopped=self._kill_at is not None,
            left_behind=left_behind,
            seconds=time.monotonic() - started,
        )

    def _wait_or_kill(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.2)
                return
            if self._kill_at is None and should_stop():
                self.stop()
            if self._kill_at is not None and time.monotonic() > self._kill_at:
                self._signal(signal.SIGKILL)

    def _end_rest(self) -> None:
        self._signal(signal.SIGTERM)
        limit = time.monotonic() + min(self._kill_grace, 2.0)
        while self._group_lives() and time.monotonic() < limit:
            time.sleep(0.05)
        self._signal(signal.SIGKILL)

    def _group_lives(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return _has_live_member(self.pid)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _let_go(self) -> None:
        stdin = self._leash.stdin
        assert stdin is not None
        with contextlib.suppress(OSError):
            stdin.write(b"done\n")
            stdin.flush()
        with contextlib.suppress(OSError):
            stdin.close()
        self._leash.wait()


def _has_live_member(group: int) -> bool:
    """Whether a process of the group runs; where init does not reap, dead ones stay listed."""
    proc = Path("/proc")
    if not (proc / "self" / "stat").exists():
        return True
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(pgrp) == group and state not in ("Z", "X"):
                    return True
    return False


class _Lines:
    """Cuts a stream of bytes into lines and remembers the last one that is not blank."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.last = ""
        self._on_line = on_line
        self._rest = b""
        self._cutting = False

    def read(self, stream: object) -> bool:
        """Read what there is. Returns whether the stream has ended."""
        try:
            chunk = os.read(stream.fileno(), 65536)  # type: ignore[attr-defined]
        except BlockingIOError:
            return False
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            self._emit(line)
        if len(self._rest) > MAX_LINE:
            self._emit(self._rest)
            self._rest, self._cutting = b"", True
        return not chunk

    def finish(self) -> None:
        if self._rest:
            self._emit(self._rest)
            self._rest = b""

    def _emit(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        if self._cutting:
            self._cutting = False
            text = f"... {text}"
        cut = text[:MAX_LINE]
        self._on_line(cut)
        if cut.strip():
            self.last = cut.strip()
