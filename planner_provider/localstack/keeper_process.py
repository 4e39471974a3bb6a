"""The process that starts programs for an owner and never lets one of them outlive it.

Run as a script, with the standard library only, so that it starts in a few milliseconds. It talks
with its owner over a socket: one JSON object a line. When the socket closes, because the owner
asked for it, ended or was killed, it ends all programs, newest first: TERM, and KILL after a few
seconds. On Linux it is a *child subreaper*: orphans of its programs become its own children, so
it finds and ends those too, even when they moved to another session or process group.

Commands: ``{"do": "start", "name", "argv", "cwd", "env", "log"}``, ``{"do": "signal", "name",
"signal"}``, ``{"do": "stop", "name", "grace"}``, ``{"do": "remove", "folder"}`` (delete that
folder after everything has ended).
Events: ``{"event": "started" | "exited" | "stopped" | "refused", "name", ...}``, with ``pid``,
``code`` or ``reason``.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass, field

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
TICK_SECONDS = 0.2


def set_process_option(option: int, value: int) -> bool:
    """Call Linux's ``prctl``; false where there is none."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(option, value, 0, 0, 0) == 0)


def parents_by_pid() -> dict[int, int]:
    """Return the parent of every process that can be seen (Linux; empty elsewhere)."""
    parents: dict[int, int] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib costs a third of the start-up time
    except OSError:
        return parents
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123
                text = stat.read()
        except OSError:
            continue  # it ended while we looked
        fields = text[text.rindex(b")") + 2 :].split()  # the name may hold blanks and brackets
        if fields[0] != b"Z":
            parents[int(name)] = int(fields[1])
    return parents


def descendants(root: int) -> list[int]:
    """Return the living processes below ``root``, parents before children."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents_by_pid().items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    queue = [root]
    while queue:
        for pid in sorted(children.get(queue.pop(0), [])):
            found.append(pid)
            queue.append(pid)
    return found


def send(pid: int, number: int, *, group: bool = False) -> None:
    """Send a signal to a process or its group; one that is gone is not an error."""
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


@dataclass
class Program:
    """One program that the owner asked for."""

    name: str
    pid: int


@dataclass
class KeeperProcess:
    """The state of the keeper: its owner's socket and the programs in order of their start."""

    owner: socket.socket
    grace: float
    programs: dict[str, Program] = field(default_factory=dict)
    folder_to_remove: str = ""
    received: bytes = b""
    closing: bool = False

    def run(self) -> None:
        """Serve the owner until it is gone, then end everything."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.close)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        try:
            while not self.closing:
                watched = [self.owner.fileno(), wake_read]
                readable, _, _ = select.select(watched, [], [], 5.0)
                if wake_read in readable:
                    os.read(wake_read, 4096)
                self.reap()
                if watched[0] in readable:
                    self.receive()
        finally:
            self.end_everything()

    def close(self, *_: object) -> None:
        """Leave the loop at the next turn."""
        self.closing = True

    def tell(self, event: str, name: str, **facts: object) -> None:
        """Tell the owner; one that is gone is noticed by :meth:`receive`."""
        try:
            self.owner.sendall(json.dumps({"event": event, "name": name, **facts}).encode() + b"\n")
        except OSError:
            self.closing = True

    def receive(self) -> None:
        """Read what the owner sent and carry out complete lines."""
        try:
            data = self.owner.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.closing = True
            return
        *lines, self.received = (self.received + data).split(b"\n")
        for line in lines:
            self.carry_out(json.loads(line))

    def carry_out(self, command: dict[str, object]) -> None:
        """Do one command of the owner."""
        match command:
            case {"do": "start", "name": str(name), "argv": list(argv), "env": dict(env), **rest}:
                self.start(name, argv, env, str(rest["cwd"]), str(rest["log"]))
            case {"do": "signal", "name": str(name), "signal": int(number)}:
                if name in self.programs:
                    send(self.programs[name].pid, number)
            case {"do": "stop", "name": str(name), "grace": int() | float() as grace}:
                if name in self.programs:
                    self.end([self.programs[name]], float(grace))
                self.tell("stopped", name)
            case {"do": "remove", "folder": str(folder)}:
                self.folder_to_remove = folder
            case _:
                self.tell("refused", str(command.get("name", "")), reason="unknown command")

    def start(self, name: str, argv: list[str], env: dict[str, str], cwd: str, log: str) -> None:
        """Start a program in a session of its own, with its output in a log file."""
        if name in self.programs:
            self.tell("refused", name, reason="it is running already")
            return
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            executable = shutil.which(argv[0], path=env.get("PATH")) or argv[0]
            pid = os.fork()
        except OSError as error:
            self.tell("refused", name, reason=str(error))
            return
        if pid == 0:
            become(executable, argv, env, cwd, output)
        os.close(output)
        self.programs[name] = Program(name, pid)
        self.tell("started", name, pid=pid)

    def reap(self) -> None:
        """Collect ended children; tell the owner about those that it asked for."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for program in [p for p in self.programs.values() if p.pid == pid]:
                del self.programs[program.name]
                code = os.waitstatus_to_exitcode(status)
                self.tell("exited", program.name, pid=pid, code=code)

    def end(self, programs: list[Program], grace: float) -> None:
        """End programs and all processes below them: TERM, then KILL after ``grace`` seconds.

        Processes that a program leaves behind become children of this process, so they are
        remembered before, and ended even if they are no longer below the program.
        """
        below = {pid for program in programs for pid in descendants(program.pid)}
        for program in programs:
            send(program.pid, signal.SIGTERM)
        self.wait_for({program.pid for program in programs}, grace)
        below |= {pid for program in programs for pid in descendants(program.pid)}
        for program in programs:
            send(program.pid, signal.SIGKILL, group=True)
        alive = set(descendants(os.getpid()))
        for pid in below & alive:
            send(pid, signal.SIGKILL)
        self.wait_for(below | {program.pid for program in programs}, TICK_SECONDS * 10)

    def wait_for(self, pids: set[int], seconds: float) -> None:
        """Wait until none of these processes is left, at most so long."""
        deadline = time.monotonic() + seconds
        while True:
            self.reap()
            known = set(descendants(os.getpid())) | {p.pid for p in self.programs.values()}
            if not pids & known or time.monotonic() >= deadline:
                return
            time.sleep(TICK_SECONDS / 4)

    def end_everything(self) -> None:
        """End every program in reverse order of start, then whatever is still below."""
        programs = list(reversed(self.programs.values()))
        below = set(descendants(os.getpid()))
        for program in programs:
            send(program.pid, signal.SIGTERM)
            self.wait_for({program.pid}, 0.05)
        self.wait_for({program.pid for program in programs}, self.grace)
        for program in programs:
            send(program.pid, signal.SIGKILL, group=True)
        for _ in range(50):  # a process may fork while we kill: look again until none is left
            left = set(descendants(os.getpid()))
            if not left:
                break
            for pid in left:
                send(pid, signal.SIGKILL)
            self.wait_for(left | below, TICK_SECONDS)
        self.reap()
        if self.folder_to_remove:
            shutil.rmtree(self.folder_to_remove, ignore_errors=True)


def become(executable: str, argv: list[str], env: dict[str, str], cwd: str, output: int) -> None:
    """Turn a forked child into the program; never returns."""
    try:
        os.setsid()
        set_process_option(PR_SET_PDEATHSIG, signal.SIGTERM)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(cwd)
        os.execve(executable, argv, env)  # noqa: S606 - that is what it is for
    except OSError as error:
        os.write(output, f"cannot start {executable}: {error}\n".encode())
    finally:
        os._exit(127)


def main() -> None:
    """Take the owner's socket from the first argument and the grace period from the second."""
    set_process_option(PR_SET_CHILD_SUBREAPER, 1)
    owner = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(owner.fileno(), False)
    KeeperProcess(owner=owner, grace=float(sys.argv[2])).run()


if __name__ == "__main__":
    main()
